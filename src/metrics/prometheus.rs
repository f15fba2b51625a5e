//! The families as text for Prometheus and what speaks its format (OpenMetrics).

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::families::{self, Distribution, Family, Numbers};
use super::{Metrics, PREFIX};

type Encoded = Result<(), fmt::Error>;

pub(super) fn text(metrics: &Metrics) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(metrics.clone()));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes all");
    text
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Encoded {
        let families = families::all(&self.0);
        families.iter().try_for_each(|of| family(of, &mut encoder))
    }
}

fn family(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    let kind = match family.numbers {
        Numbers::Info(_) => MetricType::Info,
        Numbers::Gauge(_) => MetricType::Gauge,
        Numbers::Counter(_) => MetricType::Counter,
        Numbers::Histogram(_) => MetricType::Histogram,
    };
    let mut encoder = encoder.encode_descriptor(family.name, family.help, None, kind)?;
    match &family.numbers {
        Numbers::Info(labels) => encoder.encode_info(labels),
        Numbers::Gauge(numbers) => numbers.iter().try_for_each(|(labels, now)| {
            let now = i64::try_from(*now).unwrap_or(i64::MAX);
            ConstGauge::new(now).encode(encoder.encode_family(labels)?)
        }),
        Numbers::Counter(numbers) => numbers.iter().try_for_each(|(labels, count)| {
            ConstCounter::<u64>::new(*count).encode(encoder.encode_family(labels)?)
        }),
        Numbers::Histogram(of) => of.iter().try_for_each(|(labels, distribution)| {
            histogram(encoder.encode_family(labels)?, distribution)
        }),
    }
}

fn histogram(mut encoder: MetricEncoder<'_>, of: &Distribution) -> Encoded {
    encoder.encode_histogram::<NoLabelSet>(of.sum, of.count(), &of.buckets, None)
}
