//! Connections that ask and wait for the answer: in closed loop each asks again at once, in open loop the schedule says when.
//!
//! In open loop a request has its start on the schedule, `rate` of them a second, whether a connection is free or not, and its latency
//! counts from there: a server that stalls is charged for all that should have been asked meanwhile, not for one
//! request of each connection (which is called coordinated omission). How late this program itself was, though a connection was free, is
//! told beside it: where that is not small, the latencies are not the server's.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::{latencies, now_ns};
use crate::error::Error;
use crate::http::Answer;
use crate::series::Series;
use crate::swarm::{Broken, Next, Role, Swarm};
use crate::tally::Tally;

/// The longest wait for events before the time is looked at.
const TURN: Duration = Duration::from_millis(50);
/// How long connecting may take.
const OPENING_MAX: Duration = Duration::from_secs(60);

/// What is asked, and what an answer has to be.
pub(crate) trait Work {
    /// Appends the next request of connection `at` to `out`; its latency counts from `start_ns`.
    fn request(&mut self, at: usize, start_ns: u64, out: &mut Vec<u8>);
    /// Checks the answer; whether it is a success, whose latency counts.
    fn answered(&mut self, at: usize, answer: &Answer<'_>, tally: &mut Tally) -> bool;
}

/// When requests start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as the last one of the connection is answered.
    Closed,
    /// This many a second over all connections, evenly.
    Open {
        /// The time between two.
        period_ns: u64,
    },
}

impl Pace {
    /// Open where a rate is given.
    pub(crate) fn of(rate: Option<u64>) -> Self {
        rate.map_or(Self::Closed, |rate| Self::Open {
            period_ns: 1_000_000_000 / rate.max(1),
        })
    }
}

/// The connections and what they have found.
pub(crate) struct Askers<W> {
    /// What they ask.
    pub(crate) work: W,
    pace: Pace,
    /// Connections that rest, and since when.
    idle: Vec<(usize, u64)>,
    /// By connection: when its request started, 0 where none is under way.
    start_ns: Vec<u64>,
    /// Connections that wait for an answer.
    waiting: u64,
    /// No more requests.
    over: bool,
    /// When the next request starts, in open loop.
    next_ns: u64,
    found: Found,
}

/// What the answers brought.
pub(crate) struct Found {
    /// From the start to the answer.
    pub(crate) latencies: Histogram<u64>,
    /// In open loop, from a request's start on the schedule to its writing, where a connection was free.
    pub(crate) late: Histogram<u64>,
    /// When the answers came.
    pub(crate) series: Series,
    /// Each answer's time and latency, where that was asked for.
    pub(crate) trace: Option<Vec<(u64, u64)>>,
    /// What went wrong.
    pub(crate) tally: Tally,
    /// When the first request started.
    pub(crate) began_ns: u64,
    /// From the first request's start to the last answer.
    pub(crate) took: Duration,
}

impl<W: Work> Askers<W> {
    /// Connections that will ask as `pace` says; with `traces`, each answer is kept.
    pub(crate) fn new(work: W, pace: Pace, connections: usize, traces: bool) -> Self {
        Self {
            work,
            pace,
            idle: Vec::with_capacity(connections),
            start_ns: vec![0; connections],
            waiting: 0,
            over: false,
            next_ns: 0,
            found: Found {
                latencies: latencies(),
                late: latencies(),
                series: Series::default(),
                trace: traces.then(Vec::new),
                tally: Tally::default(),
                began_ns: 0,
                took: Duration::ZERO,
            },
        }
    }

    /// What the answers brought.
    pub(crate) fn into_parts(self) -> (W, Found) {
        (self.work, self.found)
    }

    fn is_closed(&self) -> bool {
        self.pace == Pace::Closed
    }

    /// What has no answer at the end: what was asked, and what had its start on the schedule before `end_ns` and found no connection free. Who
    /// did not hear of the latter would take the latencies of the rest for those of all.
    fn count_missing(&mut self, end_ns: u64) {
        let missing = self.waiting;
        let what = || format!("{missing} requests are without an answer");
        self.found.tally.missing(missing, what);
        if let Pace::Open { period_ns } = self.pace {
            let missing = end_ns.saturating_sub(self.next_ns).div_ceil(period_ns);
            let what = || format!("{missing} requests of the schedule were never asked");
            self.found.tally.missing(missing, what);
        }
    }

