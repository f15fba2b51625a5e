//! What is counted while a server runs, for whoever watches it.
//!
//! Each number is written by one thread alone, the one whose part it is, and may be read by all: so to count costs an addition, and no
//! lock, not even the processor's. Nothing here is ever read by the server to decide something.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    /// Counts more; from its own thread.
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// Says how many there are now; from its own thread.
    pub fn set(&self, now: u64) {
        self.0.store(now, Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How often a value was at most 1, 2, 4, 8 … of a unit: of a microsecond, say.
#[derive(Debug)]
pub struct Histogram {
    buckets: [Number; BUCKETS],
    sum: Number,
}

/// The last is for whatever is beyond the others.
const BUCKETS: usize = 24;

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| Number::default()),
            sum: Number::default(),
        }
    }
}

impl Histogram {
    /// Counts a value, in units; from its own thread.
    pub fn observe(&self, value: u64) {
        let at = u64::BITS - value.saturating_sub(1).leading_zeros();
        self.buckets[(at as usize).min(BUCKETS - 1)].add(1);
        self.sum.add(value);
    }

    /// The sum of all values, in units.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Upper bounds, in units, each with how many values it is the least for; the last bound is `None`.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bound = |at: usize| (at < BUCKETS - 1).then(|| 1 << at);
        let counts = self.buckets.iter().map(Number::get);
        counts
            .enumerate()
            .map(move |(at, count)| (bound(at), count))
    }
}

/// Statuses that answers are counted by; the last is for all others.
pub const STATUSES: [u16; 22] = [
    200, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 429, 431, 500, 501,
    503, 505, 0,
];

/// Calls that answers are counted by, one for all of the host's own paths, and one for what was none.
pub const CALLS: usize = 24;

/// The place among them of the host's own paths.
pub const OWN_CALL: usize = CALLS - 2;

/// What one event loop counts.
#[derive(Debug)]
pub struct LoopCounters {
    /// Connections that it has now.
    pub connections: Number,
    /// Calls that wait now: parked polls, streams among them.
    pub parked: Number,
    /// Calls that wait now for something that is being loaded.
    pub waiting: Number,
    /// Requests to the host's own paths that are parked now.
    pub parked_own: Number,
    /// Sessions that are remembered now.
    pub remembered_sessions: Number,
    /// Chatrooms that are remembered now.
    pub remembered_chatrooms: Number,
    /// Bytes that peers have not taken, now.
    pub unsent_bytes: Number,
    /// Connections that were accepted.
    pub accepted: Number,
    /// Newcomers for whom there was no room.
    pub refused: Number,
    /// Connections that were closed because all together had not taken too much.
    pub given_up: Number,
    /// Answers, by call and status.
    answers: [[Number; STATUSES.len()]; CALLS],
    /// Times that polls of a chatroom were woken.
    pub wakes: Number,
    /// Polls and streams that a wake has told something.
    pub deliveries: Number,
    /// Requests whose session was remembered.
    pub session_hits: Number,
    /// Sessions that were asked of the store, not being remembered.
    pub session_loads: Number,
    /// Users' chatrooms that were.
    pub user_loads: Number,
    /// Chatrooms' messages that were.
    pub chatroom_loads: Number,
    /// Microseconds that each turn was busy.
    pub turn_us: Histogram,
}

impl Default for LoopCounters {
    fn default() -> Self {
        Self {
            connections: Number::default(),
            parked: Number::default(),
            waiting: Number::default(),
            parked_own: Number::default(),
            remembered_sessions: Number::default(),
            remembered_chatrooms: Number::default(),
            unsent_bytes: Number::default(),
            accepted: Number::default(),
            refused: Number::default(),
            given_up: Number::default(),
            answers: array::from_fn(|_| array::from_fn(|_| Number::default())),
            wakes: Number::default(),
            deliveries: Number::default(),
            session_hits: Number::default(),
            session_loads: Number::default(),
            user_loads: Number::default(),
            chatroom_loads: Number::default(),
            turn_us: Histogram::default(),
        }
    }
}

impl LoopCounters {
    /// Counts an answer to a call (its place among all calls), or to what was none; from its own thread.
    pub fn count_answer(&self, call: Option<usize>, status: u16) {
        let call = call.map_or(CALLS - 1, |call| call.min(CALLS - 1));
        let others = STATUSES.len() - 1;
        let status = STATUSES.iter().position(|&of| of == status);
        self.answers[call][status.unwrap_or(others)].add(1);
    }

    /// Answers: the call's place, none for what was none, the status, 0 for any other, and how many; those of which there were some.
    pub fn answers(&self) -> impl Iterator<Item = (Option<usize>, u16, u64)> {
        let calls = self.answers.iter().enumerate();
        calls
            .flat_map(|(call, by_status)| {
                let call = (call < CALLS - 1).then_some(call);
                let counts = by_status.iter().zip(STATUSES);
                counts.map(move |(count, status)| (call, status, count.get()))
            })
            .filter(|&(.., count)| count > 0)
    }
}

/// What the store's writing lane counts.
#[derive(Debug, Default)]
pub struct StoreCounters {
    /// Writes of each commit.
    pub commit_writes: Histogram,
    /// Microseconds that each commit took, its writes included.
    pub commit_us: Histogram,
    /// Commits that failed.
    pub failed: Number,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_where_it_first_fits() {
        let histogram = Histogram::default();
        for value in [
            0,
            1,
            2,
            3,
            4,
            5,
            1 << 22,
            (1 << 22) + 1,
            u64::from(u32::MAX),
        ] {
            histogram.observe(value);
        }
        let filled: Vec<_> = histogram
            .buckets()
            .filter(|&(_, count)| count > 0)
            .collect();
        let wanted = [
            (Some(1), 2),
            (Some(2), 1),
            (Some(4), 2),
            (Some(8), 1),
            (Some(1 << 22), 1),
            (None, 2),
        ];
        assert_eq!(filled, wanted);
        assert_eq!(
            histogram.sum(),
            15 + 2 * (1 << 22) + 1 + u64::from(u32::MAX)
        );
        assert_eq!(histogram.buckets().count(), BUCKETS);
    }

    #[test]
    fn answers_are_counted_by_call_and_status() {
        let counters = LoopCounters::default();
        counters.count_answer(Some(3), 200);
        counters.count_answer(Some(3), 200);
        counters.count_answer(Some(3), 503);
        counters.count_answer(None, 404);
        counters.count_answer(Some(0), 299);
        let counted: Vec<_> = counters.answers().collect();
        let wanted = [
            (Some(0), 0, 1),
            (Some(3), 200, 2),
            (Some(3), 503, 1),
            (None, 404, 1),
        ];
        assert_eq!(counted, wanted);
    }
}
