//! One connection: bytes go out as they are, and answers come back whole.
//!
//! It knows nothing of the API, and decides nothing: when to connect anew, and whether a request may be repeated, is its caller's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::SockRef;

use crate::answer::{Answer, Method};
use crate::head::{Framing, Malformed};
use crate::request::Request;

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;

/// A client's end of a connection.
#[derive(Debug)]
pub struct Connection {
    /// Nobody else keeps it: who is to shut it down holds a weak one.
    socket: Arc<TcpStream>,
    /// What came and was not read as an answer yet.
    unread: Vec<u8>,
    has_ended: bool,
}

impl Connection {
    /// Connects; `patience` is how long that, each read and each write may take.
    pub fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        Self::of(TcpStream::connect_timeout(&address, patience)?, patience)
    }

    /// A connection on a socket that is connected already, perhaps from an address or with buffers of its owner's choice.
    pub fn of(socket: TcpStream, patience: Duration) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(patience))?;
        let connection = Self {
            socket: Arc::new(socket),
            unread: Vec::new(),
            has_ended: false,
        };
        connection.set_patience(patience)?;
        Ok(connection)
    }

    /// How long each read may take from now on. Whoever waits longer gets `TimedOut`.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The socket for who is to shut it down from another thread.
    pub(crate) fn socket_to_shut(&self) -> Weak<TcpStream> {
        Arc::downgrade(&self.socket)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&*self.socket).write_all(bytes).map_err(timed_out)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.send(&request.bytes())?;
        self.answer(request.method())
    }

    /// Reads the next answer, which is to this method. An interim one (100) is an answer of its own.
    pub fn answer(&mut self, method: Method) -> io::Result<Answer> {
        loop {
            if let Some(answer) = self.arrived(method)? {
                return Ok(answer);
            }
            self.read_more()?;
        }
    }

    /// Takes the next answer if all of it has been read.
    pub fn arrived(&mut self, method: Method) -> Result<Option<Answer>, Malformed> {
        let parsed = Answer::parse(&self.unread, method, self.has_ended)?;
        Ok(parsed.map(|(answer, length)| {
            self.unread.drain(..length);
            answer
        }))
    }

    /// Waits for the head of the next answer, which still counts as unread, and how its body is framed.
    pub(crate) fn begin(&mut self) -> io::Result<(Answer, Framing)> {
        loop {
            if let Some(begun) = Answer::begun(&self.unread)? {
                return Ok(begun);
            }
            self.read_more()?;
        }
    }

    /// So many bytes count as read.
    pub(crate) fn pass_over(&mut self, length: usize) {
        self.unread.drain(..length);
    }

    /// What came and was not read as an answer.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Waits for more bytes or for the end, and reads them.
    ///
    /// A process that is stopped and goes on again finds its read interrupted where the socket has a timeout, signal handlers or not.
    pub fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let length = loop {
            match (&*self.socket).read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.map_err(timed_out)?,
            }
        };
        self.has_ended |= length == 0;
        self.unread.extend_from_slice(&piece[..length]);
        Ok(())
    }

    /// The same, where the end is a failure.
    fn read_more(&mut self) -> io::Result<()> {
        if self.has_ended {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.read()
    }

    /// Reads what is there without waiting for more.
    pub fn read_at_once(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let mut piece = [0; PIECE];
        let read = (&*self.socket).read(&mut piece);
        self.socket.set_nonblocking(false)?;
        match read {
            Ok(0) => self.has_ended = true,
            Ok(length) => self.unread.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether the server has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Sends the FIN, and goes on reading.
    pub fn hang_up(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends by RST, and leaves nothing behind that would hold a port.
    pub fn reset(self) -> io::Result<()> {
        SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO))
    }
}

/// A socket's timeout, which Unix calls something else.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> Self {
        Self::new(ErrorKind::InvalidData, malformed)
    }
}
