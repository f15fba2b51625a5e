//! One seed's run: a world is made, lives for some hundred turns, comes to rest, and ends.

use std::time::Duration;

use fastrand::Rng;
use loiter::config::Config;

use crate::clients::{Client, Role};
use crate::data::{Data, chatroom_id, user_id};
use crate::loops::Held;
use crate::store::{Faults, Store, hits};
use crate::trace::Trace;
use crate::world::World;

const TURNS: u32 = 250;
/// Turns in which everything must have come to rest.
const REST_TURNS: u32 = 400;

/// Runs a seed; returns a digest of all that happened.
pub(crate) fn run(seed: u64, is_shown: bool) -> u64 {
    let mut world = world(seed, is_shown);
    let rests = world.rng.u32(1..6);
    let crashes = world.rng.u8(..4) == 0;
    for _ in 0..rests {
        for _ in 0..TURNS / rests {
            world.pass_time();
            world.act();
            world.turn(false);
            if crashes && world.rng.u16(..300) == 0 {
                world.crash();
            }
        }
        if world.rng.u8(..4) == 0 {
            world.check_send_timeout();
        }
        world.rest();
    }
    world.end();
    world.trace.digest()
}

fn world(seed: u64, is_shown: bool) -> World {
    let mut rng = Rng::with_seed(seed);
    let config = config(&mut rng);
    let mut data = Data {
        session_lifetime_ms: config.session_lifetime.as_millis() as u64,
        ..Data::default()
    };
    for name in ["Ann", "bob", "Cid", "dora"] {
        data.add_user(name, "right");
    }
    for n in 1..=rng.usize(1..4) {
        let chatroom = data.add_chatroom(user_id(n));
        for user in (1..=4).map(user_id) {
            if !data.has_joined(user, chatroom) && rng.bool() {
                let chatroom = data.chatroom_mut(chatroom).expect("just made");
                chatroom.participants.push(user);
            }
        }
    }
    let faults = faults(&mut rng);
    let queue_max = if rng.u8(..4) == 0 { 4 } else { 4096 };
    let store = Store::new(data, faults, queue_max);
    let mut world = World::with(Trace::new(seed, is_shown), rng, config, store);
    world.people();
    world
}

fn config(rng: &mut Rng) -> Config {
    let defaults = Config::default();
    Config {
        recent: [1, 2, 3, 5, 50][rng.usize(..5)],
        max_head: 1024,
        loops: if rng.bool() { 1 } else { rng.usize(2..4) },
        login_attempts: if rng.u8(..4) == 0 { 3 } else { 0 },
        session_lifetime: match rng.u8(..6) {
            0 => Duration::from_secs(rng.u64(10..600)),
            _ => defaults.session_lifetime,
        },
        cache_sessions: [1, 2, 4, 1000][rng.usize(..4)],
        cache_messages: [0, 600, 2000, 1 << 20][rng.usize(..4)],
        ..defaults
    }
}

fn faults(rng: &mut Rng) -> Faults {
    if rng.bool() {
        return Faults::default();
    }
    let percent = |rng: &mut Rng, max: u32| rng.u32(..max).saturating_sub(max / 3);
    let read_max = if rng.u8(..3) == 0 { 80 } else { 20 };
    Faults {
        read: percent(rng, read_max),
        write: percent(rng, 15),
        group: percent(rng, 10),
        refusal: percent(rng, 10),
        outage: percent(rng, 4),
    }
}

impl World {
    fn people(&mut self) {
        for n in 0..self.rng.usize(2..7) {
            let token = format!("first-{n}");
            let user = user_id(self.rng.usize(1..=4));
            self.store.data.add_session(user, self.now, &token);
            self.tokens.push(token);
        }
        for at in 0..self.rng.usize(4..16) {
            let role = match self.rng.u8(..12) {
                _ if at == 0 => Role::Talker,
                0..4 => Role::Patient,
                4..6 => Role::Follower,
                6..8 => Role::Impatient,
                8..11 => Role::Talker,
                _ => Role::Vandal,
            };
            self.clients.push(Client {
                role,
                chatroom: self.rng.usize(1..=self.store.data.chatrooms.len()),
                line: None,
                token: self.rng.usize(..self.tokens.len()),
                seen: Default::default(),
            });
        }
    }

    fn pass_time(&mut self) {
        let passed_ms = match self.rng.u16(..1000) {
            0..600 => 0,
            600..900 => self.rng.u64(..5),
            900..990 => self.rng.u64(..300),
            990..998 => self.rng.u64(..10_001),
            _ => self.rng.u64(..80_001),
        };
        self.wait(passed_ms);
        if hits(&mut self.rng, 1) {
            // The system's clock is set, by less than an hour.
            let jump_ms = self.rng.u64(..3_600_000);
            self.now.unix_ms = match self.rng.bool() {
                true => self.now.unix_ms + jump_ms,
                false => self.now.unix_ms - jump_ms,
            };
        }
    }

