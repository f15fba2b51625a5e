//! One seed's run of several servers.

use fastrand::Rng;

use super::late::{ASK_EVERY_MS, ASKED_MS};
use crate::run::{Ends, Ran};
use crate::setup::world_of_servers;
use crate::store::hits;
use crate::world::World;

/// Rounds in which each server has a turn.
const ROUNDS: u32 = 120;
/// Rounds in which everything must have come to rest.
const REST_ROUNDS: u32 = 300;

/// What goes wrong with servers, in percent of rounds.
#[derive(Clone, Copy)]
struct Troubles {
    ends: Ends,
    cut: u32,
    cut_for_long: u32,
    fail_over: u32,
}

impl Troubles {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            ends: Ends::draw(rng),
            cut: [0, 0, 2, 5][rng.usize(..4)],
            cut_for_long: [0, 0, 0, 1][rng.usize(..4)],
            fail_over: [0, 0, 1, 3][rng.usize(..4)],
        }
    }
}

/// Runs a seed.
pub(crate) fn run(seed: u64, is_shown: bool) -> Ran {
    let mut world = world_of_servers(seed, is_shown);
    let rests = world.rng.u32(1..4);
    let troubles = Troubles::draw(&mut world.rng);
    for _ in 0..rests {
        for _ in 0..ROUNDS / rests {
            world.pass_time();
            world.round(troubles);
        }
        world.rest_all();
    }
    world.end_all();
    world.tell_tally();
    Ran {
        digest: world.trace.digest(),
        tally: world.tally,
    }
}

impl World {
    fn round(&mut self, troubles: Troubles) {
        if hits(&mut self.rng, troubles.cut_for_long) {
            self.cut_off_for_long(troubles);
        }
        self.live(troubles);
    }

    /// A server hears of nothing for about as long as changes are kept, while others change something.
    fn cut_off_for_long(&mut self, troubles: Troubles) {
        let at = self.rng.usize(..self.servers());
        if self.is_down(at) {
            return;
        }
        self.visit(at);
        let until_ms = self.now.monotonic_ms + self.rng.u64(500_000..900_000);
        self.listener().cut(until_ms);
        for _ in 0..self.rng.u32(1..20) {
            self.live(troubles);
        }
        let left_ms = until_ms.saturating_sub(self.now.monotonic_ms);
        self.wait(left_ms);
    }

    fn live(&mut self, troubles: Troubles) {
        if hits(&mut self.rng, troubles.fail_over) {
            self.fail_over();
        }
        self.deliver_hints(false);
        self.visit_all(|world| {
            let here = world.here;
            if world.is_down(here) {
                world.wait_while_down();
            } else {
                world.may_be_cut(troubles.cut);
                world.act();
                world.turn(false);
                world.may_end(troubles.ends);
            }
        });
    }

    /// The database goes on elsewhere: all connections to it are lost.
    fn fail_over(&mut self) {
        self.tally.one("databases that went on elsewhere");
        self.trace.note(format_args!("fail over"));
        let is_written_before = self.rng.bool();
        if !is_written_before {
            self.forget_written();
        }
        self.visit_all(|world| {
            if world.is_down(world.here) {
                return;
            }
            world.store.fail_over(&mut world.rng, world.now);
            world.tell_others();
            let now_ms = world.now.monotonic_ms;
            let until_ms = now_ms + world.rng.u64(..3_000);
            let number = world.rng.i64(..);
            // What it has asked it may be asked itself now.
            world.note_all_stray();
            world.may_lose_answers();
            let listener = world.listener();
            listener.cut(until_ms);
            // What it has written and does not know of it hears of as of others'.
            listener.number = number;
        });
        if is_written_before {
            self.forget_written();
        }
    }

    fn forget_written(&mut self) {
        let Self { cluster, rng, .. } = self;
        let cluster = cluster.as_mut().expect("there are several servers");
        cluster.telling.written.fail_over(rng);
    }

    /// A server has died, and is down for a while.
    pub(crate) fn go_down(&mut self) {
        if self.cluster.is_some() {
            let rounds = self.rng.u32(1..20);
            let here = self.here;
            self.cluster().down[here] = rounds;
        }
    }

