//! What is measured in a comparison: command lines of this program, and which of their figures are rows of the table.

use crate::options::CompareOptions;
use crate::standing::{Metric, Unit};

/// One measurement, and which of its figures are compared.
pub(crate) struct Scenario {
    /// Its options, as on the command line.
    pub(crate) words: String,
    /// By report: a figure's key and the metric that it is a sample of.
    pub(crate) figures: &'static [&'static [(&'static str, &'static str)]],
    /// Whether it is about the disk.
    pub(crate) disk: bool,
    /// The line of its plots that stands for a contender: the plot, the line, and the title.
    pub(crate) plot: Option<(usize, usize, &'static str)>,
}

impl Scenario {
    /// Whether it is one of these subcommands.
    pub(crate) fn is_named_in(&self, names: &[String]) -> bool {
        names
            .iter()
            .any(|name| self.words.starts_with(name.as_str()))
    }
}

const fn metric(name: &'static str, label: &'static str, unit: Unit, more: bool) -> Metric {
    Metric {
        name,
        label,
        unit,
        more,
    }
}

/// All that is compared, in the order of the table.
pub(crate) const METRICS: [Metric; 20] = [
    metric(
        "memory",
        "user memory for each parked poll",
        Unit::Bytes,
        false,
    ),
    metric("park", "CPU to accept and park one", Unit::Nanos, false),
    metric("alone", "CPU for each delivery alone", Unit::Nanos, false),
    metric(
        "cycle",
        "CPU for each delivery and the poll after it",
        Unit::Nanos,
        false,
    ),
    metric(
        "deliveries",
        "deliveries, with the poll after it",
        Unit::PerSecond,
        true,
    ),
    metric("last", "send to last delivery", Unit::Nanos, false),
    metric(
        "spread_cpu",
        "spread: CPU for each delivery, all in",
        Unit::Nanos,
        false,
    ),
    metric("spread_messages", "spread: messages", Unit::PerSecond, true),
    metric(
        "spread_deliveries",
        "spread: deliveries",
        Unit::PerSecond,
        true,
    ),
    metric(
        "spread_share",
        "spread: delivered, of messages times polls",
        Unit::Share,
        true,
    ),
    metric(
        "spread_p50",
        "spread, 1,000 messages a second: send to delivery, p50",
        Unit::Nanos,
        false,
    ),
    metric(
        "spread_p99",
        "spread, 1,000 messages a second: send to delivery, p99",
        Unit::Nanos,
        false,
    ),
    metric("get_cpu", "small GET: CPU", Unit::Nanos, false),
    metric("get_rate", "small GET: answers", Unit::PerSecond, true),
    metric(
        "send_1",
        "durable messages, 1 sender",
        Unit::PerSecond,
        true,
    ),
    metric(
        "send_1_p99",
        "durable messages, 1 sender: p99",
        Unit::Nanos,
        false,
    ),
    metric(
        "send_8",
        "durable messages, 8 senders",
        Unit::PerSecond,
        true,
    ),
    metric(
        "send_8_p99",
        "durable messages, 8 senders: p99",
        Unit::Nanos,
        false,
    ),
    metric(
        "send_64",
        "durable messages, 64 senders",
        Unit::PerSecond,
        true,
    ),
    metric(
        "send_64_p99",
        "durable messages, 64 senders: p99",
        Unit::Nanos,
        false,
    ),
];

/// All measurements, in their order.
pub(crate) fn scenarios(options: &CompareOptions) -> Vec<Scenario> {
    let CompareOptions {
        polls,
        chatrooms,
        messages,
        ..
    } = options;
    let seconds = options.seconds.as_secs();
    let scenario = |words, figures, disk, plot| Scenario {
        words,
        figures,
        disk,
        plot,
    };
    vec![
        scenario(
            format!("idle --polls {polls} --hold 1"),
            &[&[
                ("private_dirty_per_poll", "memory"),
                ("cpu_per_park_ns", "park"),
            ]],
            false,
            Some((0, 0, "Memory while polls park")),
        ),
        scenario(
            format!("fanout --polls {polls} --messages {messages} --rest"),
            &[&[("cpu_per_delivery_alone_ns", "alone")]],
            false,
            None,
        ),
        scenario(
            format!("fanout --polls {polls} --messages {messages}"),
            &[&[
                ("cpu_per_delivery_ns", "cycle"),
                ("deliveries_per_second", "deliveries"),
                ("last_ns", "last"),
            ]],
            false,
            Some((0, 0, "One chatroom: send to delivery")),
        ),
        scenario(
            format!(
                "spread --polls {polls} --chatrooms {chatrooms} --senders 16 --seconds {seconds}"
            ),
            &[&[
                ("cpu_per_delivery_ns", "spread_cpu"),
                ("messages_per_second", "spread_messages"),
                ("deliveries_per_second", "spread_deliveries"),
                ("delivered_share", "spread_share"),
            ]],
            false,
            None,
        ),
        // In closed loop the faster server makes the generator the bottleneck, and its queue the latency.
        scenario(
            format!(
                "spread --polls {polls} --chatrooms {chatrooms} --senders 64 --seconds {seconds} --rate 1000"
            ),
            &[&[
                ("delivery_p50_ns", "spread_p50"),
                ("delivery_p99_ns", "spread_p99"),
            ]],
            false,
            Some((
                0,
                0,
                "Many chatrooms, 1,000 messages a second: send to delivery",
            )),
        ),
        scenario(
            format!("rps --connections 64 --seconds {seconds}"),
            &[&[("cpu_per_answer_ns", "get_cpu"), ("per_second", "get_rate")]],
            false,
            Some((0, 0, "Answer to a small GET")),
        ),
        scenario(
            format!("send --senders 1,8,64 --seconds {seconds}"),
            &[
                &[("per_second", "send_1"), ("latency_p99_ns", "send_1_p99")],
                &[("per_second", "send_8"), ("latency_p99_ns", "send_8_p99")],
                &[("per_second", "send_64"), ("latency_p99_ns", "send_64_p99")],
            ],
            true,
            Some((0, 2, "64 senders: send to answer, durable")),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::{Command, Options};

    fn compared(line: &str) -> CompareOptions {
        let words = std::iter::once("loiter-loadtest").chain(line.split(' '));
        match Options::try_parse_from(words).unwrap().command {
            Command::Compare(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_measurement_is_a_command_line_and_every_metric_has_one() {
        let all = scenarios(&compared("compare"));
        for scenario in &all {
            let words = std::iter::once("loiter-loadtest").chain(scenario.words.split(' '));
            assert!(Options::try_parse_from(words).is_ok(), "{}", scenario.words);
        }
        let figures = all.iter().flat_map(|scenario| scenario.figures.iter());
        let fed: Vec<&str> = figures
            .flat_map(|f| f.iter().map(|(_, metric)| *metric))
            .collect();
        let metrics: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(fed, metrics);
    }

    #[test]
    fn some_can_be_picked() {
        let options = compared("compare --only fanout,send");
        let mut picked = scenarios(&options);
        picked.retain(|scenario| scenario.is_named_in(&options.only));
        assert_eq!(picked.len(), 3);
        assert!(picked[2].disk);
    }
}
