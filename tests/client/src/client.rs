//! A client: one connection at a time, one call at a time, and the session that they belong to.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::answer::{Answer, Method};
use crate::connection::Connection;
use crate::error::Error;
use crate::pauses::Pauses;
use crate::place::Place;
use crate::request::Request;
use crate::stop::Stop;

/// A connection unused for longer is opened anew, well before the server's own idle timeout of 75 s: a call that met a closing
/// connection could not safely be repeated.
const STALE: Duration = Duration::from_secs(20);
/// How long an answer may take. Registering hashes a password, which takes a good part of a second, and others may stand before it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long connecting may take, at most.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The client, perhaps logged in. It connects when it has something to ask.
#[derive(Debug)]
pub struct Client {
    place: Place,
    patience: Duration,
    pauses: Pauses,
    token: Option<String>,
    connection: Option<(Connection, Instant)>,
    stop: Stop,
}

impl Client {
    /// A client that has neither connected nor logged in.
    pub fn new(place: impl Into<Place>) -> Self {
        Self {
            place: place.into(),
            patience: PATIENCE,
            pauses: Pauses::default(),
            token: None,
            connection: None,
            stop: Stop::default(),
        }
    }

    /// Sets how long an answer may take, 30 s otherwise.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the pauses between repetitions.
    pub fn with_pauses(mut self, pauses: Pauses) -> Self {
        self.pauses = pauses;
        self
    }

