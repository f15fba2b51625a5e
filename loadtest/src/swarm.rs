//! Tens of thousands of client connections on one epoll loop.
//!
//! A connection owns a socket and a byte of state; all reads go through one scratch buffer, and only a torn answer
//! or a short write leaves bytes on the heap. What is asked and what an answer means is the [`Role`]'s.
//!
//! Connecting is bounded by what the server has *accepted*: a handshake ends in the kernel long before the
//! server sees it, and a queue longer than the listener's backlog costs a second's retry for each that it
//! drops. So connections open in batches, and the last of each batch asks a cheap question first. The queue
//! is first in, first out: the answer says that the whole batch is accepted, and lets the next one go.
//!
//! A source address has some 28,000 ports, so connections to an IPv4 loopback address come from a new address of
//! 127.0.0.0/8 for each [`PORTS_PER_SOURCE`]. With the range never more than a third full, the kernel finds a port at `bind`
//! quickly, and `IP_BIND_ADDRESS_NO_PORT` (which no safe wrapper here offers) is not needed. Each run takes
//! another /16, so that ports of the last run in TIME_WAIT are not in the way.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};

use crate::clock::now_ns;
use crate::http::{self, Answer};

/// Connections for each source address.
const PORTS_PER_SOURCE: u64 = 10_000;
/// The scratch buffer; many answers of 50 messages fit.
const SCRATCH: usize = 256 * 1024;
const EVENTS: usize = 1024;
const WAKER: Token = Token(usize::MAX);

/// What a swarm's connections do.
pub(crate) trait Role {
    /// Appends the next request of connection `at` to `out`.
    fn request(&mut self, at: usize, out: &mut Vec<u8>);
    /// Takes the answer to it, read at `now_ns`.
    fn answered(&mut self, at: usize, answer: &Answer<'_>, now_ns: u64) -> Next;
    /// The connection is of no more use; nothing more comes of it.
    fn broken(&mut self, at: usize, why: Broken);
}

/// What a connection does after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Asks again at once.
    Ask,
    /// Stays open and silent. Whatever arrives then was not asked for.
    Rest,
    /// Closes.
    Close,
}

/// Why a connection is of no more use.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The server closed it; `resting` where nothing was asked.
    Closed {
        /// Whether nothing was asked at that time.
        resting: bool,
    },
    /// The socket failed.
    Io(io::Error),
    /// Bytes that are no answer.
    Malformed(http::Malformed),
    /// An answer that nothing had asked for.
    Uninvited,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { resting: true } => f.write_str("closed by the server at rest"),
            Self::Closed { resting: false } => f.write_str("closed by the server, unanswered"),
            Self::Io(e) => write!(f, "{e}"),
            Self::Malformed(e) => write!(f, "{e}"),
            Self::Uninvited => f.write_str("an answer to no request"),
        }
    }
}

/// Where a swarm connects to, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The server.
    pub(crate) addr: SocketAddr,
    /// The second byte of the source addresses; differs between runs.
    pub(crate) net: u8,
    /// The number of the first connection among those of all processes: it decides the source address.
    pub(crate) first: u64,
    /// Connections to open.
    pub(crate) count: usize,
    /// Connections for each batch.
    pub(crate) batch: usize,
    /// The cheap question, a whole request.
    pub(crate) probe: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The handshake is under way; then the probe or the role's request is written.
    Connecting { probe: bool },
    /// The probe is written, or some of it; next comes its answer.
    Probing,
    /// A request is written, or some of it; next comes its answer.
    Asking,
    /// Nothing is asked; next comes nothing.
    Resting,
    /// The socket is closed.
    Gone,
}

struct Link {
    stream: Option<TcpStream>,
    state: State,
    /// Of a request, what the socket did not take yet.
    unsent: Vec<u8>,
    /// Of an answer, what came so far.
    torn: Vec<u8>,
}

/// The loop and its connections.
pub(crate) struct Swarm<R> {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    layout: Layout,
    role: R,
    /// Connections that have written their first own request or are gone.
    started: usize,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl<R: Role> Swarm<R> {
    /// A loop whose first batch is being opened.
    pub(crate) fn new(layout: Layout, role: R) -> io::Result<Self> {
        let mut swarm = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            links: Vec::with_capacity(layout.count),
            layout,
            role,
            started: 0,
            scratch: vec![0; SCRATCH],
            out: Vec::new(),
        };
        swarm.open_batch();
        Ok(swarm)
    }

    /// Lets another thread end a [`Swarm::turn`] that waits.
    pub(crate) fn waker(&self) -> io::Result<Arc<Waker>> {
        Waker::new(self.poll.registry(), WAKER).map(Arc::new)
    }

    /// Connections that have written their first own request, or are gone.
    pub(crate) fn started(&self) -> usize {
        self.started
    }

    /// What the connections do.
    pub(crate) fn role(&mut self) -> &mut R {
        &mut self.role
    }