    fn wait(&mut self, passed_ms: u64) {
        self.now.monotonic_ms += passed_ms;
        self.now.unix_ms += passed_ms;
    }

    /// Lets everything be delivered, and looks at what is left.
    pub(crate) fn rest(&mut self) {
        self.trace.note(format_args!("rest"));
        let windows: Vec<(u32, usize)> = (self.lines.iter())
            .map(|(&id, line)| (id, line.window))
            .collect();
        self.come_to_rest();
        self.check_rest();
        // Nothing is loaded any more: what is held is parked.
        for line in self.lines.values_mut() {
            if let Some(asked) = line.asked.front_mut() {
                asked.is_parked = asked.begun.is_some();
            }
        }
        self.check_polls_are_free();
        self.note_parked_polls();
        for (id, window) in windows {
            if let Some(line) = self.lines.get_mut(&id) {
                line.window = window;
            }
        }
    }

    fn come_to_rest(&mut self) {
        for _ in 0..REST_TURNS {
            for line in self.lines.values_mut() {
                line.window = usize::MAX;
                if let Some(body) = line.body.take() {
                    line.write(&body);
                }
            }
            self.turn(true);
            (0..self.clients.len()).for_each(|at| self.listen(at));
            if self.is_at_rest() {
                return;
            }
        }
        let lines: Vec<_> = self.lines.values().collect();
        self.demand(false, &format!("nothing comes to rest: {lines:?}"));
    }

    /// A parked poll costs the store nothing, however long it waits.
    fn check_polls_are_free(&mut self) {
        let before = self.jobs;
        for passed_ms in [1, 1_000, 20_000] {
            self.wait(passed_ms);
            self.turn(true);
        }
        self.demand(self.jobs == before, "a job for nobody");
        (0..self.clients.len()).for_each(|at| self.listen(at));
        self.come_to_rest();
    }

    /// Who takes no byte of an answer for long is let go, whatever else happens.
    fn check_send_timeout(&mut self) {
        let mut stalled = Vec::new();
        for (&id, line) in &mut self.lines {
            if line.is_stalled {
                line.window = 0;
                stalled.push(id);
            }
        }
        self.wait(80_000);
        self.turn(true);
        let is_left = stalled.iter().any(|id| self.lines.contains_key(id));
        self.demand(!is_left, "a peer that takes nothing is waited for");
    }

    /// Ends everything, and sees that nothing is left of it.
    fn end(&mut self) {
        self.store.mend();
        self.check_presence();
        if self.rng.u8(..3) == 0 {
            self.drain();
            for _ in 0..self.rng.u8(..20) {
                self.act();
                self.turn(false);
            }
        } else {
            for line in self.lines.values_mut() {
                match self.rng.u8(..3) {
                    0 => line.is_reset = true,
                    _ => line.has_fin = true,
                }
            }
        }
        self.end_lines();
    }

    /// Waits until every line that ends has ended.
    pub(crate) fn end_lines(&mut self) {
        self.come_to_rest();
        self.check_rest();
        // Lingering takes seconds, and who came during the drain and asks for nothing is idle for long.
        for passed_ms in [6_000, 80_000, 6_000] {
            self.wait(passed_ms);
            self.turn(true);
            (0..self.clients.len()).for_each(|at| self.listen(at));
        }
        self.come_to_rest();
        self.check_end();
        // All polls have long gone.
        self.check_presence();
        self.come_to_rest();
        self.check_end();
    }

    fn check_end(&mut self) {
        self.demand(self.lines.is_empty(), "lines are left");
        let counts = self.counts();
        let nothing = counts == Held::default();
        self.demand(nothing, &format!("something is left: {counts:?}"));
        self.wait(1_000_000);
        let now_ms = self.now.monotonic_ms;
        for at in 0..self.loops.len() {
            let engine = &mut self.loops[at].engine;
            while engine.deadline_ms().is_some_and(|at| at <= now_ms) {
                engine.expire(self.now);
            }
            let (connections, deadline) = (engine.connections(), engine.deadline_ms());
            let output = engine.next_output();
            self.demand(connections == 0, "connections are left");
            self.demand(deadline.is_none(), "a deadline is left");
            self.demand(output.is_none(), "an output for nobody");
        }
        for text in &self.not_saved {
            self.demand(!self.is_saved(text), "a refused message was stored later");
        }
        for chatroom in (1..=self.store.data.chatrooms.len()).map(chatroom_id) {
            let messages = &self.store.data.chatroom(chatroom).expect("exists").messages;
            let mut texts: Vec<_> = messages.iter().map(|message| &message.text).collect();
            texts.sort_unstable();
            let is_once = texts.windows(2).all(|pair| pair[0] != pair[1]);
            self.demand(is_once, "a message was stored twice");
        }
    }
}
