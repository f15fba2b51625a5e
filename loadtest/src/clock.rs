//! Time and how it is gathered: one clock for all processes of a run, the kernel's monotonic one, which they share.
//!
//! `Instant` reads the same clock but cannot leave its process; a message carries its time of sending to
//! whichever worker it reaches.

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

/// A minute, in nanoseconds: no delivery is worth telling apart beyond it.
const LATENCY_MAX: u64 = 60_000_000_000;

/// An empty histogram of nanoseconds, true to three digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are constants in order")
}

/// Nanoseconds since some moment that is the same for every process of this machine.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither part is ever negative on the monotonic clock.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
