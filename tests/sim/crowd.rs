//! One chatroom with thousands of polls: a wake, endings in the midst of it, and a drain, slice by slice.

use fastrand::Rng;
use loiter::config::Config;

use crate::ask::{Ask, Poll};
use crate::clients::{Client, Role};
use crate::data::{Data, user_id};
use crate::request::Shape;
use crate::store::{Faults, Store};
use crate::trace::Trace;
use crate::world::World;

const POLLERS: usize = 5_000;
/// Turns that a wake of all of them takes at least, however fast the store is.
const WAKE_TURNS_MIN: usize = POLLERS / 256;

#[test]
fn a_crowd_is_served_in_slices() {
    let mut world = crowd(2001);
    world.rest();
    assert_eq!(world.counts().held, POLLERS);

    world.host_asks(1);
    let mut turns = 0;
    while world.counts().held > 0 {
        world.turn(false);
        turns += 1;
        if turns == 10 {
            // In the midst of the wake: one more message, and endpolls before and behind it.
            (1..6).for_each(|at| world.host_asks(at));
        }
    }
    assert!(turns >= WAKE_TURNS_MIN, "{turns} turns");

    for turn in 0..100 {
        world.act();
        world.turn(false);
        if turn % 8 == 0 {
            world.host_asks(turn % 5 + 1);
        }
    }
    assert!(world.store.data.chatrooms[0].messages.len() > 4);
    world.rest();
    // Somebody may say something at the last moment: then all come back once more.
    let mut rounds = 0;
    while world.counts().held <= POLLERS * 9 / 10 {
        for _ in 0..25 {
            world.act();
            world.turn(true);
        }
        world.rest();
        rounds += 1;
        assert!(rounds < 10, "the crowd does not come back");
    }
    world.end_by_drain();
}

#[test]
fn an_ending_goes_on_when_polls_leave_in_its_midst() {
    let mut world = crowd(2002);
    world.rest();
    for host in [2, 4, 6] {
        world.host_asks(host);
        while world.counts().sweeps == 0 {
            world.turn(true);
        }
        while world.counts().sweeps > 0 {
            world.desert((POLLERS + host % 6) % 8);
            world.turn(true);
        }
        world.rest();
    }
}

/// Pollers of four users in eight sessions, and a few hosts who say something.
fn crowd(seed: u64) -> World {
    let config = Config::default();
    let mut data = Data {
        session_lifetime_ms: config.session_lifetime.as_millis() as u64,
        ..Data::default()
    };
    for name in ["ann", "bob", "cid", "dora"] {
        data.add_user(name, "right");
    }
    data.add_chatroom(user_id(1));
    data.chatrooms[0].participants = (1..=4).map(user_id).collect();
    let store = Store::new(data, Faults::default(), 4096);
    let trace = Trace::new(("LOITER_SIM_SEED", seed), false);
    let mut world = World::with(trace, Rng::with_seed(seed), config, store);
    for n in 0..8 {
        let token = format!("crowd-{n}");
        let data = &mut world.store.data;
        data.add_session(user_id(n % 4 + 1), world.now, &token);
        world.tokens.push(token);
    }
    for at in 0..POLLERS + 6 {
        let is_poller = at < POLLERS;
        let role = if is_poller { Role::Patient } else { Role::Host };
        world.clients.push(Client::new(role, 1, at % 8));
    }
    for at in 0..POLLERS {
        world.connect(at);
        let id = world.clients[at].line.expect("connected");
        let token = world.tokens[at % 8].clone();
        let ask = Ask::Poll(Poll::plain(1));
        world.write_as(id, ask, Shape::default(), Some(token));
    }
    world
}

impl World {
    /// A host sends, or every second of them ends its session's polls.
    fn host_asks(&mut self, host: usize) {
        let at = POLLERS + host % 6;
        if self.clients[at].line.is_none() {
            self.connect(at);
        }
        let id = self.clients[at].line.expect("connected");
        self.texts += 1;
        let text = format!("m{}", self.texts);
        let ask = match host % 2 {
            0 => Ask::EndPolls {
                chatroom: 1,
                limit: None,
            },
            _ => Ask::Send {
                chatroom: 1,
                text,
                nonce: None,
                limit: None,
            },
        };
        if self.lines.contains_key(&id) {
            let token = self.tokens[at % 8].clone();
            self.write_as(id, ask, Shape::default(), Some(token));
        }
    }

    /// Most of those whose polls are to be ended go away while they are, the next in turn among them.
    fn desert(&mut self, token: usize) {
        for at in 0..POLLERS {
            let is_meant = self.clients[at].token == token && self.rng.u8(..8) > 0;
            let line = self.clients[at].line.and_then(|id| self.lines.get_mut(&id));
            if let Some(line) = line.filter(|_| is_meant) {
                line.is_reset = true;
            }
        }
    }

    fn end_by_drain(&mut self) {
        // A few have asked without a session or for the last time.
        let held = self.counts().held;
        assert!(held > POLLERS * 9 / 10, "{held} polls");
        self.drain();
        self.end_lines();
    }
}
