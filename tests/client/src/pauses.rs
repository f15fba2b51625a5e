//! How long to wait before asking again: longer each time, and not as long as everybody else.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The pauses between the repetitions of what fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// The first one, at most.
    pub first: Duration,
    /// Each is up to twice as long as the one before, and none is longer.
    pub longest: Duration,
}

impl Default for Pauses {
    /// A second, up to half a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

/// Failures in a row, and what follows from them.
#[derive(Debug)]
pub(crate) struct Backoff {
    pauses: Pauses,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            failures: 0,
        }
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// After a failure: the next pause. It is between half of what it may be and all of it, so that those whom one
    /// failure has met do not come back together; what the server asks for comes on top.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures += 1;
        let most = self.pauses.first.saturating_mul(doubled);
        let half = most.min(self.pauses.longest) / 2;
        let share = random() as f64 / u64::MAX as f64;
        retry_after.unwrap_or_default() + half + half.mul_f64(share)
    }
}

/// Random bits: the standard library seeds its hash tables with them.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_differ() {
        let seconds = Duration::from_secs;
        let pauses = Pauses {
            first: seconds(2),
            longest: seconds(12),
        };
        let mut seen = Vec::new();
        for _ in 0..20 {
            let mut backoff = Backoff::new(pauses);
            for most in [2, 4, 8, 12, 12] {
                let pause = backoff.next(None);
                assert!(
                    pause >= seconds(most) / 2 && pause <= seconds(most),
                    "{pause:?}"
                );
                seen.push(pause);
            }
            backoff.reset();
            let asked = backoff.next(Some(seconds(60)));
            assert!(asked >= seconds(61) && asked <= seconds(62), "{asked:?}");
        }
        seen.sort();
        seen.dedup();
        assert!(seen.len() > 50, "{seen:?}");
    }
}
