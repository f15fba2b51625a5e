//! A blocking client for the calls that prepare, trigger and check a run: one connection, one call at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::Error;
use crate::http::{self, Answer, Target};
use crate::requests::Requests;

/// A connection unused for longer is opened anew, well before the server's own idle timeout of 75 s:
/// a send that met a closing connection could not safely be repeated.
const STALE: Duration = Duration::from_secs(20);
/// How long an answer may take at least. Registering hashes a password, which takes a good part of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The newest message of a chatroom, as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Its id, which counts from 1 within its chatroom; 0 where the server gives none.
    pub(crate) id: u64,
    /// Its text.
    pub(crate) text: String,
}

/// The client, perhaps logged in.
pub(crate) struct Client {
    target: Target,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    session: Option<String>,
    connection: Option<(TcpStream, Instant)>,
    input: Vec<u8>,
}

impl Client {
    /// A client that has neither connected nor logged in.
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            patience: PATIENCE,
            session: None,
            connection: None,
            input: Vec::new(),
        }
    }

    /// The same, with more patience than is usual if that is more.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = self.patience.max(patience);
        self
    }

    /// Registers a user and logs in; the user's id. The client keeps the session.
    pub(crate) fn sign_up(&mut self, name: &str, password: &str) -> Result<u64, Error> {
        let who = format!("username={name}&password={password}");
        let user = self.call("POST", &format!("/register/?{who}"))?;
        self.call("POST", &format!("/login/?{who}"))?;
        if self.session.is_none() {
            return Err(Error::Lacking("a session cookie"));
        }
        user["userid"].as_u64().ok_or(Error::Lacking("a userid"))
    }

    /// The session's token; empty before [`Client::sign_up`].
    pub(crate) fn session(&self) -> &str {
        self.session.as_deref().unwrap_or_default()
    }

    /// A new chatroom's id.
    pub(crate) fn new_chatroom(&mut self) -> Result<u64, Error> {
        let chatroom = self.call("POST", "/message/newChatroom/")?;
        chatroom["chatroomid"]
            .as_u64()
            .ok_or(Error::Lacking("a chatroomid"))
    }

    /// Makes a user a participant.
    pub(crate) fn add_to_chatroom(&mut self, chatroomid: u64, name: &str) -> Result<(), Error> {
        let path = format!("/message/addToChatroom/?chatroomid={chatroomid}&usertoadd={name}");
        self.call("POST", &path).map(drop)
    }

    /// Sends a message and waits until it is durable; the last message of the answered list, or where the server answers with none,
    /// what was sent.
    pub(crate) fn send(&mut self, chatroomid: u64, text: &str) -> Result<Newest, Error> {
        let dialect = self.target.dialect;
        let requests = Requests::new(&self.target, &[self.session().to_owned()]);
        let mut request = Vec::new();
        requests.send(chatroomid, 0, text.as_bytes(), &mut request);
        let body = self.ask("POST", "/message/sendMessage/", &request)?;
        if !dialect.has_lists() {
            let text = text.to_owned();
            return Ok(Newest { id: 0, text });
        }
        match dialect.hear(&body) {
            Ok(Some(last)) => Ok(Newest {
                id: last.id,
                text: last.text.to_owned(),
            }),
            Ok(None) | Err(_) => Err(Error::Lacking("a consistent list of messages")),
        }
    }

    /// The chatroom's newest message, by an endpoll with nothing parked; `None` where it has none.
    pub(crate) fn newest(&mut self, chatroomid: u64) -> Result<Option<Newest>, Error> {
        let path = format!("/message/endpoll/?chatroomid={chatroomid}");
        let answer = self.call("GET", &path)?;
        let Some(messages) = answer["messages"].as_array() else {
            return Err(Error::Lacking("messages"));
        };
        let last = |message: &Value| {
            Some(Newest {
                id: message["id"].as_u64()?,
                text: message["message"].as_str()?.to_owned(),
            })
        };
        Ok(messages.last().and_then(last))
    }

    /// A cheap call that changes nothing: once it is answered, the server has taken another turn.
    pub(crate) fn round_trip(&mut self) -> Result<(), Error> {
        self.call("GET", "/message/chatrooms/").map(drop)
    }

    fn call(&mut self, method: &str, path: &str) -> Result<Value, Error> {
        let request = http::request(method, path, &self.target.host, self.session.as_deref());
        let body = self.ask(method, path, request.as_bytes())?;
        serde_json::from_slice(&body).map_err(|_malformed| Error::Lacking("JSON"))
    }

    /// Asks once, keeps the session that the answer may set, and refuses every status but success.
    fn ask(&mut self, method: &str, path: &str, request: &[u8]) -> Result<Vec<u8>, Error> {
        let mut stream = self.connected()?;
        stream
            .write_all(request)
            .map_err(Error::io("write a request"))?;
        self.input.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let len = stream.read(&mut chunk).map_err(|e| match e.kind() {
                ErrorKind::WouldBlock => Error::io(format!(
                    "{method} {} was not answered within {:?}",
                    without_parameters(path),
                    self.patience
                ))(ErrorKind::TimedOut.into()),
                _ => Error::io("read an answer")(e),
            })?;
            if len == 0 {
                let what = format!("{method} {}", without_parameters(path));
                return Err(Error::io(what)(ErrorKind::UnexpectedEof.into()));
            }
            self.input.extend_from_slice(&chunk[..len]);
            let Some(answer) = http::parse(&self.input).map_err(Error::Malformed)? else {
                continue;
            };
            if !answer.close {
                self.connection = Some((stream, Instant::now()));
            }
            if !self.target.dialect.is_sent(answer.status) {
                return Err(refused(method, path, &answer));
            }
            if let Some(session) = answer.session {
                self.session = Some(session.to_owned());
            }
            return Ok(answer.body.to_vec());
        }
    }

    /// The warm connection where there is one, else a new one; after a failure it is not put back.
    fn connected(&mut self) -> Result<TcpStream, Error> {
        if let Some((stream, used)) = self.connection.take()
            && used.elapsed() < STALE
        {
            return Ok(stream);
        }
        let (addr, patience) = (self.target.addr, self.patience);
        let open = || {
            let stream = TcpStream::connect_timeout(&addr, patience)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(patience))?;
            Ok(stream)
        };
        open().map_err(Error::io(format!("connect to {addr}")))
    }
}

