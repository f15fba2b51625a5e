//! What those who wait under a key are told, on its way to the loops and at each until all have been told.
//!
//! How many are under way is bounded, and how many bytes they keep: those that wait in a loop's box, and those that a loop serves slice by slice. A
//! host that wakes faster than the loops can serve is told so, instead of filling memory. The bytes count beside the number because what a host
//! tells is often what somebody has sent it, and so as long as that somebody likes.

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
    /// Of their responses.
    bytes: AtomicUsize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Place {
    of: Arc<Places>,
    bytes: usize,
}

impl Places {
    /// All of them free, with `bytes_max` bytes for what is told.
    pub fn new(max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            max,
            bytes: AtomicUsize::new(0),
            bytes_max,
        })
    }

    /// A wake to be told to loops; `None` where as many are under way as may be, or keep as many bytes. One alone may keep more.
    pub fn wake(self: &Arc<Self>, key: u64, response: Response) -> Option<Arc<Wake>> {
        let place = self.take(response.bytes())?;
        Some(Arc::new(Wake {
            key,
            response,
            _place: Some(place),
        }))
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        let one = |taken: usize| (taken < self.max).then(|| taken.saturating_add(1));
        let more = |kept: usize| {
            let all = kept.saturating_add(bytes);
            (kept == 0 || all <= self.bytes_max).then_some(all)
        };
        // Nothing else is published by either.
        let order = Ordering::Relaxed;
        self.taken.fetch_update(order, order, one).ok()?;
        if self.bytes.fetch_update(order, order, more).is_err() {
            self.taken.fetch_sub(1, order);
            return None;
        }
        Some(Place {
            of: Arc::clone(self),
            bytes,
        })
    }

    /// How many are under way.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.taken.fetch_sub(1, Ordering::Relaxed);
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
        let places = Places::new(2, usize::MAX);
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

    #[test]
    fn bytes_are_bounded_but_for_one_alone() {
        let text = |bytes| Response::new(200, "text/plain", vec![b'x'; bytes]);
        let bytes_max = 2 * text(100).bytes();
        let places = Places::new(10, bytes_max);
        let wake = |bytes| places.wake(1, text(bytes));
        let kept = [wake(100), wake(99)].map(|one| one.expect("room"));
        assert!(wake(2).is_none());
        assert_eq!(places.taken(), 2);
        drop(kept);
        let alone = wake(10 * bytes_max).expect("it is alone");
        assert!(wake(1).is_none());
        drop(alone);
        assert!(wake(1).is_some());
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn what_a_response_keeps_are_its_body_and_its_fields() {
        let empty = Response::empty(204);
        assert_eq!(empty.bytes(), 0);
        let field = empty.with_field("A", "bc").expect("a field");
        assert_eq!(field.bytes(), 3);
        assert_eq!(Response::new(200, "a/b", "body").bytes(), 7);
    }
}
