//! One chatroom, many polls: how fast a message reaches all of them, again and again.
//!
//! Each message is sent only once every poll is parked again ([`crate::settle`] says how that is known), so none
//! meets a poll on its way back. Those woken first do ask again while the last are yet to be woken, as
//! clients do: a time to the last delivery holds the server's work for both; with `--rest` they come back when the last is woken, and
//! CPU is looked at before they do. A delivery's time runs from just before the send request is written to
//! the moment its answer is read from the poll's socket; it ends in another process, on the same clock.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::askers::Found;
use crate::clock::{latencies, now_ns};
use crate::crew::Crew;
use crate::error::Error;
use crate::options::FanoutOptions;
use crate::parking::{Parked, park};
use crate::plot::{Line, Plot};
use crate::probe::{self, Probe};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::rps::POINTS_MAX;
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::{Seen, Subject};
use crate::tally::Tally;
use crate::told::Told;

/// What the messages' rounds bring, summed up.
struct Rounds {
    all: Told,
    /// By message: from the send to the first delivery, to half of them, to 99 of 100, to the last, and to the sender's answer.
    first: Histogram<u64>,
    median: Histogram<u64>,
    p99: Histogram<u64>,
    last: Histogram<u64>,
    answer: Histogram<u64>,
    /// The sum of the times to the last delivery.
    delivering_ns: u64,
    /// The server's CPU from each send to its last delivery, where polls rest.
    resting_cpu_ns: u64,
}

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &FanoutOptions) -> Result<Outcome, Error> {
    let polls = options.polls;
    let mut setup = Setup::new(subject, polls)?;
    let chatrooms = setup.chatrooms(2)?;
    let (room, other) = (chatrooms[0], chatrooms[1]);
    let plan = setup.plan(vec![room], polls, !options.rest);
    let Parked { mut crew, live, .. } = park(subject, &mut setup, &plan, options.processes)?;
    setup.send(other, Some(1), &mut Tally::default())?;
    let probe = options.probe_rate;
    let probe = probe.map(|rate| Probe::start(subject, &setup, other, rate));
    let probe = probe.transpose()?;

    let (began, began_ns) = (Instant::now(), now_ns());
    let watch = subject.watch()?;
    let mut rounds = Rounds::new();
    rounds.go(subject, options, (&mut crew, &mut setup), (room, live))?;
    let seen = subject.seen(watch)?;
    let took = began.elapsed();
    let found = probe.map(Probe::end).transpose()?;
    // What came since the last round, at best nothing.
    rounds.all.add(crew.tell()?);
    rounds.expect(polls * options.messages);

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(polls));
    report.add("messages", "messages", Figure::Count(options.messages));
    let processes = crew.processes() as u64;
    report.add("processes", "client processes", Figure::Count(processes));
    crew.leave()?;
    rounds.report(&mut report);
    rounds.cpu(options.rest, &seen, took, &mut report);
    let mut tally = rounds.all.tally.clone();
    if let Some(found) = &found {
        probe::report(found, &mut report);
        tally.add(found.tally.clone());
    }
    let plots = rounds.plots(found.as_ref(), began_ns);
    Ok(Outcome::one(report, plots, tally))
}

impl Rounds {
    fn new() -> Self {
        Self {
            all: Told::nothing(),
            first: latencies(),
            median: latencies(),
            p99: latencies(),
            last: latencies(),
            answer: latencies(),
            delivering_ns: 0,
            resting_cpu_ns: 0,
        }
    }

    /// Sends all messages, each to polls that are parked.
    fn go(
        &mut self,
        subject: &Subject,
        options: &FanoutOptions,
        (crew, setup): (&mut Crew, &mut Setup),
        (room, mut live): (u64, u64),
    ) -> Result<(), Error> {
        let what = format!("sending {} messages", options.messages);
        let phase = Phase::start(what, options.messages);
        for id in 1..=options.messages {
            settle(&subject.hops(), live, &mut setup.admin)?;
            let before = subject.read()?;
            let (told, answer) = round(crew, setup, subject, (room, id))?;
            if options.rest {
                let after = subject.read()?;
                self.resting_cpu_ns += after.cpu_ns_since(&before);
                crew.again()?;
            }
            live = told.live;
            self.add(told, answer);
            phase.at(id);
        }
        settle(&subject.hops(), live, &mut setup.admin)?;
        Ok(())
    }

