//! Polls that a run parks, and the message that wakes them: what all measurements with polls begin with.

use std::time::Instant;

use crate::crew::Crew;
use crate::error::Error;
use crate::plan::Plan;
use crate::plot::{Axis, Line, Plot, Scale, Unit};
use crate::progress::Phase;
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::Subject;

/// Readings of memory while parking, about.
const SAMPLES: u64 = 50;

/// Polls that are parked.
pub(crate) struct Parked {
    /// Those who hold them.
    pub(crate) crew: Crew,
    /// Connections that live once the server has read all polls: those that it refused do not.
    pub(crate) live: u64,
    /// When the server had read all of them.
    pub(crate) ended: Instant,
    /// The server's memory by polls: those written, of which up to a thousand may still be on their way.
    pub(crate) memory: Vec<(f64, f64)>,
}

/// Parks all polls of a plan.
pub(crate) fn park(
    subject: &Subject,
    setup: &mut Setup,
    plan: &Plan,
    processes: u64,
) -> Result<Parked, Error> {
    let polls = plan.polls;
    let phase = Phase::start(format!("parking {polls} polls"), polls);
    let mut memory = Vec::new();
    let sample = |started: u64, memory: &mut Vec<(f64, f64)>| {
        // A server that cannot be read now fails the run at its next reading.
        let now = subject.process.as_ref().and_then(|p| p.memory().ok());
        memory.extend(now.map(|now| (started as f64, now.pss as f64)));
    };
    sample(0, &mut memory);
    let mut next = 0;
    let mut crew = Crew::start(plan, processes)?;
    let written = crew.open(|started| {
        phase.at(started);
        if started > next && started < polls {
            next = started + polls / SAMPLES;
            sample(started, &mut memory);
        }
    })?;
    let ended = settle(&subject.hops(), written, &mut setup.admin)?;
    let live = crew.live()?;
    sample(polls, &mut memory);
    Ok(Parked {
        crew,
        live,
        ended,
        memory,
    })
}

/// The server's memory by parked polls.
pub(crate) fn memory_plot(memory: Vec<(f64, f64)>) -> Plot {
    Plot {
        title: "Memory while polls park".into(),
        note: "The server's PSS. The steeper the line, the more each costs.".into(),
        x: Axis {
            label: "parked polls",
            unit: Unit::Count,
            scale: Scale::Linear,
        },
        y: Axis {
            label: "PSS",
            unit: Unit::Bytes,
            scale: Scale::Linear,
        },
        lines: vec![Line::new("PSS", memory)],
    }
}
