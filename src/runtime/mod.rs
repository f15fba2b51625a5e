//! The reactor: sockets, bytes and keys; nothing of HTTP, chat or the store.
//!
//! One thread owns a [`Reactor`] and calls it in the order of a turn: `wait`, `next_ready` and
//! `read`, `next_accepted`, then `send`, `resume`, `probe`, `finish` and `close`, then `flush` and
//! `next_flushed`, then `reap`. Mark first, serve later: an event only marks its connection, so
//! that one busy socket is served once a turn and not once an event; `send` only queues, so that
//! several answers leave in one call; `close` only marks, and `reap` comes last, so that
//! no key is reused within a turn and nothing that was said in it can reach a stranger.
//!
//! Readiness is edge-triggered: epoll says each thing once, and this module remembers it until
//! it is dealt with (`flags`, `pending` in `acceptor`). Whatever a bound cuts
//! off stays listed, and while anything is listed [`Reactor::has_work`] makes the next wait return at once.
//! So every phase is bounded, and nothing is ever lost or asked for twice.
//!
//! No error of one connection ends the loop: it is told as [`Peer::gone`] or [`Flushed::Broken`],
//! and whoever knows what the connection was for closes it.

mod acceptor;
mod connection;
mod flags;
mod handed;
mod held;
mod keepalive;
mod listener;
mod mailbox;
mod memory;
mod places;
mod refused;
#[cfg(test)]
mod tests;
mod unsent;

pub use self::connection::{Flushed, Origin, Peer, Taken};
pub use self::listener::BindError;
pub use self::mailbox::{Counter, PostOffice, Wake};
pub use self::places::Places;

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};

use self::acceptor::Acceptor;
use self::connection::{Connection, READ_MAX, Reader};
use self::held::Held;
use self::keepalive::Keepalive;
use self::listener::Listener;
use self::memory::{Peak, Trims};
use crate::arena::Arena;
use crate::buffer::Bytes;
use crate::config::Config;
use crate::model::{self, ConnectionKey};

/// Events that one wait takes from the kernel. The rest stays there for the next.
const EVENTS_MAX: usize = 1024;

/// Connections read in one turn: at some microseconds each, a millisecond or two before it is the
/// turn of deadlines and answers. Twice as many as the engine wakes in one, who come back.
const READS_MAX: usize = 256;

/// Wakes the loop from other threads; listeners count up from 1.
const WAKER: Token = Token(0);

const _: () = assert!(
    usize::BITS >= 64,
    "a connection's key packs into a mio::Token, which takes a machine of 64 bits"
);

/// The sockets of one event loop.
pub struct Reactor {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    addresses: Vec<SocketAddr>,
    acceptor: Acceptor,
    connections: Arena<Connection, model::Connection>,
    places: Places,
    held: Held,
    reader: Reader,
    /// Each at most once: `Connection` knows whether it is listed.
    ready: VecDeque<ConnectionKey>,
    /// How many of `ready` this turn may still serve. Those listed again during the turn are behind them.
    reads_left: usize,
    /// What to flush, each connection at most once, with the first bytes queued for it this turn. They
    /// wait here and not at the connection, which so stays small and, if they leave whole, allocates nothing.
    outbox: Vec<(ConnectionKey, Option<Bytes>)>,
    flushed: VecDeque<(ConnectionKey, Flushed)>,
    closing: Vec<ConnectionKey>,
    given_up: u64,
    peak: Peak,
}

impl Reactor {
    /// Listens on the sockets that were `handed` over or, where there are none, as `config` says: one reactor for each of its
    /// loops, all on the same addresses. `refusal` is what a newcomer is told, in whole, for whom there is no room.
    ///
    /// # Errors
    /// When an address or a socket cannot be listened on, or the machine refuses what a loop needs.
    pub fn bind(
        config: &Config,
        handed: Vec<TcpListener>,
        refusal: &[u8],
    ) -> Result<Vec<Self>, BindError> {
        let connections_max = match config.max_connections {
            Some(max) => max,
            None => {
                let files = rlimit::Resource::NOFILE.get_soft();
                config.connections_within(files.map_err(BindError::Reactor)?)
            }
        };
        let places = Places::new(connections_max, config.loops);
        let keepalive = Keepalive::new(config.keepalive, config.send_timeout);
        let listeners = match handed.is_empty() {
            true => listener::bind_all(&config.listen, config.loops, keepalive)?,
            false => handed::share(handed, config.loops, keepalive)?,
        };
        let trims = Trims::default();
        let one = |listeners| {
            let (places, trims) = (places.clone(), trims.clone());
            Self::new(config, listeners, places, trims, refusal.to_vec())
        };
        listeners.into_iter().map(one).collect()
    }

