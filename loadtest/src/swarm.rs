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
//! All who are woken by one message get the same bytes, so an answer that equals the one before it is not parsed again.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::clock::{latencies, now_ns};
use crate::connect::{self, Layout};
use crate::http::{self, Answer};

/// The scratch buffer; many answers of 50 messages fit.
const SCRATCH: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// Waits that are shorter need a finer clock than epoll's.
const COARSE_NS: i64 = 20_000_000;
const WAKER: u64 = u64::MAX;

/// What a swarm's connections do.
pub(crate) trait Role {
    /// Connection `at` is open and, where it asked the cheap question, answered.
    fn opened(&mut self, at: usize) -> Next;
    /// Appends the next request of connection `at` to `out`.
    fn request(&mut self, at: usize, out: &mut Vec<u8>);
    /// Takes the answer to it, read at `now_ns`.
    fn answered(&mut self, at: usize, answer: &Answer<'_>, now_ns: u64) -> Next;
    /// The connection is of no more use; nothing more comes of it.
    fn broken(&mut self, at: usize, why: Broken);
}

/// What a connection does once it is open, and after each answer.
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
    Malformed(loiter_client::Malformed),
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
    epoll: OwnedFd,
    events: Vec<Event>,
    links: Vec<Link>,
    layout: Layout,
    role: R,
    /// Connections that have written their first own request or are gone.
    started: usize,
    /// How long each cheap question took, counted from the moment that the first connection began to open.
    greetings: Histogram<u64>,
    began_ns: u64,
    memo: Memo,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

/// Ends a [`Swarm::turn`] that waits, from any thread.
pub(crate) struct Waker(OwnedFd);

impl Waker {
    /// Ends it now, or the next one at once.
    pub(crate) fn wake(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

/// The last whole answer.
#[derive(Default)]
struct Memo {
    bytes: Vec<u8>,
    status: u16,
    body_at: usize,
    close: bool,
}

impl Memo {
    /// The answer that these bytes are, where they are the last one again.
    fn answer<'a>(&self, bytes: &'a [u8]) -> Option<Answer<'a>> {
        (bytes == self.bytes).then(|| Answer {
            status: self.status,
            body: &bytes[self.body_at..],
            close: self.close,
            len: bytes.len(),
            again: true,
        })
    }

    fn keep(&mut self, bytes: &[u8], answer: &Answer<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.status = answer.status;
        self.body_at = bytes.len() - answer.body.len();
        self.close = answer.close;
    }
}

impl<R: Role> Swarm<R> {
    /// A loop whose first batch is being opened.
    pub(crate) fn new(layout: Layout, role: R) -> io::Result<Self> {
        let mut swarm = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            links: Vec::with_capacity(layout.count),
            layout,
            role,
            started: 0,
            greetings: latencies(),
            began_ns: now_ns(),
            memo: Memo::default(),
            scratch: vec![0; SCRATCH],
            out: Vec::new(),
        };
        swarm.open_batch();
        Ok(swarm)
    }

