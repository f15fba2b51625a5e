//! How a world is made: its limits, its faults, and the people in it.

use std::time::Duration;

use fastrand::Rng;
use loiter::config::Config;

use crate::clients::{Client, Role};
use crate::data::{Data, user_id};
use crate::ledger::Ledger;
use crate::store::{Faults, Store};
use crate::trace::Trace;
use crate::world::World;

/// The world of a seed.
pub(crate) fn world(seed: u64, is_shown: bool) -> World {
    let mut rng = Rng::with_seed(seed);
    let config = config(&mut rng);
    let trace = Trace::new(("LOITER_SIM_SEED", seed), is_shown);
    world_with(trace, seed, rng, config)
}

/// The world of a seed, in which two or three servers share a store.
pub(crate) fn world_of_servers(seed: u64, is_shown: bool) -> World {
    let mut rng = Rng::with_seed(seed);
    let mut config = config(&mut rng);
    config.database = "postgres://simulated".into();
    config.loops = rng.usize(1..3);
    let trace = Trace::new(("LOITER_SIM_SERVERS_SEED", seed), is_shown);
    let mut world = world_with(trace, seed, rng, config);
    let servers = world.rng.usize(2..4);
    world.share(servers);
    world
}

fn world_with(trace: Trace, seed: u64, mut rng: Rng, mut config: Config) -> World {
    if seed % 5 == 3 {
        // Of two who send at a time one has to give way.
        config.max_unread = 400;
    }
    let mut data = Data {
        session_lifetime_ms: config.session_lifetime.as_millis() as u64,
        retention_ms: (rng.u8(..3) == 0).then(|| rng.u64(1..30_000)),
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
    let dozes = if rng.u8(..3) == 0 { rng.u32(1..6) } else { 0 };
    let mut world = World::with(trace, rng, config, store);
    world.dozes = dozes;
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
        poll_timeout: (rng.u8(..5) == 0).then(|| Duration::from_secs(rng.u64(1..40))),
        max_polls_per_session: if rng.u8(..5) == 0 { rng.usize(1..4) } else { 0 },
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
        silence: percent(rng, 6),
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
        // Sessions that it does not know of could not end.
        self.ledger = Ledger::new(&self.store);
        for at in 0..self.rng.usize(4..16) {
            let role = match self.rng.u8(..19) {
                _ if at == 0 => Role::Talker,
                0 | 1 => Role::Patient,
                2 | 3 => Role::Follower,
                4 | 5 => Role::FollowerOfAll,
                6 | 7 => Role::FollowerOfSeveral,
                8..11 => Role::Listener,
                11 | 12 => Role::Speaker,
                13 | 14 => Role::Impatient,
                15..18 => Role::Talker,
                _ => Role::Vandal,
            };
            let chatroom = self.rng.usize(1..=self.store.data.chatrooms.len());
            let token = self.rng.usize(..self.tokens.len());
            self.clients.push(Client::new(role, chatroom, token));
        }
    }
}
