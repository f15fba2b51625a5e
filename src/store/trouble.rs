//! One lane's troubles, told to the log without flooding it.
//!
//! A full disk fails thousands of jobs a second. The log gets the first failure, then one line a minute at most,
//! which counts what was left out, and one line when things work again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use log::Level;

/// The least time between two lines about failures.
const SILENCE: Duration = Duration::from_secs(60);

/// What a lane remembers of its failures.
#[derive(Debug)]
pub(super) struct Trouble {
    lane: &'static str,
    told: Option<Instant>,
    /// Failures since `told` that the log does not have.
    untold: u64,
    /// Whether the log's last word is a failure.
    ongoing: bool,
}

impl Trouble {
    /// A lane's, which has none yet.
    pub(super) fn new(lane: &'static str) -> Self {
        Self {
            lane,
            told: None,
            untold: 0,
            ongoing: false,
        }
    }

    /// Something failed.
    pub(super) fn report(&mut self, error: &dyn fmt::Display) {
        if let Some(line) = self.failure(error, Instant::now()) {
            tell(Level::Error, format_args!("{line}"));
        }
    }

    /// Something succeeded that would have failed, had the trouble gone on.
    pub(super) fn over(&mut self) {
        if std::mem::take(&mut self.ongoing) {
            let line = format_args!("the {} lane works again", self.lane);
            tell(Level::Info, line);
        }
    }

    fn failure(&mut self, error: &dyn fmt::Display, now: Instant) -> Option<String> {
        if self.told.is_some_and(|told| now - told < SILENCE) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        self.ongoing = true;
        let untold = std::mem::take(&mut self.untold);
        Some(match untold {
            0 => format!("the {} lane: {error}", self.lane),
            _ => format!("the {} lane: {error} ({untold} more before)", self.lane),
        })
    }
}

/// A line of the log. A panic of the host's logger ends here: what a lane has done does not depend on it.
pub(super) fn tell(level: Level, line: fmt::Arguments<'_>) {
    // Nothing is left to tell it to.
    let _ = catch_unwind(AssertUnwindSafe(|| log::log!(level, "{line}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute() {
        let mut trouble = Trouble::new("writing");
        let start = Instant::now();
        assert_eq!(
            trouble.failure(&"disk full", start).as_deref(),
            Some("the writing lane: disk full")
        );
        for ms in 0..1000 {
            assert_eq!(
                trouble.failure(&"disk full", start + Duration::from_millis(ms)),
                None
            );
        }
        assert_eq!(
            trouble.failure(&"disk full", start + SILENCE).as_deref(),
            Some("the writing lane: disk full (1000 more before)")
        );
    }

    #[test]
    fn a_lane_that_fails_and_works_by_turns_is_as_quiet() {
        let mut trouble = Trouble::new("writing");
        let start = Instant::now();
        assert!(trouble.failure(&"x", start).is_some());
        trouble.over();
        assert!(trouble.failure(&"x", start).is_none());
        assert!(!trouble.ongoing, "nothing to take back in the log");
    }
}
