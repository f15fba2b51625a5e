//! By which number other servers know this one, and this one knows what it has written itself.

use std::sync::atomic::{AtomicI64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};

use crate::store::error::OpenError;

/// Drawn anew where the connection is lost in a commit: nobody knows then what has become of what was written, and if it is there it is
/// heard of as others' is.
#[derive(Debug)]
pub(super) struct Number(AtomicI64);

impl Number {
    /// Any.
    pub(super) fn draw() -> Result<Self, OpenError> {
        let number = random().ok_or_else(|| {
            OpenError::Thread(std::io::Error::other("the system gave no random numbers"))
        })?;
        Ok(Self(AtomicI64::new(number)))
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Another one from now on.
    pub(super) fn renew(&self) {
        // Without a random one the next is nobody's either.
        let next = random().unwrap_or_else(|| self.get().wrapping_add(1));
        self.0.store(next, Ordering::Relaxed);
    }
}

fn random() -> Option<i64> {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.is_ok().then(|| i64::from_ne_bytes(bytes))
}