    fn no_longer_waiting(&mut self, at: usize) -> u64 {
        let start_ns = std::mem::take(&mut self.start_ns[at]);
        self.waiting -= u64::from(start_ns != 0);
        start_ns
    }
}

impl<W: Work> Role for Askers<W> {
    fn opened(&mut self, at: usize) -> Next {
        self.idle.push((at, now_ns()));
        Next::Rest
    }

    fn request(&mut self, at: usize, out: &mut Vec<u8>) {
        let now_ns = now_ns();
        let start_ns = match self.pace {
            Pace::Closed => now_ns,
            Pace::Open { .. } => self.next_ns,
        };
        self.start_ns[at] = start_ns;
        self.waiting += 1;
        self.work.request(at, start_ns, out);
    }

    fn answered(&mut self, at: usize, answer: &Answer<'_>, now_ns: u64) -> Next {
        let start_ns = self.no_longer_waiting(at);
        let found = &mut self.found;
        if self.work.answered(at, answer, &mut found.tally) {
            let latency = now_ns.saturating_sub(start_ns).max(1);
            found.latencies.saturating_record(latency);
            found.series.count(now_ns);
            if let Some(trace) = &mut found.trace {
                trace.push((now_ns, latency));
            }
        }
        if self.is_closed() && !self.over {
            return Next::Ask;
        }
        self.idle.push((at, now_ns));
        Next::Rest
    }

    fn broken(&mut self, at: usize, why: Broken) {
        self.no_longer_waiting(at);
        self.idle.retain(|(idle, _)| *idle != at);
        if !matches!(why, Broken::Closed { resting: true }) {
            self.found
                .tally
                .unexpected(|| format!("a connection that asks broke: {why}"));
        }
    }
}

/// How long the connections ask.
pub(crate) enum Until<'a> {
    /// For this long.
    Time(Duration),
    /// Until this is set.
    Flag(&'a AtomicBool),
}

/// Waits until every connection is open.
pub(crate) fn open<W: Work>(swarm: &mut Swarm<Askers<W>>, count: usize) -> Result<(), Error> {
    let until_ns = now_ns() + nanos(OPENING_MAX);
    while swarm.started() < count {
        turn(swarm, TURN)?;
        if now_ns() > until_ns {
            let what = "open connections within a minute";
            return Err(Error::io(what)(io::ErrorKind::TimedOut.into()));
        }
    }
    Ok(())
}

/// Lets them ask, then waits for the last answers, but no longer than `patience`. `progress` hears now and then how long it
/// has been going on.
pub(crate) fn drive<W: Work>(
    swarm: &mut Swarm<Askers<W>>,
    until: Until<'_>,
    patience: Duration,
    mut progress: impl FnMut(Duration),
) -> Result<(), Error> {
    let began_ns = now_ns();
    let askers = swarm.role();
    (askers.found.began_ns, askers.next_ns) = (began_ns, began_ns);
    if askers.is_closed() {
        for (at, _) in std::mem::take(&mut askers.idle) {
            swarm.wake(at);
        }
    }
    let mut over_ns = None;
    loop {
        let now_ns = now_ns();
        let took = Duration::from_nanos(now_ns - began_ns);
        progress(took);
        let end_ns = match until {
            Until::Time(time) => began_ns + nanos(time),
            Until::Flag(flag) if flag.load(Ordering::Relaxed) => *over_ns.get_or_insert(now_ns),
            Until::Flag(_) => u64::MAX,
        };
        let wait = start_due(swarm, now_ns, end_ns);
        let askers = swarm.role();
        askers.over = now_ns >= end_ns;
        let overdue = now_ns > end_ns.saturating_add(nanos(patience));
        if overdue || (askers.over && wait.is_none() && askers.waiting == 0) {
            askers.found.took = took;
            askers.count_missing(end_ns);
            return Ok(());
        }
        turn(swarm, wait.unwrap_or(TURN).min(TURN))?;
    }
}