    /// Goes on with a session that was begun before.
    pub fn with_session(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Another client with the same session, and a connection and a [`Stop`] of its own: one may follow while the other sends.
    pub fn beside(&self) -> Self {
        Self {
            place: self.place.clone(),
            token: self.token.clone(),
            connection: None,
            stop: Stop::default(),
            ..*self
        }
    }

    /// What stops it, from another thread.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The session's token, which is as good as a password.
    pub fn session(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn pauses(&self) -> Pauses {
        self.pauses
    }

    /// Asks once, in the client's session, and takes every status but 2xx for a failure. Whether a request may be asked again where
    /// that fails is for who asks to know.
    pub fn ask(&mut self, request: Request) -> Result<Answer, Error> {
        self.ask_within(self.patience, request)
    }

    pub(crate) fn ask_within(
        &mut self,
        patience: Duration,
        request: Request,
    ) -> Result<Answer, Error> {
        let (call, request) = (request.call(), self.own(request));
        self.exchange(&call, &request.bytes(), patience)
    }

    /// The same with a request as it is sent, session and all; `call` is what an error names it by.
    pub fn ask_bytes(&mut self, call: &str, request: &[u8]) -> Result<Answer, Error> {
        self.exchange(call, request, self.patience)
    }

    /// The request, to this server and in this session.
    pub(crate) fn own(&self, request: Request) -> Request {
        let request = request.host(self.place.host());
        match &self.token {
            Some(token) => request.session(token),
            None => request,
        }
    }

    fn exchange(
        &mut self,
        call: &str,
        request: &[u8],
        patience: Duration,
    ) -> Result<Answer, Error> {
        let mut connection = self.connected()?;
        let asked = connection.set_patience(patience).and_then(|()| {
            let sent = connection.send(request);
            // A server that does not take the request in may have said why.
            let answer = connection.answer(Method::of(request));
            answer.or_else(|error| sent.and(Err(error)))
        });
        let answer = asked.map_err(|error| self.broken(call, patience, error))?;
        if !answer.closes() {
            self.connection = Some((connection, Instant::now()));
        }
        if let Some(session) = answer.session() {
            self.token = (!session.is_empty()).then(|| session.to_owned());
        }
        match answer.status {
            200..300 => Ok(answer),
            _ => Err(Error::failed(call, &answer)),
        }
    }

    /// What a broken connection comes to.
    pub(crate) fn broken(&self, call: &str, patience: Duration, error: io::Error) -> Error {
        match error.kind() {
            _ if self.stop.is_stopped() => Error::Stopped,
            ErrorKind::TimedOut => {
                let what = format!("{call} was not answered within {patience:?}");
                Error::Io(what, error)
            }
            _ => Error::Io(call.to_owned(), error),
        }
    }

    /// The warm connection where it is as good as new, else a new one; after a failure it is not put back.
    pub(crate) fn connected(&mut self) -> Result<Connection, Error> {
        if self.stop.is_stopped() {
            return Err(Error::Stopped);
        }
        if let Some((mut connection, used)) = self.connection.take()
            && used.elapsed() < STALE
            && connection.read_at_once().is_ok()
            && connection.unread().is_empty()
            && !connection.has_ended()
        {
            return Ok(connection);
        }
        let connection = self.connect()?;
        match self.stop.watch(connection.socket_to_shut()) {
            true => Ok(connection),
            false => Err(Error::Stopped),
        }
    }

    fn connect(&self) -> Result<Connection, Error> {
        let what = || format!("connect to {}", self.place.host());
        let mut refused = None;
        for address in self.place.find().map_err(Error::io(what()))? {
            match Connection::connect(address, self.patience.min(CONNECT_PATIENCE)) {
                Ok(connection) => return Ok(connection),
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
        Err(Error::io(what())(refused))
    }

    /// Waits before the next repetition.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Error> {
        match self.stop.pause(pause) {
            true => Ok(()),
            false => Err(Error::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{get, post};
    use crate::scripted::Scripted;
    use crate::scripted::Turn::{Answer, Last, Ok as Good, Open};

    #[test]
    fn the_session_of_a_login_is_kept() {
        let user = r#"{"userid":4,"username":"a"}"#;
        let server = Scripted::new([
            Good(user),
            Answer(200, "Set-Cookie: session=s2; Path=/\r\n", user),
            Good(r#"{"chatroomid":7}"#),
            Answer(200, "Set-Cookie: session=; Max-Age=0\r\n", "{}"),
        ]);
        let mut client = Client::new(server.address);
        assert_eq!(client.register("a", "p&").unwrap().userid, 4);
        assert_eq!(client.session(), None);
        client.log_in("a", "p&").unwrap();
        assert_eq!(client.session(), Some("s2"));
        assert_eq!(client.beside().session(), Some("s2"));
        assert_eq!(client.new_chatroom().unwrap(), 7);
        client.log_out().unwrap();
        assert_eq!(client.session(), None);
        assert_eq!(server.connections(), 1, "it is kept");
        let requests = server.requests();
        assert_eq!(requests[0], "POST /register/ username=a&password=p%26");
        assert_eq!(requests[2], "POST /message/newChatroom/");
    }

    #[test]
    fn a_refusal_names_the_call_without_its_parameters() {
        let server = Scripted::new([Answer(409, "", "{}")]);
        let asked = server
            .client()
            .ask(post("/register/").with("password", "secret"));
        let refused = asked.unwrap_err().to_string();
        assert_eq!(refused, "POST /register/ was answered 409 {}");
        server.requests();
    }

    #[test]
    fn whoever_waits_in_vain_is_told_for_what_and_how_long() {
        let server = Scripted::new([Open("")]);
        let mut client = server.client().with_patience(Duration::from_millis(20));
        let late = client.ask(get("/a/").with("b", "secret")).unwrap_err();
        let text = late.to_string();
        assert!(
            text.starts_with("GET /a/ was not answered within 20ms"),
            "{text}"
        );
        assert!(late.is_passing());
        server.requests();
    }

    #[test]
    fn a_connection_that_broke_is_not_used_again() {
        let server = Scripted::new([Last("HTTP/1.1 200 OK\r\n"), Good("[1]")]);
        let mut client = server.client();
        let broken = client.chatrooms().unwrap_err();
        assert!(matches!(broken, Error::Io(..)), "{broken}");
        assert_eq!(client.chatrooms().unwrap(), [1]);
        server.requests();
    }

    #[test]
    fn a_connection_that_the_server_has_ended_is_not_used_again() {
        let answered = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]";
        let server = Scripted::new([Last(answered), Good("[2]")]);
        let mut client = server.client();
        assert_eq!(client.chatrooms().unwrap(), [1]);
        let (connection, _) = client.connection.as_ref().unwrap();
        assert_eq!(connection.socket().peek(&mut [0]).unwrap(), 0, "the end");
        assert_eq!(client.chatrooms().unwrap(), [2]);
        server.requests();
    }

    #[test]
    fn what_a_stop_holds_does_not_keep_a_connection_open() {
        let server = Scripted::new([Good("[1]"), Open("")]);
        let mut client = server.client();
        client.chatrooms().unwrap();
        let stop = client.stop();
        let mut other = client.connected().unwrap();
        other.send(&get("/a/").bytes()).unwrap();
        server.wait_for(2);
        drop((client, other));
        // The script ends with the connection.
        server.requests();
        assert!(!stop.is_stopped());
    }
}