    fn wait_while_down(&mut self) {
        let here = self.here;
        for at in 0..self.clients.len() {
            if self.clients[at].server == here
                && let Some(server) = self.goes_elsewhere()
            {
                self.clients[at].server = server;
                self.clients[at].line = None;
            }
        }
        self.cluster().down[here] -= 1;
        if !self.is_down(here) {
            self.come_up();
        }
    }

    fn come_up(&mut self) {
        let here = self.here;
        self.cluster().down[here] = 0;
        self.forget_all();
    }

    fn all_come_up(&mut self) {
        self.visit_all(|world| {
            if world.is_down(world.here) {
                world.come_up();
            }
        });
    }

    /// Lets everything be delivered, to everybody.
    fn rest_all(&mut self) {
        self.trace.note(format_args!("rest"));
        self.all_come_up();
        let mut windows = Vec::new();
        self.visit_all(|world| {
            let lines = world.lines.iter();
            windows.extend(lines.map(|(&id, line)| (id, line.window)));
        });
        self.come_to_rest();
        self.endings.settle();
        self.visit_all(|world| world.check_rest());
        self.visit_all(World::mark_parked);
        self.check_endpoll();
        self.come_to_rest();
        self.check_polls_are_free();
        self.visit_all(World::note_parked);
        self.visit_all(|world| {
            for (id, window) in &windows {
                if let Some(line) = world.lines.get_mut(id) {
                    line.window = *window;
                }
            }
        });
    }

    /// The same, turn by turn: time passes too, so that all have asked.
    pub(crate) fn all_come_to_rest(&mut self) {
        let here = self.here;
        let mut quiet = 0;
        for _ in 0..REST_ROUNDS {
            let (mut is_at_rest, mut is_asking) = (true, false);
            self.deliver_hints(true);
            self.visit_all(|world| {
                world.open_windows();
                world.turn(true);
                world.all_listen();
            });
            self.visit_all(|world| {
                is_at_rest &= world.is_at_rest() && world.listener().is_idle();
                is_asking |= world.listener().waiting.0.is_asking();
            });
            quiet = if is_at_rest && !is_asking {
                quiet + 1
            } else {
                0
            };
            if quiet == 2 {
                return self.visit(here);
            }
            if is_at_rest {
                let cut_ms = self.cut_for_ms();
                let is_incomplete = &mut self.cluster().telling.written.is_incomplete;
                let late_ms = match std::mem::take(is_incomplete) {
                    true => ASKED_MS,
                    false => 2 * ASK_EVERY_MS,
                };
                self.wait(cut_ms + late_ms);
            }
        }
        self.visit_all(|world| {
            let lines: Vec<_> = world.lines.values().collect();
            let is_at_rest = world.is_at_rest();
            world.demand(is_at_rest, &format!("nothing comes to rest: {lines:?}"));
        });
        self.demand(false, "nothing comes to rest");
    }

    /// Each has a turn, and now and then time to ask the others.
    pub(crate) fn calm_round(&mut self, turn: u32) {
        let here = self.here;
        self.deliver_hints(true);
        self.visit_all(|world| world.turn(true));
        self.visit(here);
        if turn.is_multiple_of(4) {
            self.wait(super::late::WAIT_MS);
        }
    }

    /// Ends all, and sees that nothing is left of them.
    fn end_all(&mut self) {
        self.all_come_up();
        self.visit_all(|world| world.store.mend());
        self.cluster().telling.mend();
        self.cluster().asking.mend();
        self.wait(11_000);
        self.come_to_rest();
        self.visit_all(World::check_presence);
        self.visit_all(World::end_some);
        self.come_to_rest();
        self.visit_all(|world| world.check_rest());
        for passed_ms in [6_000, 11_000, 6_000] {
            self.wait(passed_ms);
            self.visit_all(|world| {
                world.turn(true);
                world.all_listen();
            });
        }
        self.come_to_rest();
        let here = self.rng.usize(..self.servers());
        self.visit(here);
        self.check_presence();
        self.come_to_rest();
        self.wait(80_000);
        self.visit_all(|world| world.turn(true));
        self.come_to_rest();
        self.visit_all(World::check_end);
    }
}
