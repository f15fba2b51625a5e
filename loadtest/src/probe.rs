//! Somebody else: a few connections that ask another chatroom something at a steady rate while a run goes on, to see how long they wait.
//!
//! It runs in a thread of this process. Where it may, it asks the kernel to be preferred, so that it does not stand in the queue behind this
//! program's own workers; how late it was itself is told beside its latencies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use crate::askers::{self, Askers, Found, Pace, Until};
use crate::error::Error;
use crate::gets::Gets;
use crate::plot::{Axis, Line, Plot, Scale, Unit, moments};
use crate::report::Report;
use crate::rps;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::swarm::Swarm;

/// Connections: enough that one is free while others wait for the length of a wake.
const CONNECTIONS: u64 = 64;
/// The priority that is asked for: the first third of the way to the most favoured.
const NICE: i32 = -10;

/// A probe that runs. Dropped, it ends.
pub(crate) struct Probe {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Found, Error>>>,
}

impl Probe {
    /// Begins to ask chatroom `room`, `rate` times a second.
    pub(crate) fn start(
        subject: &Subject,
        setup: &Setup,
        room: u64,
        rate: u64,
    ) -> Result<Self, Error> {
        let gets = Gets::messages(&subject.target, &setup.sessions, room);
        let askers = Askers::new(gets, Pace::of(Some(rate)), CONNECTIONS as usize, true);
        let layout = rps::layout(subject, setup, CONNECTIONS);
        let over = Arc::new(AtomicBool::new(false));
        let (flag, patience) = (Arc::clone(&over), subject.patience);
        let (open, opened) = mpsc::channel();
        let thread = thread::spawn(move || {
            be_preferred();
            let mut swarm = Swarm::new(layout, askers).map_err(Error::io("open an epoll loop"))?;
            askers::open(&mut swarm, CONNECTIONS as usize)?;
            // Whoever waits for it has failed where it is gone.
            let _ = open.send(());
            askers::drive(&mut swarm, Until::Flag(&flag), patience, |_| {})?;
            let (_, found) = swarm.into_role().into_parts();
            Ok(found)
        });
        // Where nothing comes, the thread has failed, and tells why at the end.
        let _ = opened.recv();
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }

    /// Ends it; what it found.
    pub(crate) fn end(mut self) -> Result<Found, Error> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        match thread {
            Some(Ok(found)) => found,
            _ => Err(Error::Worker("the probe failed".into())),
        }
    }
}

/// Asks the kernel to prefer the calling thread.
pub(crate) fn be_preferred() {
    // Of this thread alone; refused without a privilege, which is no failure.
    let _ = rustix::process::nice(NICE);
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What the probe found, as figures.
pub(crate) fn report(found: &Found, report: &mut Report) {
    report.quantiles("probe", "another chatroom's answer", &found.latencies);
    let late = crate::report::Figure::Nanos(found.late.value_at_quantile(0.99));
    report.add("probe_late_p99_ns", "the probe's own lateness p99", late);
}

/// What the probe found, as a plot over time; `from_ns` is its zero.
pub(crate) fn plot(found: &Found, from_ns: u64) -> Plot {
    let trace = found.trace.as_deref().unwrap_or_default();
    Plot {
        title: "Another chatroom's answers meanwhile".into(),
        note: "Of all answers of a moment, the slowest, counted from its start on the schedule."
            .into(),
        x: Axis {
            label: "seconds",
            unit: Unit::Seconds,
            scale: Scale::Linear,
        },
        y: Axis {
            label: "time to the answer",
            unit: Unit::Nanos,
            scale: Scale::Log,
        },
        lines: vec![Line {
            is_dotted: true,
            ..Line::new("answers", moments(trace, from_ns))
        }],
    }
}
