//! An engine with its connections, its store and its clock, and turns as the server makes them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use loiter::arena::Arena;
use loiter::chat::Counts;
use loiter::config::Config;
use loiter::engine::{Engine, Output, Prefixes};
use loiter::model::{self, ConnectionKey, Now};
use loiter::routes::{self, Places};
use loiter::{Answer, Request, Response};

use super::answers;
use super::connection::{Connection, Flushed};
use super::store::Store;
use crate::reference::Bounds;

/// Small, so that they are met.
pub(crate) const BOUNDS: Bounds = Bounds {
    head: 700,
    body: 400,
};
/// Requests of the host's own that may be parked: fewer than there are connections.
const OWN_PARKED_MAX: usize = 3;
/// Turns in which everything must have come to rest.
const REST_TURNS: usize = 2000;

pub(crate) struct World {
    engine: Engine,
    wakes: Arc<Places>,
    keys: Arena<usize, model::Connection>,
    /// By their places; a client whose connection has ended may make another.
    pub(crate) connections: Vec<Option<Connection>>,
    pub(crate) store: Store,
    pub(crate) now: Now,
}

/// A host's own routes: what has a query is parked, under the key that its length is.
fn own(request: &Request<'_>) -> Answer {
    let said = format!("[{}]", request.body().len());
    match request.query().len() {
        0 => Response::json(said).into(),
        key => Answer::park(key as u64, Duration::from_secs(5), Response::json(said)),
    }
}

impl World {
    pub(crate) fn new(places: usize) -> Self {
        let now = Now {
            monotonic_ms: 1_000_000,
            // No answer can be older than the machine's own clock says.
            unix_ms: 4_000_000_000_000,
        };
        let config = Config {
            max_head: BOUNDS.head,
            max_body: BOUNDS.body,
            max_message: 100,
            max_unread: 600,
            recent: 3,
            login_attempts: 2,
            poll_timeout: Some(Duration::from_secs(60)),
            max_polls_per_session: 2,
            session_lifetime: Duration::from_secs(1000),
            cache_sessions: 2,
            cache_messages: 1000,
            ..Config::default()
        };
        let mut engine = Engine::new(&config, 0);
        let prefixes = Prefixes::new(&["/own"]).expect("a prefix");
        engine.set_routes(prefixes, Box::new(own), OWN_PARKED_MAX);
        Self {
            engine,
            wakes: Places::new(1, usize::MAX),
            keys: Arena::default(),
            connections: (0..places).map(|_| None).collect(),
            store: Store::new(now),
            now,
        }
    }

    /// A client's connection, made if there is none.
    pub(crate) fn connection(&mut self, place: usize) -> &mut Connection {
        let World {
            keys, engine, now, ..
        } = self;
        self.connections[place].get_or_insert_with(|| {
            let key = keys.insert(place);
            engine.accept(*now, key);
            Connection::new(key)
        })
    }

    /// What a client writes, unless it has ended.
    pub(crate) fn write(&mut self, place: usize, bytes: &[u8]) {
        let connection = self.connection(place);
        if !connection.has_fin {
            connection.written.extend_from_slice(bytes);
        }
    }

    pub(crate) fn reset(&mut self, place: usize) {
        if let Some(connection) = &self.connections[place] {
            self.engine.gone(self.now, connection.key);
            // The runtime says so as it reads or writes, and does not read this one again before that.
            self.carry_out();
        }
    }

    /// More waits behind a pause than is good for anything; of whoever has ended that is not said.
    pub(crate) fn flood(&mut self, place: usize) {
        let connection = self.connections[place].as_ref();
        if let Some(connection) = connection.filter(|one| one.is_paused && !one.said_hung_up) {
            self.engine.flooded(self.now, connection.key);
            // The runtime says so as it reads, and does not read this one again before that.
            self.carry_out();
        }
    }

    /// The host wakes those who are parked under a key.
    pub(crate) fn wake(&mut self, key: u64) {
        let response = Response::json("[]");
        let wake = self.wakes.wake(key, response).expect("the last is over");
        self.engine.wake(wake);
        self.rest();
    }

    pub(crate) fn drain(&mut self) {
        self.engine.drain(self.now);
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms;
    }

    /// Gets one of the store's jobs done, if it has any.
    pub(crate) fn work(&mut self, which: usize, fails: bool) -> bool {
        let Some(completion) = self.store.work(self.now, which, fails) else {
            return false;
        };
        self.engine.complete(self.now, completion);
        self.carry_out();
        true
    }

    pub(crate) fn work_all(&mut self, fails: bool) {
        while self.work(0, fails) {}
    }

