//! What those who wait under a key are told, on its way to the loops and at each until all have been told.
//!
//! How many are under way is bounded: those that wait in a loop's box, and those that a loop serves slice by slice. A host that
//! wakes faster than the loops can serve is told so, instead of filling memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::response::Response;

/// A key, and what those are told who wait under it.
#[derive(Debug)]
pub struct Wake {
    key: u64,
    response: Response,
    /// Given back when the last loop is done.
    _place: Option<Place>,
}

/// How many wakes may be under way.
#[derive(Debug)]
pub struct Places {
    taken: AtomicUsize,
    max: usize,
}

#[derive(Debug)]
struct Place(Arc<Places>);

impl Places {
    /// All of them free.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            max,
        })
    }

    /// A wake to be told to loops; `None` where as many are under way as may be.
    pub fn wake(self: &Arc<Self>, key: u64, response: Response) -> Option<Arc<Wake>> {
        let take = |taken: usize| (taken < self.max).then(|| taken.saturating_add(1));
        // Nothing else is published by it.
        let taken = (self.taken).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok().map(|_| {
            Arc::new(Wake {
                key,
                response,
                _place: Some(Place(Arc::clone(self))),
            })
        })
    }

    /// How many are under way.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Wake {
    /// One that a loop tells itself.
    pub(super) fn of_nobody(key: u64, response: Response) -> Arc<Self> {
        Arc::new(Self {
            key,
            response,
            _place: None,
        })
    }

    /// Whom it wakes.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// What they are told.
    pub fn response(&self) -> &Response {
        &self.response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back_when_the_last_loop_is_done() {
        let places = Places::new(2);
        let wake = |key| places.wake(key, Response::empty(204));
        let first = wake(1).expect("a place");
        let copy = Arc::clone(&first);
        let _second = wake(2).expect("a place");
        assert!(wake(3).is_none());
        drop(first);
        assert!(wake(3).is_none());
        drop(copy);
        assert_eq!(places.taken(), 1);
        assert!(wake(3).is_some());
    }
}
