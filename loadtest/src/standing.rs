//! Samples of a comparison and how they stand: medians with the lowest and the highest, and ratios to the floor.

use serde_json::{Value, json};

use crate::bars::{Bar, Bars};
use crate::report::Figure;

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Its name in JSON.
    pub(crate) name: &'static str,
    /// Its name for a person.
    pub(crate) label: &'static str,
    /// Its kind.
    pub(crate) unit: Unit,
    /// Whether more is better.
    pub(crate) more: bool,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Bytes for each.
    Bytes,
    /// For each second.
    PerSecond,
    /// Of one.
    Share,
}

/// All samples: by metric, by contender, by repetition.
pub(crate) struct Standing {
    contenders: Vec<String>,
    rows: Vec<(Metric, Vec<Vec<f64>>)>,
}

impl Standing {
    /// Of these contenders, the first of whom the others are related to.
    pub(crate) fn new(contenders: Vec<String>, metrics: &[Metric]) -> Self {
        let empty = vec![Vec::new(); contenders.len()];
        Self {
            rows: metrics
                .iter()
                .map(|metric| (*metric, empty.clone()))
                .collect(),
            contenders,
        }
    }

    /// Whether there is no sample yet.
    pub(crate) fn is_empty(&self) -> bool {
        let mut samples = self.rows.iter().flat_map(|(_, samples)| samples);
        samples.all(Vec::is_empty)
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, metric: &str, contender: usize, value: f64) {
        if let Some((_, samples)) = self.rows.iter_mut().find(|(m, _)| m.name == metric) {
            samples[contender].push(value);
        }
    }

    /// The table: a head, then a row for each metric. In a cell the median and its ratio stand before `between`, the lowest and highest behind it.
    pub(crate) fn table(&self, between: &str) -> Vec<Vec<String>> {
        let head = std::iter::once(String::new()).chain(self.contenders.iter().cloned());
        let mut table = vec![head.collect::<Vec<String>>()];
        let measured = |samples: &&(Metric, Vec<Vec<f64>>)| samples.1.iter().any(|s| !s.is_empty());
        for (metric, samples) in self.rows.iter().filter(measured) {
            let floor = samples.first().and_then(|floor| median(floor));
            let cells = samples.iter().enumerate().map(|(at, samples)| {
                let floor = floor.filter(|_| at > 0);
                cell(*metric, samples, floor, between)
            });
            let label = std::iter::once(metric.label.to_owned());
            table.push(label.chain(cells).collect());
        }
        table
    }

    /// For a program.
    pub(crate) fn to_json(&self) -> Value {
        let row = |(metric, samples): &(Metric, Vec<Vec<f64>>)| {
            let of = |(name, samples): (&String, &Vec<f64>)| {
                (
                    name.clone(),
                    json!({"median": median(samples), "samples": samples}),
                )
            };
            let of: serde_json::Map<String, Value> =
                self.contenders.iter().zip(samples).map(of).collect();
            json!({"name": metric.name, "label": metric.label, "more_is_better": metric.more, "of": of})
        };
        self.rows.iter().map(row).collect()
    }

    /// A picture for each metric that anybody has.
    pub(crate) fn bars(&self) -> Vec<Bars> {
        let picture = |(metric, samples): &(Metric, Vec<Vec<f64>>)| {
            let bars = self.contenders.iter().zip(samples).enumerate();
            let bars = bars.filter_map(|(colour, (name, samples))| {
                let (low, high) = ends(samples)?;
                let median = median(samples)?;
                Some(Bar {
                    name: name.clone(),
                    shown: metric.shown(median),
                    colour,
                    low,
                    median,
                    high,
                })
            });
            Bars {
                title: metric.label.to_owned(),
                note: if metric.more {
                    "More is better."
                } else {
                    "Less is better."
                },
                bars: bars.collect(),
            }
        };
        let all = self.rows.iter().map(picture);
        all.filter(|bars| bars.bars.len() > 1).collect()
    }
}

fn cell(metric: Metric, samples: &[f64], floor: Option<f64>, between: &str) -> String {
    let (Some(median), Some((low, high))) = (median(samples), ends(samples)) else {
        return "–".to_owned();
    };
    let mut cell = metric.shown(median);
    // Against a floor of nothing, and against one that is lost in the noise, there is no ratio.
    if let Some(floor) = floor.filter(|floor| *floor > 0.0) {
        cell.push_str(&format!(" ×{:.2}", median / floor));
    }
    if samples.len() > 1 {
        cell.push_str(&format!(
            "{between}{}–{}",
            metric.shown(low),
            metric.shown(high)
        ));
    }
    cell
}

impl Metric {
    fn shown(self, value: f64) -> String {
        match self.unit {
            Unit::Nanos => Figure::Nanos(value as u64).shown(),
            Unit::Bytes => Figure::BytesEach(value).shown(),
            Unit::PerSecond => Figure::PerSecond(value).shown(),
            Unit::Share => Figure::Cpu(value).shown(),
        }
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

fn ends(samples: &[f64]) -> Option<(f64, f64)> {
    let low = samples.iter().copied().min_by(f64::total_cmp)?;
    let high = samples.iter().copied().max_by(f64::total_cmp)?;
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: [Metric; 2] = [
        Metric {
            name: "cpu",
            label: "CPU",
            unit: Unit::Nanos,
            more: false,
        },
        Metric {
            name: "rate",
            label: "rate",
            unit: Unit::PerSecond,
            more: true,
        },
    ];

    #[test]
    fn medians_stand_beside_their_ratio_to_the_floor() {
        let mut standing = Standing::new(vec!["floor".into(), "a".into()], &METRICS);
        for (floor, a) in [(100.0, 150.0), (300.0, 450.0), (200.0, 300.0)] {
            standing.add("cpu", 0, floor);
            standing.add("cpu", 1, a);
        }
        standing.add("rate", 1, 2_000.0);
        let table = standing.table(" ");
        assert_eq!(table[0], ["", "floor", "a"]);
        assert_eq!(table[1][1], "200 ns 100 ns–300 ns");
        assert_eq!(table[1][2], "300 ns ×1.50 150 ns–450 ns");
        assert_eq!(table[2][1..], ["–", "2 000/s"]);
        assert_eq!(standing.bars().len(), 1);
        assert_eq!(standing.to_json()[0]["of"]["a"]["median"], 300.0);
    }

    #[test]
    fn an_even_number_has_its_median_between() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