/// In open loop: starts what is due by now. How long to wait for what comes next; `None` where nothing is left to start.
fn start_due<W: Work>(swarm: &mut Swarm<Askers<W>>, now_ns: u64, end_ns: u64) -> Option<Duration> {
    let Pace::Open { period_ns } = swarm.role().pace else {
        return None;
    };
    loop {
        let askers = swarm.role();
        if askers.next_ns >= end_ns {
            return None;
        }
        if askers.next_ns > now_ns {
            return Some(Duration::from_nanos(askers.next_ns - now_ns));
        }
        // With none idle the request starts all the same: its latency grows until one is.
        let Some((at, since_ns)) = askers.idle.pop() else {
            return Some(TURN);
        };
        let late = now_ns.saturating_sub(askers.next_ns.max(since_ns));
        askers.found.late.saturating_record(late.max(1));
        swarm.wake(at);
        swarm.role().next_ns += period_ns;
    }
}

fn turn<W: Work>(swarm: &mut Swarm<Askers<W>>, wait: Duration) -> Result<(), Error> {
    swarm.turn(Some(wait)).map_err(Error::io("wait for events"))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks nothing; every second answer is a failure.
    struct Counting(u64);

    impl Work for Counting {
        fn request(&mut self, at: usize, _start_ns: u64, out: &mut Vec<u8>) {
            out.push(at as u8);
        }
        fn answered(&mut self, _at: usize, answer: &Answer<'_>, tally: &mut Tally) -> bool {
            self.0 += 1;
            if answer.status != 200 {
                tally.unexpected(|| "refused".into());
            }
            answer.status == 200
        }
    }

    fn answer(status: u16) -> Answer<'static> {
        Answer {
            status,
            body: b"",
            close: false,
            len: 0,
            again: false,
        }
    }

    #[test]
    fn in_closed_loop_an_answer_is_followed_by_a_question() {
        let mut askers = Askers::new(Counting(0), Pace::Closed, 2, true);
        assert_eq!(askers.opened(0), Next::Rest);
        let mut out = Vec::new();
        askers.request(0, &mut out);
        assert_eq!((askers.waiting, &out[..]), (1, &[0][..]));
        assert_eq!(askers.answered(0, &answer(200), now_ns()), Next::Ask);
        askers.request(0, &mut out);
        askers.over = true;
        assert_eq!(askers.answered(0, &answer(500), now_ns()), Next::Rest);
        let (work, found) = askers.into_parts();
        assert_eq!((work.0, found.latencies.len()), (2, 1));
        assert_eq!((found.tally.unexpected, found.trace.unwrap().len()), (1, 1));
    }

    #[test]
    fn in_open_loop_latency_counts_from_the_schedule() {
        let mut askers = Askers::new(Counting(0), Pace::of(Some(1000)), 1, false);
        assert_eq!(
            askers.pace,
            Pace::Open {
                period_ns: 1_000_000
            }
        );
        askers.next_ns = 500;
        askers.request(0, &mut Vec::new());
        assert_eq!(askers.answered(0, &answer(200), 1_500), Next::Rest);
        assert_eq!(askers.found.latencies.max(), 1_000);
    }

    #[test]
    fn what_the_schedule_had_and_nobody_asked_is_missing() {
        let mut askers = Askers::new(Counting(0), Pace::of(Some(1000)), 1, false);
        askers.next_ns = 5_000_000;
        askers.request(0, &mut Vec::new());
        askers.next_ns += 1_000_000;
        askers.count_missing(9_000_001);
        assert_eq!(askers.found.tally.missing, 1 + 4);
        let mut askers = Askers::new(Counting(0), Pace::Closed, 1, false);
        askers.count_missing(u64::MAX);
        assert!(askers.found.tally.is_clean());
    }

    #[test]
    fn who_breaks_waits_no_longer() {
        let mut askers = Askers::new(Counting(0), Pace::Closed, 2, false);
        askers.opened(1);
        askers.request(0, &mut Vec::new());
        askers.broken(0, Broken::Closed { resting: false });
        askers.broken(1, Broken::Closed { resting: true });
        assert_eq!((askers.waiting, askers.idle.len()), (0, 0));
        assert_eq!(askers.found.tally.unexpected, 1);
    }
}
