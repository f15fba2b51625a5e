//! Everybody at once: all clients connect at the same moment, and after a wake all polls return at the same moment.
//!
//! A client that connects waits in the listener's queue; where the queue is full, its kernel tries again a second later. How long that takes
//! each is counted from the moment at which all began. When polls return nobody answers them, so two other things are measured: how long
//! it takes until the server has read and parked them all, and how long a probe that asks another chatroom waits meanwhile.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::askers::Found;
use crate::clock::{latencies, now_ns};
use crate::crew::Crew;
use crate::error::Error;
use crate::fanout::round;
use crate::options::StormOptions;
use crate::parking::{Parked, park};
use crate::plot::Plot;
use crate::probe::{self, Probe};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report, nanos};
use crate::settle::settle;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::tally::Tally;
use crate::told::Told;

/// What the wakes and returns brought.
struct Storms {
    told: Told,
    /// From the word to return to the moment at which the server had read every poll.
    returns: Histogram<u64>,
}

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &StormOptions) -> Result<Outcome, Error> {
    let polls = options.polls;
    let mut setup = Setup::new(subject, polls)?;
    let chatrooms = setup.chatrooms(2)?;
    let (room, other) = (chatrooms[0], chatrooms[1]);
    let mut tally = Tally::default();
    setup.send(other, Some(1), &mut tally)?;
    let probe = Probe::start(subject, &setup, other, options.probe_rate)?;
    let (began, began_ns) = (Instant::now(), now_ns());
    let watch = subject.watch()?;
    let mut plan = setup.plan(vec![room], polls, false);
    plan.greets = true;
    let parked = park(subject, &mut setup, &plan, options.processes)?;
    let connecting = parked.ended - began;
    let Parked { mut crew, live, .. } = parked;
    let mut storms = returns(subject, options, (&mut crew, &mut setup), (room, live))?;
    let seen = subject.seen(watch)?;
    let took = began.elapsed();
    let found = probe.end()?;
    storms.told.add(crew.tell()?);

    let mut report = Report::default();
    report.add("polls", "clients", Figure::Count(polls));
    report.add("messages", "wakes", Figure::Count(options.messages));
    let label = "all connected, answered and parked";
    report.add("connecting_ns", label, nanos(connecting));
    report.quantiles("connect", "connect to first answer", &crew.greetings);
    let label = "all returned and parked, typically";
    let typical = Figure::Nanos(storms.returns.value_at_quantile(0.5));
    report.add("return_ns", label, typical);
    let worst = Figure::Nanos(storms.returns.max());
    report.add("return_max_ns", "the same, slowest", worst);
    report.quantiles("delivery", "send to delivery", &storms.told.latencies);
    probe::report(&found, &mut report);
    let each = ("cpu_per_delivery_ns", "CPU for each delivery, all in");
    seen.report(each, storms.told.delivered, took, &mut report);
    let plots = storms.plots(&crew, &found, began_ns);
    crew.leave()?;

    let expected = polls * options.messages;
    let missing = expected.saturating_sub(storms.told.delivered);
    let what = || format!("{missing} of {expected} deliveries are missing");
    tally.missing(missing, what);
    tally.add(storms.told.tally);
    tally.add(found.tally);
    Ok(Outcome::one(report, plots, tally))
}

/// Wakes all and lets all return, again and again.
fn returns(
    subject: &Subject,
    options: &StormOptions,
    (crew, setup): (&mut Crew, &mut Setup),
    (room, mut live): (u64, u64),
) -> Result<Storms, Error> {
    let what = format!("{} wakes and returns", options.messages);
    let phase = Phase::start(what, options.messages);
    let mut storms = Storms {
        told: Told::nothing(),
        returns: latencies(),
    };
    for id in 1..=options.messages {
        let (told, _) = round(crew, setup, subject, (room, id))?;
        live = live.min(told.live);
        storms.told.add(told);
        let began = Instant::now();
        crew.again()?;
        let ended = settle(&subject.hops(), live, &mut setup.admin)?;
        let took = ended.saturating_duration_since(began).as_nanos();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        storms.returns.saturating_record(took.max(1));
        phase.at(id);
    }
    Ok(storms)
}

impl Storms {
    fn plots(&self, crew: &Crew, found: &Found, began_ns: u64) -> Vec<Plot> {
        let lines = [
            ("connect to first answer", &crew.greetings),
            ("send to delivery", &self.told.latencies),
            ("another chatroom's answers", &found.latencies),
        ];
        vec![
            Plot::latencies("How long each waited", &lines),
            probe::plot(found, began_ns),
        ]
    }
}
