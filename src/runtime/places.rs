//! Places for connections: so many for the whole process, whichever loop accepts them.
//!
//! This count, the one of loops that still accept, and who may accept just now are all that loops share beside their
//! boxes. A place is taken once for each connection and given back once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// The places, and who may still take one. All clones are the same.
#[derive(Clone, Debug)]
pub struct Places(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    max: usize,
    taken: AtomicUsize,
    /// Loops that accept.
    accepting: AtomicUsize,
    /// Read by who accepts, and written by who has given up a spare descriptor, which no other loop may take then.
    door: RwLock<()>,
}

impl Places {
    pub(super) fn new(max: usize, loops: usize) -> Self {
        Self(Arc::new(Counts {
            max,
            taken: AtomicUsize::new(0),
            accepting: AtomicUsize::new(loops),
            door: RwLock::new(()),
        }))
    }

    /// Lets its holder accept, beside others; `None` for the moment in which another loop is at the door alone.
    pub(super) fn door(&self) -> Option<RwLockReadGuard<'_, ()>> {
        match self.0.door.try_read() {
            Ok(door) => Some(door),
            Err(TryLockError::Poisoned(door)) => Some(door.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Keeps all other loops from accepting while it is held: never for longer than one loop's share of a turn.
    pub(super) fn door_alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.door.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, if there is one.
    pub(super) fn take(&self) -> bool {
        let one_more = |taken| (taken < self.0.max).then_some(taken + 1);
        (self.0.taken)
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
    }

    pub(super) fn give_back(&self, places: usize) {
        self.0.taken.fetch_sub(places, Ordering::SeqCst);
    }

    /// One loop will take none any more.
    pub(super) fn stop_accepting(&self) {
        self.0.accepting.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::SeqCst)
    }

    /// Whether none is taken, and none will be. Of two loops that give up their last at the same time at least
    /// one sees it: the order of all these accesses is one for all.
    pub fn are_empty_for_good(&self) -> bool {
        self.0.accepting.load(Ordering::SeqCst) == 0 && self.taken() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_taken_than_there_are() {
        let places = Places::new(2, 1);
        let again = places.clone();
        assert!(places.take() && again.take());
        assert!(!places.take() && !again.take());
        again.give_back(1);
        assert!(places.take());
        assert_eq!(again.taken(), 2);
    }

    #[test]
    fn they_are_empty_for_good_when_nobody_accepts() {
        let places = Places::new(2, 2);
        assert!(!places.are_empty_for_good());
        places.stop_accepting();
        assert!(places.take());
        places.stop_accepting();
        assert!(!places.are_empty_for_good());
        places.give_back(1);
        assert!(places.are_empty_for_good());
    }
}
