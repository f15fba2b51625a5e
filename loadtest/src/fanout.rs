//! One chatroom, many polls: how fast a message reaches all of them, again and again.
//!
//! Each message is sent only once every poll is parked again ([`crate::settle`] says how that is known), so none
//! meets a poll on its way back. Those woken first do ask again while the last are yet to be woken, as
//! clients do: a time to the last delivery holds the server's work for both. A delivery's time runs from just before the send request is written to
//! the moment its answer is read from the poll's socket; it ends in another process, on the same clock.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::json;

use crate::clock::latencies;
use crate::crew::{Crew, Told};
use crate::error::Error;
use crate::pollers;
use crate::progress::Phase;
use crate::report::{Figure, Report};
use crate::server_stats::{Process, Reading, read};
use crate::settle::settle;
use crate::setup::Setup;
use crate::tally::Tally;
use crate::{FanoutOptions, ServerOptions};

/// What the messages' rounds bring, summed up.
struct Rounds {
    /// All deliveries.
    all: Histogram<u64>,
    /// By message: from the send to the first delivery, to half of them, to 99 of 100, to the last, and to the sender's answer.
    first: Histogram<u64>,
    median: Histogram<u64>,
    p99: Histogram<u64>,
    last: Histogram<u64>,
    answer: Histogram<u64>,
    /// The sum of the times to the last delivery.
    delivering_ns: u64,
    delivered: u64,
    tally: Tally,
}

/// Runs it; the figures and all that went wrong.
pub(crate) fn run(
    server: &ServerOptions,
    options: &FanoutOptions,
    process: Option<&Process>,
) -> Result<(Report, Tally), Error> {
    let polls = options.polls;
    let mut setup = Setup::new(&server.url, polls)?;
    let chatrooms = setup.chatrooms(1)?;
    let chatroomid = chatrooms[0];
    let phase = Phase::start(format!("parking {polls} polls"), polls);
    let plan = setup.plan(chatrooms, polls, true);
    let mut crew = Crew::start(&plan, options.processes)?;
    let mut live = crew.open(|started| phase.at(started))?;
    drop(phase);

    let what = format!("sending {} messages", options.messages);
    let phase = Phase::start(what, options.messages);
    let mut rounds = Rounds::new();
    settle(server.url.addr, live, &mut setup.admin)?;
    let before = read(process)?;
    for id in 1..=options.messages {
        let (told, answer_ns) = round(&mut crew, &mut setup, server, (chatroomid, id))?;
        live = told.live;
        rounds.add(told, answer_ns);
        phase.at(id);
        settle(server.url.addr, live, &mut setup.admin)?;
    }
    let after = read(process)?;
    drop(phase);
    // What came since the last round, at best nothing.
    rounds.encore(crew.tell()?);
    rounds.expect(polls * options.messages);

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(polls));
    report.add("messages", "messages", Figure::Count(options.messages));
    let processes = crew.processes() as u64;
    report.add("processes", "client processes", Figure::Count(processes));
    crew.leave()?;
    rounds.report(&mut report);
    if process.is_some() {
        rounds.cpu(&before, &after, &mut report);
    }
    report.faults(&rounds.tally);
    Ok((report, rounds.tally))
}

/// Sends the message that will have the id `id`, and waits for its deliveries; also how long the sender's own answer took.
fn round(
    crew: &mut Crew,
    setup: &mut Setup,
    server: &ServerOptions,
    (chatroomid, id): (u64, u64),
) -> Result<(Told, u64), Error> {
    let text = pollers::text(&setup.run);
    let sent = Instant::now();
    let last = setup.admin.send(chatroomid, &text)?;
    let answer_ns = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
    crew.woken(Instant::now() + server.patience)?;
    let mut told = crew.tell()?;
    if (last.id, &last.text) != (id, &text) {
        let what = || format!("message {id} was answered {last:?}");
        told.tally.unexpected(what);
    }
    Ok((told, answer_ns))
}

impl Rounds {
    fn new() -> Self {
        Self {
            all: latencies(),
            first: latencies(),
            median: latencies(),
            p99: latencies(),
            last: latencies(),
            answer: latencies(),
            delivering_ns: 0,
            delivered: 0,
            tally: Tally::default(),
        }
    }

    fn add(&mut self, told: Told, answer_ns: u64) {
        let took = told.latencies;
        if !took.is_empty() {
            self.first.saturating_record(took.min());
            self.median.saturating_record(took.value_at_quantile(0.5));
            self.p99.saturating_record(took.value_at_quantile(0.99));
            self.last.saturating_record(took.max());
            self.delivering_ns += took.max();
        }
        self.answer.saturating_record(answer_ns);
        self.delivered += told.delivered;
        self.all += took;
        self.tally.add(told.tally);
    }

    fn encore(&mut self, told: Told) {
        self.delivered += told.delivered;
        self.tally.add(told.tally);
    }

    fn expect(&mut self, deliveries: u64) {
        let missing = deliveries.saturating_sub(self.delivered);
        let what = || format!("{missing} of {deliveries} deliveries are missing");
        self.tally.missing(missing, what);
    }

    fn cpu(&self, before: &Reading, after: &Reading, report: &mut Report) {
        let each = after.cpu_ns_since(before) / self.delivered.max(1);
        let label = "CPU for each delivery and re-poll";
        report.add("cpu_per_delivery_ns", label, Figure::Nanos(each));
        report.detail("before", before.to_json());
        report.detail("after", after.to_json());
    }

    fn report(&self, report: &mut Report) {
        let typical = |h: &Histogram<u64>| Figure::Nanos(h.value_at_quantile(0.5));
        report.add("delivered", "delivered", Figure::Count(self.delivered));
        let rate = self.delivered as f64 * 1e9 / self.delivering_ns.max(1) as f64;
        report.add(
            "deliveries_per_second",
            "deliveries",
            Figure::PerSecond(rate),
        );
        let answer = typical(&self.answer);
        report.add("answer_ns", "send to sender's answer", answer);
        report.add("first_ns", "send to first delivery", typical(&self.first));
        report.add(
            "median_ns",
            "send to median delivery",
            typical(&self.median),
        );
        report.add("p99_ns", "send to 99th delivery", typical(&self.p99));
        report.add("last_ns", "send to last delivery", typical(&self.last));
        let worst = Figure::Nanos(self.last.max());
        report.add("last_max_ns", "the same, slowest message", worst);
        let quantile = |q| self.all.value_at_quantile(q);
        report.detail(
            "all_deliveries_ns",
            json!({
                "min": self.all.min(), "p50": quantile(0.5), "p90": quantile(0.9),
                "p99": quantile(0.99), "p999": quantile(0.999), "max": self.all.max(),
            }),
        );
    }
}
