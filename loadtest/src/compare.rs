//! loiter beside the floor and its peers: the same measurements, in turn, several times, in one run.
//!
//! A machine's speed changes with what else goes on in it, so nobody is measured at a time of his own: in each repetition every measurement goes
//! through all contenders before the next one begins, and who begins changes. Each gets a fresh process on a temporary folder
//! each time. What counts are ratios of medians, beside the lowest and the highest.

use std::fmt::Write as _;

use clap::Parser as _;
use serde_json::{Value, json};

use crate::bars;
use crate::contenders::{CONTENDERS, Contender};
use crate::error::Error;
use crate::host::{self, Launch};
use crate::interrupt;
use crate::machine;
use crate::options::{CompareOptions, Options};
use crate::page::Page;
use crate::plot::{Line, Plot};
use crate::progress::say;
use crate::report::{self, Outcome};
use crate::scenarios::{METRICS, Scenario, scenarios};
use crate::server_stats::Process;
use crate::sqlite;
use crate::standing::Standing;
use crate::subject::Subject;
use crate::tally::Tally;

/// The column of SQLite alone.
const BARE: &str = "bare SQLite";

/// A comparison under way.
struct Comparison<'a> {
    options: &'a CompareOptions,
    pin: bool,
    contenders: Vec<(Contender, Launch)>,
    versions: Vec<String>,
    standing: Standing,
    plots: Vec<Plot>,
    tally: Tally,
}

/// Runs it.
pub(crate) fn run(options: &CompareOptions) -> Result<Compared, Error> {
    let pin = host::can_pin();
    let (mut contenders, mut versions) = (Vec::new(), Vec::new());
    for contender in CONTENDERS {
        match contender.launch(options, pin)? {
            Some(launch) => {
                let version = contender.version(&launch)?;
                versions.push(format!("{}: {version}", contender.name()));
                contenders.push((contender, launch));
            }
            None => {
                let (name, how) = (contender.name(), contender.how_to_get());
                say(format_args!(
                    "{name} is not here, and left out; to get it: {how}"
                ));
            }
        }
    }
    let names = contenders.iter().map(|(contender, _)| contender.name());
    let names = names.chain([BARE]).map(str::to_owned).collect();
    let mut comparison = Comparison {
        options,
        pin,
        contenders,
        versions,
        standing: Standing::new(names, &METRICS),
        plots: Vec::new(),
        tally: Tally::default(),
    };
    let mut scenarios = scenarios(options);
    scenarios.retain(|scenario| scenario.is_named_in(&options.only));
    match comparison.all(&scenarios) {
        // Minutes of measuring are not thrown away for one that failed.
        Err(e) if !interrupt::has_come() && !comparison.standing.is_empty() => {
            comparison.tally.unexpected(|| format!("ended early: {e}"));
        }
        other => other?,
    }
    Ok(comparison.compared(&scenarios))
}

