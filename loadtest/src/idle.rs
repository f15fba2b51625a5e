//! Very many polls that wait: what one costs in memory, what all cost in CPU, and whether each is woken exactly once.
//!
//! The server's memory is read after users and chatrooms are made and before the first poll connects, so the difference
//! holds what polls cost and nothing else. While the polls wait, no process of this program runs: what the server does
//! then it does by itself.

use std::thread;
use std::time::{Duration, Instant};

use crate::crew::{Crew, Told};
use crate::error::Error;
use crate::pollers;
use crate::progress::Phase;
use crate::report::{Figure, Report};
use crate::server_stats::{Process, Reading, read};
use crate::settle::settle;
use crate::setup::Setup;
use crate::tally::Tally;
use crate::{IdleOptions, ServerOptions};

/// After the last wake: a second answer to the same poll would come in this time.
const ENCORE: Duration = Duration::from_millis(500);
/// How long the server may take to notice that all have gone.
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

/// Runs it; the figures and all that went wrong.
pub(crate) fn run(
    server: &ServerOptions,
    options: &IdleOptions,
    process: Option<&Process>,
) -> Result<(Report, Tally), Error> {
    let mut setup = Setup::new(&server.url, options.polls)?;
    let chatrooms = setup.chatrooms(options.chatrooms)?;
    let before = read(process)?;

    let started = Instant::now();
    let (mut crew, ended) = park(server, options, &mut setup, &chatrooms)?;
    let parking = ended - started;
    let parked = read(process)?;

    hold(options.hold);
    let held = read(process)?;

    let waking = Instant::now();
    let told = wake(&mut crew, &mut setup, &chatrooms, server.patience)?;
    let waking = waking.elapsed().saturating_sub(ENCORE);
    let woken = read(process)?;

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(options.polls));
    report.add("chatrooms", "chatrooms", Figure::Count(options.chatrooms));
    let processes = crew.processes() as u64;
    report.add("processes", "client processes", Figure::Count(processes));
    let rate = options.polls as f64 / parking.as_secs_f64();
    report.add("parks_per_second", "parked", Figure::PerSecond(rate));
    crew.leave()?;
    let gone = leaving(process, &before)?;
    if process.is_some() {
        let readings = Readings {
            before,
            parked,
            held,
            woken,
            gone,
        };
        readings.report(options, &mut report);
    }
    wakes(&told, waking, &mut report);

    let mut tally = told.tally;
    let missing = options.polls.saturating_sub(told.delivered);
    tally.missing(missing, || format!("{missing} polls were not woken"));
    report.faults(&tally);
    Ok((report, tally))
}

/// Parks all polls; when the server had read them.
fn park(
    server: &ServerOptions,
    options: &IdleOptions,
    setup: &mut Setup,
    chatrooms: &[u64],
) -> Result<(Crew, Instant), Error> {
    let polls = options.polls;
    let phase = Phase::start(format!("parking {polls} polls"), polls);
    let plan = setup.plan(chatrooms.to_vec(), polls, false);
    let mut crew = Crew::start(&plan, options.processes)?;
    let live = crew.open(|started| phase.at(started))?;
    let ended = settle(server.url.addr, live, &mut setup.admin)?;
    Ok((crew, ended))
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
        let text = pollers::text(&setup.run);
        let last = setup.admin.send(*chatroomid, &text)?;
        if (last.id, &last.text) != (1, &text) {
            tally.unexpected(|| format!("the first message of {chatroomid} was answered {last:?}"));
        }
        phase.at(sent);
    }
    crew.woken(Instant::now() + patience)?;
    thread::sleep(ENCORE);
    let mut told = crew.tell()?;
    told.tally.add(tally);
    Ok(told)
}

/// Waits until the server has closed what its clients have.
fn leaving(process: Option<&Process>, before: &Reading) -> Result<Reading, Error> {
    let _phase = Phase::start("waiting until all have gone", 0);
    let until = Instant::now() + LEAVING_MAX;
    loop {
        let gone = read(process)?;
        if gone.files <= before.files || Instant::now() > until {
            return Ok(gone);
        }
        thread::sleep(STEP);
    }
}

fn wakes(told: &Told, waking: Duration, report: &mut Report) {
    report.add("woken", "woken", Figure::Count(told.delivered));
    let nanos = u64::try_from(waking.as_nanos()).unwrap_or(u64::MAX);
    report.add("waking_ns", "all messages, all wakes", Figure::Nanos(nanos));
    for (key, label, quantile) in [
        ("wake_p50_ns", "send to wake, median", 0.5),
        ("wake_p99_ns", "send to wake, 99th", 0.99),
        ("wake_max_ns", "send to wake, last", 1.0),
    ] {
        let value = told.latencies.value_at_quantile(quantile);
        report.add(key, label, Figure::Nanos(value));
    }
}

impl Readings {
    fn report(&self, options: &IdleOptions, report: &mut Report) {
        self.memory(options.polls, report);
        self.idleness(options.hold, report);
        let wake_ns = self.woken.cpu_ns_since(&self.held) / options.polls.max(1);
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
            let each = (later as f64 - earlier as f64) / polls as f64;
            report.add(key, label, Figure::BytesEach(each));
        }
    }

    fn idleness(&self, hold: Duration, report: &mut Report) {
        let cpu_ns = self.held.cpu_ns_since(&self.parked);
        let share = cpu_ns as f64 / hold.as_nanos() as f64;
        report.add("idle_cpu", "CPU while idle", Figure::Cpu(share));
        let ticks_ms = self.held.cpu_ms.saturating_sub(self.parked.cpu_ms);
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
