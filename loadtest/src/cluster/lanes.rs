//! The writing lanes of all servers: each commits what has come while it was at the batch before, and says what it has committed.
//!
//! Where NOTIFY tells of it, commits go one after the other: PostgreSQL takes a lock of the whole server from before the flush until after it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::random::Random;

/// A batch that is committed: when, where, and when each of its messages had come.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) at: f64,
    pub(super) node: u32,
    pub(super) came: Vec<f64>,
}

/// How the lanes work, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    pub(super) nodes: u32,
    /// Messages a second, of all.
    pub(super) messages: f64,
    /// What is done before the flush.
    pub(super) work: f64,
    pub(super) flush: f64,
    /// One flush at a time.
    pub(super) is_serial: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Message,
    Worked(u32),
    Flushed(u32),
}

#[derive(Default)]
struct Lane {
    waiting: Vec<f64>,
    batch: Option<Vec<f64>>,
}

/// Nanoseconds, which have an order.
fn key(at: f64) -> u64 {
    (at * 1e9) as u64
}

impl Lanes {
    /// All that is committed of what comes in so many seconds, in order.
    pub(super) fn run(&self, seconds: f64, random: &mut Random) -> Vec<Commit> {
        let mut lanes = Vec::from_iter((0..self.nodes).map(|_| Lane::default()));
        let mut events = BinaryHeap::new();
        let mut queue: VecDeque<u32> = VecDeque::new();
        let mut is_locked = false;
        let mut commits = Vec::new();
        events.push(Reverse((key(random.pause(self.messages)), Event::Message)));
        while let Some(Reverse((now, event))) = events.pop() {
            let at = now as f64 / 1e9;
            let mut begin = |lane: &mut Lane, node| {
                if lane.batch.is_none() && !lane.waiting.is_empty() {
                    lane.batch = Some(std::mem::take(&mut lane.waiting));
                    events.push(Reverse((key(at + self.work), Event::Worked(node))));
                }
            };
            match event {
                Event::Message => {
                    let node = random.below(self.nodes);
                    let lane = &mut lanes[node as usize];
                    lane.waiting.push(at);
                    begin(lane, node);
                    let next = at + random.pause(self.messages);
                    if next < seconds {
                        events.push(Reverse((key(next), Event::Message)));
                    }
                }
                Event::Worked(node) if self.is_serial && is_locked => queue.push_back(node),
                Event::Worked(node) => {
                    is_locked = true;
                    events.push(Reverse((key(at + self.flush), Event::Flushed(node))));
                }
                Event::Flushed(node) => {
                    let lane = &mut lanes[node as usize];
                    let came = lane.batch.take().expect("it was at one");
                    commits.push(Commit { at, node, came });
                    begin(lane, node);
                    is_locked = false;
                    if let Some(next) = queue.pop_front() {
                        is_locked = true;
                        events.push(Reverse((key(at + self.flush), Event::Flushed(next))));
                    }
                }
            }
        }
        commits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(nodes: u32, messages: f64, is_serial: bool) -> (Lanes, Vec<Commit>) {
        let lanes = Lanes {
            nodes,
            messages,
            work: 0.003,
            flush: 0.002,
            is_serial,
        };
        let commits = lanes.run(60.0, &mut Random::new(7));
        (lanes, commits)
    }

    #[test]
    fn every_message_is_committed_once_and_none_before_its_time() {
        let (lanes, commits) = lanes(10, 2000.0, true);
        let came = commits
            .iter()
            .map(|commit| commit.came.len())
            .sum::<usize>();
        let expected = lanes.messages * 60.0;
        assert!(
            (came as f64 - expected).abs() < 4.0 * expected.sqrt(),
            "{came}"
        );
        let least = lanes.work + lanes.flush - 1e-6;
        for commit in &commits {
            assert!(commit.came.iter().all(|came| commit.at - came >= least));
        }
    }

    /// A batch lasts for work and flush; where nothing has come meanwhile, the next begins with the next message.
    #[test]
    fn lanes_that_do_not_wait_for_each_other_commit_as_often_as_is_expected() {
        for messages in [10.0, 500.0, 5000.0] {
            let (lanes, commits) = lanes(10, messages, false);
            let (rate, batch) = (messages / 10.0, lanes.work + lanes.flush);
            let expected = 600.0 / (batch + (-rate * batch).exp() / rate);
            let ratio = commits.len() as f64 / expected;
            assert!((0.95..1.05).contains(&ratio), "{messages}: {ratio}");
        }
    }

    /// However many lanes there are: one flush after the other.
    #[test]
    fn notifying_lanes_commit_no_more_often_than_one_flushes() {
        let (lanes, commits) = lanes(100, 20_000.0, true);
        let last = commits.last().expect("many").at;
        let ratio = commits.len() as f64 * lanes.flush / last;
        assert!((0.98..=1.001).contains(&ratio), "{ratio}");
    }
}
