//! Several servers on one store: each with loops, lanes and connections of its own, and a listener that hears of what the others write.
//!
//! One server has its turn at a time: what is its own stands in the world then, and what the others have of their own
//! stands here. `asking` is what they ask one another; `listener` is what the server's thread does that asks for what others have written, by the server's own code
//! (`store::others`); `told` how far the loops have been told; `telling` is what a commit tells the others, and what becomes of that on its way; `written` the rows of what it has written; `late` is how late anybody may hear of
//! a message; `run` lets them live.
//!
//! Broken on purpose, each of these was seen within the seeds of an ordinary run: a gap that is passed over (`Followed::told`), a hint that lowers
//! a number (`Hinted::note`), what is hinted while a chatroom is loaded (`Followed::behind`), a load that hides what another loop was not told
//! (`Followed::loaded`), a late row that is dropped (`Seen::take`), a restarted server that never looks, a logout that is answered before all have
//! heard of it (`Chat::answer_when_heard`), an answer that counts twice and a question that is waited for without an end (`Questions`).

mod asking;
mod late;
mod listener;
mod run;
mod telling;
mod told;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use loiter::config::Config;
use loiter::store::others::Followed;

use crate::clients::{Client, Role};
use crate::ledger::Ledger;
use crate::line::Line;
use crate::loops::Loop;
use crate::store::Lanes;
use crate::world::World;
use asking::Asking;
use listener::Listener;
use telling::Telling;

pub(crate) use run::run;
pub(crate) use told::Posted;

/// What the servers have beside the store.
pub(crate) struct Cluster {
    /// By its number, unless it has its turn.
    away: Vec<Option<Server>>,
    listeners: Vec<Listener>,
    telling: Telling,
    asking: Asking,
    /// Time passes mostly in steps between those of a turn and those of a listener.
    is_steady: bool,
    /// Rounds for which each is down.
    down: Vec<u32>,
}

/// What one has of its own.
struct Server {
    loops: Vec<Loop>,
    lanes: Lanes,
    ledger: Ledger,
    lines: BTreeMap<u32, Line>,
    jobs: u32,
    touches: u32,
}

impl World {
    /// There are so many servers from now on; nobody has come yet.
    pub(crate) fn share(&mut self, servers: usize) {
        self.store.transactions = Some(Vec::new());
        self.store.data.is_shared = true;
        if self.rng.bool() {
            self.add_doorkeepers(servers);
        }
        let other = |config: &Config, ledger| Server {
            loops: Loop::all(config),
            lanes: Lanes::default(),
            ledger,
            lines: BTreeMap::new(),
            jobs: 0,
            touches: 0,
        };
        let away = (0..servers)
            .map(|at| (at > 0).then(|| other(&self.config, Ledger::new(&self.store))))
            .collect();
        let telling = Telling::draw(&mut self.rng);
        let asking = Asking::draw(&mut self.rng);
        let listeners = (0..servers).map(|_| Listener::new(0, 0)).collect();
        self.cluster = Some(Box::new(Cluster {
            away,
            listeners,
            telling,
            asking,
            is_steady: self.rng.bool(),
            down: vec![0; servers],
        }));
        for at in 0..servers {
            self.visit(at);
            self.begin_listening();
        }
        for client in &mut self.clients {
            client.server = self.rng.usize(..servers);
        }
    }

    /// While one lets somebody out of a chatroom, another lets them in again.
    fn add_doorkeepers(&mut self, servers: usize) {
        let data = &mut self.store.data;
        for chatroom in 1..=data.chatrooms.len() {
            let admin = data.chatrooms[chatroom - 1].admin;
            let token = format!("door-{chatroom}");
            data.add_session(admin, self.now, &token);
            self.tokens.push(token);
        }
        self.ledger = Ledger::new(&self.store);
        for _ in 0..servers {
            let token = self.rng.usize(..self.tokens.len());
            let client = Client::new(Role::Doorkeeper, 1, token);
            self.clients.push(client);
        }
    }

    pub(crate) fn servers(&self) -> usize {
        self.cluster
            .as_ref()
            .map_or(1, |cluster| cluster.listeners.len())
    }

    pub(crate) fn is_steady(&self) -> bool {
        let cluster = self.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.is_steady)
    }

    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("there are several servers")
    }

    fn listener(&mut self) -> &mut Listener {
        let here = self.here;
        &mut self.cluster().listeners[here]
    }

    /// What each finds that looks at what is its own, in their order.
    pub(crate) fn at_each<T>(&mut self, mut look: impl FnMut(&Self) -> T) -> Vec<T> {
        let here = self.here;
        let found = (0..self.servers()).map(|at| {
            self.visit(at);
            look(self)
        });
        let found = found.collect();
        self.visit(here);
        found
    }

    pub(crate) fn is_down(&self, at: usize) -> bool {
        let cluster = self.cluster.as_ref();
        cluster.is_some_and(|cluster| cluster.down[at] > 0)
    }

    /// It is this server's turn.
    pub(crate) fn visit(&mut self, at: usize) {
        if at == self.here {
            return;
        }
        self.trace.note(format_args!("server {at}"));
        let here = std::mem::replace(&mut self.here, at);
        let away = &mut self
            .cluster
            .as_mut()
            .expect("there are several servers")
            .away;
        let mut server = away[at].take().expect("it was away");
        std::mem::swap(&mut self.loops, &mut server.loops);
        std::mem::swap(&mut self.store.lanes, &mut server.lanes);
        std::mem::swap(&mut self.ledger, &mut server.ledger);
        std::mem::swap(&mut self.lines, &mut server.lines);
        std::mem::swap(&mut self.jobs, &mut server.jobs);
        std::mem::swap(&mut self.touches, &mut server.touches);
        away[here] = Some(server);
        self.ledger.turn(self.trace.turns());
    }

    /// Does something with each, in any order.
    fn visit_all(&mut self, mut act: impl FnMut(&mut Self)) {
        let mut servers: Vec<usize> = (0..self.servers()).collect();
        self.rng.shuffle(&mut servers);
        for at in servers {
            self.visit(at);
            act(self);
        }
    }

    /// Where a client goes instead of here.
    pub(crate) fn goes_elsewhere(&mut self) -> Option<usize> {
        self.cluster.as_ref()?;
        let up: Vec<usize> = (0..self.servers())
            .filter(|&at| !self.is_down(at))
            .collect();
        let server = self.rng.choice(up)?;
        let goes = server != self.here && (self.is_down(self.here) || self.rng.bool());
        goes.then(|| {
            self.tally.one("clients that went to another server");
            server
        })
    }

    /// A server begins: what others have changed before it does not know otherwise.
    pub(crate) fn begin_listening(&mut self) {
        if self.cluster.is_none() {
            return;
        }
        self.tell_others();
        self.store.lanes.followed = Some(Followed::default());
        self.store.lanes.is_deaf = false;
        self.store.lanes.posted = Posted::default();
        let now_ms = self.now.monotonic_ms;
        let rng = &mut self.rng;
        let mut listener = Listener::new(rng.i64(..), now_ms);
        let (rows, over) = self.rows_of_others(listener.number, Some(Duration::ZERO));
        listener.seen.take(Duration::ZERO, rows, over);
        *self.listener() = listener;
        if !self.is_down(self.here) {
            self.say_here();
        }
    }
}
