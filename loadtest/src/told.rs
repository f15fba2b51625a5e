//! What the workers know of a round: written by each as JSON, read and summed up by the coordinator.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::clock::latencies;
use crate::pollers::Round;
use crate::series::Series;
use crate::tally::Tally;

/// What all workers know of the round that ends.
#[derive(Debug)]
pub(crate) struct Told {
    /// Connections that are not broken.
    pub(crate) live: u64,
    /// Deliveries in the round.
    pub(crate) delivered: u64,
    /// Messages that a poll never saw, summed over polls: see [`crate::pollers`].
    pub(crate) passed: u64,
    /// How long each delivery took, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// When they came.
    pub(crate) series: Series,
    /// What went wrong in the round.
    pub(crate) tally: Tally,
}

impl Told {
    /// Of no worker yet.
    pub(crate) fn nothing() -> Self {
        Self {
            live: 0,
            delivered: 0,
            passed: 0,
            latencies: latencies(),
            series: Series::default(),
            tally: Tally::default(),
        }
    }

    /// Of one worker.
    pub(crate) fn of(live: u64, round: Round, tally: Tally) -> Self {
        Self {
            live,
            delivered: round.delivered,
            passed: round.passed,
            latencies: round.latencies,
            series: round.series,
            tally,
        }
    }

    /// Adds what another worker tells, or the same of another round.
    pub(crate) fn add(&mut self, other: Self) {
        self.live += other.live;
        self.delivered += other.delivered;
        self.passed += other.passed;
        self.latencies += other.latencies;
        self.series.add(&other.series);
        self.tally.add(other.tally);
    }

    /// For [`Told::from_json`] in the coordinator.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "say": "told",
            "live": self.live,
            "delivered": self.delivered,
            "passed": self.passed,
            "latencies": counts(&self.latencies),
            "series": self.series.to_json(),
            "tally": self.tally.to_json(),
        })
    }

    /// The inverse of [`Told::to_json`]; `None` for anything else.
    pub(crate) fn from_json(line: &Value) -> Option<Self> {
        Some(Self {
            live: line["live"].as_u64()?,
            delivered: line["delivered"].as_u64()?,
            passed: line["passed"].as_u64()?,
            latencies: histogram(&line["latencies"])?,
            series: Series::from_json(&line["series"])?,
            tally: Tally::from_json(&line["tally"])?,
        })
    }
}

/// A histogram's values with their counts.
pub(crate) fn counts(histogram: &Histogram<u64>) -> Value {
    let step = |value, count| json!([value, count]);
    histogram
        .iter_recorded()
        .map(|at| step(at.value_iterated_to(), at.count_at_value()))
        .collect()
}

/// The inverse of [`counts`]; `None` for anything else.
pub(crate) fn histogram(counts: &Value) -> Option<Histogram<u64>> {
    let mut histogram = latencies();
    for step in counts.as_array()? {
        let (value, count) = (step[0].as_u64()?, step[1].as_u64()?);
        histogram.saturating_record_n(value, count);
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_tells_is_understood() {
        let mut told = Told::nothing();
        (told.live, told.delivered, told.passed) = (3, 2, 1);
        told.latencies.record(1000).unwrap();
        told.latencies.record(2000).unwrap();
        told.series.count(5);
        told.tally.doubled(1, || "again".into());
        let mut sum = Told::from_json(&told.to_json()).unwrap();
        sum.add(Told::from_json(&told.to_json()).unwrap());
        assert_eq!((sum.live, sum.delivered, sum.passed), (6, 4, 2));
        assert_eq!((sum.latencies.len(), sum.latencies.min()), (4, 1000));
        assert_eq!(sum.tally.doubled, 2);
        assert!(Told::from_json(&json!({"say": "told"})).is_none());
    }
}
