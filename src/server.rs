//! Where logic and I/O meet: the reactor's sockets, the engine, and the store, in the order of a turn.
//!
//! Each phase of a turn is bounded and leaves what it did not finish for the next:
//!
//! 1. wait for events, until the host's timeout or the next deadline;
//! 2. read the clock, once;
//! 3. take completions from the mailbox: they are oldest, and answers wait for them;
//! 4. offer input to the engine;
//! 5. accept newcomers, after those who are here already;
//! 6. end what has come due, after the input that may have come just in time;
//! 7. serve slices of wakes, then carry the engine's outputs out: queue bytes, submit jobs;
//! 8. flush, when all answers of the turn are queued, so that one write takes them;
//! 9. close and free, last, so that no key is reused within a turn.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::{BadConfig, Config};
use crate::engine::{Engine, Output};
use crate::job::Completion;
use crate::model::Now;
use crate::runtime::{BindError, Flushed, Mailbox, Reactor, Taken};
use crate::store::{OpenError, Store};

/// Completions that one turn takes in: each may begin a wake or wake a held call.
const COMPLETIONS_PER_TURN: usize = 1024;
/// What the store has to finish what it has taken after a drain that has used its time up.
const STORE_END_MIN: Duration = Duration::from_millis(100);
/// The number of the only event loop.
const EVENT_LOOP: u16 = 0;

/// A server: its sockets, its database, and the loop between them.
///
/// Either [`Server::run`] takes a thread, or the host owns the thread and calls [`Server::turn`]
/// whenever [`Server::as_raw_fd`] is readable or [`Server::poll_timeout`] is over.
///
/// Dropping it closes the database. After a drain that takes what is left of the drain's time at most, else no
/// more than a commit or a password's hash.
pub struct Server {
    reactor: Reactor,
    engine: Engine,
    store: Store,
    completions: Mailbox<Completion>,
    /// Taken from the mailbox and not yet told to the engine.
    inbox: std::vec::IntoIter<Completion>,
    control: Handle,
    clock: Clock,
    drain_timeout: Duration,
    state: State,
    refusal_unix_s: u64,
}

/// Tells a server what to do, from any thread.
#[derive(Clone)]
pub struct Handle {
    wish: Arc<AtomicU8>,
    waker: Mailbox<()>,
}

const SERVE: u8 = 0;
const DRAIN: u8 = 1;
const STOP: u8 = 2;

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Draining { until_ms: u64 },
    Stopped,
}

/// Why a server could not be started. Its `Display` is one line.
#[derive(Debug)]
pub enum StartError {
    /// A setting that no server can serve with.
    Config(BadConfig),
    /// An address cannot be listened on.
    Bind(BindError),
    /// The database cannot be opened.
    Open(OpenError),
}

struct Clock {
    start: Instant,
}