impl Comparison<'_> {
    fn all(&mut self, scenarios: &[Scenario]) -> Result<(), Error> {
        let with_bare = scenarios.iter().any(|scenario| scenario.disk);
        for repetition in 1..=self.options.repetitions {
            for scenario in scenarios {
                self.go_around(scenario, repetition)?;
            }
            if with_bare {
                self.bare(repetition)?;
            }
        }
        Ok(())
    }

    /// One measurement of everybody.
    fn go_around(&mut self, scenario: &Scenario, repetition: u64) -> Result<(), Error> {
        let count = self.contenders.len();
        for turn in 0..count {
            let at = (turn + repetition as usize) % count;
            let (contender, launch) = &self.contenders[at];
            if scenario.disk && !contender.has_disk() {
                continue;
            }
            let (name, of) = (contender.name(), self.options.repetitions);
            say(format_args!(
                "-- {repetition} of {of}: {name}, {}",
                scenario.words
            ));
            let outcome = measure(*contender, launch, scenario, self.options);
            let outcome = outcome.map_err(|e| Error::Host(format!("{name}: {e}")))?;
            self.take(at, scenario, outcome);
        }
        Ok(())
    }

    fn take(&mut self, at: usize, scenario: &Scenario, outcome: Outcome) {
        for (report, figures) in outcome.reports.iter().zip(scenario.figures) {
            for (key, metric) in *figures {
                if let Some(value) = report.value(key) {
                    self.standing.add(metric, at, value);
                }
            }
        }
        let name = self.contenders[at].0.name();
        let mut tally = outcome.tally;
        for example in &mut tally.examples {
            *example = format!("{name}: {example}");
        }
        self.tally.add(tally);
        if let Some((plot, line, title)) = scenario.plot
            && let Some(plot) = outcome.plots.get(plot)
            && let Some(line) = plot.lines.get(line)
        {
            self.keep_line(title, plot, line, name);
        }
    }

    /// The last repetition's line stands for a contender.
    fn keep_line(&mut self, title: &str, plot: &Plot, line: &Line, name: &str) {
        let mut line = line.clone();
        name.clone_into(&mut line.name);
        if title.starts_with("Memory") {
            // Programs differ in what they take before the first poll; what polls add is of interest.
            let from = line.points.first().map_or(0.0, |point| point.1);
            line.points
                .iter_mut()
                .for_each(|point| point.1 = (point.1 - from).max(0.0));
        }
        let known = self.plots.iter_mut().find(|known| known.title == title);
        match known {
            Some(known) => {
                known.lines.retain(|other| other.name != name);
                known.lines.push(line);
                let order = |name: &str| CONTENDERS.iter().position(|c| c.name() == name);
                known.lines.sort_by_key(|line| order(&line.name));
            }
            None => self.plots.push(Plot {
                title: title.to_owned(),
                lines: vec![line],
                ..plot.clone()
            }),
        }
    }

    fn bare(&mut self, repetition: u64) -> Result<(), Error> {
        let at = self.contenders.len();
        for (batch, metric) in [(1, "send_1"), (8, "send_8"), (64, "send_64")] {
            let of = self.options.repetitions;
            say(format_args!(
                "-- {repetition} of {of}: {BARE} in batches of {batch}"
            ));
            let dir = tempfile::tempdir().map_err(Error::io("make a temporary folder"))?;
            let time = self.options.seconds;
            let rows = sqlite::rows_per_second(dir.path(), batch, time, self.pin)?;
            self.standing.add(metric, at, rows);
        }
        Ok(())
    }

    fn compared(self, scenarios: &[Scenario]) -> Compared {
        let mut notes = vec![machine::described()];
        notes.push(match self.pin {
            true => "each server on CPU 0, the generator on CPU 1".to_owned(),
            false => "not pinned: this machine has too few processors".to_owned(),
        });
        if machine::is_in_memory(&std::env::temp_dir()) {
            notes.push("the temporary folder is in memory: nothing here was durable".to_owned());
        }
        notes.extend(self.versions);
        notes.push(format!("SQLite {}", rusqlite::version()));
        Compared {
            repetitions: self.options.repetitions,
            notes,
            commands: scenarios.iter().map(|s| s.words.clone()).collect(),
            standing: self.standing,
            plots: self.plots,
            tally: self.tally,
        }
    }
}

/// Starts a contender, measures it and ends it.
fn measure(
    contender: Contender,
    launch: &Launch,
    scenario: &Scenario,
    options: &CompareOptions,
) -> Result<Outcome, Error> {
    let words = std::iter::once("loiter-loadtest").chain(scenario.words.split(' '));
    let parsed = Options::try_parse_from(words);
    let command = parsed
        .map_err(|e| Error::Unavailable(e.to_string()))?
        .command;
    let host = launch.start()?;
    let mut target = host.target.clone();
    target.dialect = contender.dialect();
    let process = Process::new(host.pid);
    let mut subject = Subject {
        target,
        behind: None,
        process: Some(process.map_err(Error::io("read the server's process"))?),
        strace: false,
        patience: options.patience,
        host: Some(host),
    };
    let outcome = crate::measure(&command, &subject)?;
    subject.host.take().map_or(Ok(()), host::Host::end)?;
    Ok(outcome)
}

/// What a comparison leaves.
pub(crate) struct Compared {
    repetitions: u64,
    notes: Vec<String>,
    commands: Vec<String>,
    standing: Standing,
    plots: Vec<Plot>,
    /// What went wrong.
    pub(crate) tally: Tally,
}

impl Compared {
    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        report::table(&self.standing.table("  "))
    }

    /// For a program.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "repetitions": self.repetitions,
            "notes": self.notes,
            "commands": self.commands,
            "metrics": self.standing.to_json(),
            "plots": self.plots.iter().map(Plot::to_json).collect::<Vec<_>>(),
            "faults": self.tally.to_json(),
        })
    }

    /// For a page of documentation.
    pub(crate) fn markdown(&self, command: &str) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let n = self.repetitions;
        let _ = writeln!(
            text,
            "- medians of {n}, their ratio to the floor, and below them the lowest and the highest\n\n```sh\n{command}\n```\n"
        );
        for (at, row) in self.standing.table("<br>").iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if at == 0 {
                let _ = writeln!(text, "| --- |{}", " ---: |".repeat(row.len() - 1));
            }
        }
        text.push_str("\nEach row comes from one of these, on a fresh server:\n\n```sh\n");
        for words in &self.commands {
            let _ = writeln!(text, "loiter-loadtest {words}");
        }
        text.push_str("```\n");
        text
    }

    /// The page.
    pub(crate) fn html(&self, command: &str) -> String {
        let page = Page {
            title: "loiter compared".into(),
            command: command.to_owned(),
            clean: self.tally.is_clean(),
            faults: &self.tally.examples,
            notes: &self.notes,
            rows: self.standing.table("\n"),
            has_head: true,
            plots: &self.plots,
            bars: self.standing.bars().iter().map(bars::figure).collect(),
        };
        page.html()
    }
}
