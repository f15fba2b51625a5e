//! Who polled which chatroom lately: to others a client between two polls is present.
//!
//! A session remembers by itself what its last poll left, and when ([`Left`]): a write into a value that has just been touched, so that one that polls a single chatroom pays
//! nothing else. [`Lately`] is for what a session forgets while it still counts: the chatroom before, where it polls several in turn, and all of
//! it where the session goes. It has two generations, of which the older is dropped as a whole: nothing is searched for what is over, and its memory
//! is given back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{ChatroomId, Now, UserId};

/// How long a client counts as present after its poll.
const LATELY_MS: u64 = 10_000;
/// Moments are told apart in steps of this length.
const STEP_MS: u64 = 128;
/// Steps between two moments that are no more than [`LATELY_MS`] apart, at most.
#[expect(clippy::cast_possible_truncation, reason = "of two constants")]
const LATELY_STEPS: i32 = LATELY_MS.div_ceil(STEP_MS) as i32;

/// A time of the monotonic clock, in steps, wrapping: half of its 17 years are past and half to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl Moment {
    #[expect(clippy::cast_possible_truncation, reason = "it wraps on purpose")]
    pub(super) fn of(now: Now) -> Self {
        Self((now.monotonic_ms / STEP_MS) as u32)
    }

    /// Whether it is less than 10 s ago, or up to two steps more.
    fn is_lately(self, now: Self) -> bool {
        now.0.wrapping_sub(self.0).cast_signed() <= LATELY_STEPS
    }

    fn is_before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).cast_signed() > 0
    }
}

/// What a session's last poll left. There is one in each session: a test pins its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Left {
    /// There was none.
    #[default]
    Nothing,
    /// This chatroom.
    One { chatroom: ChatroomId, at: Moment },
    /// These.
    These {
        chatrooms: Arc<Vec<ChatroomId>>,
        at: Moment,
    },
    /// All that its user is in.
    All { at: Moment },
}

impl Left {
    /// Whether it was a chatroom in which its user is, and lately.
    pub(super) fn includes(&self, chatroom: ChatroomId, now: Moment) -> bool {
        let was_there = match self {
            Self::Nothing => false,
            Self::One { chatroom: left, .. } => *left == chatroom,
            Self::These { chatrooms, .. } => chatrooms.contains(&chatroom),
            Self::All { .. } => true,
        };
        was_there && self.is_lately(now)
    }

    fn is_lately(&self, now: Moment) -> bool {
        match self {
            Self::Nothing => false,
            Self::One { at, .. } | Self::These { at, .. } | Self::All { at } => at.is_lately(now),
        }
    }

    /// A poll leaves this. Returns what was left before, if it still counts and would be forgotten.
    pub(super) fn renew(&mut self, next: Self, now: Moment) -> Option<Self> {
        let is_kept = match (&*self, &next) {
            (_, Self::All { .. }) => true,
            (Self::One { chatroom, .. }, Self::One { chatroom: next, .. }) => chatroom == next,
            (
                Self::These { chatrooms, .. },
                Self::These {
                    chatrooms: next, ..
                },
            ) => chatrooms == next,
            _ => false,
        };
        let before = std::mem::replace(self, next);
        (!is_kept && before.is_lately(now)).then_some(before)
    }
}

/// What sessions have left lately and do not remember themselves.
#[derive(Debug, Default)]
pub(super) struct Lately {
    newer: Generation,
    older: Generation,
    /// When the newer one began.
    began: Moment,
}

/// Without a chatroom it is all in which the user is.
type Generation = HashMap<(UserId, Option<ChatroomId>), Moment>;

impl Lately {
    /// Remembers what a session of this user has left.
    pub(super) fn keep(&mut self, user: UserId, left: &Left) {
        match left {
            Left::Nothing => {}
            Left::One { chatroom, at } => self.keep_one(user, Some(*chatroom), *at),
            Left::These { chatrooms, at } => {
                for &chatroom in chatrooms.iter() {
                    self.keep_one(user, Some(chatroom), *at);
                }
            }
            Left::All { at } => self.keep_one(user, None, *at),
        }
    }

    fn keep_one(&mut self, user: UserId, chatroom: Option<ChatroomId>, at: Moment) {
        // What was over when the newer generation began is over.
        if at.is_lately(self.began) {
            // Sessions that go tell of what was left earlier than others have told of before.
            let known = self.newer.entry((user, chatroom)).or_insert(at);
            if known.is_before(at) {
                *known = at;
            }
        }
    }

    /// Whether the user has left the chatroom lately, as far as that is remembered here.
    pub(super) fn includes(&self, user: UserId, chatroom: ChatroomId, now: Moment) -> bool {
        let keys = [(user, Some(chatroom)), (user, None)];
        [&self.newer, &self.older].into_iter().any(|generation| {
            let mut known = keys.iter().filter_map(|key| generation.get(key));
            known.any(|at| at.is_lately(now))
        })
    }

