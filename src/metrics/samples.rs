//! The families number by number, each under the name and the labels that it has in the text for Prometheus, for a host's own eyes.

use super::PREFIX;
use super::families::{Distribution, Family, Labels, Numbers};

/// One number, as [`Metrics::visit`](super::Metrics::visit) tells it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// // Somewhere else than Prometheus: name, labels, value.
/// let server = loiter::Server::bind(config)?;
/// let mut lines = Vec::new();
/// server.metrics().visit(|sample| {
///     let labels = sample.labels.iter().map(|(name, value)| format!(",{name}={value}"));
///     let labels: String = labels.collect();
///     lines.push(format!("{}{labels} {}", sample.name, sample.value));
/// });
/// assert!(lines.contains(&"loiter_connections,event_loop=0 0".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Such as `loiter_connections` or `loiter_wakes_total`. A histogram is told by several: `…_bucket` for each bound, which the label
    /// `le` has, with how many values were at most that; `…_count` and `…_sum`.
    pub name: &'a str,
    /// What it is, in a few words.
    pub help: &'a str,
    /// Whether it only grows.
    pub kind: MetricKind,
    /// What tells it from others of its name, if anything; names and values.
    pub labels: &'a [(&'a str, &'a str)],
    /// The number.
    pub value: f64,
}

/// What a number's change means.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// let server = loiter::Server::bind(config)?;
/// server.metrics().visit(|sample| match sample.kind {
///     loiter::MetricKind::Counter => assert!(!sample.name.ends_with("_bytes")),
///     loiter::MetricKind::Gauge => assert!(!sample.name.ends_with("_total")),
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It counts from 0 at the server's start, and only grows.
    Counter,
    /// It is as it is right now.
    Gauge,
}

/// Tells each number of each family.
pub(super) fn each(families: &[Family], mut visitor: impl FnMut(&Sample<'_>)) {
    for family in families {
        let mut tell = |suffix: &str, kind, labels: &Labels, value| {
            visitor(&Sample {
                name: &format!("{PREFIX}_{}{suffix}", family.name),
                help: family.help,
                kind,
                labels: &Vec::from_iter(labels.iter().map(|(name, value)| (*name, &**value))),
                value,
            });
        };
        match &family.numbers {
            Numbers::Info(labels) => tell("_info", MetricKind::Gauge, labels, 1.0),
            Numbers::Gauge(numbers) => {
                for (labels, now) in numbers {
                    tell("", MetricKind::Gauge, labels, *now as f64);
                }
            }
            Numbers::Counter(numbers) => {
                for (labels, count) in numbers {
                    tell("_total", MetricKind::Counter, labels, *count as f64);
                }
            }
            Numbers::Histogram(numbers) => {
                for (labels, distribution) in numbers {
                    histogram(labels, distribution, |suffix, labels, value| {
                        tell(suffix, MetricKind::Counter, labels, value);
                    });
                }
            }
        }
    }
}

fn histogram(labels: &Labels, of: &Distribution, mut tell: impl FnMut(&str, &Labels, f64)) {
    tell("_sum", labels, of.sum);
    tell("_count", labels, of.count() as f64);
    let mut up_to = 0;
    for &(bound, count) in &of.buckets {
        up_to += count;
        let labels = [&[("le", written(bound))], &labels[..]].concat();
        tell("_bucket", &labels, up_to as f64);
    }
}

/// A bound as OpenMetrics has it: with a point, so that 1 and 1.0 are not two.
fn written(bound: f64) -> String {
    match bound {
        f64::INFINITY => "+Inf".to_owned(),
        whole if whole.fract() == 0.0 => format!("{whole:.1}"),
        _ => bound.to_string(),
    }
}
