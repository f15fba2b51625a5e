//! A connection on which nothing may go wrong.

use std::net::{SocketAddr, TcpStream};

use super::{Answer, PATIENCE, Request, Session, get};
use crate::answer::Method;
use crate::connection::Connection;

/// A client's end of a connection.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to a server that must accept.
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("it accepts"))
    }

    /// A client on a socket that the test has connected itself.
    pub fn of(socket: TcpStream) -> Self {
        Self {
            connection: Connection::of(socket, PATIENCE).expect("a TCP socket"),
        }
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        self.connection.socket()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.send(bytes.as_ref()).expect("it reads");
    }

    /// Sends what the server may refuse to take in; says whether all of it went.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.connection.send(bytes).is_ok()
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        self.answer_to(request.method())
    }

    /// Sends a poll, which is parked when this returns, whichever loop has the connection.
    pub fn park(&mut self, session: &Session, poll: &Request) {
        // From now on the loop remembers all that it needs to answer the next at once …
        self.ask(&get("/message/chatrooms/").of(session)).ok();
        // … and what comes in one piece with that is taken before its answer leaves.
        let asking = get("/whoami/").of(session);
        self.send([asking.bytes(), poll.bytes()].concat());
        self.answer().ok();
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> Answer {
        self.answer_to(Method::Other)
    }

    /// Reads the next answer, which is to this method.
    pub fn answer_to(&mut self, method: Method) -> Answer {
        loop {
            if let Some(answer) = self.arrived_to(method) {
                return answer;
            }
            assert!(
                !self.has_ended(),
                "the connection ended behind {:?}",
                self.unread()
            );
            self.read();
        }
    }

    /// Reads the next answer; `None` where the connection ends instead of one, as it may while a server ends. Not in the midst of one.
    pub fn answer_or_end(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.arrived() {
                return Some(answer);
            }
            if self.has_ended() {
                assert_eq!(self.unread(), "");
                return None;
            }
            self.read();
        }
    }

    /// Takes the next answer if all of it has been read.
    pub fn arrived(&mut self) -> Option<Answer> {
        self.arrived_to(Method::Other)
    }

    /// Takes the next answer, which is to this method, if all of it has been read.
    pub fn arrived_to(&mut self, method: Method) -> Option<Answer> {
        let arrived = self.connection.arrived(method);
        let answer = arrived.unwrap_or_else(|error| panic!("{error}: {:?}", self.unread()))?;
        answer.assert_sound(method);
        Some(answer)
    }

    fn read(&mut self) {
        let read = self.connection.read();
        read.unwrap_or_else(|error| panic!("{error}, behind {:?}", self.unread()));
    }

    /// Reads what is there without waiting for more.
    pub fn read_at_once(&mut self) {
        let read = self.connection.read_at_once();
        read.unwrap_or_else(|error| panic!("{error}"));
    }

    /// What came and was not read as an answer, as it may be shown.
    fn unread(&self) -> String {
        self.connection.unread().escape_ascii().to_string()
    }

    /// Nothing has come that was not read as an answer.
    pub fn assert_silent(&mut self) {
        self.read_at_once();
        assert_eq!(self.unread(), "");
        assert!(!self.has_ended(), "the connection ended");
    }

    /// Waits for the end, before which nothing may come.
    pub fn assert_ends(&mut self) {
        while !self.has_ended() {
            self.read();
        }
        assert_eq!(self.unread(), "");
    }

    /// Whether the server has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.connection.has_ended()
    }

    /// Sends the FIN, and goes on reading.
    pub fn hang_up(&self) {
        self.connection.hang_up().expect("connected");
    }

    /// Ends by RST, and leaves nothing behind that would hold a port.
    pub fn reset(self) {
        self.connection.reset().expect("a TCP socket");
    }
}
