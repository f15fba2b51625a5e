//! One seed's run: a world is made, lives for some hundred turns, comes to rest, and ends.

use fastrand::Rng;

use crate::loops::Held;
use crate::setup::world;
use crate::store::hits;
use crate::tally::Tally;
use crate::world::World;

const TURNS: u32 = 250;
/// Turns in which everything must have come to rest.
const REST_TURNS: u32 = 400;

/// What a seed came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Of all that happened.
    pub(crate) digest: u64,
    pub(crate) tally: Tally,
}

/// How often a server ends in whose place another begins, once in so many turns; 0 is never.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    crash: u32,
    restart: u32,
}

impl Ends {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let often = |rng: &mut Rng| match rng.u8(..8) {
            0 => 20,
            1 => 60,
            2 | 3 => 250,
            _ => 0,
        };
        Self {
            crash: often(rng),
            restart: often(rng),
        }
    }
}

/// Runs a seed.
pub(crate) fn run(seed: u64, is_shown: bool) -> Ran {
    let mut world = world(seed, is_shown);
    let rests = world.rng.u32(1..6);
    let ends = Ends::draw(&mut world.rng);
    for _ in 0..rests {
        for _ in 0..TURNS / rests {
            world.pass_time();
            world.act();
            world.turn(false);
            world.may_end(ends);
        }
        if world.rng.u8(..4) == 0 {
            world.check_send_timeout();
        }
        world.rest();
    }
    world.end();
    world.tell_tally();
    Ran {
        digest: world.trace.digest(),
        tally: world.tally,
    }
}

impl World {
    /// The server may end, and begin anew with what is stored.
    pub(crate) fn may_end(&mut self, ends: Ends) {
        if ends.crash > 0 && self.rng.u32(..ends.crash) == 0 {
            self.tally.one("crashes");
            self.crash();
        }
        if ends.restart > 0 && self.rng.u32(..ends.restart) == 0 {
            self.tally.one("restarts");
            self.drain();
            for _ in 0..self.rng.u8(..20) {
                self.act();
                self.turn(false);
            }
            self.say_gone();
            // Who takes long is not waited for.
            self.crash();
        }
    }

    pub(crate) fn tell_tally(&mut self) {
        self.tally.add("steps", self.trace.turns().into());
        self.tally.merge(&self.store.tally);
        let rooms = self.store.data.chatrooms.iter();
        let saved = rooms.map(|room| room.messages.len() as u64).sum();
        self.tally.add("messages saved", saved);
        for client in &self.clients {
            if let Some(what) = client.role.followed() {
                self.tally.add(what, client.reader.read);
            }
            self.tally.add("sends repeated", client.speaker.repeated);
        }
    }

    pub(crate) fn pass_time(&mut self) {
        let is_steady = self.is_steady();
        let passed_ms = match self.rng.u16(..1000) {
            // So polls have long been parked when something is said, and a hint may find the round under way.
            0..500 if is_steady => self.rng.u64(..400),
            0..600 => 0,
            600..900 => self.rng.u64(..5),
            900..990 => self.rng.u64(..300),
            990..998 => self.rng.u64(..10_001),
            _ => self.rng.u64(..80_001),
        };
        self.wait(passed_ms);
        if hits(&mut self.rng, 1) {
            // The system's clock is set, by less than an hour.
            self.tally.one("clocks set");
            let jump_ms = self.rng.u64(..3_600_000);
            self.now.unix_ms = match self.rng.bool() {
                true => self.now.unix_ms + jump_ms,
                false => self.now.unix_ms - jump_ms,
            };
        }
    }

    pub(crate) fn wait(&mut self, passed_ms: u64) {
        if self.cluster.is_some() {
            return self.pass_with_listeners(passed_ms);
        }
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
        self.mark_parked();
        self.check_polls_are_free();
        self.note_parked();
        for (id, window) in windows {
            if let Some(line) = self.lines.get_mut(&id) {
                line.window = window;
            }
        }
    }

