//! One connection to the server, and the answers that it reads.
//!
//! An answer is read strictly: every one of them, whatever it is about, must keep the conventions
//! that hold for all ([`Answer::assert_sound`]).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use super::{PATIENCE, Request, Session, get};

/// A client's end of a connection.
pub(crate) struct Client {
    socket: TcpStream,
    /// What came and was not read as an answer yet.
    unread: Vec<u8>,
    has_ended: bool,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("it accepts"))
    }

    /// A client on a socket that the test has connected itself.
    pub(crate) fn of(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a TCP socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
        socket.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Self {
            socket,
            unread: Vec::new(),
            has_ended: false,
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("it reads");
    }

    /// Sends what the server may refuse to take in; says whether all of it went.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        self.next(request.is_head())
    }

    /// Sends a poll, which is parked when this returns, whichever loop has the connection.
    pub(crate) fn park(&mut self, session: &Session, poll: &Request) {
        let asking = get("/message/chatrooms/").of(session);
        // From now on the loop remembers all that it needs to answer the next at once …
        self.ask(&asking).ok();
        // … and what comes in one piece with that is taken before its answer leaves.
        self.send([asking.bytes(), poll.bytes()].concat());
        self.answer().ok();
    }

    /// Reads the next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next(false)
    }

    /// Reads the next answer, which is to HEAD.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.next(true)
    }

    fn next(&mut self, to_head: bool) -> Answer {
        loop {
            if let Some(answer) = self.arrived(to_head) {
                return answer;
            }
            assert!(
                !self.has_ended,
                "the connection ended behind {:?}",
                self.unread.escape_ascii().to_string()
            );
            self.read();
        }
    }

    /// Takes the next answer if all of it has been read.
    pub(crate) fn arrived(&mut self, to_head: bool) -> Option<Answer> {
        let (answer, length) = Answer::parse(&self.unread, to_head)?;
        self.unread.drain(..length);
        answer.assert_sound(to_head);
        Some(answer)
    }

    fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.has_ended = true,
            Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
            Err(error) => panic!(
                "{error}, behind {:?}",
                self.unread.escape_ascii().to_string()
            ),
        }
    }

    /// Reads what is there without waiting for more.
    pub(crate) fn read_at_once(&mut self) {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.has_ended = true,
            Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        self.socket.set_nonblocking(false).expect("a socket");
    }

    /// Nothing has come that was not read as an answer.
    pub(crate) fn assert_silent(&mut self) {
        self.read_at_once();
        assert_eq!(self.unread.escape_ascii().to_string(), "");
        assert!(!self.has_ended, "the connection ended");
    }

    /// Waits for the end, before which nothing may come.
    pub(crate) fn assert_ends(&mut self) {
        while !self.has_ended {
            self.read();
        }
        assert_eq!(self.unread.escape_ascii().to_string(), "");
    }

    /// Whether the server has said that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Sends the FIN, and goes on reading.
    pub(crate) fn hang_up(&self) {
        self.socket.shutdown(Shutdown::Write).expect("connected");
    }

    /// Ends by RST, and leaves nothing behind that would hold a port.
    pub(crate) fn reset(self) {
        let linger = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        linger.expect("a TCP socket");
    }
}

impl Answer {
    /// An answer at the beginning of `bytes`, and its length; `None` if it is not all there.
    fn parse(bytes: &[u8], to_head: bool) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = str::from_utf8(&bytes[..end]).expect("a head is ASCII");
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a first line");
        let rest = start.strip_prefix("HTTP/1.1 ").expect(start);
        let (code, reason) = rest.split_once(' ').expect(start);
        assert!(!reason.is_empty(), "{start}");
        let fields: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").expect(line);
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        let answer = Self {
            status: code.parse().expect(start),
            fields,
            body: Vec::new(),
        };
        let length = match answer.has_body(to_head) {
            true => answer.length().expect("a length"),
            false => 0,
        };
        let body = bytes[end + 4..].get(..length)?.to_vec();
        Some((Self { body, ..answer }, end + 4 + length))
    }

    fn has_body(&self, to_head: bool) -> bool {
        !to_head && self.status != 204 && self.status >= 200
    }

    /// What the `Content-Length` says.
    pub(crate) fn length(&self) -> Option<usize> {
        self.field("content-length")
            .map(|length| length.parse().expect(length))
    }

    /// The value of the one field of this name, which is in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{name} twice in {:?}", self.fields);
        value
    }

    /// Whether it says that the connection ends behind it.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of a failure; the sentence that goes with it must be one.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let members = json.as_object().expect("an object");
        let numbers = |names: &[&str]| names.iter().filter(|&&name| json[name].is_i64()).count();
        // These tell a number too.
        let more = match json["error"].as_str() {
            // … and where, if it is of several chatrooms.
            Some("since_ahead") => numbers(&["last", "chatroomid"]),
            Some("since_expired") => numbers(&["first", "chatroomid"]),
            _ => 0,
        };
        assert_eq!(members.len(), 2 + more, "{json}");
        let sentence = json["message"].as_str().expect("a sentence");
        assert!(sentence.ends_with('.') && sentence.contains(' '), "{json}");
        json["error"].as_str().expect("a code").to_owned()
    }

    /// Asserts the status and the code of a failure.
    #[track_caller]
    pub(crate) fn assert_failed(&self, status: u16, code: &str) {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!((self.status, &*self.code()), (status, code), "{self:?}");
    }

    /// Asserts success, and returns what was answered.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body.escape_ascii());
        self.json()
    }

    /// What holds for every answer.
    fn assert_sound(&self, to_head: bool) {
        if self.status == 100 {
            assert_eq!(self.fields, [], "100 has no fields");
            return;
        }
        let date = self.field("date").expect("a Date");
        let date = httpdate::parse_http_date(date).expect(date);
        let age = date.elapsed().unwrap_or_default();
        assert!(age < PATIENCE + Duration::from_secs(1), "{age:?}");
        assert_eq!(self.field("cache-control"), Some("no-store"));
        assert_eq!(self.field("transfer-encoding"), None);
        if self.status == 204 {
            assert_eq!(self.length(), None);
            assert_eq!(self.field("content-type"), None);
            return;
        }
        let content_type = self.field("content-type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
        let length = self.length().expect("a Content-Length");
        if !to_head {
            assert_eq!(self.body.len(), length);
            assert_compact(&self.body);
        }
        if self.status >= 400 && !to_head {
            self.code();
        }
    }
}

/// No white space outside of strings.
fn assert_compact(json: &[u8]) {
    let (mut is_text, mut is_escaped) = (false, false);
    for &byte in json {
        assert!(
            is_text || !byte.is_ascii_whitespace(),
            "{}",
            json.escape_ascii()
        );
        let quotes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_text ^= quotes;
    }
}
