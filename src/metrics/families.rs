//! Every family of metrics: its name, its help, and where its numbers are. Who tells them of it, and in which words, is for others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Sources;
use crate::api::OPERATIONS;
use crate::counters::{Histogram, LoopCounters, Number, OWN_CALL};

/// Numbers of one kind, each with labels of its own.
pub(super) struct Family {
    /// Without what all names begin with.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) numbers: Numbers,
}

/// What is known of a family, by its labels.
pub(super) enum Numbers {
    /// One that says something by its labels.
    Info(Labels),
    Gauge(Vec<(Labels, u64)>),
    Counter(Vec<(Labels, u64)>),
    Histogram(Vec<(Labels, Distribution)>),
}

pub(super) type Labels = Vec<(&'static str, String)>;

/// How many values were at most so much.
pub(super) struct Distribution {
    /// Upper bounds, the last infinite, each with how many values it is the least for.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) sum: f64,
}

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// A family with a number for each loop.
type OfLoop = (&'static str, &'static str, fn(&LoopCounters) -> &Number);

/// How many there are right now.
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

/// How many there have been.
const COUNTERS: [OfLoop; 9] = [
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
        "session_hits",
        "Requests whose session was in the cache; those that wait for something count once more when it is there",
        |of| &of.session_hits,
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

/// All of them, as they are now.
pub(super) fn all(sources: &Sources) -> Vec<Family> {
    let mut families = vec![info()];
    families.extend(GAUGES.map(|(name, help, number)| Family {
        name,
        help,
        numbers: Numbers::Gauge(of_each_loop(sources, |of| number(of).get())),
    }));
    families.extend(COUNTERS.map(|(name, help, number)| Family {
        name,
        help,
        numbers: Numbers::Counter(of_each_loop(sources, |of| number(of).get())),
    }));
    families.push(answers(sources));
    families.push(connections_by_state(sources));
    families.push(refusals(sources));
    families.push(Family {
        name: "turn_seconds",
        help: "Seconds that turns of an event loop were busy",
        numbers: Numbers::Histogram(of_each_loop(sources, |of| {
            Distribution::of(&of.turn_us, MICROSECONDS)
        })),
    });
    families.extend(store(sources));
    families.extend(system(sources));
    families
}

fn info() -> Family {
    Family {
        name: "build",
        help: "Which loiter this is",
        numbers: Numbers::Info(vec![("version", env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

fn of_each_loop<T>(sources: &Sources, number: impl Fn(&LoopCounters) -> T) -> Vec<(Labels, T)> {
    let loops = sources.loops.iter().enumerate();
    loops
        .map(|(at, counters)| (vec![("event_loop", at.to_string())], number(counters)))
        .collect()
}

/// Of all loops together: which has answered tells nobody anything.
fn answers(sources: &Sources) -> Family {
    let mut sums = BTreeMap::new();
    for (call, status, count) in sources.loops.iter().flat_map(|counters| counters.answers()) {
        *sums.entry((call, status)).or_insert(0) += count;
    }
    let labelled = |((call, status), count)| {
        let of = |call: usize| OPERATIONS.iter().find(|of| of.route as usize == call);
        let call: Option<usize> = call;
        let call = match call {
            Some(OWN_CALL) => "own",
            call => call.and_then(of).map_or("none", |operation| operation.path),
        };
        let status: u16 = status;
        let status = match status {
            0 => "other".to_owned(),
            status => status.to_string(),
        };
        (vec![("call", call.to_owned()), ("status", status)], count)
    };
    Family {
        name: "requests",
        help: "Answers, by the call (none: it was no call; own: a path of the host's) and the status (other: none of those that are usual)",
        numbers: Numbers::Counter(sums.into_iter().map(labelled).collect()),
    }
}

/// What connections are at, as far as that is a matter of state and not of a moment.
fn connections_by_state(sources: &Sources) -> Family {
    let states = |of: &LoopCounters| {
        let [parked, waiting, own] = [&of.parked, &of.waiting, &of.parked_own].map(Number::get);
        let others = of.connections.get().saturating_sub(parked + waiting + own);
        [
            ("parked", parked),
            ("loading", waiting),
            ("own_parked", own),
            ("other", others),
        ]
    };
    let by_loop = of_each_loop(sources, states).into_iter();
    let labelled = by_loop.flat_map(|(labels, states)| {
        states.map(|(state, count)| {
            let mut labels = labels.clone();
            labels.push(("state", state.to_owned()));
            (labels, count)
        })
    });
    Family {
        name: "connections_by_state",
        help: "Connections right now, by what they are at: a parked poll or stream, a call that waits for something to be loaded, a parked request to the host's own paths; or other, which is none, or one that is being read, done or answered",
        numbers: Numbers::Gauge(labelled.collect()),
    }
}

/// Why clients were refused, by the statuses that say so.
const REASONS: [(u16, &str); 9] = [
    (400, "bad_request"),
    (401, "no_session"),
    (403, "cross_site"),
    (408, "timeout"),
    (413, "body_too_large"),
    (417, "expectation"),
    (429, "rate"),
    (431, "head_too_large"),
    (503, "overloaded"),
];

fn refusals(sources: &Sources) -> Family {
    let answers = || sources.loops.iter().flat_map(|counters| counters.answers());
    let by_status = REASONS.map(|(status, reason)| {
        let counts = answers().filter(|&(_, of, _)| of == status);
        (reason, counts.map(|(.., count)| count).sum())
    });
    let of_all = |number: fn(&LoopCounters) -> &Number| -> u64 {
        let loops = sources.loops.iter();
        loops.map(|counters| number(counters).get()).sum()
    };
    let closed = [
        ("connections", of_all(|of| &of.refused)),
        ("unsent", of_all(|of| &of.given_up)),
    ];
    let labelled = |(reason, count): (&str, u64)| (vec![("reason", reason.to_owned())], count);
    Family {
        name: "refusals",
        help: "What was refused, by why: no room for another connection, too much unsent (see --max-unsent), or what the status says (overloaded: 503, rate: 429)",
        numbers: Numbers::Counter(closed.into_iter().chain(by_status).map(labelled).collect()),
    }
}

fn store(sources: &Sources) -> [Family; 4] {
    let counters = &sources.store;
    let distribution = |name, help, values, unit| Family {
        name,
        help,
        numbers: Numbers::Histogram(vec![(Vec::new(), Distribution::of(values, unit))]),
    };
    let queues = (sources.queues)().into_iter();
    let queues = queues.map(|(queue, jobs)| (vec![("queue", queue.to_owned())], jobs as u64));
    [
        distribution(
            "commit_writes",
            "Writes of each commit",
            &counters.commit_writes,
            1.0,
        ),
        distribution(
            "commit_seconds",
            "Seconds that each commit took, its writes included",
            &counters.commit_us,
            MICROSECONDS,
        ),
        Family {
            name: "commits_failed",
            help: "Commits that failed: everything in them was answered with storage_failed",
            numbers: Numbers::Counter(vec![(Vec::new(), counters.failed.get())]),
        },
        Family {
            name: "queue_jobs",
            help: "Jobs that wait for the store right now",
            numbers: Numbers::Gauge(queues.collect()),
        },
    ]
}

fn system(sources: &Sources) -> [Family; 4] {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let mut log = sources.database.clone().into_os_string();
    log.push("-wal");
    // One of them is the folder's own, which is open while it is read.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(0);
    [
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
    ]
    .map(|(name, help, now)| Family {
        name,
        help,
        numbers: Numbers::Gauge(vec![(Vec::new(), now)]),
    })
}

impl Distribution {
    fn of(values: &Histogram, unit: f64) -> Self {
        let bound = |of: Option<u64>| of.map_or(f64::INFINITY, |of| of as f64 / unit);
        Self {
            buckets: (values.buckets())
                .map(|(of, count)| (bound(of), count))
                .collect(),
            sum: values.sum() as f64 / unit,
        }
    }

    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).sum()
    }
}
