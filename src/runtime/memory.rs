//! Memory that nobody keeps any more goes back to the system.
//!
//! The allocator keeps what was freed for the next who ask, for ever: a server that was flooded once would stay as large as that. So a loop notes
//! the most that its connections have kept, and where hardly anything of much is left, glibc is asked to return what lies free.
//! That is asked for by a thread of its own, once and no more: a trim takes a lock of the allocator while it goes through what is free (14 to 21 ms
//! for 192 MiB of large or small pieces).
//!
//! Nothing of it costs anything where nothing happens: there is no timer but the one that puts a trim off, and that one ends with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Reactor;

/// Bytes that connections must have kept for a trim to be worth its while.
const PEAK_MIN: usize = 8 * 1024 * 1024;
/// What part of them may still be kept.
const LEFT: usize = 8;
/// How soon after a trim the next may come, whichever loop asks: each goes through all that is free.
const PAUSE: Duration = Duration::from_secs(10);

/// When the loops of one server may trim again; `None` is any time.
#[derive(Clone, Default)]
pub(super) struct Trims(Arc<Mutex<Option<Instant>>>);

impl Trims {
    /// Begins one, or says when that may be asked for again.
    fn begin(&self, now: Instant) -> Result<(), Instant> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *next {
            Some(at) if now < at => Err(at),
            _ => {
                *next = now.checked_add(PAUSE);
                Ok(())
            }
        }
    }
}

/// What one loop's connections have kept at most since the last trim.
pub(super) struct Peak {
    bytes: usize,
    trims: Trims,
    /// When a trim is to come that was put off.
    put_off: Option<Instant>,
}

impl Peak {
    pub(super) fn new(trims: Trims) -> Self {
        Self {
            bytes: 0,
            trims,
            put_off: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.put_off
    }

    /// Notes what is kept now. Whether so much of what was is free that it is time to trim.
    pub(super) fn note(&mut self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        self.bytes = self.bytes.max(bytes);
        self.put_off = None;
        if self.bytes < PEAK_MIN || bytes >= self.bytes / LEFT {
            return false;
        }
        match self.trims.begin(now()) {
            Ok(()) => {
                self.bytes = bytes;
                true
            }
            Err(at) => {
                self.put_off = Some(at);
                false
            }
        }
    }
}

impl Reactor {
    /// Ends a turn in which the consumer keeps so many bytes of input at last: where connections have kept much, and hardly
    /// anything of it is left, the memory goes back to the system.
    pub fn note_kept(&mut self, input_bytes: usize) {
        let bytes = self.held.output.bytes().saturating_add(input_bytes);
        if self.peak.note(bytes, Instant::now) {
            trim_aside();
        }
    }
}

/// Has what is free returned, by and by.
fn trim_aside() {
    let thread = thread::Builder::new().name("loiter-trim".to_owned());
    if let Err(error) = thread.spawn(trim) {
        log::warn!(
            "what is free stays with this process, for there is no thread to return it: {error}"
        );
    }
}

#[cfg(target_env = "gnu")]
#[allow(
    unsafe_code,
    reason = "nothing safe returns what is free: 18,000 half bodies took 1,002 MiB, all of which stayed when they had ended, and 3 MiB with this"
)]
fn trim() {
    // SAFETY: it takes a number and no pointer, locks what it works on, and touches nothing that is in use.
    let _was_any_returned = unsafe { libc::malloc_trim(0) };
}

/// Other allocators return it by themselves, or cannot.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn it_is_time_when_hardly_anything_of_much_is_left() {
        let start = Instant::now();
        let mut peak = Peak::new(Trims::default());
        let mut note = |bytes| peak.note(bytes, || start);
        assert!(!note(8 * MIB - 1));
        assert!(!note(0), "it was not much");
        assert!(!note(16 * MIB));
        assert!(!note(2 * MIB), "much is left");
        assert!(note(2 * MIB - 1));
        assert!(!note(0), "what was is told");
        assert_eq!(peak.deadline(), None);
    }

    #[test]
    fn the_next_comes_a_while_later_at_whichever_loop_and_once() {
        let start = Instant::now();
        let trims = Trims::default();
        let [mut first, mut second] = [(); 2].map(|()| Peak::new(trims.clone()));
        for peak in [&mut first, &mut second] {
            assert!(!peak.note(9 * MIB, || start));
        }
        assert!(first.note(0, || start));
        assert!(!second.note(0, || start + PAUSE / 2));
        assert_eq!(second.deadline(), Some(start + PAUSE));
        // What it was for is back meanwhile.
        assert!(!second.note(9 * MIB, || start + PAUSE / 2));
        assert_eq!(second.deadline(), None);
        assert!(!second.note(0, || start + PAUSE / 2));
        assert!(second.note(0, || start + PAUSE));
        assert_eq!(second.deadline(), None);
        assert!(!second.note(0, || start + PAUSE * 3));
    }

    #[test]
    fn a_trim_takes_nothing_that_is_in_use() {
        let kept: Vec<_> = (0..100_u8).map(|n| vec![n; 10_000]).collect();
        let freed: Vec<_> = (0..100_u8).map(|n| vec![n; 10_000]).collect();
        drop(freed);
        trim();
        let is_whole = |(n, bytes): (u8, &Vec<u8>)| bytes.iter().all(|&byte| byte == n);
        assert!((0..).zip(&kept).all(is_whole));
    }
}
