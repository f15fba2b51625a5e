//! A pure deadline queue: whoever owns it passes the time in.
//!
//! The queue never looks for an entry. An owner that moves a deadline later, or drops it,
//! lets the old entry come due, compares it with what it holds itself, and schedules anew
//! where needed. So a request on a warm connection touches no timer at all.
//!
//! Entries that come due at the same time share a bucket: an entry costs its key and no more, a bucket gives its
//! memory back when it is over, and only the buckets are kept in order. Owners that round their deadlines
//! keep those few.

use std::collections::BTreeMap;
use std::vec;

/// Keys by the time at which they come due; equal times come due in the order in which they were scheduled.
#[derive(Debug)]
pub struct Deadlines<K> {
    buckets: BTreeMap<u64, Vec<K>>,
    /// What is left of the bucket that comes due just now.
    due: vec::IntoIter<K>,
    len: usize,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
            due: Vec::new().into_iter(),
            len: 0,
        }
    }
}

impl<K> Deadlines<K> {
    /// Lets `key` come due at `at_ms` of the monotonic clock. O(log b) for b different times.
    pub fn schedule(&mut self, at_ms: u64, key: K) {
        self.buckets.entry(at_ms).or_default().push(key);
        self.len += 1;
    }

    /// The earliest entry that is due at `now_ms`, taken out. O(1), and O(log b) where a bucket begins.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<K> {
        if self.due.as_slice().is_empty() {
            let first = self.buckets.first_entry()?;
            if *first.key() > now_ms {
                return None;
            }
            self.due = first.remove().into_iter();
        }
        self.len -= 1;
        let key = self.due.next();
        if self.due.as_slice().is_empty() {
            self.due = Vec::new().into_iter();
        }
        key
    }

    /// When the earliest entry comes due, in milliseconds of the monotonic clock; 0 for one that has.
    pub fn next_ms(&self) -> Option<u64> {
        match self.due.as_slice() {
            [] => self.buckets.first_key_value().map(|(&at_ms, _)| at_ms),
            [..] => Some(0),
        }
    }

    /// How many entries wait, those that their owners have forgotten included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        assert_eq!(due, "aAb");
        assert_eq!(deadlines.len(), 1);
        assert_eq!(deadlines.pop_due(u64::MAX), Some('c'));
        assert!(deadlines.is_empty());
        assert_eq!(deadlines.next_ms(), None);
    }

    #[test]
    fn what_is_scheduled_while_a_bucket_comes_due_is_behind_it() {
        let mut deadlines = Deadlines::default();
        deadlines.schedule(10, 'a');
        deadlines.schedule(10, 'b');
        assert_eq!(deadlines.pop_due(10), Some('a'));
        deadlines.schedule(5, 'c');
        assert_eq!(deadlines.next_ms(), Some(0), "it is late already");
        let due: String = std::iter::from_fn(|| deadlines.pop_due(10)).collect();
        assert_eq!(due, "bc");
        assert!(deadlines.is_empty());
    }
}