    /// Lets another thread end a [`Swarm::turn`] that waits.
    pub(crate) fn waker(&self) -> io::Result<Arc<Waker>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let waker = eventfd(0, flags)?;
        let data = EventData::new_u64(WAKER);
        epoll::add(&self.epoll, &waker, data, EventFlags::IN | EventFlags::ET)?;
        Ok(Arc::new(Waker(waker)))
    }

    /// Connections that have written their first own request, or are gone.
    pub(crate) fn started(&self) -> usize {
        self.started
    }

    /// What the connections do.
    pub(crate) fn role(&mut self) -> &mut R {
        &mut self.role
    }

    /// The role alone; its connections close.
    pub(crate) fn into_role(self) -> R {
        self.role
    }

    /// How long each connection's first question took, where every one asks it.
    pub(crate) fn greetings(&self) -> &Histogram<u64> {
        &self.greetings
    }

    /// Lets a connection that rests ask; `false` where it does not rest.
    pub(crate) fn wake(&mut self, at: usize) -> bool {
        let rests = self.links[at].state == State::Resting;
        if rests {
            self.ask(at);
        }
        rests
    }

    /// Waits until something happens, or for `timeout`, and handles it.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = mem::take(&mut self.events);
        events.clear();
        let waited = self.wait(&mut events, timeout);
        for event in events.iter().filter(|event| event.data.u64() != WAKER) {
            let (at, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(EventFlags::OUT) {
                self.writable(at);
            }
            let gone = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            if flags.intersects(EventFlags::IN | gone) {
                self.readable(at, flags.intersects(gone));
            }
        }
        self.events = events;
        waited
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let timespec = |time: Duration| Timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let mut timeout = timeout.map(timespec);
        if let Some(time) = timeout.filter(|time| time.tv_sec == 0 && time.tv_nsec < COARSE_NS) {
            // An epoll wait may count in milliseconds, too coarse for a schedule.
            let mut fds = [PollFd::new(&self.epoll, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&time)) {
                Err(Errno::INTR) | Ok(0) => return Ok(()),
                Err(e) => return Err(e.into()),
                Ok(_) => timeout = Some(timespec(Duration::ZERO)),
            }
        }
        match epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()) {
            Err(Errno::INTR) | Ok(_) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn open_batch(&mut self) {
        let from = self.links.len();
        let to = self.layout.count.min(from + self.layout.batch);
        for at in from..to {
            let opened = connect::open(&self.layout, at).and_then(|stream| {
                let both = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP;
                let data = EventData::new_u64(at as u64);
                epoll::add(&self.epoll, &stream, data, both | EventFlags::ET)?;
                Ok(stream)
            });
            // The last batch of all asks too, or its polls would count as started while they queue.
            let probe = self.layout.greets || at + 1 == to;
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
                    let next = self.role.opened(at);
                    self.started += 1;
                    self.go_on(at, next);
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
        let known = self.memo.answer(bytes);
        let answer = match known.map_or_else(|| http::parse(bytes), |known| Ok(Some(known))) {
            Ok(Some(answer)) => answer,
            Ok(None) => return self.links[at].torn.extend_from_slice(bytes),
            Err(e) => return self.lose(at, Broken::Malformed(e)),
        };
        let next = if state == State::Probing {
            self.greeted(at, now_ns)
        } else {
            if !answer.again && answer.len == bytes.len() {
                self.memo.keep(bytes, &answer);
            }
            self.role.answered(at, &answer, now_ns)
        };
        // Whatever stands behind the answer, no request of ours can have caused it.
        if answer.len < bytes.len() {
            return self.lose(at, Broken::Uninvited);
        }
        if answer.close && next != Next::Close {
            let resting = next == Next::Rest;
            return self.lose(at, Broken::Closed { resting });
        }
        self.go_on(at, next);
    }

    /// The cheap question of connection `at` is answered.
    fn greeted(&mut self, at: usize, now_ns: u64) -> Next {
        // The answer is not the role's: it must not be taken for one that the role has seen before.
        self.memo.bytes.clear();
        self.links[at].state = State::Resting;
        self.started += 1;
        let took = now_ns.saturating_sub(self.began_ns);
        self.greetings.saturating_record(took.max(1));
        self.open_batch();
        self.role.opened(at)
    }

    fn go_on(&mut self, at: usize, next: Next) {
        match next {
            Next::Close => self.close(at),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::tests::layout;
    use std::net::{Shutdown, SocketAddr, TcpListener};
    use std::thread;

    /// Asks `rounds` times on each connection and notes all that it is told.
    #[derive(Default)]
    struct Notes {
        rounds: usize,
        answers: Vec<(usize, Vec<u8>)>,
        broken: Vec<String>,
    }

    impl Role for Notes {
        fn opened(&mut self, _at: usize) -> Next {
            Next::Ask
        }
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
        let notes = Notes {
            rounds,
            ..Notes::default()
        };
        Swarm::new(layout(addr, count, batch), notes).unwrap()
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
}
