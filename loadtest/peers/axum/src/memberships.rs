//! The answers to `chatrooms`, ready-made, by user. What was read while a membership changed is not kept.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// How many changes there were when somebody began to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look(u64);

/// The lists in memory.
#[derive(Debug, Default)]
pub(crate) struct Memberships(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    by_user: HashMap<i64, Bytes>,
    changes: u64,
}

impl Memberships {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, user: i64) -> Result<Bytes, Look> {
        let lists = self.lists();
        let found = lists.by_user.get(&user).cloned();
        found.ok_or(Look(lists.changes))
    }

    /// Keeps what was read, unless anything has changed since the look.
    pub(crate) fn keep(&self, user: i64, list: Bytes, look: Look) {
        let mut lists = self.lists();
        if Look(lists.changes) == look {
            lists.by_user.insert(user, list);
        }
    }

    /// A change, once it is in the database.
    pub(crate) fn forget(&self, user: i64) {
        let mut lists = self.lists();
        lists.changes += 1;
        lists.by_user.remove(&user);
    }
}
