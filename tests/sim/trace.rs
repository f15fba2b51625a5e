//! What happened, as a number that two equal runs share; printed line by line where a seed is replayed.

use std::fmt::{self, Write};

use loiter::model::Now;

pub(crate) struct Trace {
    /// The variable by which it is replayed, and its number.
    seed: (&'static str, u64),
    turn: u32,
    is_shown: bool,
    digest: Digest,
}

/// FNV-1a.
struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(seed: (&'static str, u64), is_shown: bool) -> Self {
        Self {
            seed,
            turn: 0,
            is_shown,
            digest: Digest(0xcbf2_9ce4_8422_2325),
        }
    }

    pub(crate) fn turn(&mut self, now: Now) {
        self.turn += 1;
        let turn = self.turn;
        self.note(format_args!("turn {turn} at {} ms", now.monotonic_ms));
    }

    pub(crate) fn note(&mut self, what: fmt::Arguments<'_>) {
        if self.is_shown {
            println!("{what}");
        }
        self.digest.write_fmt(what).expect("a digest takes all");
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.0
    }

    pub(crate) fn turns(&self) -> u32 {
        self.turn
    }

    pub(crate) fn stamp(&self) -> String {
        let (variable, seed) = self.seed;
        format!("{variable}={seed}, turn {}", self.turn)
    }
}

/// An engine that panics has no stamp of ours in its message.
impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed at {}", self.stamp());
        }
    }
}
