//! Every family of metrics: its name, its help, and where its numbers are.

use std::fs;
use std::path::Path;

use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Sources;
use crate::api::OPERATIONS;
use crate::counters::{Histogram, LoopCounters, Number, OWN_CALL};

type Encoded = Result<(), std::fmt::Error>;

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// A family with a number for each loop.
type OfLoop = (&'static str, &'static str, fn(&LoopCounters) -> &Number);

const GAUGES: [OfLoop; 7] = [
    ("connections", "Connections right now", |of| &of.connections),
    (
        "polls_parked",
        "Polls and streams that wait right now",
        |of| &of.parked,
    ),
    (
        "calls_waiting",
        "Calls that wait right now for something to be loaded",
        |of| &of.waiting,
    ),
    (
        "own_parked",
        "Requests to the host's own paths that wait right now",
        |of| &of.parked_own,
    ),
    (
        "sessions_remembered",
        "Sessions in the cache right now",
        |of| &of.remembered_sessions,
    ),
    (
        "chatrooms_remembered",
        "Chatrooms in the cache right now",
        |of| &of.remembered_chatrooms,
    ),
    (
        "unsent_bytes",
        "Bytes of answers that clients have not taken right now; see --max-unsent",
        |of| &of.unsent_bytes,
    ),
];

const COUNTERS: [OfLoop; 8] = [
    (
        "connections_accepted",
        "Connections that were accepted",
        |of| &of.accepted,
    ),
    (
        "connections_refused",
        "Newcomers who were told 503 because there was no room for another connection",
        |of| &of.refused,
    ),
    (
        "connections_given_up",
        "Connections that were closed because all together had too much unsent",
        |of| &of.given_up,
    ),
    (
        "wakes",
        "Times that the polls of a chatroom were woken",
        |of| &of.wakes,
    ),
    (
        "deliveries",
        "Polls and streams that a wake has told something",
        |of| &of.deliveries,
    ),
    (
        "session_loads",
        "Sessions that were read from the database, not being in the cache",
        |of| &of.session_loads,
    ),
    (
        "user_loads",
        "Users whose chatrooms were read from the database, not being in the cache",
        |of| &of.user_loads,
    ),
    (
        "chatroom_loads",
        "Chatrooms whose newest messages were read from the database, not being in the cache",
        |of| &of.chatroom_loads,
    ),
];

pub(super) fn encode(sources: &Sources, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    info(encoder)?;
    for (name, help, number) in GAUGES {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        of_each_loop(sources, &mut family, |counters, metric| {
            ConstGauge::new(signed(number(counters).get())).encode(metric)
        })?;
    }
    for (name, help, number) in COUNTERS {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        of_each_loop(sources, &mut family, |counters, metric| {
            ConstCounter::new(number(counters).get()).encode(metric)
        })?;
    }
    answers(sources, encoder)?;
    let (name, help) = (
        "turn_seconds",
        "Seconds that turns of an event loop were busy",
    );
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    of_each_loop(sources, &mut family, |counters, metric| {
        histogram(metric, &counters.turn_us, MICROSECONDS)
    })?;
    store(sources, encoder)?;
    system(sources, encoder)
}

fn info(encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    let help = "Which loiter this is";
    let mut family = encoder.encode_descriptor("build", help, None, MetricType::Info)?;
    family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

fn of_each_loop(
    sources: &Sources,
    family: &mut MetricEncoder<'_>,
    encode: impl Fn(&LoopCounters, MetricEncoder<'_>) -> Encoded,
) -> Encoded {
    for (number, counters) in sources.loops.iter().enumerate() {
        let labels = [("event_loop", number.to_string())];
        encode(counters, family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Of all loops together: which has answered tells nobody anything.
fn answers(sources: &Sources, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    let mut sums = std::collections::BTreeMap::new();
    for (call, status, count) in sources.loops.iter().flat_map(|counters| counters.answers()) {
        *sums.entry((call, status)).or_insert(0) += count;
    }
    let help = "Answers, by the call (none: it was no call; own: a path of the host's) and the status (other: none of those that are usual)";
    let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
    for ((call, status), count) in sums {
        let operation = |call: usize| OPERATIONS.iter().find(|of| of.route as usize == call);
        let call = match call {
            Some(OWN_CALL) => "own",
            call => call.and_then(operation).map_or("none", |of| of.path),
        };
        let status = match status {
            0 => "other".to_owned(),
            status => status.to_string(),
        };
        let labels = [("call", call), ("status", &*status)];
        let metric = family.encode_family(&labels)?;
        ConstCounter::<u64>::new(count).encode(metric)?;
    }
    Ok(())
}

fn store(sources: &Sources, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    let counters = &sources.store;
    for (name, help, values, unit) in [
        (
            "commit_writes",
            "Writes of each commit",
            &counters.commit_writes,
            1.0,
        ),
        (
            "commit_seconds",
            "Seconds that each commit took, its writes included",
            &counters.commit_us,
            MICROSECONDS,
        ),
    ] {
        let family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram(family, values, unit)?;
    }
    let help = "Commits that failed: everything in them was answered with storage_failed";
    let family = encoder.encode_descriptor("commits_failed", help, None, MetricType::Counter)?;
    ConstCounter::new(counters.failed.get()).encode(family)?;
    let help = "Jobs that wait for the store right now";
    let mut family = encoder.encode_descriptor("queue_jobs", help, None, MetricType::Gauge)?;
    for (queue, jobs) in (sources.queues)() {
        let labels = [("queue", queue)];
        ConstGauge::new(signed(jobs as u64)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn system(sources: &Sources, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut log = sources.database.clone().into_os_string();
    log.push("-wal");
    // One of them is the folder's own, which is open while it is read.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(0);
    for (name, help, now) in [
        (
            "open_files",
            "Open files of the process right now (0: not known)",
            open as u64,
        ),
        (
            "open_files_limit",
            "Open files that the process may have",
            limit,
        ),
        (
            "database_bytes",
            "Bytes of the database's file",
            size(&sources.database),
        ),
        (
            "log_bytes",
            "Bytes of the file of the write-ahead log",
            size(Path::new(&log)),
        ),
    ] {
        let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(signed(now)).encode(family)?;
    }
    Ok(())
}

fn histogram(mut metric: MetricEncoder<'_>, values: &Histogram, unit: f64) -> Encoded {
    let buckets: Vec<(f64, u64)> = (values.buckets())
        .map(|(bound, count)| {
            (
                bound.map_or(f64::INFINITY, |bound| bound as f64 / unit),
                count,
            )
        })
        .collect();
    let count = buckets.iter().map(|&(_, count)| count).sum();
    metric.encode_histogram::<NoLabelSet>(values.sum() as f64 / unit, count, &buckets, None)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