    fn add(&mut self, told: Told, answer: Duration) {
        let took = &told.latencies;
        if !took.is_empty() {
            self.first.saturating_record(took.min());
            self.median.saturating_record(took.value_at_quantile(0.5));
            self.p99.saturating_record(took.value_at_quantile(0.99));
            self.last.saturating_record(took.max());
            self.delivering_ns += took.max();
        }
        let answer_ns = u64::try_from(answer.as_nanos()).unwrap_or(u64::MAX);
        self.answer.saturating_record(answer_ns);
        self.all.add(told);
    }

    fn expect(&mut self, deliveries: u64) {
        let missing = deliveries.saturating_sub(self.all.delivered);
        let what = || format!("{missing} of {deliveries} deliveries are missing");
        self.all.tally.missing(missing, what);
    }

    fn cpu(&self, rest: bool, seen: &Seen, took: Duration, report: &mut Report) {
        if rest && seen.known {
            let each = self.resting_cpu_ns / self.all.delivered.max(1);
            let label = "CPU for each delivery alone";
            report.add("cpu_per_delivery_alone_ns", label, Figure::Nanos(each));
        }
        let each = ("cpu_per_delivery_ns", "CPU for each delivery and re-poll");
        seen.report(each, self.all.delivered, took, report);
    }

    fn report(&self, report: &mut Report) {
        let delivered = self.all.delivered;
        report.add("delivered", "delivered", Figure::Count(delivered));
        let rate = delivered as f64 * 1e9 / self.delivering_ns.max(1) as f64;
        let rate = Figure::PerSecond(rate);
        report.add("deliveries_per_second", "deliveries", rate);
        for (key, label, times) in [
            ("answer_ns", "send to sender's answer", &self.answer),
            ("first_ns", "send to first delivery", &self.first),
            ("median_ns", "send to median delivery", &self.median),
            ("p99_ns", "send to 99th delivery", &self.p99),
            ("last_ns", "send to last delivery", &self.last),
        ] {
            let typical = Figure::Nanos(times.value_at_quantile(0.5));
            report.add(key, label, typical);
        }
        let worst = Figure::Nanos(self.last.max());
        report.add("last_max_ns", "the same, slowest message", worst);
        report.quantiles("delivery", "all deliveries", &self.all.latencies);
    }

    fn plots(&self, found: Option<&Found>, began_ns: u64) -> Vec<Plot> {
        let mut lines = vec![("deliveries", &self.all.latencies)];
        if let Some(found) = found {
            lines.push(("another chatroom's answers", &found.latencies));
        }
        let rates = self.all.series.rates(began_ns, POINTS_MAX);
        let deliveries = vec![Line::new("deliveries", rates)];
        let mut plots = vec![
            Plot::latencies("Send to delivery", &lines),
            Plot::over_time("Deliveries over time", "deliveries", deliveries),
        ];
        plots.extend(found.map(|found| probe::plot(found, began_ns)));
        plots
    }
}

/// Sends the message that will have the id `id`, and waits for its deliveries; also how long the sender's own answer took.
pub(crate) fn round(
    crew: &mut Crew,
    setup: &mut Setup,
    subject: &Subject,
    (room, id): (u64, u64),
) -> Result<(Told, Duration), Error> {
    let mut tally = Tally::default();
    let sent = Instant::now();
    setup.send(room, Some(id), &mut tally)?;
    let answer = sent.elapsed();
    crew.woken(Instant::now() + subject.patience)?;
    let mut told = crew.tell()?;
    told.tally.add(tally);
    Ok((told, answer))
}