    /// Lets go of what is over, from time to time: whatever came into the older generation did so before the newer one began.
    pub(super) fn roll(&mut self, now: Now) {
        let now = Moment::of(now);
        if !self.began.is_lately(now) {
            self.older = std::mem::take(&mut self.newer);
            self.began = now;
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::of(now(ms))
    }

    fn now(monotonic_ms: u64) -> Now {
        Now {
            monotonic_ms,
            unix_ms: 0,
        }
    }

    fn room(id: i64) -> ChatroomId {
        ChatroomId::new(id).expect("positive")
    }

    fn user(id: i64) -> UserId {
        UserId::new(id).expect("positive")
    }

    fn left(id: i64, ms: u64) -> Left {
        Left::One {
            chatroom: room(id),
            at: at(ms),
        }
    }

    #[test]
    fn ten_seconds_count_whole_and_little_more() {
        // Wherever in a step it begins, and where the steps wrap.
        for start in [0, 1, 127, 128, 1_000_003, (1 << 32) * STEP_MS - 5_000] {
            assert!(at(start).is_lately(at(start)));
            assert!(at(start).is_lately(at(start + LATELY_MS)), "{start}");
            assert!(!at(start).is_lately(at(start + LATELY_MS + 2 * STEP_MS)));
        }
    }

    #[test]
    fn what_is_left_is_small() {
        assert_eq!(size_of::<Left>(), 16);
    }

    #[test]
    fn only_another_chatroom_that_still_counts_is_lost() {
        let mut last = Left::default();
        assert_eq!(last.renew(left(1, 0), at(0)), None);
        assert_eq!(last.renew(left(1, 5_000), at(5_000)), None);
        assert_eq!(last.renew(left(2, 9_000), at(9_000)), Some(left(1, 5_000)));
        assert!(last.includes(room(2), at(19_000)));
        assert!(!last.includes(room(1), at(9_000)));
        assert_eq!(last.renew(left(1, 30_000), at(30_000)), None);
    }

    #[test]
    fn several_are_left_together() {
        let these = |ids: &[i64], ms| Left::These {
            chatrooms: Arc::new(ids.iter().map(|&id| room(id)).collect()),
            at: at(ms),
        };
        let all = |ms| Left::All { at: at(ms) };
        let mut last = these(&[1, 2], 0);
        assert!(last.includes(room(2), at(0)) && !last.includes(room(3), at(0)));
        assert_eq!(last.renew(these(&[1, 2], 100), at(100)), None);
        assert_eq!(
            last.renew(these(&[1], 200), at(200)),
            Some(these(&[1, 2], 100))
        );
        // Whoever was in some of them is in all of them.
        assert_eq!(last.renew(all(300), at(300)), None);
        assert!(last.includes(room(9), at(300)));
        assert_eq!(last.renew(left(1, 400), at(400)), Some(all(300)));
        let mut lately = Lately::default();
        lately.keep(user(1), &all(300));
        lately.keep(user(2), &these(&[1, 2], 300));
        let is_there = |of, chatroom| lately.includes(user(of), room(chatroom), at(400));
        assert!(is_there(1, 9) && is_there(2, 1) && is_there(2, 2) && !is_there(2, 9));
    }

    #[test]
    fn it_is_remembered_for_as_long_as_it_counts_and_then_let_go() {
        let mut lately = Lately::default();
        for rolled_ms in 0..12 {
            lately.roll(now(rolled_ms * 1_000));
        }
        lately.keep(user(1), &left(1, 12_000));
        lately.keep(user(1), &left(1, 11_000));
        lately.keep(user(2), &left(2, 12_000));
        assert_eq!(lately.len(), 2);
        for passed_ms in (0..=LATELY_MS).step_by(100) {
            lately.roll(now(12_000 + passed_ms));
            let then = at(12_000 + passed_ms);
            assert!(lately.includes(user(1), room(1), then), "{passed_ms}");
            assert!(!lately.includes(user(1), room(2), then));
        }
        assert!(!lately.includes(user(1), room(1), at(22_300)));
        for rolled_ms in (22_000..45_000).step_by(100) {
            lately.roll(now(rolled_ms));
        }
        assert_eq!(lately.len(), 0);
    }

    #[test]
    fn what_comes_after_a_long_silence_is_kept() {
        let mut lately = Lately::default();
        lately.roll(now(0));
        lately.keep(user(1), &left(1, 999_000));
        lately.roll(now(1_000_000));
        assert!(lately.includes(user(1), room(1), at(1_000_000)));
        // What is long over does not come in at all.
        lately.keep(user(2), &left(1, 900_000));
        assert_eq!(lately.len(), 1);
    }
}
