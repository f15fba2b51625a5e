//! The clock of all loops: what their engines and deadlines count in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Now;

/// Counts from when it was made; copies count alike.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic_ms: ms(self.start.elapsed()),
            // A clock before 1970 reads as 1970.
            unix_ms: ms(SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()),
        }
    }

    /// How long it is until a time of the monotonic clock, and never a turn too early.
    pub(super) fn until(&self, at_ms: u64) -> Duration {
        let at = Duration::from_millis(at_ms);
        at.saturating_sub(self.start.elapsed())
    }
}

/// Whole milliseconds, as many as there can be at most.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
