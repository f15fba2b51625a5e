//! Figures, gathered once and shown twice: as a table for a person and as JSON for a program.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::plot::Plot;
use crate::tally::Tally;

/// One figure's kind, which decides how a person sees it.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// A number of things.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A difference of bytes, perhaps below zero, for each of something.
    BytesEach(f64),
    /// Nanoseconds.
    Nanos(u64),
    /// A number for each second.
    PerSecond(f64),
    /// A number for each of something.
    Each(f64),
    /// A share of one CPU, 1.0 being all of it.
    Cpu(f64),
    /// A word.
    Text(String),
}

const QUANTILES: [(&str, &str, f64); 5] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p999", "p99.9", 0.999),
    ("max", "max", 1.0),
];

/// What a run leaves: figures of one or several measurements, plots, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The figures of each measurement.
    pub(crate) reports: Vec<Report>,
    /// The plots.
    pub(crate) plots: Vec<Plot>,
    /// What went wrong.
    pub(crate) tally: Tally,
    /// What a person sees, where the figures alone do not say it.
    pub(crate) summary: Option<String>,
}

impl Outcome {
    /// Of one measurement, whose faults become a part of its figures.
    pub(crate) fn one(mut report: Report, plots: Vec<Plot>, tally: Tally) -> Self {
        report.faults(&tally);
        Self {
            reports: vec![report],
            plots,
            tally,
            summary: None,
        }
    }

    /// For a person.
    pub(crate) fn table(&self) -> String {
        if let Some(summary) = &self.summary {
            return summary.clone();
        }
        match &self.reports[..] {
            [report] => report.lines(),
            reports => columns(reports),
        }
    }

    /// The figures for a program: one object, or one for each measurement.
    pub(crate) fn to_json(&self) -> Value {
        match &self.reports[..] {
            [report] => report.to_json(),
            reports => reports.iter().map(Report::to_json).collect(),
        }
    }
}

/// The figures of one measurement, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    figures: Vec<(Cow<'static, str>, Cow<'static, str>, Figure)>,
    details: Map<String, Value>,
}

impl Report {
    /// Adds a figure: its name in JSON, its name for a person, its value.
    pub(crate) fn add(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        figure: Figure,
    ) {
        self.figures.push((key.into(), label.into(), figure));
    }

    /// Adds the usual quantiles: `key` and `label` name what was timed.
    pub(crate) fn quantiles(&mut self, key: &str, label: &str, times: &Histogram<u64>) {
        for (suffix, shown, quantile) in QUANTILES {
            let value = Figure::Nanos(times.value_at_quantile(quantile));
            let label = format!("{label} {shown}").trim_start().to_owned();
            self.add(format!("{key}_{suffix}_ns"), label, value);
        }
    }

    /// A figure's value as JSON has it.
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|(own, ..)| own == key);
        figure.and_then(|(_, _, figure)| figure.to_json().as_f64())
    }

    /// Labels and values for a person.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, String)> {
        let figures = self.figures.iter();
        figures.map(|(_, label, figure)| (&**label, figure.shown()))
    }

    /// Adds what only a program wants to see.
    pub(crate) fn detail(&mut self, key: &str, value: Value) {
        self.details.insert(key.to_owned(), value);
    }

    /// Adds the counts of all that went wrong.
    pub(crate) fn faults(&mut self, tally: &Tally) {
        self.add("missing", "missing", Figure::Count(tally.missing));
        self.add("doubled", "doubled", Figure::Count(tally.doubled));
        self.add("unexpected", "unexpected", Figure::Count(tally.unexpected));
        self.detail("examples", json!(tally.examples));
    }

    /// All figures and details as one object.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = self.details.clone();
        for (key, _, figure) in &self.figures {
            object.insert(key.clone().into_owned(), figure.to_json());
        }
        Value::Object(object)
    }

    /// One line for each figure.
    pub(crate) fn lines(&self) -> String {
        let rows = self.rows();
        let rows = rows.map(|(label, shown)| vec![label.to_owned(), shown]);
        table(&rows.collect::<Vec<_>>())
    }
}

