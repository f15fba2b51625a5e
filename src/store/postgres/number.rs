//! By which number other servers know this one, and this one knows what it has written itself.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};

use crate::store::error::OpenError;

/// Numbers that are remembered: connections are hardly lost in more commits within the time that servers look back.
const FORMER_MAX: usize = 64;

/// Drawn anew where the connection is lost in a commit: nobody knows then what has become of what was written, and if it is there it is
/// heard of as others' is.
#[derive(Debug)]
pub(super) struct Number {
    current: AtomicI64,
    /// The last change that was surely written under it, by its id.
    last_change: AtomicI64,
    former: Mutex<Former>,
}

#[derive(Debug, Default)]
struct Former {
    /// Those that it had, with the last change of each.
    all: Vec<(i64, i64)>,
    /// Those of which the others do not know yet that nobody has them.
    unsaid: Vec<i64>,
}

impl Number {
    /// Any.
    pub(super) fn draw() -> Result<Self, OpenError> {
        let number = random().ok_or_else(|| {
            OpenError::Thread(std::io::Error::other("the system gave no random numbers"))
        })?;
        Ok(Self {
            current: AtomicI64::new(number),
            last_change: AtomicI64::new(0),
            former: Mutex::default(),
        })
    }

    pub(super) fn get(&self) -> i64 {
        self.current.load(Ordering::Relaxed)
    }

    /// A change is committed.
    pub(super) fn note_change(&self, id: i64) {
        self.last_change.fetch_max(id, Ordering::Relaxed);
    }

    /// Whether this server has written that change, and knows that it has.
    pub(super) fn has_written(&self, server: i64, id: i64) -> bool {
        let former = self.lock();
        let mut all = former.all.iter();
        all.any(|&(number, last)| number == server && id <= last)
    }

    /// Another one from now on.
    pub(super) fn renew(&self) {
        let mut former = self.lock();
        let number = self.get();
        if former.all.len() == FORMER_MAX {
            former.all.remove(0);
        }
        former
            .all
            .push((number, self.last_change.load(Ordering::Relaxed)));
        former.unsaid.push(number);
        // Without a random one the next is nobody's either.
        let next = random().unwrap_or_else(|| number.wrapping_add(1));
        self.current.store(next, Ordering::Relaxed);
    }

    /// Those that nobody has any more, of which the others are to be told.
    pub(super) fn unsaid(&self) -> Vec<i64> {
        self.lock().unsaid.clone()
    }

    /// They have been told of these.
    pub(super) fn said(&self, numbers: &[i64]) {
        (self.lock().unsaid).retain(|number| !numbers.contains(number));
    }

    fn lock(&self) -> MutexGuard<'_, Former> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random() -> Option<i64> {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.is_ok().then(|| i64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_under_a_former_number_is_known() {
        let number = Number::draw().expect("a number");
        let before = number.get();
        number.note_change(7);
        assert!(!number.has_written(before, 7), "it is asked for no more");
        number.renew();
        assert_ne!(number.get(), before);
        assert!(number.has_written(before, 6) && number.has_written(before, 7));
        // What was being written then.
        assert!(!number.has_written(before, 8));
        assert!(!number.has_written(before + 1, 7));
        assert_eq!(number.unsaid(), [before]);
        number.said(&[before]);
        assert_eq!(number.unsaid(), [0_i64; 0]);
    }
}
