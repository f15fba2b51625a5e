//! Whether this server hears of what the others write.
//!
//! What it remembers may be outdated otherwise: a session that has ended, somebody who has left. So while it has heard of nothing for longer than
//! anybody should go on like that, it does as if the database were away: what it cannot answer from memory fails, and `readyz` tells balancers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For how long what is remembered holds at least.
const AGE_MAX: Duration = Duration::from_secs(5);
/// … and how many times it should have been asked by then.
const ASKED: u32 = 3;

/// When the others were last asked, with an answer.
#[derive(Debug)]
pub(super) struct Hearing {
    since: Instant,
    last_ms: AtomicU64,
    age_max: Duration,
}

impl Hearing {
    /// Of a server that asks so often, and has asked just now.
    pub(super) fn new(ask_every: Duration) -> Self {
        Self {
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
            age_max: ask_every.saturating_mul(ASKED).max(AGE_MAX),
        }
    }

    /// It has asked, and been answered.
    pub(super) fn note(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn is_deaf(&self) -> bool {
        let age_ms = self
            .now_ms()
            .saturating_sub(self.last_ms.load(Ordering::Relaxed));
        u128::from(age_ms) > self.age_max.as_millis()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