    /// Waits until something happens, or for `timeout`, and handles it.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let Token(at) = event.token();
            if event.is_writable() {
                self.writable(at);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.readable(at, event.is_read_closed() || event.is_error());
            }
        }
        self.events = events;
        Ok(())
    }

    fn open_batch(&mut self) {
        let from = self.links.len();
        let to = self.layout.count.min(from + self.layout.batch);
        for at in from..to {
            let opened = open(&self.layout, at).and_then(|mut stream| {
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .register(&mut stream, Token(at), both)?;
                Ok(stream)
            });
            // The last batch of all asks too, or its polls would count as started while they queue.
            let probe = at + 1 == to;
            self.links.push(Link {
                stream: None,
                state: State::Connecting { probe },
                unsent: Vec::new(),
                torn: Vec::new(),
            });
            match opened {
                Ok(stream) => self.links[at].stream = Some(stream),
                Err(e) => self.lose(at, Broken::Io(e)),
            }
        }
    }

    fn writable(&mut self, at: usize) {
        let link = &mut self.links[at];
        let Some(stream) = &link.stream else { return };
        match link.state {
            State::Connecting { probe } => match stream.take_error() {
                Ok(None) if stream.peer_addr().is_err() => {}
                Ok(None) if probe => {
                    let probe = self.layout.probe.clone();
                    self.write(at, State::Probing, &probe);
                }
                Ok(None) => {
                    self.started += 1;
                    self.ask(at);
                }
                Ok(Some(e)) | Err(e) => self.lose(at, Broken::Io(e)),
            },
            State::Probing | State::Asking if !link.unsent.is_empty() => {
                let unsent = mem::take(&mut link.unsent);
                self.write(at, self.links[at].state, &unsent);
            }
            State::Probing | State::Asking | State::Resting | State::Gone => {}
        }
    }

    fn ask(&mut self, at: usize) {
        let mut out = mem::take(&mut self.out);
        out.clear();
        self.role.request(at, &mut out);
        self.write(at, State::Asking, &out);
        self.out = out;
    }

    fn write(&mut self, at: usize, state: State, bytes: &[u8]) {
        let link = &mut self.links[at];
        let Some(stream) = &mut link.stream else {
            return;
        };
        link.state = state;
        let mut rest = bytes;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return self.lose(at, Broken::Io(e)),
            }
        }
        link.unsent.extend_from_slice(rest);
    }

    /// Reads until the socket is empty. A short read says so too, unless the peer has closed behind it.
    fn readable(&mut self, at: usize, closed: bool) {
        let mut scratch = mem::take(&mut self.scratch);
        while let Some(stream) = &mut self.links[at].stream {
            match stream.read(&mut scratch) {
                Ok(0) => {
                    let resting = self.links[at].state == State::Resting;
                    self.lose(at, Broken::Closed { resting });
                }
                Ok(len) => {
                    self.take(at, &scratch[..len]);
                    if len < scratch.len() && !closed {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => self.lose(at, Broken::Io(e)),
            }
        }
        self.scratch = scratch;
    }

    fn take(&mut self, at: usize, bytes: &[u8]) {
        let now_ns = now_ns();
        if self.links[at].torn.is_empty() {
            return self.take_whole(at, bytes, now_ns);
        }
        let mut torn = mem::take(&mut self.links[at].torn);
        torn.extend_from_slice(bytes);
        self.take_whole(at, &torn, now_ns);
    }

    fn take_whole(&mut self, at: usize, bytes: &[u8], now_ns: u64) {
        let state = self.links[at].state;
        if !matches!(state, State::Asking | State::Probing) {
            return self.lose(at, Broken::Uninvited);
        }
        let answer = match http::parse(bytes) {
            Ok(Some(answer)) => answer,
            Ok(None) => return self.links[at].torn.extend_from_slice(bytes),
            Err(e) => return self.lose(at, Broken::Malformed(e)),
        };
        let next = if state == State::Probing {
            self.links[at].state = State::Resting;
            self.started += 1;
            self.open_batch();
            Next::Ask
        } else {
            self.role.answered(at, &answer, now_ns)
        };
        // Whatever stands behind the answer, no request of ours can have caused it.
        if answer.len < bytes.len() {
            return self.lose(at, Broken::Uninvited);
        }
        match next {
            Next::Close => self.close(at),
            Next::Ask | Next::Rest if answer.close => {
                let resting = next == Next::Rest;
                self.lose(at, Broken::Closed { resting });
            }
            Next::Ask => self.ask(at),
            Next::Rest => self.links[at].state = State::Resting,
        }
    }

    fn close(&mut self, at: usize) {
        let link = &mut self.links[at];
        link.stream = None;
        link.torn = Vec::new();
        link.unsent = Vec::new();
        link.state = State::Gone;
    }

    fn lose(&mut self, at: usize, why: Broken) {
        let state = self.links[at].state;
        self.close(at);
        self.role.broken(at, why);
        match state {
            State::Connecting { probe: true } | State::Probing => {
                self.started += 1;
                self.open_batch();
            }
            State::Connecting { probe: false } => self.started += 1,
            State::Asking | State::Resting | State::Gone => {}
        }
    }
}

/// A socket on its way to the server.
fn open(layout: &Layout, at: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(layout.addr),
        Type::STREAM.nonblocking().cloexec(),
        None,
    )?;
    if let Some(source) = source(layout, at) {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&layout.addr.into()) {
        // EINPROGRESS has no kind of its own in the standard library; the writable event tells the outcome.
        Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(e),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// The address that a connection comes from; `None` leaves it to the kernel.
fn source(layout: &Layout, at: usize) -> Option<IpAddr> {
    let loopback = layout.addr.is_ipv4() && layout.addr.ip().is_loopback();
    let slice = (layout.first + at as u64) / PORTS_PER_SOURCE;
    let [.., high, low] = (slice + 1).to_be_bytes();
    loopback.then(|| Ipv4Addr::new(127, layout.net, high, low).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};
    use std::thread;

    /// Asks `rounds` times on each connection and notes all that it is told.
    #[derive(Default)]
    struct Notes {
        rounds: usize,
        answers: Vec<(usize, Vec<u8>)>,
        broken: Vec<String>,
    }

    impl Role for Notes {
        fn request(&mut self, at: usize, out: &mut Vec<u8>) {
            out.extend_from_slice(format!("{at}\r\n\r\n").as_bytes());
        }
        fn answered(&mut self, at: usize, answer: &Answer<'_>, _now_ns: u64) -> Next {
            self.answers.push((at, answer.body.to_vec()));
            let asked = self.answers.iter().filter(|(who, _)| *who == at).count();
            if asked < self.rounds {
                Next::Ask
            } else {
                Next::Rest
            }
        }
        fn broken(&mut self, _at: usize, why: Broken) {
            self.broken.push(format!("{why:?}"));
        }
    }

    /// Answers each request with its own first line, byte by byte of the head first; then adds `extra` and closes.
    fn echo(connections: usize, extra: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                thread::spawn(move || serve(stream.unwrap(), extra));
            }
        });
        addr
    }

    fn serve(mut stream: std::net::TcpStream, extra: &[u8]) {
        stream.set_nodelay(true).unwrap();
        let mut chunk = [0; 100];
        while let Ok(len @ 1..) = stream.read(&mut chunk) {
            let line = &chunk[..len - 4];
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
            for byte in head.as_bytes() {
                stream.write_all(&[*byte]).unwrap();
            }
            stream.write_all(&[line, extra].concat()).unwrap();
            if !extra.is_empty() {
                stream.shutdown(Shutdown::Write).unwrap();
            }
        }
    }

    fn swarm(addr: SocketAddr, count: usize, batch: usize, rounds: usize) -> Swarm<Notes> {
        let layout = Layout {
            addr,
            net: 7,
            first: PORTS_PER_SOURCE - 1,
            count,
            batch,
            probe: b"probe\r\n\r\n".to_vec(),
        };
        let notes = Notes {
            rounds,
            ..Notes::default()
        };
        Swarm::new(layout, notes).unwrap()
    }

    #[test]
    fn every_connection_asks_and_keeps_its_own_answers() {
        let mut swarm = swarm(echo(7, b""), 7, 3, 2);
        while swarm.role().answers.len() < 14 {
            swarm.turn(None).unwrap();
        }
        assert_eq!(swarm.started(), 7);
        for (at, body) in &swarm.role().answers {
            assert_eq!(*body, at.to_string().into_bytes());
        }
        assert!(swarm.role().broken.is_empty(), "{:?}", swarm.role().broken);
    }

    #[test]
    fn an_answer_too_many_is_uninvited() {
        // A batch of two: the first connection asks, the second only probes.
        let extra = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut swarm = swarm(echo(2, extra), 2, 2, 1);
        while swarm.role().broken.len() < 2 {
            swarm.turn(None).unwrap();
        }
        assert_eq!(swarm.role().broken, ["Uninvited", "Uninvited"]);
        assert_eq!(swarm.started(), 2);
    }

    #[test]
    fn a_server_that_is_not_there_breaks_every_connection() {
        let addr = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut swarm = swarm(addr, 5, 2, 1);
        while swarm.started() < 5 {
            swarm.turn(None).unwrap();
        }
        assert_eq!(swarm.role().broken.len(), 5);
    }

    #[test]
    fn sources_change_before_the_ports_run_out() {
        let swarm = swarm("127.0.0.1:1".parse().unwrap(), 0, 1, 1);
        let at = |at| source(&swarm.layout, at).map(|ip| ip.to_string());
        assert_eq!(at(0).as_deref(), Some("127.7.0.1"));
        assert_eq!(at(1).as_deref(), Some("127.7.0.2"));
        assert_eq!(at(2_550_001).as_deref(), Some("127.7.1.1"));
        let mut elsewhere = swarm.layout.clone();
        elsewhere.addr = "[::1]:1".parse().unwrap();
        assert_eq!(source(&elsewhere, 0), None);
    }
}
