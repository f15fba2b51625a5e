//! A seeded simulator: the whole engine on a made-up network, store and clock, beside what must hold.
//!
//! `world` makes turns as the server does and carries out what the engine asks for; `line` is a
//! connection, `streaming` how a stream is read from one, `loops` the event loops and the post between them, `store` the storage lanes over `data`; `setup` makes a world and its people, `run` lets it live.
//! `clients` ask (`ask`, `stray`, `request`) and listen: a `reader` follows what is said, and a `speaker` says everything once.
//! `checks` holds every answer against the committed data, its `chronicle` and the `ledger` of what the engine had been told, and every turn
//! against what must not wait. The same seed gives the same run.
//!
//! `LOITER_SIM_SEED=n` replays one seed and shows what happened; `LOITER_SIM_SEEDS=n` runs so many. With `--nocapture` a run
//! tells how many steps it took and how often it injected which fault.

mod answer;
mod ask;
mod checks;
mod chronicle;
mod clients;
mod crowd;
mod data;
mod ledger;
mod line;
mod loops;
mod reader;
mod request;
mod run;
mod servers;
mod setup;
mod speaker;
mod stalled;
mod store;
mod stray;
mod streaming;
mod tally;
mod trace;
mod world;

use std::env;

use tally::Tally;

/// Seeds of an ordinary run.
const SEEDS: u64 = 256;

/// Seeds that have found a bug, or one that was made on purpose and that no other found.
const KEPT: [u64; 13] = [
    96, 639, 665, 709, 740, 1100, 1326, 2750, 4856, 6582, 8498, 23807, 32028,
];

/// The same of several servers on one store.
const SERVERS_SEEDS: u64 = 120;
const SERVERS_KEPT: [u64; 6] = [346, 563, 1044, 1638, 1994, 2228];

/// What an ordinary run of several servers injects, and what must come of it, each of it.
const SERVERS_INJECTED: [&str; 29] = [
    "answers of servers doubled",
    "answers of servers late",
    "answers of servers lost",
    "changes heard of",
    "changes missed",
    "clients that went to another server",
    "crashes",
    "databases that went on elsewhere",
    "hints",
    "hints doubled",
    "hints late",
    "hints lost",
    "listeners cut off",
    "messages followed by streams",
    "messages followed in all chatrooms",
    "messages followed in several chatrooms",
    "messages followed",
    "messages heard of",
    "polls that other servers ended",
    "questions that all servers answered",
    "questions that not all servers answered",
    "removals heard of by who is back",
    "restarts",
    "rows lost",
    "sends repeated",
    "slices asked for",
    "times that messages expired",
    "users present at other servers",
    "writes kept that were told as failed",
];

/// What an ordinary run injects, and what must come of it, each of it.
const INJECTED: [&str; 24] = [
    "clocks set",
    "commits that a crash left untold",
    "crashes",
    "half-closes",
    "jobs refused",
    "loops put to sleep",
    "messages followed by streams",
    "messages followed in all chatrooms",
    "messages followed in several chatrooms",
    "messages followed",
    "outages",
    "polls and calls that a crash cut off",
    "reads failed",
    "requests that gave way",
    "requests unread at a drain",
    "resets",
    "restarts",
    "sends repeated",
    "silences",
    "slow readers",
    "streams begun",
    "streams stalled",
    "times that messages expired",
    "writes failed",
];

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn seeds() {
    if let Some(seed) = number("LOITER_SIM_SEED") {
        run::run(seed, true);
        return;
    }
    let seeds = number("LOITER_SIM_SEEDS").unwrap_or(SEEDS);
    let mut tally = Tally::default();
    for seed in KEPT.into_iter().chain(0..seeds) {
        tally.merge(&run::run(seed, false).tally);
    }
    println!("{} seeds: {tally}", KEPT.len() as u64 + seeds);
    if seeds >= SEEDS {
        let missing = INJECTED.into_iter().find(|what| tally.count(what) == 0);
        assert_eq!(missing, None, "never happened: {tally}");
    }
}

/// Several servers on one store.
#[test]
fn seeds_of_servers() {
    if let Some(seed) = number("LOITER_SIM_SERVERS_SEED") {
        servers::run(seed, true);
        return;
    }
    let seeds = number("LOITER_SIM_SERVERS_SEEDS").unwrap_or(SERVERS_SEEDS);
    let mut tally = Tally::default();
    for seed in SERVERS_KEPT.into_iter().chain(0..seeds) {
        tally.merge(&servers::run(seed, false).tally);
    }
    println!(
        "{} seeds of servers: {tally}",
        SERVERS_KEPT.len() as u64 + seeds
    );
    if seeds >= SERVERS_SEEDS {
        let missing = SERVERS_INJECTED
            .into_iter()
            .find(|what| tally.count(what) == 0);
        assert_eq!(missing, None, "never happened: {tally}");
    }
}

#[test]
fn a_seed_gives_the_same_run() {
    for seed in 1000..1008 {
        let digest = || run::run(seed, false).digest;
        assert_eq!(digest(), digest(), "seed {seed}");
        let digest = || servers::run(seed, false).digest;
        assert_eq!(digest(), digest(), "seed {seed} of servers");
    }
}
