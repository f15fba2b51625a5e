//! Polls that nobody wakes: each asks to wait for so many seconds, gets an empty list then, and asks again.
//!
//! What is measured is the server's clock: what it costs to let very many polls end by themselves, and how late they end. One that
//! ends early or with a message is unexpected; at the end each must have ended as often as there was time for.

use std::thread;
use std::time::Instant;

use crate::clock::now_ns;
use crate::error::Error;
use crate::options::ExpireOptions;
use crate::parking::{Parked, park};
use crate::plot::{Line, Plot};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::rps::POINTS_MAX;
use crate::setup::Setup;
use crate::subject::Subject;

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &ExpireOptions) -> Result<Outcome, Error> {
    let mut setup = Setup::new(subject, options.polls)?;
    let chatrooms = setup.chatrooms(options.chatrooms)?;
    let mut plan = setup.plan(chatrooms, options.polls, true);
    plan.timeout_s = options.timeout;
    let Parked { mut crew, live, .. } = park(subject, &mut setup, &plan, options.processes)?;
    // Those that were the first to park may have ended already.
    drop(crew.tell()?);
    let (began, began_ns) = (Instant::now(), now_ns());
    let watch = subject.watch()?;
    wait(options);
    let seen = subject.seen(watch)?;
    let took = began.elapsed();
    let mut told = crew.tell()?;

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(options.polls));
    let timeout = Figure::Count(options.timeout);
    report.add("timeout_s", "seconds that each waits", timeout);
    report.add("parked", "parked polls", Figure::Count(live));
    report.add("expired", "expired", Figure::Count(told.delivered));
    let rate = Figure::PerSecond(told.delivered as f64 / took.as_secs_f64());
    report.add("expired_per_second", "expired", rate);
    report.quantiles("late", "later than asked for", &told.latencies);
    let each = ("cpu_per_cycle_ns", "CPU for each expiry and re-poll");
    seen.report(each, told.delivered, took, &mut report);
    crew.leave()?;

    // One whole wait may have begun before, and be under way at the end.
    let rounds = (took.as_secs() / (options.timeout + 1)).saturating_sub(1);
    let missing = (rounds * options.polls).saturating_sub(told.delivered);
    let what = || format!("{missing} polls did not end in time");
    told.tally.missing(missing, what);
    let rates = told.series.rates(began_ns, POINTS_MAX);
    let plots = vec![
        Plot::latencies("Later than asked for", &[("expiries", &told.latencies)]),
        Plot::over_time(
            "Expiries over time",
            "expiries",
            vec![Line::new("expiries", rates)],
        ),
    ];
    Ok(Outcome::one(report, plots, told.tally))
}

fn wait(options: &ExpireOptions) {
    let seconds = options.seconds.as_secs();
    let _phase = Phase::start(format!("expiring for {seconds} s"), 0);
    thread::sleep(options.seconds);
}