/// One line for each report, one column for each figure, which have to be the same in all.
pub(crate) fn columns(reports: &[Report]) -> String {
    let Some(first) = reports.first() else {
        return String::new();
    };
    let head = first
        .figures
        .iter()
        .map(|(_, label, _)| label.clone().into_owned());
    let rows = reports
        .iter()
        .map(|report| report.figures.iter().map(|(_, _, f)| f.shown()).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head.collect()).chain(rows).collect();
    table(&rows)
}

/// The first column stands left, the others right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

impl Figure {
    fn to_json(&self) -> Value {
        match self {
            Self::Count(n) | Self::Bytes(n) | Self::Nanos(n) => json!(n),
            Self::BytesEach(x) | Self::PerSecond(x) | Self::Each(x) | Self::Cpu(x) => json!(x),
            Self::Text(text) => json!(text),
        }
    }

    /// For a person.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Count(n) => grouped(*n),
            Self::Bytes(n) => format!("{:.2} MiB", *n as f64 / f64::from(1 << 20)),
            Self::BytesEach(x) => format!("{x:.1} B"),
            Self::Nanos(ns) => duration(*ns),
            Self::PerSecond(x) => format!("{}/s", grouped(x.round() as u64)),
            Self::Each(x) => format!("{x:.3}"),
            Self::Cpu(x) if *x >= 0.1 => format!("{:.1} %", x * 100.0),
            Self::Cpu(x) => format!("{:.3} %", x * 100.0),
            Self::Text(text) => text.clone(),
        }
    }
}

/// For a figure, from a time as the standard library has it.
pub(crate) fn nanos(time: Duration) -> Figure {
    Figure::Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A time in a unit that fits.
pub(crate) fn duration(ns: u64) -> String {
    let x = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", x / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", x / 1e6),
        _ => format!("{:.2} s", x / 1e9),
    }
}

/// 1234567 → 1 234 567.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(n: u64) -> Report {
        let mut report = Report::default();
        report.add("polls", "polls", Figure::Count(n));
        report.add("p50_ns", "median", Figure::Nanos(1_500));
        report.faults(&Tally::default());
        report
    }

    #[test]
    fn a_report_shows_its_figures_both_ways() {
        let json = report(20_000).to_json();
        assert_eq!(
            (&json["polls"], &json["p50_ns"]),
            (&json!(20_000), &json!(1_500))
        );
        assert_eq!(
            (&json["missing"], &json["examples"]),
            (&json!(0), &json!([]))
        );
        let lines = report(20_000).lines();
        assert!(
            lines.starts_with("polls       20 000\nmedian      1.5 µs\n"),
            "{lines}"
        );
    }

    #[test]
    fn several_reports_stand_below_each_other() {
        let text = columns(&[report(1), report(64)]);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("polls  median"));
        assert!(lines.next().unwrap().starts_with("1      1.5 µs"));
        assert!(lines.next().unwrap().starts_with("64     1.5 µs"));
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn figures_are_shown_in_units_that_fit() {
        assert_eq!(Figure::Nanos(999).shown(), "999 ns");
        assert_eq!(Figure::Nanos(2_500_000).shown(), "2.50 ms");
        assert_eq!(Figure::Nanos(61_000_000_000).shown(), "61.00 s");
        assert_eq!(Figure::Bytes(3 << 20).shown(), "3.00 MiB");
        assert_eq!(Figure::Count(1_234_567).shown(), "1 234 567");
        assert_eq!(Figure::PerSecond(999.6).shown(), "1 000/s");
        assert_eq!(Figure::Cpu(0.01).shown(), "1.000 %");
        assert_eq!(Figure::Cpu(0.5).shown(), "50.0 %");
    }
}
