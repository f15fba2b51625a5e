//! Whether this server hears of what the others write.
//!
//! What it remembers may be outdated otherwise: a session that has ended, somebody who has left. So while it has heard of nothing for longer than
//! anybody should go on like that, it does as if the database were away: what it cannot answer from memory fails, and `readyz` tells balancers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When the others were last asked, with an answer.
#[derive(Debug)]
pub(super) struct Hearing {
    since: Instant,
    last_ms: AtomicU64,
    age_max: Duration,
}

impl Hearing {
    /// Of a server that has asked just now, and that the others wait for so long: who is told that all have heard is not to find one that has not.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
            age_max: lease,
        }
    }

    /// It has asked then, and been answered.
    pub(super) fn note(&self, asked: Instant) {
        let asked_ms = self.ms_until(asked);
        self.last_ms.store(asked_ms, Ordering::Relaxed);
    }

    pub(super) fn is_deaf(&self) -> bool {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let age_ms = self.ms_until(Instant::now()).saturating_sub(last_ms);
        u128::from(age_ms) > self.age_max.as_millis()
    }

    fn ms_until(&self, time: Instant) -> u64 {
        let time = time.saturating_duration_since(self.since);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}