impl Server {
    /// Listens and opens the database. Nobody is answered before the first turn.
    ///
    /// # Errors
    /// [`StartError`] names the setting, the address or the file, and the reason.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let clock = Clock {
            start: Instant::now(),
        };
        let mut engine = Engine::new(&config, EVENT_LOOP);
        let refusal = engine.refusal(clock.now());
        let reactor = Reactor::bind(&config, refusal).map_err(StartError::Bind)?;
        let completions = reactor.mailbox();
        let mailbox = completions.clone();
        let store = Store::open(&config, move |batch| mailbox.post(batch));
        Ok(Self {
            store: store.map_err(StartError::Open)?,
            control: Handle {
                wish: Arc::default(),
                waker: reactor.mailbox(),
            },
            reactor,
            engine,
            completions,
            inbox: Vec::new().into_iter(),
            clock,
            drain_timeout: config.drain_timeout,
            state: State::Serving,
            refusal_unix_s: 0,
        })
    }

    /// Where it listens, in the order of the configuration, with the ports that port 0 picked.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.reactor.addresses()
    }

    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.control.clone()
    }

    /// Serves until a [`Handle`] ends it: after [`Handle::drain`] when all connections have ended or the drain's
    /// time is over, after [`Handle::stop`] at once.
    ///
    /// # Errors
    /// Only if the system's polling itself fails.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Whether the server has ended: its sockets are closed, its descriptor is never readable, and further turns do
    /// nothing. The database is closed when the server is dropped.
    pub fn is_done(&self) -> bool {
        self.state == State::Stopped
    }

    /// How many connections there are right now.
    pub fn connections(&self) -> usize {
        self.reactor.connections()
    }

    /// How long the host may wait for [`Server::as_raw_fd`] before it calls [`Server::turn`] all the same;
    /// `None` is for ever.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.is_done() {
            return None;
        }
        if self.reactor.has_work() || self.engine.has_work() || !self.inbox.as_slice().is_empty() {
            return Some(Duration::ZERO);
        }
        let drained_ms = match self.state {
            State::Draining { until_ms } => Some(until_ms),
            State::Serving | State::Stopped => None,
        };
        let engine_ms = self
            .engine
            .deadline_ms()
            .into_iter()
            .chain(drained_ms)
            .min();
        let engine = engine_ms.map(|at_ms| self.clock.until(at_ms));
        let reactor = self.reactor.deadline();
        let reactor = reactor.map(|at| at.saturating_duration_since(Instant::now()));
        engine.into_iter().chain(reactor).min()
    }

    /// One turn of the loop. Waits for something to do for at most `timeout`; `None` is as long as it takes.
    ///
    /// # Errors
    /// Only if the system's polling itself fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if self.is_done() {
            return Ok(());
        }
        let timeout = timeout.into_iter().chain(self.poll_timeout()).min();
        self.reactor.wait(timeout)?;
        let now = self.clock.now();
        self.obey(now);
        self.take_completions(now);
        self.take_input(now);
        self.take_newcomers(now);
        self.engine.expire(now);
        self.engine.serve(now);
        self.carry_out(now);
        self.flush(now);
        self.reactor.reap();
        self.end_drain(now);
        if self.is_done() {
            self.reactor.end()?;
        }
        Ok(())
    }

    fn obey(&mut self, now: Now) {
        self.control.waker.drain(&mut Vec::new());
        match self.control.wish.load(Ordering::Acquire) {
            STOP => self.state = State::Stopped,
            DRAIN if self.state == State::Serving => {
                let wait_ms = u64::try_from(self.drain_timeout.as_millis()).unwrap_or(u64::MAX);
                let until_ms = now.monotonic_ms.saturating_add(wait_ms);
                self.state = State::Draining { until_ms };
                self.reactor.stop_accepting();
                self.engine.drain(now);
            }
            _ => {}
        }
    }

    fn end_drain(&mut self, now: Now) {
        if let State::Draining { until_ms } = self.state
            && (self.reactor.connections() == 0 || now.monotonic_ms >= until_ms)
        {
            self.state = State::Stopped;
            let left = self.clock.until(until_ms).max(STORE_END_MIN);
            self.store.finish_by(Instant::now() + left);
        }
    }

    fn take_completions(&mut self, now: Now) {
        if self.inbox.as_slice().is_empty() {
            let mut posted = Vec::new();
            self.completions.drain(&mut posted);
            self.inbox = posted.into_iter();
        }
        for completion in self.inbox.by_ref().take(COMPLETIONS_PER_TURN) {
            self.engine.complete(now, completion);
        }
    }

    fn take_input(&mut self, now: Now) {
        while let Some(key) = self.reactor.next_ready() {
            let engine = &mut self.engine;
            let peer = self.reactor.read(key, |input, origin| {
                let taken = engine.receive(now, key, input, &|| origin.address());
                Taken {
                    consumed: taken.consumed,
                    wants_more: taken.wants_more,
                }
            });
            if peer.gone {
                self.engine.gone(key);
            } else if peer.ended {
                self.engine.ended(now, key);
            } else if peer.hung_up {
                self.engine.hung_up(now, key);
            } else if peer.flooded {
                self.engine.flooded(now, key);
            }
        }
    }

    fn take_newcomers(&mut self, now: Now) {
        let unix_s = now.unix_ms / 1000;
        if unix_s != self.refusal_unix_s {
            self.refusal_unix_s = unix_s;
            self.reactor.set_refusal(self.engine.refusal(now));
        }
        while let Some(key) = self.reactor.next_accepted() {
            self.engine.accept(now, key);
        }
    }

    fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Send(key, bytes) => self.reactor.send(key, bytes),
                Output::Resume(key) => self.reactor.resume(key),
                Output::Finish(key) => self.reactor.finish(key),
                Output::Close(key) => self.reactor.close(key),
                Output::Submit(job) => {
                    if let Err(job) = self.store.submit(job) {
                        self.engine.refused(now, &job);
                    }
                }
                Output::Tell(..) => unreachable!("there is no other loop"),
            }
        }
    }

    fn flush(&mut self, now: Now) {
        self.reactor.flush();
        while let Some((key, flushed)) = self.reactor.next_flushed() {
            match flushed {
                Flushed::Stalled => self.engine.stalled(now, key),
                Flushed::Drained => self.engine.drained(now, key),
                Flushed::Finished => self.engine.finished(now, key),
                Flushed::Broken => self.engine.gone(key),
            }
        }
        // What that came to is closing and reading on: nothing that would have to be flushed.
        self.carry_out(now);
    }
}

/// The descriptor that is readable when there is something to do, for a host's own poll.
impl AsRawFd for Server {
    fn as_raw_fd(&self) -> RawFd {
        self.reactor.as_raw_fd()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Asks for a graceful end: no newcomers, parked polls end with their lists, what was taken is finished.
    pub fn drain(&self) {
        // A stop that was asked for before stays.
        let _ = (self.wish).compare_exchange(SERVE, DRAIN, Ordering::AcqRel, Ordering::Acquire);
        self.wake();
    }

    /// Asks for an end at once. What the store has begun is still finished; what only waits is thrown away unanswered.
    pub fn stop(&self) {
        self.wish.store(STOP, Ordering::Release);
        self.wake();
    }

    /// Lets the turn that is waiting go on, or the next return at once.
    pub fn wake(&self) {
        self.waker.wake();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl Clock {
    fn now(&self) -> Now {
        let since = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Now {
            monotonic_ms: since(self.start.elapsed()),
            // A clock before 1970 reads as 1970.
            unix_ms: since(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
        }
    }

    /// How long it is until a time of the monotonic clock, and never a turn too early.
    fn until(&self, at_ms: u64) -> Duration {
        let at = Duration::from_millis(at_ms);
        at.saturating_sub(self.start.elapsed())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Bind(error) => Some(error),
            Self::Open(error) => Some(error),
        }
    }
}
