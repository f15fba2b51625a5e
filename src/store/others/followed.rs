//! The chatrooms that the loops of this server hold, and up to which message they have been told.
//!
//! **Told is never too high**, or a message would be lost: it begins with what was loaded, and goes up only by what follows. Too low costs a
//! message that is told twice, which a loop takes for what it is.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::job::Completion;
use crate::model::{ChatroomId, MessageId};

/// See the module.
#[derive(Debug, Default)]
pub struct Followed(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// By their ids: who asks for some of them goes on behind those.
    by_chatroom: BTreeMap<ChatroomId, Place>,
    /// What hints have said of chatrooms that were being loaded then, and are loaded now.
    due: Vec<(ChatroomId, i64)>,
}

#[derive(Debug, Default)]
struct Place {
    /// A bit for each loop that holds it.
    loops: u64,
    /// Up to which message they have been told, 0 for none; not known before it was loaded.
    told: Option<i64>,
    /// Up to which message it is, as hints have said while it was being loaded.
    hinted: i64,
}

impl Followed {
    /// A loop holds these from now on, or no more.
    pub fn follow(&self, event_loop: u16, chatrooms: &[(ChatroomId, bool)]) {
        let bit = 1 << event_loop;
        let mut places = self.lock();
        for &(chatroom, is_held) in chatrooms {
            if is_held {
                let place = places.by_chatroom.entry(chatroom).or_default();
                place.loops |= bit;
            } else if let Some(place) = places.by_chatroom.get_mut(&chatroom) {
                place.loops &= !bit;
                if place.loops == 0 {
                    places.by_chatroom.remove(&chatroom);
                }
            }
        }
    }

    /// A loop is about to be told what was read.
    pub fn read(&self, completion: &Completion) {
        match completion {
            Completion::ChatroomLoaded {
                chatroom,
                loaded: Ok(rows),
                ..
            } => self.loaded(*chatroom, rows.last),
            Completion::NewestRead {
                read: Ok(newest), ..
            } => {
                for &(chatroom, last) in newest {
                    self.loaded(chatroom, last);
                }
            }
            _ => {}
        }
    }

    /// A loop is about to be told what the chatroom has up to this message, or that it has so many.
    pub(super) fn loaded(&self, chatroom: ChatroomId, last: Option<MessageId>) {
        let last = last.map_or(0, MessageId::get);
        let mut places = self.lock();
        let Some(place) = places.by_chatroom.get_mut(&chatroom) else {
            return;
        };
        // What was read is as old as the question; another loop may have been told of more, which this one has not.
        let told = place.told.unwrap_or(last);
        place.told = Some(told.min(last));
        // Some loop has been told less than is known to be there, whatever will be said of it.
        let known = std::mem::take(&mut place.hinted).max(told).max(last);
        if known > told.min(last) {
            places.due.push((chatroom, known));
        }
    }

    /// The loops are told of these messages, which have no gap between them, the first and the last.
    pub fn told(&self, chatroom: ChatroomId, first: i64, last: i64) {
        if let Some(place) = self.lock().by_chatroom.get_mut(&chatroom)
            && let Some(told) = &mut place.told
            && first <= *told + 1
        {
            *told = last.max(*told);
        }
    }

    /// Messages up to this one are there no more: there is nothing to be told of them.
    pub fn expired(&self, chatroom: ChatroomId, last: i64) {
        self.told(chatroom, 0, last);
    }

    /// Takes in how far chatrooms are, as the database says behind all that the loops have been told. Returns whether it has gone back, so that they
    /// have been told of messages that are not there, whose ids others will have.
    pub fn goes_back(&self, newest: impl IntoIterator<Item = (ChatroomId, i64)>) -> bool {
        let mut places = self.lock();
        let mut goes_back = false;
        for (chatroom, last) in newest {
            let place = places.by_chatroom.get_mut(&chatroom);
            if let Some(told) = place.and_then(|place| place.told.as_mut())
                && *told > last
            {
                *told = last;
                goes_back = true;
            }
        }
        goes_back
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().by_chatroom.len()
    }

    /// Of so many behind this one, or of the first, those of which it is known, and up to where they have been told; and the last that was looked at,
    /// nothing where there are no more.
    pub fn some(
        &self,
        behind: Option<ChatroomId>,
        max: usize,
    ) -> ((Vec<i64>, Vec<i64>), Option<ChatroomId>) {
        let mut places = self.lock();
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let range = places.by_chatroom.range_mut((from, Bound::Unbounded));
        let (mut known, mut count, mut last) = ((Vec::new(), Vec::new()), 0, None);
        for (&id, place) in range.take(max) {
            (count, last) = (count + 1, Some(id));
            match place.told {
                Some(told) => {
                    known.0.push(id.get());
                    known.1.push(told);
                }
                // What is read may have been read before: it is asked for when that is known.
                None => place.hinted = i64::MAX,
            }
        }
        (known, last.filter(|_| count == max))
    }

