//! Very many polls that wait: what one costs in memory, what all cost in CPU, and whether each is woken exactly once.
//!
//! The server's memory is read after users and chatrooms are made and before the first poll connects, so the difference
//! holds what polls cost and nothing else. While the polls wait, no process of this program runs: what the server does
//! then it does by itself.

use std::thread;
use std::time::{Duration, Instant};

use crate::crew::Crew;
use crate::error::Error;
use crate::options::IdleOptions;
use crate::parking::{Parked, memory_plot, park};
use crate::plot::{Line, Plot};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report, nanos};
use crate::rps::POINTS_MAX;
use crate::server_stats::Reading;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::tally::Tally;
use crate::told::Told;

/// After the last wake: a second answer to the same poll would come in this time.
const ENCORE: Duration = Duration::from_millis(500);
/// How long the server may take to notice that all have gone, at least.
const LEAVING_MAX: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(20);

/// Readings of the server at the turns of a run.
struct Readings {
    before: Reading,
    parked: Reading,
    held: Reading,
    woken: Reading,
    gone: Reading,
}

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &IdleOptions) -> Result<Outcome, Error> {
    let mut setup = Setup::new(subject, options.polls)?;
    let chatrooms = setup.chatrooms(options.chatrooms)?;
    let before = subject.read()?;

    let started = Instant::now();
    let plan = setup.plan(chatrooms.clone(), options.polls, false);
    let parked = park(subject, &mut setup, &plan, options.processes)?;
    let parking = parked.ended - started;
    let Parked {
        mut crew,
        live,
        memory,
        ..
    } = parked;
    let parked = subject.read()?;

    hold(options.hold);
    let held = subject.read()?;

    let waking = Instant::now();
    let mut told = wake(&mut crew, &mut setup, &chatrooms, subject.patience)?;
    let waking = waking.elapsed().saturating_sub(ENCORE);
    let woken = subject.read()?;

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(options.polls));
    report.add("chatrooms", "chatrooms", Figure::Count(options.chatrooms));
    let processes = crew.processes() as u64;
    report.add("processes", "client processes", Figure::Count(processes));
    report.add("parked", "parked polls", Figure::Count(live));
    let rate = live as f64 / parking.as_secs_f64();
    report.add("parks_per_second", "parked", Figure::PerSecond(rate));
    crew.leave()?;
    let gone = leaving(subject, &before)?;
    if subject.process.is_some() {
        let readings = Readings {
            before,
            parked,
            held,
            woken,
            gone,
        };
        readings.report(live, options.hold, &mut report);
    }
    report.add("woken", "woken", Figure::Count(told.delivered));
    report.add("waking_ns", "all messages, all wakes", nanos(waking));
    report.quantiles("wake", "send to wake", &told.latencies);

    let missing = options.polls.saturating_sub(told.delivered);
    let what = || format!("{missing} polls were not woken");
    told.tally.missing(missing, what);
    let plots = plots(subject, memory, &told);
    Ok(Outcome::one(report, plots, told.tally))
}

fn plots(subject: &Subject, memory: Vec<(f64, f64)>, told: &Told) -> Vec<Plot> {
    let mut plots = Vec::new();
    if subject.process.is_some() {
        plots.push(memory_plot(memory));
    }
    plots.push(Plot::latencies(
        "Send to wake",
        &[("wakes", &told.latencies)],
    ));
    let rates = told.series.rates(told.series.first_ns(), POINTS_MAX);
    let lines = vec![Line::new("wakes", rates)];
    plots.push(Plot::over_time("Wakes over time", "wakes", lines));
    plots
}

fn hold(time: Duration) {
    let _phase = Phase::start(format!("holding for {} s", time.as_secs()), 0);
    thread::sleep(time);
}

/// Sends one message to each chatroom and hears whom it woke.
fn wake(
    crew: &mut Crew,
    setup: &mut Setup,
    chatrooms: &[u64],
    patience: Duration,
) -> Result<Told, Error> {
    let what = format!("waking {} chatrooms", chatrooms.len());
    let phase = Phase::start(what, chatrooms.len() as u64);
    let mut tally = Tally::default();
    for (sent, chatroomid) in (1..).zip(chatrooms) {
        setup.send(*chatroomid, Some(1), &mut tally)?;
        phase.at(sent);
    }
    crew.woken(Instant::now() + patience)?;
    thread::sleep(ENCORE);
    let mut told = crew.tell()?;
    told.tally.add(tally);
    Ok(told)
}