    /// Nothing is loaded any more: what is held is parked.
    pub(crate) fn mark_parked(&mut self) {
        let lines = self.lines.values_mut();
        for line in lines.filter(|line| line.is_held()) {
            if let Some(asked) = line.asked.front_mut() {
                asked.parked = asked.begun.map(|_| self.trace.turns());
            }
        }
    }

    pub(crate) fn open_windows(&mut self) {
        for line in self.lines.values_mut() {
            line.window = usize::MAX;
            if let Some(body) = line.body.take() {
                line.write(&body);
            }
        }
    }

    pub(crate) fn all_listen(&mut self) {
        (0..self.clients.len()).for_each(|at| self.listen(at));
    }

    pub(crate) fn come_to_rest(&mut self) {
        if self.cluster.is_some() {
            return self.all_come_to_rest();
        }
        for _ in 0..REST_TURNS {
            self.open_windows();
            self.turn(true);
            self.all_listen();
            if self.is_at_rest() {
                return;
            }
        }
        let lines: Vec<_> = self.lines.values().collect();
        self.demand(false, &format!("nothing comes to rest: {lines:?}"));
    }

    /// A parked poll costs the store nothing, however long it waits.
    pub(crate) fn check_polls_are_free(&mut self) {
        let mut asked = self.lines.values().filter_map(|line| line.asked.front());
        if asked.any(|asked| self.waits_ms(&asked.ask).0 != u64::MAX) {
            // Its own end may cost a read.
            return;
        }
        // A stream that shows that it is one keeps its session.
        let mut asked = self.lines.values().flat_map(|line| &line.asked);
        let has_streams = asked.any(|asked| asked.stream.is_some());
        let jobs = |world: &Self| world.jobs - if has_streams { world.touches } else { 0 };
        let before = jobs(self);
        for passed_ms in [1, 1_000, 20_000] {
            self.wait(passed_ms);
            self.turn(true);
        }
        self.demand(jobs(self) == before, "a job for nobody");
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
        // All are told whose time is over, and whoever has gone does not count any more.
        self.wait(11_000);
        self.come_to_rest();
        self.check_presence();
        self.end_some();
        self.end_lines();
    }

    /// Everything is about to end here.
    pub(crate) fn end_some(&mut self) {
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
    }

    /// Waits until every line that ends has ended.
    pub(crate) fn end_lines(&mut self) {
        self.come_to_rest();
        self.check_rest();
        // Lingering takes seconds, and half a request has some time too.
        for passed_ms in [6_000, 11_000, 6_000] {
            self.wait(passed_ms);
            self.turn(true);
            (0..self.clients.len()).for_each(|at| self.listen(at));
        }
        self.come_to_rest();
        self.check_end();
        // All have long gone.
        self.check_presence();
        self.come_to_rest();
        self.wait(80_000);
        self.turn(true);
        self.come_to_rest();
        self.check_end();
    }

    pub(crate) fn check_end(&mut self) {
        self.demand(self.lines.is_empty(), "lines are left");
        let counts = self.counts();
        let nothing = counts == Held::default();
        self.demand(nothing, &format!("something is left: {counts:?}"));
        // Nobody asks for anything any more.
        self.now.monotonic_ms += 1_000_000;
        self.now.unix_ms += 1_000_000;
        let now_ms = self.now.monotonic_ms;
        for at in 0..self.loops.len() {
            let engine = &mut self.loops[at].engine;
            while engine.deadline_ms().is_some_and(|at| at <= now_ms) {
                engine.expire(self.now);
            }
            let (connections, deadline) = (engine.connections(), engine.deadline_ms());
            let (unread_bytes, output) = (engine.unread_bytes(), engine.next_output());
            self.demand(connections == 0, "connections are left");
            self.demand(unread_bytes == 0, "unread input is counted for nobody");
            self.demand(deadline.is_none(), "a deadline is left");
            self.demand(output.is_none(), "an output for nobody");
        }
        self.check_said();
    }
}
