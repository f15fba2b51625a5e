//! A cursor in a list of polls, or of places: for what is to look at each of them, a slice at a time, while they come and go.

use crate::arena::{Arena, Key, Link, List};

/// Where somebody is who goes through a list.
#[derive(Debug, Default)]
pub(super) enum Walk<M> {
    /// Not begun: it will be for those that are parked when it is.
    #[default]
    Waiting,
    /// At this one, and for those up to and with `through`.
    At { at: Key<M>, through: Key<M> },
    /// Behind the last.
    Over,
}

impl<M> Walk<M> {
    /// At the first of a list, and for all that are in it now.
    pub(super) fn begin(list: &List<M>, arena: &Arena<M>) -> Self {
        match list.front(arena).zip(list.back(arena)) {
            Some((at, through)) => Self::At { at, through },
            None => Self::Over,
        }
    }

    /// One further.
    pub(super) fn step(&mut self, list: &List<M>, arena: &Arena<M>, link: impl Fn(&M) -> &Link) {
        if let Self::At { at, through } = *self {
            *self = match list.after(arena, at, link) {
                Some(next) if at != through => Self::At { at: next, through },
                _ => Self::Over,
            };
        }
    }

    /// One is about to leave the list: nothing may point to it then.
    pub(super) fn leave(
        &mut self,
        key: Key<M>,
        list: &List<M>,
        arena: &Arena<M>,
        link: impl Fn(&M) -> &Link,
    ) {
        let Self::At { at, through } = *self else {
            return;
        };
        if at == key {
            self.step(list, arena, link);
        } else if through == key {
            let before = list.before(arena, key, link);
            let through = before.expect("the cursor stands before it");
            *self = Self::At { at, through };
        }
    }
}
