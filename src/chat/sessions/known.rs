//! Which chatrooms a user is in, as far as that is known: told, read, and read anew where what is told may be out of order.

use super::{CachedUser, Change, Chatrooms};
use crate::chat::held::HeldKey;
use crate::model::ChatroomId;

impl CachedUser {
    /// The user is in one more chatroom.
    pub(in crate::chat) fn joined(&mut self, chatroom: ChatroomId) {
        self.change(Change::Joined(chatroom));
    }

    /// The user is in one chatroom less.
    pub(in crate::chat) fn left(&mut self, chatroom: ChatroomId) {
        self.change(Change::Left(chatroom));
    }

    /// While the store is asked what was told last of a chatroom holds, whether or not the read was done before. What the read saw and is
    /// yet to be told comes after it.
    fn change(&mut self, change: Change) {
        match &mut self.chatrooms {
            Chatrooms::Unknown => {}
            Chatrooms::Loading { changes, .. } => changes.push(change),
            Chatrooms::Known(known) => apply(known, change),
        }
    }

    /// What is known is to be asked for anew, for it may be told in another order than that in which it happened. Whether the store is to be
    /// asked now.
    pub(in crate::chat) fn doubt(&mut self) -> bool {
        match &mut self.chatrooms {
            Chatrooms::Unknown => return false,
            Chatrooms::Loading {
                changes, is_stale, ..
            } => {
                // What is read next comes behind them.
                changes.clear();
                *is_stale = true;
                return false;
            }
            Chatrooms::Known(known) => self.before = Some(std::mem::take(known)),
        }
        self.chatrooms = Chatrooms::loading(Vec::new());
        true
    }

    /// The same where the user may have left one, whether or not it is known which they are in: polls may be parked by what was known. `None` where nothing
    /// ever was, and nobody wants to know.
    pub(in crate::chat) fn doubt_left(&mut self) -> Option<bool> {
        match self.chatrooms {
            Chatrooms::Unknown if self.before.is_none() => None,
            Chatrooms::Unknown => {
                self.chatrooms = Chatrooms::loading(Vec::new());
                Some(true)
            }
            Chatrooms::Loading { .. } | Chatrooms::Known(_) => Some(self.doubt()),
        }
    }

    /// Whether what the store has said may be too old; then it is to be asked once more, and is being asked.
    pub(in crate::chat) fn is_doubted(&mut self) -> bool {
        match &mut self.chatrooms {
            Chatrooms::Loading { is_stale, .. } => std::mem::take(is_stale),
            Chatrooms::Unknown | Chatrooms::Known(_) => false,
        }
    }

    /// The chatrooms that the user has come into since what is known was doubted, and those that they have left.
    pub(in crate::chat) fn difference(&mut self) -> (Vec<ChatroomId>, Vec<ChatroomId>) {
        let (Some(before), Chatrooms::Known(known)) = (&self.before, &self.chatrooms) else {
            return Default::default();
        };
        let beyond = |these: &[ChatroomId], those: &[ChatroomId]| {
            let others = these.iter().copied();
            others
                .filter(|id| those.binary_search(id).is_err())
                .collect()
        };
        let difference = (beyond(known, before), beyond(before, known));
        self.before = None;
        difference
    }

    /// The store has said which chatrooms the user is in. Returns who waited for it.
    pub(in crate::chat) fn settle(&mut self, mut known: Vec<ChatroomId>) -> Vec<HeldKey> {
        match std::mem::replace(&mut self.chatrooms, Chatrooms::Unknown) {
            Chatrooms::Loading {
                waiters, changes, ..
            } => {
                for change in changes {
                    apply(&mut known, change);
                }
                self.chatrooms = Chatrooms::Known(known);
                waiters
            }
            other => {
                self.chatrooms = other;
                Vec::new()
            }
        }
    }

    /// The store could not say. Returns who waited for it.
    pub(in crate::chat) fn unsettle(&mut self) -> Vec<HeldKey> {
        match std::mem::replace(&mut self.chatrooms, Chatrooms::Unknown) {
            Chatrooms::Loading { waiters, .. } => waiters,
            other => {
                self.chatrooms = other;
                Vec::new()
            }
        }
    }
}

fn apply(known: &mut Vec<ChatroomId>, change: Change) {
    match change {
        Change::Joined(chatroom) => {
            if let Err(place) = known.binary_search(&chatroom) {
                known.insert(place, chatroom);
            }
        }
        Change::Left(chatroom) => {
            if let Ok(place) = known.binary_search(&chatroom) {
                known.remove(place);
            }
        }
    }
}
