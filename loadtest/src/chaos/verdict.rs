//! What came of a flood, and whether that is as it has to be.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::polite::Found;
use crate::report::{self, Figure, Report, duration, grouped};
use crate::server_stats::Reading;
use crate::tally::Tally;

/// The polite client's 99th percentile has to stay below it.
const P99_MAX: Duration = Duration::from_millis(100);
/// Memory that the last round may leave behind beyond the first one's in any case: what the polite client's messages fill of the server's caches
/// meanwhile. Of what a flood takes, the allocator keeps now more and now less for the next time; a leak keeps all of it each time, so half of it is told.
const KEPT_MAX: u64 = 2 << 20;

/// What came of it.
pub(crate) struct Verdict {
    /// The flood.
    pub(crate) name: &'static str,
    /// What was done, and what the server did about it.
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// What the polite client found, where there was one.
    pub(crate) polite: Option<Found>,
    /// Whether it may have been told 503.
    pub(crate) polite_may_be_refused: bool,
    /// The server before it.
    pub(crate) before: Reading,
    /// The server after each round.
    pub(crate) rounds: Vec<Reading>,
    /// Its private memory at most.
    pub(crate) peak: u64,
    /// The same until the end of the first round.
    pub(crate) first_peak: u64,
    /// What must not have happened.
    pub(crate) tally: Tally,
}

impl Verdict {
    /// Of a flood that could not be let loose.
    pub(crate) fn failed(name: &'static str, why: &str) -> Self {
        let mut tally = Tally::default();
        tally.unexpected(|| why.to_owned());
        Self {
            name,
            counts: Vec::new(),
            polite: None,
            polite_may_be_refused: false,
            before: Reading::default(),
            rounds: Vec::new(),
            peak: 0,
            first_peak: 0,
            tally,
        }
    }

    /// Counts what stayed behind and, if `timed`, who had to wait for too long.
    pub(crate) fn judge(&mut self, timed: bool) {
        if let Some(polite) = &mut self.polite {
            self.tally.add(std::mem::take(&mut polite.tally));
            let refused = polite.refused;
            if refused > 0 && !self.polite_may_be_refused {
                let what = || format!("the polite client was refused {refused} times");
                self.tally.unexpected(what);
            }
            let p99 = polite.latencies.value_at_quantile(0.99);
            if timed && u128::from(p99) >= P99_MAX.as_nanos() {
                let p99 = duration(p99);
                let what = format!("99 % of what the polite client waited for took up to {p99}");
                self.tally.unexpected(|| what);
            }
        }
        let Some((first, last)) = self.rounds.first().zip(self.rounds.last()) else {
            return;
        };
        let files = last.files.saturating_sub(self.before.files);
        if files > 0 {
            let what = || format!("{files} descriptors stayed open");
            self.tally.unexpected(what);
        }
        let (first, last) = (first.memory.private_dirty, last.memory.private_dirty);
        let kept = last.saturating_sub(first);
        let taken = self
            .first_peak
            .saturating_sub(self.before.memory.private_dirty);
        if kept > KEPT_MAX.max(taken / 2) {
            let kept = Figure::Bytes(kept).shown();
            let what = || format!("{kept} more stayed behind of the rounds after the first");
            self.tally.unexpected(what);
        }
    }

    /// Whether nothing was wrong, in a word.
    fn word(&self) -> &'static str {
        match self.tally.is_clean() {
            true => "ok",
            false => "FAILED",
        }
    }

    /// What was counted, in words.
    fn told(&self) -> String {
        let counts = self.counts.iter();
        let counts = counts.map(|(what, many)| format!("{} {what}", grouped(*many)));
        Vec::from_iter(counts).join(", ")
    }

    fn p99_and_worst(&self) -> Option<(u64, u64)> {
        let latencies = &self.polite.as_ref()?.latencies;
        Some((latencies.value_at_quantile(0.99), latencies.max()))
    }

    /// The figures, by the same names for every flood.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report::default();
        report.add("flood", "flood", Figure::Text(self.name.to_owned()));
        report.add("verdict", "verdict", Figure::Text(self.word().to_owned()));
        if let Some((p99, worst)) = self.p99_and_worst() {
            report.add("polite_p99_ns", "polite p99", Figure::Nanos(p99));
            report.add("polite_max_ns", "polite worst", Figure::Nanos(worst));
        }
        if let Some(polite) = &self.polite {
            report.detail("polite_messages", json!(polite.messages));
            report.detail("polite_refused", json!(polite.refused));
        }
        if let Some(last) = self.rounds.last() {
            let before = self.before;
            report.add("files_before", "files before", Figure::Count(before.files));
            report.add("files_after", "files after", Figure::Count(last.files));
            let before = Figure::Bytes(before.memory.private_dirty);
            report.add("before_bytes", "private memory before", before);
            report.add("peak_bytes", "at most", Figure::Bytes(self.peak));
            let after = Figure::Bytes(last.memory.private_dirty);
            report.add("after_bytes", "after", after);
            let rounds: Value = self.rounds.iter().map(|round| round.to_json()).collect();
            report.detail("rounds", rounds);
        }
        let counts = self.counts.iter();
        let counts = counts.map(|(what, many)| ((*what).to_owned(), json!(many)));
        report.detail("counts", Value::Object(Map::from_iter(counts)));
        report.detail("examples", json!(self.tally.examples));
        report
    }
}

