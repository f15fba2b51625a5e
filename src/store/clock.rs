//! The system's clock, in the unit that the database stores: milliseconds since 1970 (UTC).
//!
//! It may jump, either way. Of what it says only the order of one chatroom's messages is kept up ([`not_before`]): a time that was
//! wrong once, and was written, stays with the chatroom that it was written in, and no other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The system's time. 0 where its clock is before 1970.
pub(super) fn system_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    whole_ms(since.unwrap_or_default())
}

/// When a message is said that follows one of that time: not before it, also where the clock was set back meanwhile, or
/// was wrong when that one was said.
pub(super) fn not_before(earlier_unix_ms: i64, now_unix_ms: i64) -> i64 {
    now_unix_ms.max(earlier_unix_ms)
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
    fn an_endless_lifetime_expires_nothing() {
        assert!(expiry_unix_ms(system_unix_ms(), Duration::MAX) < 0);
    }
}
