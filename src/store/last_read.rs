//! The messages that a reading lane has read last, for whoever wants the same next.
//!
//! One message may end a thousand polls whose lists reach back further than the loops remember. Each asks for itself, and whether they may is
//! looked up for each; what they get is the same list, which is read once and held once. **A range of messages is given by where it
//! begins and ends in the chatroom's own:** messages do not change, so what was read is good for as long as the chatroom has the same ones.
//!
//! It is kept while others wait, and let go of then: a lane that has nothing to do keeps nothing.

use crate::job::{MessageBounds, MessageRange, MessageRows};
use crate::model::ChatroomId;

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) chatroom: ChatroomId,
    pub(super) range: MessageRange,
    pub(super) limit: u32,
    /// What the chatroom has.
    pub(super) bounds: MessageBounds,
}

/// What was read last, if it is kept.
#[derive(Debug, Default)]
pub(super) struct LastRead(Option<(Extent, MessageRows)>);

impl LastRead {
    /// These messages, if they were read last.
    pub(super) fn get(&self, extent: &Extent) -> Option<MessageRows> {
        let (of, rows) = self.0.as_ref()?;
        (of == extent).then(|| rows.clone())
    }

    /// Keeps these, and no others.
    pub(super) fn put(&mut self, extent: Extent, rows: MessageRows) {
        self.0 = Some((extent, rows));
    }

    /// Keeps none.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