/// The summary for a person: a line for each flood, and below them what was counted.
pub(crate) fn summary(verdicts: &[Verdict]) -> String {
    let head = [
        "flood",
        "polite p99",
        "worst",
        "files",
        "memory",
        "most",
        "round 1",
        "after",
        "verdict",
    ];
    let mut rows = vec![Vec::from(head.map(str::to_owned))];
    rows.extend(verdicts.iter().map(row));
    let mut text = report::table(&rows);
    text.push('\n');
    for verdict in verdicts {
        text.push_str(&format!("{}: {}\n", verdict.name, verdict.told()));
    }
    text
}

fn row(verdict: &Verdict) -> Vec<String> {
    let none = || "-".to_owned();
    let (p99, worst) = verdict.p99_and_worst().map_or_else(
        || (none(), none()),
        |(p99, worst)| (duration(p99), duration(worst)),
    );
    let mut cells = vec![verdict.name.to_owned(), p99, worst];
    match verdict.rounds.first().zip(verdict.rounds.last()) {
        None => cells.extend((0..5).map(|_| none())),
        Some((first, last)) => {
            let bytes = |bytes| Figure::Bytes(bytes).shown();
            cells.extend([
                format!("{} → {}", verdict.before.files, last.files),
                bytes(verdict.before.memory.private_dirty),
                bytes(verdict.peak),
                bytes(first.memory.private_dirty),
                bytes(last.memory.private_dirty),
            ]);
        }
    }
    cells.push(verdict.word().to_owned());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::latencies;
    use crate::server_stats::Memory;

    fn reading(files: u64, mib: u64) -> Reading {
        Reading {
            files,
            memory: Memory {
                private_dirty: mib << 20,
                ..Memory::default()
            },
            ..Reading::default()
        }
    }

    fn verdict(rounds: Vec<Reading>, took: Duration) -> Verdict {
        let mut latencies = latencies();
        latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap());
        Verdict {
            name: "slow-heads",
            counts: vec![("heads", 2_000)],
            polite: Some(Found {
                latencies,
                messages: 1,
                refused: 0,
                tally: Tally::default(),
            }),
            polite_may_be_refused: false,
            before: reading(20, 5),
            rounds,
            peak: 9 << 20,
            first_peak: 9 << 20,
            tally: Tally::default(),
        }
    }

    fn judged(mut verdict: Verdict, timed: bool) -> Vec<String> {
        verdict.judge(timed);
        assert_eq!(verdict.tally.is_clean(), verdict.word() == "ok");
        verdict.tally.examples
    }

    #[test]
    fn what_is_as_before_is_as_it_has_to_be() {
        let quick = Duration::from_millis(99);
        let rounds = vec![reading(20, 8), reading(20, 10)];
        assert_eq!(judged(verdict(rounds, quick), true), [""; 0]);
    }

    #[test]
    fn who_waits_for_too_long_counts_where_times_count() {
        let slow = || verdict(vec![reading(20, 8)], Duration::from_millis(101));
        let told = judged(slow(), true);
        assert!(told[0].contains("took up to 101"), "{told:?}");
        assert_eq!(judged(slow(), false), [""; 0]);
    }

    #[test]
    fn what_stays_behind_counts_in_any_case() {
        let quick = Duration::from_millis(1);
        let open = verdict(vec![reading(20, 8), reading(23, 8)], quick);
        assert_eq!(judged(open, false), ["3 descriptors stayed open"]);
        let grows = verdict(vec![reading(20, 8), reading(20, 11)], quick);
        let told = judged(grows, false);
        assert!(told[0].starts_with("3.00 MiB more"), "{told:?}");
        // Of what the first round took, 20 MiB, 9 are what an allocator may keep, and 11 are not.
        let much = |after| {
            let mut much = verdict(vec![reading(20, 8), reading(20, after)], quick);
            much.first_peak = 25 << 20;
            judged(much, false).len()
        };
        assert_eq!((much(17), much(19)), (0, 1));
    }

    #[test]
    fn what_the_polite_client_missed_counts() {
        let mut missed = verdict(vec![reading(20, 8)], Duration::from_millis(1));
        let polite = missed.polite.as_mut().unwrap();
        polite.tally.missing(1, || "one".into());
        assert_eq!(judged(missed, false), ["one"]);
        let failed = Verdict::failed("deaf", "no server");
        assert_eq!(judged(failed, false), ["no server"]);
    }

    #[test]
    fn the_summary_has_a_line_for_each_and_says_what_was_done() {
        let mut ok = verdict(vec![reading(20, 8)], Duration::from_millis(1));
        ok.judge(true);
        let mut failed = Verdict::failed("deaf", "no server");
        failed.judge(true);
        let text = summary(&[ok, failed]);
        let lines = Vec::from_iter(text.lines());
        assert!(lines[1].starts_with("slow-heads  "), "{text}");
        assert!(
            lines[1].ends_with("  ok") && lines[2].ends_with("FAILED"),
            "{text}"
        );
        assert!(text.contains("\nslow-heads: 2 000 heads\n"), "{text}");
    }

    #[test]
    fn a_program_finds_the_same() {
        let json = verdict(vec![reading(20, 8)], Duration::from_millis(1))
            .report()
            .to_json();
        assert_eq!(json["flood"], "slow-heads");
        assert_eq!(json["counts"]["heads"], 2_000);
        assert_eq!(
            (&json["files_before"], &json["after_bytes"]),
            (&json!(20), &json!(8 << 20))
        );
    }
}
