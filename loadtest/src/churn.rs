//! Connections that come, park a poll and vanish, round after round: nothing of them may stay behind.
//!
//! In odd rounds they close with FIN, in even ones with RST. After each round the server has some time to notice; then its
//! descriptors must be as many as before, and its memory is read. A last message to each chatroom finds nobody, which proves
//! that the server knows it.

use std::time::Instant;

use crate::error::Error;
use crate::idle::leaving;
use crate::options::ChurnOptions;
use crate::parking::park;
use crate::plan::Plan;
use crate::plot::{Axis, Line, Plot, Scale, Unit};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::server_stats::Reading;
use crate::setup::Setup;
use crate::subject::Subject;
use crate::tally::Tally;

/// What the rounds left.
#[derive(Default)]
struct Rounds {
    tally: Tally,
    /// After each round.
    gone: Vec<Reading>,
    /// While all were parked.
    parked: Vec<Reading>,
    leaked: u64,
}

/// Runs it.
pub(crate) fn run(subject: &Subject, options: &ChurnOptions) -> Result<Outcome, Error> {
    let mut setup = Setup::new(subject, options.polls)?;
    let chatrooms = setup.chatrooms(options.chatrooms)?;
    setup.admin.round_trip()?;
    let before = subject.read()?;
    let began = Instant::now();
    let watch = subject.watch()?;
    let mut rounds = Rounds::default();
    for round in 1..=options.rounds {
        rounds.go(subject, options, &mut setup, (&chatrooms, round, &before))?;
    }
    for room in &chatrooms {
        setup.send(*room, Some(1), &mut rounds.tally)?;
    }
    let seen = subject.seen(watch)?;
    let took = began.elapsed();

    let mut report = Report::default();
    report.add("polls", "polls", Figure::Count(options.polls));
    report.add("chatrooms", "chatrooms", Figure::Count(options.chatrooms));
    report.add("rounds", "rounds", Figure::Count(options.rounds));
    let visits = options.polls * options.rounds;
    let rate = visits as f64 / took.as_secs_f64();
    report.add(
        "visits_per_second",
        "came and went",
        Figure::PerSecond(rate),
    );
    if subject.process.is_some() {
        rounds.report(&before, &mut report);
    }
    let each = ("cpu_per_visit_ns", "CPU for each that came and went");
    seen.report(each, visits, took, &mut report);
    let plots = rounds.plots(&before);
    Ok(Outcome::one(report, plots, rounds.tally))
}

/// All of a plan come, park and vanish: the server while they were parked, and what they have to tell.
pub(crate) fn visit(
    subject: &Subject,
    setup: &mut Setup,
    plan: &Plan,
    processes: u64,
) -> Result<(Reading, Tally), Error> {
    let mut parked = park(subject, setup, plan, processes)?;
    let reading = subject.read()?;
    let tally = parked.crew.tell()?.tally;
    parked.crew.leave()?;
    Ok((reading, tally))
}

impl Rounds {
    fn go(
        &mut self,
        subject: &Subject,
        options: &ChurnOptions,
        setup: &mut Setup,
        (chatrooms, round, before): (&[u64], u64, &Reading),
    ) -> Result<(), Error> {
        let resets = round % 2 == 0;
        let how = if resets { "RST" } else { "FIN" };
        let what = format!("round {round} of {}, ends with {how}", options.rounds);
        let _phase = Phase::start(what, 0);
        setup.next_net();
        let mut plan = setup.plan(chatrooms.to_vec(), options.polls, false);
        plan.resets = resets;
        let (parked, tally) = visit(subject, setup, &plan, options.processes)?;
        self.parked.push(parked);
        self.tally.add(tally);
        let gone = leaving(subject, before)?;
        let leaked = gone.files.saturating_sub(before.files);
        if leaked > self.leaked {
            let more = leaked - self.leaked;
            let what = || format!("{more} descriptors stayed open after round {round}, {how}");
            self.tally.unexpected(what);
            self.leaked = leaked;
        }
        self.gone.push(gone);
        Ok(())
    }

    fn report(&self, before: &Reading, report: &mut Report) {
        let pss = |reading: Option<&Reading>| {
            Figure::Bytes(reading.map_or(0, |reading| reading.memory.pss))
        };
        report.add("files_before", "files before", Figure::Count(before.files));
        let files = self.gone.last().map_or(0, |gone| gone.files);
        report.add("files_gone", "files after", Figure::Count(files));
        report.add("leaked", "leaked descriptors", Figure::Count(self.leaked));
        report.add("pss_before_bytes", "PSS before", pss(Some(before)));
        let (first, last) = (self.parked.first(), self.parked.last());
        report.add("pss_first_parked_bytes", "PSS parked, first", pss(first));
        report.add("pss_last_parked_bytes", "PSS parked, last", pss(last));
        let (first, last) = (self.gone.first(), self.gone.last());
        report.add("pss_first_gone_bytes", "PSS gone, first", pss(first));
        report.add("pss_last_gone_bytes", "PSS gone, last", pss(last));
        let rounds = self.gone.iter().map(|gone| gone.to_json()).collect();
        report.detail("rounds_gone", rounds);
    }

    fn plots(&self, before: &Reading) -> Vec<Plot> {
        if before.files == 0 {
            return Vec::new();
        }
        let line = |name, readings: &[Reading]| {
            let point =
                |(at, reading): (usize, &Reading)| ((at + 1) as f64, reading.memory.pss as f64);
            Line::new(name, readings.iter().enumerate().map(point).collect())
        };
        vec![Plot {
            title: "Memory by round".into(),
            note: "The server's PSS with all polls parked, and after all have gone.".into(),
            x: Axis {
                label: "round",
                unit: Unit::Count,
                scale: Scale::Linear,
            },
            y: Axis {
                label: "PSS",
                unit: Unit::Bytes,
                scale: Scale::Linear,
            },
            lines: vec![line("parked", &self.parked), line("gone", &self.gone)],
        }]
    }
}