    /// One turn, in the server's order.
    pub(crate) fn turn(&mut self) {
        for place in 0..self.connections.len() {
            self.read(place);
        }
        self.engine.expire(self.now);
        self.engine.serve(self.now);
        self.carry_out();
        self.flush();
        self.carry_out();
        self.reap();
    }

    fn read(&mut self, place: usize) {
        let Self { engine, now, .. } = self;
        let Some(connection) = &mut self.connections[place] else {
            return;
        };
        if connection.is_closing {
            return;
        }
        let key = connection.key;
        let origin = || IpAddr::V4(Ipv4Addr::new(10, 0, 0, place as u8));
        let (is_idle, had_taken) = (connection.is_stalled, connection.taken);
        let emptied = connection.offer(|input| engine.receive(*now, key, input, &origin));
        connection.must_end |= is_idle && connection.taken != had_taken;
        if connection.has_fin && !std::mem::replace(&mut connection.said_hung_up, true) {
            engine.hung_up(*now, key);
        }
        if connection.has_ended() && !std::mem::replace(&mut connection.said_ended, true) {
            engine.ended(*now, key);
        }
        if emptied && !connection.has_fin {
            engine.emptied(*now, key);
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Submit(job) => {
                    if let Err(job) = self.store.submit(job) {
                        self.engine.refused(self.now, &job);
                    }
                }
                Output::Tell(..) => panic!("there is no other loop"),
                Output::Send(key, bytes) => {
                    let connection = self.of(key);
                    assert!(!connection.is_finishing, "sent behind the end");
                    assert!(!bytes.is_empty(), "nothing is sent");
                    connection.sent.extend_from_slice(&bytes);
                }
                Output::Resume(key) => self.of(key).resume(),
                Output::Probe(key) => self.of(key).probe(),
                Output::Discard(key) => self.of(key).discard(),
                Output::Finish(key) => {
                    let was = std::mem::replace(&mut self.of(key).is_finishing, true);
                    assert!(!was, "finished twice");
                }
                Output::Close(key) => self.of(key).is_closing = true,
            }
        }
        for connection in self.connections.iter().flatten() {
            let has_ended = connection.is_finishing || connection.is_closing;
            let is_idle = has_ended || !connection.must_end;
            assert!(is_idle, "work is done for who takes no answers");
        }
    }

    /// The connection of a key that may still be spoken of.
    fn of(&mut self, key: ConnectionKey) -> &mut Connection {
        let place = *self.keys.get(key).expect("an output for who is gone");
        let connection = self.connections[place].as_mut().expect("it has a key");
        assert!(
            !connection.is_closing,
            "an output for a connection that is closed"
        );
        connection
    }

    fn flush(&mut self) {
        for connection in self.connections.iter_mut().flatten() {
            if connection.is_closing {
                continue;
            }
            let (engine, key) = (&mut self.engine, connection.key);
            match connection.flush() {
                Some(Flushed::Stalled) => engine.stalled(self.now, key),
                Some(Flushed::Drained) => engine.drained(self.now, key),
                Some(Flushed::Finished) => engine.finished(self.now, key),
                None => {}
            }
        }
    }

    fn reap(&mut self) {
        for connection in &mut self.connections {
            if let Some(ended) = connection.take_if(|one| one.is_closing) {
                answers::check(&ended.written, &ended.sent);
                self.keys.remove(ended.key).expect("it was open");
            }
        }
    }

    /// Turns until nothing happens any more by itself.
    pub(crate) fn rest(&mut self) {
        for _ in 0..REST_TURNS {
            self.work_all(false);
            self.turn();
            let is_ready = self.connections.iter().flatten().any(Connection::is_ready);
            if !is_ready && !self.engine.has_work() && !self.work(0, false) {
                return;
            }
        }
        panic!("nothing comes to rest: {:?}", self.connections);
    }

    /// All connections have ended: nothing may be left of them.
    pub(crate) fn assert_empty(&mut self) {
        assert!(
            self.connections.iter().all(Option::is_none),
            "{:?}",
            self.connections
        );
        assert_eq!(
            (self.engine.connections(), self.engine.unread_bytes()),
            (0, 0)
        );
        let counts = self.engine.counts();
        let nothing = Counts {
            held: 0,
            logins: 0,
            sweeps: 0,
            followers: (0, 0),
            sends: 0,
            reads: 0,
            remembered: counts.remembered,
        };
        assert_eq!(counts, nothing, "something is left");
        assert_eq!(self.engine.own_counts(), routes::Counts::default());
        assert_eq!(self.wakes.taken(), 0);
        self.pass(10_000_000);
        for _ in 0..REST_TURNS {
            self.engine.expire(self.now);
        }
        assert_eq!(self.engine.deadline_ms(), None, "a deadline is left");
        assert!(self.engine.next_output().is_none(), "an output for nobody");
    }
}
