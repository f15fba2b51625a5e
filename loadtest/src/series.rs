//! How many of something happened when: counts in steps of [`STEP_NS`] on the clock of all processes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The length of a step.
pub(crate) const STEP_NS: u64 = 10_000_000;

/// Counts by step, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Series {
    steps: Vec<(u64, u64)>,
}

impl Series {
    /// Counts one at `now_ns`, which is not before the last one.
    pub(crate) fn count(&mut self, now_ns: u64) {
        let step = now_ns / STEP_NS;
        match self.steps.last_mut() {
            Some((last, count)) if *last == step => *count += 1,
            _ => self.steps.push((step, 1)),
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut sum: BTreeMap<u64, u64> = self.steps.drain(..).collect();
        for (step, count) in &other.steps {
            *sum.entry(*step).or_default() += count;
        }
        self.steps = sum.into_iter().collect();
    }

    /// When the first one was counted, or zero.
    pub(crate) fn first_ns(&self) -> u64 {
        self.steps.first().map_or(0, |(step, _)| step * STEP_NS)
    }

    /// Seconds since `from_ns` and how many for each second then, with the silence between. Steps are drawn
    /// together until there are at most `points_max`.
    pub(crate) fn rates(&self, from_ns: u64, points_max: usize) -> Vec<(f64, f64)> {
        let first = from_ns / STEP_NS;
        let Some((last, _)) = self.steps.last() else {
            return Vec::new();
        };
        let width = (last.saturating_sub(first) / points_max as u64) + 1;
        let mut points = vec![0_u64; (last.saturating_sub(first) / width) as usize + 1];
        for (step, count) in &self.steps {
            let at = (step.saturating_sub(first) / width) as usize;
            points[at] += count;
        }
        let seconds = (width * STEP_NS) as f64 / 1e9;
        let point = |(at, count): (usize, &u64)| (at as f64 * seconds, *count as f64 / seconds);
        points.iter().enumerate().map(point).collect()
    }

    /// For [`Series::from_json`] in another process.
    pub(crate) fn to_json(&self) -> Value {
        json!(self.steps)
    }

    /// The inverse of [`Series::to_json`]; `None` for anything else.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let step = |step: &Value| Some((step[0].as_u64()?, step[1].as_u64()?));
        let steps = value.as_array()?.iter().map(step).collect::<Option<_>>()?;
        Some(Self { steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(times: &[u64]) -> Series {
        let mut series = Series::default();
        for step in times {
            series.count(step * STEP_NS);
        }
        series
    }

    #[test]
    fn counts_are_rates_with_the_silence_between() {
        let mut sum = series(&[5, 5, 8]);
        sum.add(&series(&[5, 6]));
        assert_eq!(Series::from_json(&sum.to_json()), Some(sum.clone()));
        let rates = sum.rates(5 * STEP_NS, 10);
        assert_eq!(
            rates,
            [(0.0, 300.0), (0.01, 100.0), (0.02, 0.0), (0.03, 100.0)]
        );
        assert_eq!(sum.rates(5 * STEP_NS, 2), [(0.0, 200.0), (0.02, 50.0)]);
        assert!(Series::default().rates(0, 9).is_empty());
    }
}
