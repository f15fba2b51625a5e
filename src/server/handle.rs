//! What a host, its signals and the loops themselves want of the whole server: a wish that every loop looks at once a turn.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::runtime::Wake;

/// Tells a server what to do, from any thread.
#[derive(Clone)]
pub struct Handle {
    wish: Arc<AtomicU8>,
    /// By the loops' numbers.
    wakes: Arc<[Wake]>,
}

/// What is wished for. A later one overrules an earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Serve,
    Drain,
    Stop,
}

const SERVE: u8 = 0;
const DRAIN: u8 = 1;
const STOP: u8 = 2;

impl Handle {
    pub(super) fn new(wakes: impl IntoIterator<Item = Wake>) -> Self {
        Self {
            wish: Arc::default(),
            wakes: wakes.into_iter().collect(),
        }
    }

    /// Asks for a graceful end: no newcomers, parked polls end with their lists, what was taken is finished.
    pub fn drain(&self) {
        // A stop that was asked for before stays.
        let _ = (self.wish).compare_exchange(SERVE, DRAIN, Ordering::AcqRel, Ordering::Acquire);
        self.wake_all();
    }

    /// Asks for an end at once. What the store has begun is still finished; what only waits is thrown away unanswered.
    pub fn stop(&self) {
        self.wish.store(STOP, Ordering::Release);
        self.wake_all();
    }

    /// Lets the turn that is waiting go on, or the next return at once.
    pub fn wake(&self) {
        self.wakes[0].wake();
    }

    /// As [`Handle::wake`], for the turns of all loops.
    pub(super) fn wake_all(&self) {
        self.wakes.iter().for_each(Wake::wake);
    }

    pub(super) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            DRAIN => Wish::Drain,
            STOP => Wish::Stop,
            _ => Wish::Serve,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
