//! Small authenticated questions on kept-alive connections: what a request costs when nothing else happens.

use crate::askers::{self, Askers, Found, Pace, Until};
use crate::connect::{ASKERS_FIRST, Layout};
use crate::error::Error;
use crate::gets::Gets;
use crate::options::RpsOptions;
use crate::plot::{Line, Plot};
use crate::progress::Phase;
use crate::report::{Figure, Outcome, Report};
use crate::setup::Setup;
use crate::subject::Subject;
use crate::swarm::Swarm;
use crate::tally::Tally;

/// Connections that may open at a time.
pub(crate) const BATCH: usize = 512;
/// Points of a line over time, at most.
pub(crate) const POINTS_MAX: usize = 200;

/// Runs it for each number of connections in turn.
pub(crate) fn run(subject: &Subject, options: &RpsOptions) -> Result<Outcome, Error> {
    let mut setup = Setup::new(subject, 4)?;
    setup.chatrooms(1)?;
    let mut tally = Tally::default();
    let (mut reports, mut all) = (Vec::new(), Vec::new());
    for count in &options.connections {
        let (report, found) = measure(subject, options, &setup, *count)?;
        tally.add(found.tally.clone());
        reports.push(report);
        all.push((format!("{count} connections"), found));
    }
    Ok(Outcome {
        reports,
        plots: plots("Answer to a small GET", "answers", &all),
        tally,
        summary: None,
    })
}

fn measure(
    subject: &Subject,
    options: &RpsOptions,
    setup: &Setup,
    count: u64,
) -> Result<(Report, Found), Error> {
    let seconds = options.seconds.as_secs();
    let phase = Phase::start(format!("{count} connections for {seconds} s"), seconds);
    let gets = Gets::chatrooms(&subject.target, &setup.sessions);
    let askers = Askers::new(gets, Pace::of(options.rate), count as usize, false);
    let layout = layout(subject, setup, count);
    let mut swarm = Swarm::new(layout, askers).map_err(Error::io("open an epoll loop"))?;
    askers::open(&mut swarm, count as usize)?;
    let watch = subject.watch()?;
    askers::drive(
        &mut swarm,
        Until::Time(options.seconds),
        subject.patience,
        |took| phase.at(took.as_secs()),
    )?;
    let seen = subject.seen(watch)?;
    let (_, found) = swarm.into_role().into_parts();

    let mut report = Report::default();
    report.add("connections", "connections", Figure::Count(count));
    report.add("answers", "answers", Figure::Count(found.latencies.len()));
    found.report(&mut report);
    let each = ("cpu_per_answer_ns", "CPU each");
    seen.report(each, found.latencies.len(), found.took, &mut report);
    report.faults(&found.tally);
    Ok((report, found))
}

/// Connections of those who ask, which come from another address than polls do.
pub(crate) fn layout(subject: &Subject, setup: &Setup, count: u64) -> Layout {
    let mut probe = Vec::new();
    crate::requests::Requests::new(&subject.target, &setup.sessions).small(0, &mut probe);
    Layout {
        addr: subject.target.addr,
        net: setup.net,
        first: ASKERS_FIRST,
        count: count as usize,
        batch: BATCH,
        probe,
        greets: false,
        resets: false,
    }
}

impl Found {
    /// Rate and latencies; in open loop also how late this program was.
    pub(crate) fn report(&self, report: &mut Report) {
        let rate = self.latencies.len() as f64 / self.took.as_secs_f64().max(1e-9);
        report.add("per_second", "rate", Figure::PerSecond(rate));
        report.quantiles("latency", "", &self.latencies);
        if !self.late.is_empty() {
            let late = Figure::Nanos(self.late.value_at_quantile(0.99));
            report.add("late_p99_ns", "own lateness p99", late);
        }
    }
}

/// Latencies by percentile and rates over time, a line for each measurement.
pub(crate) fn plots(title: &str, label: &'static str, all: &[(String, Found)]) -> Vec<Plot> {
    let latencies: Vec<_> = all
        .iter()
        .map(|(name, found)| (name.as_str(), &found.latencies))
        .collect();
    let line = |(name, found): &(String, Found)| {
        Line::new(name, found.series.rates(found.began_ns, POINTS_MAX))
    };
    let rates = all.iter().map(line).collect();
    vec![
        Plot::latencies(title, &latencies),
        Plot::over_time(format!("{label} over time"), label, rates),
    ]
}