    fn new(
        config: &Config,
        listeners: Vec<Listener>,
        places: Places,
        trims: Trims,
        refusal: Vec<u8>,
    ) -> Result<Self, BindError> {
        let addresses = listeners.iter().map(Listener::address).collect();
        let poll = Poll::new().map_err(BindError::Reactor)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(BindError::Reactor)?;
        let acceptor = Acceptor::new(listeners, poll.registry(), refusal)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            waker: Arc::new(waker),
            addresses,
            acceptor,
            connections: Arena::large(),
            places,
            // A consumer that wants more holds at most an unfinished head, and then one read is added.
            held: Held::new(
                config.max_head + READ_MAX,
                config.max_unsent / config.loops.max(1),
            ),
            reader: Reader::new(),
            ready: VecDeque::new(),
            reads_left: 0,
            outbox: Vec::new(),
            flushed: VecDeque::new(),
            closing: Vec::new(),
            given_up: 0,
            peak: Peak::new(trims),
        })
    }

    /// Where it listens, in the order of the configuration or of the sockets, with the ports that port 0 picked.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What wakes this loop.
    pub fn waker(&self) -> Wake {
        Wake::new(Arc::clone(&self.waker))
    }

    /// The places that this loop's connections take of those that all loops have.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Begins a turn: waits for events, once, and lists who is ready.
    ///
    /// Returns at once when work is left over; the caller keeps `timeout` within [`Reactor::deadline`].
    ///
    /// # Errors
    /// Only when the machinery itself fails; being interrupted counts as no events.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.begin_turn(),
        }
        Ok(())
    }

    fn begin_turn(&mut self) {
        for event in &self.events {
            let bits = event.token().0 as u64;
            match ConnectionKey::from_bits(bits) {
                // A stale key is of a connection reaped since the kernel noted the event.
                Some(key) => {
                    if let Some(connection) = self.connections.get_mut(key) {
                        notice(connection, key, event, &mut self.ready, &mut self.outbox);
                    }
                }
                None if event.token() == WAKER => {} // What was posted is taken in any case.
                None => self.acceptor.newcomers_at(event.token()),
            }
        }
        self.acceptor.begin_turn();
        self.reads_left = self.ready.len().min(READS_MAX);
    }

    /// Whether something is left over that no event will tell of again.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.outbox.is_empty()
            || !self.closing.is_empty()
            || self.acceptor.has_work()
    }

    /// When to begin a turn even if nothing happens: accepting was put off till then, a refused newcomer lingers till then, or what is free is
    /// returned then.
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.acceptor.deadline(), self.peak.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// A connection to [`Reactor::read`] now, else what is known of it is lost. Each at most once a turn,
    /// at most `READS_MAX` a turn; the rest has precedence in the next.
    pub fn next_ready(&mut self) -> Option<ConnectionKey> {
        while self.reads_left > 0 {
            self.reads_left -= 1;
            let key = self.ready.pop_front()?;
            if let Some(connection) = self.connections.get_mut(key)
                && connection.unlist()
            {
                return Some(key);
            }
        }
        None
    }

    /// Offers all unread input to `take`, each time as one piece that begins where the last
    /// [`Taken::consumed`] ended, until the input or the turn's bound is at its end or `take` wants no more.
    ///
    /// From then on the connection is paused until [`Reactor::resume`]: nothing is read, further input stays in the
    /// kernel and holds up the peer, and only its end is noticed and told here.
    ///
    /// # Panics
    /// If `take` leaves more than a head and a full read unconsumed: it must consume or reject before.
    pub fn read(
        &mut self,
        key: ConnectionKey,
        take: impl FnMut(&[u8], &Origin<'_>) -> Taken,
    ) -> Peer {
        let Some(connection) = self.connections.get_mut(key) else {
            return Peer::default();
        };
        let emptied = connection.read(key, &mut self.held, &mut self.reader, take);
        if connection.wants_socket() && connection.list() {
            self.ready.push_back(key);
        }
        connection.peer(emptied)
    }

    /// A newcomer, from each listener in turn; at most `ACCEPTS_MAX` a turn are accepted or refused. After
    /// [`Reactor::stop_accepting`] it closes the listeners where it finds none.
    pub fn next_accepted(&mut self) -> Option<ConnectionKey> {
        loop {
            let socket = self.acceptor.accept(&self.places)?;
            let key = self.connections.insert(Connection::new(socket));
            match self.register(key) {
                Ok(()) => return Some(key),
                // The kernel's own bound on watches or memory: no room after all.
                Err(_) => {
                    let connection = self.connections.remove(key);
                    self.places.give_back(1);
                    self.acceptor
                        .refuse(connection.expect("just inserted").into_socket());
                }
            }
        }
    }

    fn register(&mut self, key: ConnectionKey) -> io::Result<()> {
        let connection = self.connections.get_mut(key).expect("just inserted");
        self.poll
            .registry()
            .register(connection.socket_mut(), token(key), Interest::READABLE)
    }

    /// Queues bytes, which [`Reactor::flush`] writes. For a stale key or a peer that is gone they are dropped.
    ///
    /// # Panics
    /// After [`Reactor::finish`].
    pub fn send(&mut self, key: ConnectionKey, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if let Some(first) = connection.queue(key, &mut self.held, bytes)
            && connection.mark_dirty()
        {
            self.outbox.push((key, Some(first)));
        }
    }

    /// A paused connection wants input again: what is left over and unread will be offered.
    pub fn resume(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.resume()
            && connection.list()
        {
            self.ready.push_back(key);
        }
    }

    /// Lists a connection to be read in the next turn, or as it is resumed, whether an event tells of input or not: what
    /// the kernel has by now is offered, or it is [`Peer::emptied`].
    pub fn probe(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.probe()
            && connection.list()
        {
            self.ready.push_back(key);
        }
    }

    /// Lets go of what was offered and not consumed: it is not offered again.
    pub fn discard(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.discard(key, &mut self.held);
        }
    }

    /// Nothing more will be sent: once all is flushed the peer sees the end. Reading goes on until
    /// [`Reactor::close`], so that an answer is not lost in a reset because its peer is still sending.
    pub fn finish(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.finish()
            && connection.mark_dirty()
        {
            self.outbox.push((key, None));
        }
    }

    /// Marks for [`Reactor::reap`]. Unsent output is thrown away, what was sent in this turn included.
    pub fn close(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.close(key, &mut self.held)
        {
            self.closing.push(key);
        }
    }

    /// Writes at once whatever is queued, and asks for writability only where the peer's window is full.
    pub fn flush(&mut self) {
        for (key, first) in self.outbox.drain(..) {
            if let Some(connection) = self.connections.get_mut(key) {
                let registry = self.poll.registry();
                if let Some(flushed) = connection.flush(key, &mut self.held, first, registry) {
                    self.flushed.push_back((key, flushed));
                }
            }
        }
        if self.held.output.is_beyond_bound() {
            self.give_up_slow();
        }
    }

    /// Gives up those who keep most of what is not sent, for all together keep too much.
    fn give_up_slow(&mut self) {
        let given_up = self.held.output.give_up();
        log::warn!(
            "closed {} of the connections whose clients do not read: answers to them took more than --max-unsent",
            given_up.len()
        );
        for key in given_up {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.give_up(key, &mut self.held);
                self.given_up += 1;
                self.flushed.push_back((key, Flushed::Broken));
            }
        }
    }

    /// What came of [`Reactor::flush`], where it is not simply that all was written.
    pub fn next_flushed(&mut self) -> Option<(ConnectionKey, Flushed)> {
        self.flushed.pop_front()
    }

    /// Ends a turn: closes and frees what was marked. Only here do keys become stale.
    pub fn reap(&mut self) {
        if self.closing.is_empty() {
            return;
        }
        let before = self.connections.len();
        for key in self.closing.drain(..) {
            // Dropping the socket also ends its registration: nothing else holds its descriptor.
            self.connections.remove(key);
        }
        self.places.give_back(before - self.connections.len());
        self.acceptor.descriptors_were_freed();
    }

    /// Lets in those who wait already, and nobody after them; connections stay. Who waits at a socket that was handed over
    /// is left to whoever else has it.
    pub fn stop_accepting(&mut self) {
        self.acceptor.call_the_last(self.poll.registry());
    }

    /// Closes everything: from then on there is nothing that the loop's descriptor could be readable for.
    ///
    /// # Errors
    /// Only when the machinery itself fails.
    pub fn end(&mut self) -> io::Result<()> {
        self.acceptor.call_the_last(self.poll.registry());
        self.acceptor.stop(&self.places);
        self.places.give_back(self.connections.len());
        self.connections = Arena::default();
        self.held.clear();
        self.ready.clear();
        self.outbox.clear();
        self.flushed.clear();
        self.closing.clear();
        // Takes the waker's last edge, which would keep a nesting host's poll returning.
        self.wait(Some(Duration::ZERO))
    }

    /// How many connections this loop has, those not yet reaped included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// From now on newcomers for whom there is no room are told this.
    pub fn set_refusal(&mut self, refusal: Vec<u8>) {
        self.acceptor.set_refusal(refusal);
    }

    /// Bytes that peers have not taken, of all connections together.
    pub fn unsent_bytes(&self) -> usize {
        self.held.output.bytes()
    }

    /// How many connections were given up so far because all together had not taken too much.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// How many newcomers were refused so far.
    pub fn refusals(&self) -> u64 {
        self.acceptor.refusals()
    }
}

/// The descriptor to watch for reading in a host's own poll, beside [`Reactor::deadline`] and [`Reactor::has_work`].
impl AsRawFd for Reactor {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

fn notice(
    connection: &mut Connection,
    key: ConnectionKey,
    event: &Event,
    ready: &mut VecDeque<ConnectionKey>,
    outbox: &mut Vec<(ConnectionKey, Option<Bytes>)>,
) {
    if connection.notice(event) && connection.list() {
        ready.push_back(key);
    }
    if event.is_writable() && connection.has_unsent() && connection.mark_dirty() {
        outbox.push((key, None));
    }
}

fn token(key: ConnectionKey) -> Token {
    Token(key.to_bits() as usize)
}