    /// Up to where a chatroom has been told, if it is held and that is less than `last`. Where it is being loaded it is due when it is.
    pub fn behind(&self, chatroom: ChatroomId, last: i64) -> Option<i64> {
        let mut places = self.lock();
        let place = places.by_chatroom.get_mut(&chatroom)?;
        match place.told {
            Some(told) => (told < last).then_some(told),
            None => {
                place.hinted = place.hinted.max(last);
                None
            }
        }
    }

    /// These are to be asked for later.
    pub(super) fn put_off(&self, chatrooms: impl Iterator<Item = (ChatroomId, i64)>) {
        self.lock().due.extend(chatrooms);
    }

    /// What hints had said of chatrooms that have been loaded since: what was read may have been read before. Whoever waited for the
    /// load hears of it. And what was put off.
    pub fn take_due(&self) -> Vec<(ChatroomId, i64)> {
        std::mem::take(&mut self.lock().due)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chatroom() -> ChatroomId {
        ChatroomId::new(7).expect("positive")
    }

    fn holding(loops: &[u16]) -> Followed {
        let followed = Followed::default();
        for &number in loops {
            followed.follow(number, &[(chatroom(), true)]);
        }
        followed
    }

    fn load(followed: &Followed, last: i64) {
        followed.loaded(chatroom(), MessageId::new(last));
    }

    #[test]
    fn what_is_not_loaded_yet_has_been_told_nothing_of() {
        let followed = holding(&[0]);
        followed.told(chatroom(), 1, 5);
        assert_eq!(followed.behind(chatroom(), 9), None);
        load(&followed, 3);
        assert_eq!(followed.behind(chatroom(), 9), Some(3));
        let known = ((vec![7], vec![3]), None);
        assert_eq!(followed.some(None, 2), known);
    }

    #[test]
    fn a_hint_while_it_is_loaded_is_not_lost() {
        let followed = holding(&[0]);
        assert_eq!(followed.behind(chatroom(), 9), None);
        assert_eq!(followed.take_due(), []);
        load(&followed, 8);
        assert_eq!(followed.take_due(), [(chatroom(), 9)]);
        assert_eq!(followed.behind(chatroom(), 9), Some(8));
        // What was read before may be told behind it.
        load(&followed, 7);
        assert_eq!(followed.take_due(), [(chatroom(), 8)]);
        assert_eq!(followed.behind(chatroom(), 8), Some(7));
        load(&followed, 7);
        assert_eq!(followed.take_due(), []);
    }

    #[test]
    fn what_is_asked_for_while_it_is_loaded_is_asked_for_then() {
        let followed = holding(&[0]);
        assert_eq!(followed.some(None, 9), ((vec![], vec![]), None));
        load(&followed, 8);
        assert_eq!(followed.take_due(), [(chatroom(), i64::MAX)]);
        assert_eq!(followed.some(None, 9), ((vec![7], vec![8]), None));
        assert_eq!(followed.take_due(), []);
    }

    #[test]
    fn a_gap_is_never_passed_over() {
        let followed = holding(&[0]);
        load(&followed, 3);
        followed.told(chatroom(), 5, 6);
        assert_eq!(followed.behind(chatroom(), 6), Some(3));
        followed.told(chatroom(), 4, 6);
        assert_eq!(followed.behind(chatroom(), 6), None);
    }

    #[test]
    fn messages_that_are_gone_with_a_database_have_not_been_told() {
        let followed = holding(&[0]);
        let is_at = |last| followed.goes_back([(chatroom(), last)]);
        assert!(!is_at(1), "nothing is known of it yet");
        load(&followed, 9);
        assert!(!is_at(9) && !is_at(10));
        assert!(is_at(4));
        assert!(!is_at(4), "it is known by now");
        assert_eq!(followed.behind(chatroom(), 5), Some(4));
    }

    #[test]
    fn who_loads_later_does_not_hide_what_others_have_not_been_told() {
        let followed = holding(&[0, 1]);
        load(&followed, 3);
        load(&followed, 8);
        assert_eq!(followed.behind(chatroom(), 8), Some(3));
        // Nor does what was read before that was told.
        followed.told(chatroom(), 4, 8);
        load(&followed, 6);
        assert_eq!(followed.behind(chatroom(), 8), Some(6));
    }

    #[test]
    fn the_last_loop_that_lets_go_ends_it() {
        let followed = holding(&[0, 63]);
        load(&followed, 3);
        followed.follow(0, &[(chatroom(), false)]);
        assert_eq!(followed.behind(chatroom(), 9), Some(3));
        followed.follow(63, &[(chatroom(), false), (chatroom(), true)]);
        assert_eq!(followed.behind(chatroom(), 9), None, "it begins anew");
    }
}
