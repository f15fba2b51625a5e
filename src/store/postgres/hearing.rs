//! Whether this server hears of what the others write.
//!
//! What it remembers may be outdated otherwise: a session that has ended, somebody who has left. So while it has heard of nothing for longer than
//! anybody should go on like that, it does as if the database were away: what it cannot answer from memory fails, and `readyz` tells balancers.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::store::clock::system_unix_ms;

/// When the others were last asked, with an answer.
#[derive(Debug)]
pub(super) struct Hearing {
    since: Instant,
    last_ms: AtomicU64,
    /// By the system's clock, which goes on while the machine sleeps.
    last_unix_ms: AtomicI64,
    is_retired: AtomicBool,
    age_max: Duration,
}

impl Hearing {
    /// Of a server that has asked just now, and that the others wait for so long: who is told that all have heard is not to find one that has not.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
            last_unix_ms: AtomicI64::new(system_unix_ms()),
            is_retired: AtomicBool::new(false),
            age_max: lease,
        }
    }

    /// It has asked then, and been answered.
    pub(super) fn note(&self, asked: Instant) {
        let asked_ms = self.ms_until(asked);
        let ago_ms = i64::try_from(asked.elapsed().as_millis()).unwrap_or(0);
        self.last_ms.store(asked_ms, Ordering::Relaxed);
        let asked_unix_ms = system_unix_ms().saturating_sub(ago_ms);
        self.last_unix_ms.store(asked_unix_ms, Ordering::Relaxed);
    }

    /// Where somebody sets the system's clock forward it seems so until the others are asked next.
    pub(super) fn is_deaf(&self) -> bool {
        let age_max_ms = self.age_max.as_millis();
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let age_ms = self.ms_until(Instant::now()).saturating_sub(last_ms);
        let last_unix_ms = self.last_unix_ms.load(Ordering::Relaxed);
        let slept_ms = system_unix_ms().saturating_sub(last_unix_ms);
        let is_old = u128::from(age_ms) > age_max_ms
            || u128::try_from(slept_ms).is_ok_and(|slept_ms| slept_ms > age_max_ms);
        is_old && !self.is_retired.load(Ordering::Relaxed)
    }

    /// The others are asked no more, since the store ends.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    fn ms_until(&self, time: Instant) -> u64 {
        let time = time.saturating_duration_since(self.since);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}
