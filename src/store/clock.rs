//! The system's clock, in the unit that the database stores: milliseconds since 1970 (UTC).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that stands still where the system's is set back, so that a chatroom's messages never seem to be
/// in another order than their ids.
#[derive(Debug, Default)]
pub(super) struct Clock {
    latest_unix_ms: i64,
}

impl Clock {
    /// The time, never earlier than the time before.
    pub(super) fn now_unix_ms(&mut self) -> i64 {
        self.advance(system_unix_ms())
    }

    fn advance(&mut self, system_unix_ms: i64) -> i64 {
        self.latest_unix_ms = self.latest_unix_ms.max(system_unix_ms);
        self.latest_unix_ms
    }
}

/// The system's time. 0 where its clock is before 1970.
pub(super) fn system_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    whole_ms(since.unwrap_or_default())
}

/// The time before which what lasts for `lifetime` has expired, such as a session's last use.
pub(super) fn expiry_unix_ms(now_unix_ms: i64, lifetime: Duration) -> i64 {
    now_unix_ms.saturating_sub(whole_ms(lifetime))
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let mut clock = Clock::default();
        assert_eq!(clock.advance(5), 5);
        assert_eq!(clock.advance(3), 5);
        assert_eq!(clock.advance(6), 6);
    }

    #[test]
    fn an_endless_lifetime_expires_nothing() {
        assert!(expiry_unix_ms(system_unix_ms(), Duration::MAX) < 0);
    }
}