fn refused(method: &str, path: &str, answer: &Answer<'_>) -> Error {
    Error::Refused {
        call: format!("{method} {}", without_parameters(path)),
        status: answer.status,
        body: String::from_utf8_lossy(answer.body).into_owned(),
    }
}

/// A path as it may be shown: parameters hold passwords.
fn without_parameters(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server that gives the answers in turn on one connection, and returns the requests' first lines.
    fn scripted(answers: Vec<&'static str>) -> (Target, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = Vec::new();
            for answer in answers {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                lines.push(request.lines().next().unwrap().to_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            lines
        });
        (target.parse().unwrap(), server)
    }

    #[test]
    fn the_session_of_a_login_is_kept() {
        let (target, server) = scripted(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"userid\":4,\"username\":\"a\"}",
            "HTTP/1.1 200 OK\r\nSet-Cookie: session=s1; Path=/\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"chatroomid\":7}",
        ]);
        let mut client = Client::new(target);
        assert_eq!(client.sign_up("a", "p").unwrap(), 4);
        assert_eq!(client.session(), "s1");
        assert_eq!(client.new_chatroom().unwrap(), 7);
        let lines = server.join().unwrap();
        assert_eq!(lines[2], "POST /message/newChatroom/ HTTP/1.1");
    }

    #[test]
    fn a_refusal_names_the_call_without_its_parameters() {
        let (target, server) =
            scripted(vec!["HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}"]);
        let refused = Client::new(target).sign_up("a", "secret").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "POST /register/ was answered 409 {}".to_owned()
        );
        server.join().unwrap();
    }

    #[test]
    fn whoever_waits_in_vain_is_told_for_what_and_how_long() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut client = Client::new(url.parse().unwrap());
        client.patience = Duration::from_millis(20);
        let late = client.sign_up("a", "secret").unwrap_err().to_string();
        assert!(
            late.contains("POST /register/ was not answered within 20ms"),
            "{late}"
        );
        assert!(!late.contains("secret"), "{late}");
        let patient = client.patient(Duration::from_secs(3));
        assert_eq!(patient.patience, Duration::from_secs(3));
    }
}
