//! How other threads reach the loop: a box that they post to, and a wake.
//!
//! The box has no bound of its own and needs none: what is posted are answers to jobs, and the jobs under way
//! are bounded where they are taken. Posting never blocks and never fails, so an answer cannot be lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

/// One end of a box that wakes its loop; all clones are the same box.
pub struct Mailbox<T> {
    posted: Arc<Mutex<Vec<T>>>,
    waker: Arc<Waker>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self {
            posted: Arc::clone(&self.posted),
            waker: Arc::clone(&self.waker),
        }
    }
}

impl<T> Mailbox<T> {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self {
            posted: Arc::default(),
            waker,
        }
    }

    /// Posts in order, from any thread, and wakes the loop unless an earlier post already did.
    pub fn post(&self, mut items: Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut posted = self.lock();
        let was_empty = posted.is_empty();
        posted.append(&mut items);
        drop(posted);
        if was_empty {
            self.wake();
        }
    }

    /// Takes all that was posted, behind what `into` holds. For the loop, in every turn: what it leaves wakes nobody again.
    pub fn drain(&self, into: &mut Vec<T>) {
        let mut posted = self.lock();
        if into.is_empty() {
            // The two buffers change places, and both keep their room.
            std::mem::swap(&mut *posted, into);
        } else {
            into.append(&mut posted);
        }
    }

    /// Ends the loop's present wait, or else its next.
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // It is a write to an eventfd that we hold open: only a bug can fail it.
            log::error!("cannot wake the event loop: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing that runs under this lock can leave the box half changed.
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
