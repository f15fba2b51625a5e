//! Which of the chatrooms that are held the database is asked for whatever was said of them, a few at a time.
//!
//! What the others have written is said by their rows, once. Should one be missing for a reason that nobody has thought of (or should a server not write any,
//! for it is older), each chatroom is asked for once in a [`ROUND`] all the same (or in two, where fewer are held than were); and all of them as soon as can be where rows may have been missed.

use std::time::Duration;

use super::Followed;
use crate::model::ChatroomId;

/// In which each chatroom is asked for once.
pub const ROUND: Duration = Duration::from_secs(60);

/// Chatrooms that are asked for at once: some milliseconds, in which no hint is heard.
pub const ASKED_AT_ONCE: usize = 1000;

/// See the module.
#[derive(Debug)]
pub struct Rounds {
    /// How many at once.
    slice: usize,
    /// The last that was asked for; nothing where a round begins.
    last: Option<ChatroomId>,
    /// All that are left of the round are asked for, one slice after the other.
    is_hasty: bool,
    /// For how long it has been waited for the next slice.
    waited: Duration,
}

impl Rounds {
    /// So many at once; the first of them in a [`ROUND`].
    pub fn new(slice: usize) -> Self {
        Self {
            slice,
            last: None,
            is_hasty: false,
            waited: Duration::ZERO,
        }
    }

    /// All that are held by now are to be asked for as soon as can be.
    pub fn ask_for_all(&mut self, followed: &Followed) {
        self.last = None;
        self.is_hasty = followed.count() > 0;
        self.waited = Duration::ZERO;
    }

    /// So much time has passed.
    pub fn pass(&mut self, time: Duration) {
        self.waited = (self.waited + time).min(ROUND);
    }

    /// Whether some are to be asked for now.
    pub fn are_due(&self, followed: &Followed) -> bool {
        let held = followed.count();
        held > 0 && (self.is_hasty || self.waited >= self.pause(held))
    }

    /// The next of them, and up to where they have been told.
    pub fn take(&mut self, followed: &Followed) -> (Vec<i64>, Vec<i64>) {
        if !self.is_hasty {
            self.waited = self.waited.saturating_sub(self.pause(followed.count()));
        }
        let (slice, last) = followed.some(self.last, self.slice);
        self.last = last;
        self.is_hasty &= last.is_some();
        slice
    }

    /// Between one slice and the next, where so many are held.
    fn pause(&self, held: usize) -> Duration {
        let slices = u32::try_from(held.div_ceil(self.slice)).unwrap_or(u32::MAX);
        ROUND / slices.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageId;

    fn holding(count: i64) -> Followed {
        let followed = Followed::default();
        for id in 1..=count {
            let id = ChatroomId::new(id).expect("positive");
            followed.follow(0, &[(id, true)]);
            followed.loaded(id, MessageId::new(1));
        }
        followed
    }

    /// What is asked for while so many seconds pass.
    fn asked(rounds: &mut Rounds, followed: &Followed, seconds: u32) -> Vec<(u32, usize)> {
        let mut asked = Vec::new();
        for second in 0..seconds {
            rounds.pass(Duration::from_secs(1));
            while rounds.are_due(followed) {
                asked.push((second, rounds.take(followed).0.len()));
            }
        }
        asked
    }

    #[test]
    fn few_are_asked_for_together_once_a_round() {
        let (mut rounds, followed) = (Rounds::new(1000), holding(3));
        let all = asked(&mut rounds, &followed, 180);
        assert_eq!(all, [(59, 3), (119, 3), (179, 3)]);
    }

    #[test]
    fn many_are_spread_over_it() {
        let (mut rounds, followed) = (Rounds::new(1000), holding(30_000));
        let all = asked(&mut rounds, &followed, 60);
        assert_eq!(all.len(), 30, "{all:?}");
        assert!(all.is_sorted_by(|a, b| a.0 < b.0), "one after the other");
        // The last of a round may be a short one.
        let (mut rounds, followed) = (Rounds::new(1000), holding(1001));
        let all = asked(&mut rounds, &followed, 60);
        assert_eq!(all, [(29, 1000), (59, 1)]);
    }

    #[test]
    fn all_are_asked_for_in_slices_where_something_may_have_been_missed() {
        let (mut rounds, followed) = (Rounds::new(1000), holding(2500));
        rounds.ask_for_all(&followed);
        let mut of = Vec::new();
        while rounds.are_due(&followed) {
            let (chatrooms, told) = rounds.take(&followed);
            assert!(chatrooms.len() <= 1000 && told.len() == chatrooms.len());
            of.extend(chatrooms);
            if of.len() == 2000 {
                // Once more, from the first on.
                rounds.ask_for_all(&followed);
                of.push(0);
            }
        }
        let [once, again] = [1..=2000, 1..=2500].map(Vec::from_iter);
        assert_eq!(of, [once, vec![0], again].concat());
        // What is held later is loaded then.
        rounds.ask_for_all(&Followed::default());
        assert!(!rounds.are_due(&followed));
    }
}
