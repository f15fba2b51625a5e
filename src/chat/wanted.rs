//! Which messages somebody asks for, beyond the list of most recent ones.

use std::num::{NonZeroU8, NonZeroU64};

use crate::model::MessageId;

/// The most messages that anybody may ask for at once.
const LIMIT_MAX: u8 = 200;

/// How far a client has read: the id of the newest message that it has, or 0 where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(
    /// One more than the id, so that to have none of these costs no room.
    NonZeroU64,
);

impl Since {
    /// Nothing at all.
    pub const NOTHING: Self = Self(NonZeroU64::MIN);

    /// From 0 to 2^63-1.
    pub fn new(id: i64) -> Option<Self> {
        let id = u64::try_from(id).ok()?;
        NonZeroU64::new(id + 1).map(Self)
    }

    /// Up to and with this message.
    pub fn through(message: MessageId) -> Self {
        Self::new(message.get()).expect("ids are positive")
    }

    /// Up to this message, and not with it.
    pub fn before(message: MessageId) -> Self {
        Self::new(message.get() - 1).expect("ids are positive")
    }

    /// The id, or 0.
    pub fn get(self) -> i64 {
        i64::try_from(self.0.get() - 1).expect("made of one")
    }

    /// The message that it names.
    pub fn message(self) -> Option<MessageId> {
        MessageId::new(self.get())
    }
}

/// How many messages a list may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(NonZeroU8);

impl Limit {
    /// From 1 to 200.
    pub fn new(count: i64) -> Option<Self> {
        let count = u8::try_from(count).ok().filter(|&n| n <= LIMIT_MAX)?;
        NonZeroU8::new(count).map(Self)
    }

    /// As a number.
    pub fn get(self) -> u32 {
        self.0.get().into()
    }
}

/// What a poll asks for beyond the list of most recent messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only what is newer than this, and none of it left out.
    pub since: Option<Since>,
    /// At most so many.
    pub limit: Option<Limit>,
}

impl Wanted {
    /// Whether it is the list that everybody gets who asks for nothing.
    pub fn is_usual(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_ids_and_of_lists() {
        assert_eq!(Since::new(-1), None);
        for id in [0, 1, i64::MAX] {
            assert_eq!(Since::new(id).map(Since::get), Some(id));
        }
        assert_eq!(Since::new(0).and_then(Since::message), None);
        assert_eq!([0, 201, 257, -1].map(Limit::new), [None; 4]);
        assert_eq!(
            [1, 200].map(|n| Limit::new(n).map(Limit::get)),
            [Some(1), Some(200)]
        );
    }

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Wanted>(), 16);
    }
}
