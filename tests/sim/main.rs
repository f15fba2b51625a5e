//! A seeded simulator: the whole engine on a made-up network, store and clock, beside what must hold.
//!
//! `world` makes turns as the server does and carries out what the engine asks for; `line` is a
//! connection, `loops` the event loops and the post between them, `store` the storage lanes over `data`; `clients` ask and listen; `checks` holds every answer against
//! the committed data and the `ledger` of what the engine had been told, `presence` against the polls that there are. The same seed gives the same run.
//!
//! `LOITER_SIM_SEED=n` replays one seed and shows what happened; `LOITER_SIM_SEEDS=n` runs so many.

mod answer;
mod ask;
mod checks;
mod clients;
mod crowd;
mod data;
mod ledger;
mod line;
mod loops;
mod presence;
mod run;
mod store;
mod trace;
mod world;

use std::env;

/// Seeds of an ordinary run.
const SEEDS: u64 = 256;

/// Seeds that have found a bug.
const KEPT: [u64; 2] = [740, 1100];

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
    for seed in KEPT.into_iter().chain(0..seeds) {
        run::run(seed, false);
    }
}

#[test]
fn a_seed_gives_the_same_run() {
    for seed in 1000..1008 {
        assert_eq!(run::run(seed, false), run::run(seed, false), "seed {seed}");
    }
}
