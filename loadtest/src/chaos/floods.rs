//! All floods, in the order in which they are let loose.

use std::thread;
use std::time::Duration;

use super::field::Field;
use super::options::ChaosOptions;
use super::verdict::Verdict;
use super::{
    deaf, files, half_bodies, half_closed, kills, logins, pipelines, queue, reads, registrations,
    silent, slow, vanish,
};
use crate::error::Error;

/// One flood.
pub(crate) struct Flood {
    /// Its name, for `--only` and the table.
    pub(crate) name: &'static str,
    /// What the server is started with.
    pub(crate) server: fn(&ChaosOptions) -> Vec<String>,
    /// The limit on open files that the server is started with; that of this program otherwise.
    pub(crate) files: Option<u64>,
    /// Whether it comes once only; else as often as is asked for.
    pub(crate) once: bool,
    /// What it does.
    pub(crate) run: Run,
}

/// What a flood does.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// It is let loose once for each round, with the polite client beside it.
    Beside(fn(&mut Field<'_>) -> Result<(), Error>),
    /// It needs servers of its own, and nobody can be beside it.
    Alone(fn(&Flood, &ChaosOptions) -> Result<Verdict, Error>),
}

/// The options of a flood that asks for none.
fn plain(_: &ChaosOptions) -> Vec<String> {
    Vec::new()
}

/// Nobody misbehaves: how long the polite client waits on this machine in any case.
fn calm(field: &mut Field<'_>) -> Result<(), Error> {
    thread::sleep(CALM);
    field.count("s without any flood", CALM.as_secs());
    Ok(())
}

const CALM: Duration = Duration::from_secs(5);

const fn flood(name: &'static str, run: fn(&mut Field<'_>) -> Result<(), Error>) -> Flood {
    Flood {
        name,
        server: plain,
        files: None,
        once: false,
        run: Run::Beside(run),
    }
}

/// All of them.
pub(crate) const FLOODS: [Flood; 18] = [
    Flood {
        once: true,
        ..flood("calm", calm)
    },
    Flood {
        server: slow::server,
        ..flood("slow-heads", slow::heads)
    },
    Flood {
        server: slow::server,
        ..flood("slow-bodies", slow::bodies)
    },
    Flood {
        server: half_bodies::server,
        ..flood("half-bodies", half_bodies::run)
    },
    Flood {
        server: deaf::server,
        ..flood("deaf", deaf::run)
    },
    flood("long-lists", deaf::and_read),
    flood("reads", reads::run),
    flood("vanish", vanish::in_turn),
    flood("gone-at-once", vanish::at_once),
    flood("half-closed", half_closed::run),
    Flood {
        server: silent::server,
        once: true,
        ..flood("silent", silent::run)
    },
    flood("pipelines", pipelines::run),
    Flood {
        server: logins::server,
        ..flood("logins", logins::run)
    },
    Flood {
        server: logins::server,
        ..flood("registrations", registrations::run)
    },
    Flood {
        server: queue::server,
        ..flood("queue", queue::run)
    },
    Flood {
        once: true,
        ..flood("files", files::taken_away)
    },
    Flood {
        files: Some(files::FEW),
        once: true,
        ..flood("few-files", files::few_from_the_start)
    },
    Flood {
        name: "followers-and-kills",
        server: plain,
        files: None,
        once: true,
        run: Run::Alone(kills::run),
    },
];
