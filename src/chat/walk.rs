//! A cursor in a list of polls: for what is to look at each of them, a slice at a time, while they come and go.

use super::held::{Held, HeldKey};
use crate::arena::{Arena, Link, List};

/// Where somebody is who goes through a list of polls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Walk {
    /// Not begun: it will be for the polls that are parked when it is.
    #[default]
    Waiting,
    /// At this poll, and for those up to and with `through`.
    At { at: HeldKey, through: HeldKey },
    /// Behind the last.
    Over,
}

impl Walk {
    /// At the first of a list, and for all that are in it now.
    pub(super) fn begin(polls: &List<Held>, held: &Arena<Held>) -> Self {
        match polls.front(held).zip(polls.back(held)) {
            Some((at, through)) => Self::At { at, through },
            None => Self::Over,
        }
    }

    /// One poll further.
    pub(super) fn step(
        &mut self,
        polls: &List<Held>,
        held: &Arena<Held>,
        link: impl Fn(&Held) -> &Link,
    ) {
        if let Self::At { at, through } = *self {
            *self = match polls.after(held, at, link) {
                Some(next) if at != through => Self::At { at: next, through },
                _ => Self::Over,
            };
        }
    }

    /// A poll is about to leave the list: nothing may point to it then.
    pub(super) fn leave(
        &mut self,
        key: HeldKey,
        polls: &List<Held>,
        held: &Arena<Held>,
        link: impl Fn(&Held) -> &Link,
    ) {
        let Self::At { at, through } = *self else {
            return;
        };
        if at == key {
            self.step(polls, held, link);
        } else if through == key {
            let before = polls.before(held, key, link);
            let through = before.expect("the cursor stands before it");
            *self = Self::At { at, through };
        }
    }
}