/// Waits until the server has closed what its clients have.
pub(crate) fn leaving(subject: &Subject, before: &Reading) -> Result<Reading, Error> {
    let _phase = Phase::start("waiting until all have gone", 0);
    let until = Instant::now() + subject.patience.max(LEAVING_MAX);
    loop {
        let gone = subject.read()?;
        if gone.files <= before.files || Instant::now() > until {
            return Ok(gone);
        }
        thread::sleep(STEP);
    }
}

impl Readings {
    /// What each of `polls` that were parked costs: one that was refused must not make the others look cheaper.
    fn report(&self, polls: u64, hold: Duration, report: &mut Report) {
        self.memory(polls, report);
        self.idleness(hold, report);
        let park_ns = self.parked.cpu_ns_since(&self.before) / polls.max(1);
        let label = "CPU to accept and park one";
        report.add("cpu_per_park_ns", label, Figure::Nanos(park_ns));
        let wake_ns = self.woken.cpu_ns_since(&self.held) / polls.max(1);
        report.add(
            "cpu_per_wake_ns",
            "CPU for each wake",
            Figure::Nanos(wake_ns),
        );
        for (key, label, reading) in [
            ("files_before", "files before", self.before),
            ("files_parked", "files parked", self.parked),
            ("files_gone", "files after all have gone", self.gone),
        ] {
            report.add(key, label, Figure::Count(reading.files));
        }
        for (name, reading) in [
            ("before", self.before),
            ("parked", self.parked),
            ("held", self.held),
            ("woken", self.woken),
            ("gone", self.gone),
        ] {
            report.detail(name, reading.to_json());
        }
    }

    fn memory(&self, polls: u64, report: &mut Report) {
        let (before, parked, gone) = (&self.before.memory, &self.parked.memory, &self.gone.memory);
        report.add("pss_before_bytes", "PSS before", Figure::Bytes(before.pss));
        report.add("pss_parked_bytes", "PSS parked", Figure::Bytes(parked.pss));
        let label = "PSS after all have gone";
        report.add("pss_gone_bytes", label, Figure::Bytes(gone.pss));
        let (dirty, dirty_before) = (parked.private_dirty, before.private_dirty);
        for (key, label, later, earlier) in [
            ("pss_per_poll", "PSS for each poll", parked.pss, before.pss),
            ("rss_per_poll", "RSS for each poll", parked.rss, before.rss),
            (
                "private_dirty_per_poll",
                "private dirty for each poll",
                dirty,
                dirty_before,
            ),
        ] {
            let each = (later as f64 - earlier as f64) / polls.max(1) as f64;
            report.add(key, label, Figure::BytesEach(each));
        }
    }

    fn idleness(&self, hold: Duration, report: &mut Report) {
        let cpu_ns = self.held.cpu_ns_since(&self.parked);
        let share = cpu_ns as f64 / hold.as_nanos() as f64;
        report.add("idle_cpu", "CPU while idle", Figure::Cpu(share));
        let ticks_ms = self.held.cpu_ms().saturating_sub(self.parked.cpu_ms());
        report.detail("idle_cpu_ms", ticks_ms.into());
        let (from, to) = (&self.parked.switches, &self.held.switches);
        let voluntary = to.voluntary.saturating_sub(from.voluntary);
        let involuntary = to.involuntary.saturating_sub(from.involuntary);
        for (key, label, count) in [
            (
                "idle_voluntary_switches",
                "voluntary switches while idle",
                voluntary,
            ),
            (
                "idle_involuntary_switches",
                "involuntary switches while idle",
                involuntary,
            ),
        ] {
            report.add(key, label, Figure::Count(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server_stats::Memory;

    #[test]
    fn what_was_refused_makes_no_poll_cheaper() {
        let reading = |bytes: u64| Reading {
            memory: Memory {
                pss: bytes,
                rss: bytes,
                private_dirty: bytes,
            },
            ..Reading::default()
        };
        let (before, parked) = (reading(1_000), reading(6_000));
        let readings = Readings {
            before,
            parked,
            held: parked,
            woken: parked,
            gone: before,
        };
        for (polls, each) in [(50, 100.0), (1, 5_000.0), (0, 5_000.0)] {
            let mut report = Report::default();
            readings.report(polls, Duration::from_secs(1), &mut report);
            assert_eq!(report.value("private_dirty_per_poll"), Some(each));
        }
    }
}
