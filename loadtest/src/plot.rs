//! What a run can show as a picture: lines of points and what their axes mean. How they are drawn is [`crate::chart`]'s.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::report::{duration, grouped};

/// Points of a latency line, about.
const QUANTILE_STEPS: u32 = 12;
/// Points of a line of moments, at most.
const MOMENTS_MAX: usize = 400;

/// One picture.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// What it shows.
    pub(crate) title: String,
    /// What one needs to know to read it.
    pub(crate) note: String,
    /// Left to right.
    pub(crate) x: Axis,
    /// Bottom to top.
    pub(crate) y: Axis,
    /// The lines, in the order of their legend.
    pub(crate) lines: Vec<Line>,
}

/// What an axis means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// The words beside it.
    pub(crate) label: &'static str,
    /// How its numbers are written.
    pub(crate) unit: Unit,
    /// How its numbers are spread.
    pub(crate) scale: Scale,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// As it is.
    Count,
    /// Of one: 0.99 is 99 %.
    Percentile,
    /// Nanoseconds, in a unit that fits.
    Nanos,
    /// Bytes, in MiB.
    Bytes,
    /// Seconds.
    Seconds,
    /// For each second.
    PerSecond,
}

/// How numbers are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from zero.
    Linear,
    /// By their logarithm.
    Log,
    /// By the logarithm of what is left to 1: each nine takes the same room.
    Nines,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its name in the legend.
    pub(crate) name: String,
    /// Its points, from left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether its points stand for themselves, without a line between them.
    pub(crate) is_dotted: bool,
}

impl Line {
    /// A line through points.
    pub(crate) fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            is_dotted: false,
        }
    }
}

impl Plot {
    /// Latencies by percentile.
    pub(crate) fn latencies(title: impl Into<String>, lines: &[(&str, &Histogram<u64>)]) -> Self {
        let lines = lines.iter().filter(|(_, times)| !times.is_empty());
        Self {
            title: title.into(),
            note: "Each step to the right leaves a tenth of the slower ones.".into(),
            x: Axis {
                label: "percentile, and the slowest at the right end",
                unit: Unit::Percentile,
                scale: Scale::Nines,
            },
            y: Axis {
                label: "time",
                unit: Unit::Nanos,
                scale: Scale::Log,
            },
            lines: lines
                .map(|(name, times)| Line::new(*name, quantiles(times)))
                .collect(),
        }
    }

    /// Something over seconds.
    pub(crate) fn over_time(
        title: impl Into<String>,
        label: &'static str,
        lines: Vec<Line>,
    ) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            x: Axis {
                label: "seconds",
                unit: Unit::Seconds,
                scale: Scale::Linear,
            },
            y: Axis {
                label,
                unit: Unit::PerSecond,
                scale: Scale::Linear,
            },
            lines,
        }
    }

    /// For a program.
    pub(crate) fn to_json(&self) -> Value {
        let lines = self.lines.iter();
        let lines: Vec<Value> = lines
            .map(|line| json!({"name": line.name, "points": line.points}))
            .collect();
        json!({"title": self.title, "x": self.x.label, "y": self.y.label, "lines": lines})
    }
}

impl Unit {
    /// What is shown as one: an axis has its steps in whole numbers of it, or even parts.
    pub(crate) fn size(self) -> f64 {
        match self {
            Self::Bytes => f64::from(1 << 20),
            _ => 1.0,
        }
    }

    /// A number as an axis shows it.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Self::Count => short(value),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Percentile => trimmed(value * 100.0),
            Self::Nanos => match value {
                v if v < 1e3 => duration(v as u64),
                v if v < 1e6 => format!("{} µs", trimmed(v / 1e3)),
                v if v < 1e9 => format!("{} ms", trimmed(v / 1e6)),
                v => format!("{} s", trimmed(v / 1e9)),
            },
            Self::Bytes => format!("{} MiB", trimmed(value / self.size())),
            Self::Seconds => format!("{} s", trimmed(value)),
        }
    }
}

/// Large numbers in thousands and millions.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", trimmed(v / 1e6)),
        v if v >= 1e4 => format!("{} k", trimmed(v / 1e3)),
        v if v >= 10.0 => grouped(v.round() as u64),
        v => trimmed(v),
    }
}

/// Without zeros behind the point.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// As far as there are enough values to tell one quantile from the next; the slowest of all stands at 1.
fn quantiles(times: &Histogram<u64>) -> Vec<(f64, f64)> {
    let finest = 1.0 / times.len().max(1) as f64;
    let steps = times.iter_quantiles(QUANTILE_STEPS);
    let steps = steps.map(|step| (step.quantile(), step.value_iterated_to() as f64));
    let mut points: Vec<(f64, f64)> = steps
        .take_while(|(quantile, _)| 1.0 - quantile > finest)
        .collect();
    points.push((1.0, times.max() as f64));
    points
}

/// Times and latencies as points over seconds since `from_ns`: of many in one place, the slowest.
pub(crate) fn moments(trace: &[(u64, u64)], from_ns: u64) -> Vec<(f64, f64)> {
    let Some((last, _)) = trace.last() else {
        return Vec::new();
    };
    let width = (last.saturating_sub(from_ns) / MOMENTS_MAX as u64).max(1);
    let mut points: Vec<(u64, u64)> = Vec::new();
    for (at, latency) in trace {
        let place = at.saturating_sub(from_ns) / width;
        match points.last_mut() {
            Some((last, slowest)) if *last == place => *slowest = (*slowest).max(*latency),
            _ => points.push((place, *latency)),
        }
    }
    let point = |(place, latency)| ((place * width) as f64 / 1e9, latency as f64);
    points.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::latencies;

    #[test]
    fn numbers_are_written_in_units_that_fit() {
        assert_eq!(Unit::Nanos.shown(2_500_000.0), "2.5 ms");
        assert_eq!(Unit::Percentile.shown(0.999), "99.9");
        assert_eq!(Unit::Count.shown(15_000.0), "15 k");
        assert_eq!(Unit::PerSecond.shown(500.0), "500/s");
        assert_eq!(Unit::Bytes.shown(f64::from(3 << 20)), "3 MiB");
        assert_eq!(Unit::Seconds.shown(0.25), "0.25 s");
    }

    #[test]
    fn a_latency_line_ends_at_the_slowest() {
        let mut times = latencies();
        for time in 1..=1000 {
            times.record(time * 1000).unwrap();
        }
        let plot = Plot::latencies("t", &[("a", &times), ("none", &latencies())]);
        assert_eq!(plot.lines.len(), 1);
        let points = &plot.lines[0].points;
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        assert_eq!(points.last().unwrap().0, 1.0);
    }

    #[test]
    fn the_slowest_of_a_moment_stands_for_it() {
        let trace: Vec<(u64, u64)> = (0..4000).map(|at| (at * 1_000_000, at % 7)).collect();
        let points = moments(&trace, 0);
        assert!(points.len() <= MOMENTS_MAX + 1);
        let (_, whole) = points.split_last().unwrap();
        assert!(whole.iter().all(|(_, latency)| *latency == 6.0));
        assert!(moments(&[], 0).is_empty());
    }
}
