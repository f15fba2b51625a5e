//! A pure deadline queue: whoever owns it passes the time in.
//!
//! The queue never looks for an entry. An owner that moves a deadline later, or drops it,
//! lets the old entry come due, compares it with what it holds itself, and schedules anew
//! where needed. So a request on a warm connection touches no timer at all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Keys by the time at which they come due; equal times come due in the order of their keys.
#[derive(Debug)]
pub struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(u64, K)>>,
}

impl<K: Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Lets `key` come due at `at_ms` of the monotonic clock. O(log n).
    pub fn schedule(&mut self, at_ms: u64, key: K) {
        self.heap.push(Reverse((at_ms, key)));
    }

    /// The earliest entry that is due at `now_ms`, taken out. O(log n).
    pub fn pop_due(&mut self, now_ms: u64) -> Option<K> {
        let Reverse((at_ms, key)) = *self.heap.peek()?;
        if at_ms > now_ms {
            return None;
        }
        self.heap.pop();
        Some(key)
    }

    /// When the earliest entry comes due, in milliseconds of the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// How many entries wait, those that their owners have forgotten included.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_due_in_order_and_not_before() {
        let mut deadlines = Deadlines::default();
        for (at_ms, key) in [(30, 'c'), (10, 'a'), (20, 'b'), (10, 'A')] {
            deadlines.schedule(at_ms, key);
        }
        assert_eq!(deadlines.next_ms(), Some(10));
        assert_eq!(deadlines.pop_due(9), None);
        let due: String = std::iter::from_fn(|| deadlines.pop_due(20)).collect();
        assert_eq!(due, "Aab");
        assert_eq!(deadlines.len(), 1);
        assert_eq!(deadlines.pop_due(u64::MAX), Some('c'));
        assert!(deadlines.is_empty());
        assert_eq!(deadlines.next_ms(), None);
    }
}
