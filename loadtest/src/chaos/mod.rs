//! Floods and kills, one after the other, each against a server of its own: does it stand, and does anybody else notice?
//!
//! While a flood goes on, a polite client speaks and polls on connections that it keeps, and measures how long it waits. After the flood the server
//! has some time to settle; then its descriptors have to be as many as before. Its memory need not be: room for many connections stays, for those who
//! come next. So most floods come twice, and the second time must leave nothing more behind than the first. What a flood itself
//! promises (so many 408, nothing half done) is counted by it.

mod deaf;
mod field;
mod files;
mod floods;
mod half_bodies;
mod half_closed;
mod herd;
mod kills;
mod logins;
mod options;
mod pipelines;
mod polite;
mod queue;
mod reads;
mod registrations;
mod silent;
mod slow;
mod vanish;
mod verdict;

use std::env;

pub(crate) use options::ChaosOptions;

use crate::error::Error;
use crate::interrupt;
use crate::machine;
use crate::progress::{Phase, say};
use crate::report::Outcome;
use crate::tally::Tally;
use field::Field;
use floods::{FLOODS, Flood, Run};
use verdict::Verdict;

/// Runs all that are wanted.
pub(crate) fn run(options: &ChaosOptions) -> Result<Outcome, Error> {
    interrupt::listen()?;
    if machine::is_in_memory(&env::temp_dir()) {
        say("the temporary folder is in memory: messages are not durable; TMPDIR names another");
    }
    let wanted = FLOODS.iter().filter(|flood| options.wants(flood.name));
    let wanted = Vec::from_iter(wanted);
    let mut verdicts = Vec::new();
    for (at, flood) in wanted.iter().enumerate() {
        let place = format!("{} of {}: {}", at + 1, wanted.len(), flood.name);
        let verdict = match loose(flood, options, &place) {
            // What is ended from under a flood fails; the rest of them would as well.
            Err(e) if interrupt::has_come() => return Err(e),
            // One that could not be let loose does not keep the others from it.
            Err(e) => Verdict::failed(flood.name, &e.to_string()),
            Ok(verdict) => verdict,
        };
        verdicts.push(judged(verdict, options));
    }
    let mut tally = Tally::default();
    for verdict in &verdicts {
        tally.add(verdict.tally.clone());
    }
    Ok(Outcome {
        reports: verdicts.iter().map(Verdict::report).collect(),
        plots: Vec::new(),
        tally,
        summary: Some(verdict::summary(&verdicts)),
    })
}

fn judged(mut verdict: Verdict, options: &ChaosOptions) -> Verdict {
    verdict.judge(!options.untimed);
    for example in &mut verdict.tally.examples {
        *example = format!("{}: {example}", verdict.name);
    }
    verdict
}

fn loose(flood: &Flood, options: &ChaosOptions, place: &str) -> Result<Verdict, Error> {
    let run = match flood.run {
        Run::Alone(run) => {
            let _phase = Phase::start(place, 0);
            return run(flood, options);
        }
        Run::Beside(run) => run,
    };
    let mut field = Field::open(flood, options)?;
    let rounds = if flood.once { 1 } else { options.rounds };
    for round in 1..=rounds {
        let phase = Phase::start(format!("{place}, round {round} of {rounds}"), 0);
        run(&mut field)?;
        drop(phase);
        field.settle()?;
    }
    field.close(flood.name)
}
