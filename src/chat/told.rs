//! Which messages the loop is told of while calls wait that want to hear of them from when they came.
//!
//! Of each chatroom only the first message behind each arrival is noted, since ids have no gaps: so what is kept is bounded by the
//! chatrooms that speak and the calls that wait, not by what is said. A call that has gone takes with it what only it needed.

use std::collections::{HashMap, VecDeque};

use crate::model::{ChatroomId, MessageId};

/// When a call came, in arrivals behind which something was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival(u64);

/// What was told of which chatroom.
#[derive(Debug, Default)]
pub(super) struct ToldLog {
    /// How many wait who came at each arrival from `oldest` on.
    waiting: VecDeque<usize>,
    oldest: u64,
    /// Something was told behind the newest arrival.
    has_told: bool,
    by_chatroom: HashMap<ChatroomId, Told>,
    /// Where `by_chatroom` has notes, by arrival.
    notes: VecDeque<(Arrival, ChatroomId)>,
}

#[derive(Debug)]
struct Told {
    /// The first message behind each arrival, if anything was told then.
    firsts: VecDeque<(Arrival, MessageId)>,
    last: MessageId,
}

impl ToldLog {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// A call begins to wait. It is to end with [`ToldLog::leave`].
    pub(super) fn arrive(&mut self) -> Arrival {
        if self.waiting.is_empty() || std::mem::take(&mut self.has_told) {
            self.waiting.push_back(0);
        }
        let newest = self.waiting.len() - 1;
        self.waiting[newest] += 1;
        Arrival(self.oldest + newest as u64)
    }

    /// A call that came then waits no longer.
    pub(super) fn leave(&mut self, arrival: Arrival) {
        let at = usize::try_from(arrival.0 - self.oldest).expect("as many as calls");
        self.waiting[at] -= 1;
        while self.waiting.front() == Some(&0) {
            self.waiting.pop_front();
            self.oldest += 1;
        }
        if self.waiting.is_empty() {
            *self = Self::default();
        }
        while let Some(&(noted, chatroom)) = self.notes.front()
            && noted.0 < self.oldest
        {
            self.notes.pop_front();
            self.forget_first(chatroom);
        }
    }

    fn forget_first(&mut self, chatroom: ChatroomId) {
        let told = self.by_chatroom.get_mut(&chatroom).expect("it was noted");
        told.firsts.pop_front();
        if told.firsts.is_empty() {
            self.by_chatroom.remove(&chatroom);
        }
    }

    /// The loop is told of a message.
    pub(super) fn note(&mut self, chatroom: ChatroomId, id: MessageId) {
        let Some(newest) = self.waiting.len().checked_sub(1) else {
            return;
        };
        self.has_told = true;
        let arrival = Arrival(self.oldest + newest as u64);
        let told = self.by_chatroom.entry(chatroom).or_insert_with(|| Told {
            firsts: VecDeque::new(),
            last: id,
        });
        told.last = id;
        if told.firsts.back().is_none_or(|&(noted, _)| noted < arrival) {
            told.firsts.push_back((arrival, id));
            self.notes.push_back((arrival, chatroom));
        }
    }

    /// The first and the last message that the loop was told of in a chatroom since a call came.
    pub(super) fn since(
        &self,
        arrival: Arrival,
        chatroom: ChatroomId,
    ) -> Option<(MessageId, MessageId)> {
        let told = self.by_chatroom.get(&chatroom)?;
        let at = told.firsts.partition_point(|&(noted, _)| noted < arrival);
        let &(_, first) = told.firsts.get(at)?;
        Some((first, told.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chatroom(id: i64) -> ChatroomId {
        ChatroomId::new(id).expect("positive")
    }

    impl ToldLog {
        fn note_in(&mut self, of: i64, id: i64) {
            self.note(chatroom(of), MessageId::new(id).expect("positive"));
        }

        fn since_in(&self, arrival: Arrival, of: i64) -> Option<(i64, i64)> {
            let (first, last) = self.since(arrival, chatroom(of))?;
            Some((first.get(), last.get()))
        }
    }

    #[test]
    fn each_call_is_told_what_came_behind_it() {
        let mut log = ToldLog::default();
        log.note_in(1, 6);
        let early = log.arrive();
        let with_it = log.arrive();
        assert_eq!(log.since_in(early, 1), None);
        (7..=9).for_each(|id| log.note_in(1, id));
        let late = log.arrive();
        log.note_in(1, 10);
        log.note_in(2, 3);
        for arrival in [early, with_it] {
            assert_eq!(log.since_in(arrival, 1), Some((7, 10)));
            assert_eq!(log.since_in(arrival, 2), Some((3, 3)));
        }
        let last = log.arrive();
        assert_eq!(log.since_in(late, 1), Some((10, 10)));
        assert_eq!(log.since_in(last, 1), None);
        assert_eq!(log.len(), 4);
    }

    #[test]
    fn what_is_kept_does_not_grow_with_what_is_said() {
        let mut log = ToldLog::default();
        let patient = log.arrive();
        for id in 1..=1_000 {
            log.note_in(1, id);
            log.note_in(2, id);
        }
        assert_eq!(log.notes.len(), 2);
        assert_eq!(log.since_in(patient, 2), Some((1, 1_000)));
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_forgotten() {
        let mut log = ToldLog::default();
        // There is always somebody who waits.
        let mut before = log.arrive();
        for id in 1..=1_000 {
            log.note_in(1, id);
            log.note_in(1 + id, 1);
            let next = log.arrive();
            log.leave(before);
            assert!(log.notes.len() <= 2 && log.by_chatroom.len() <= 2);
            before = next;
        }
        assert_eq!(log.since_in(before, 1), None);
        // Who came last may go first.
        let last = log.arrive();
        log.note_in(1, 1_001);
        log.leave(last);
        assert_eq!(log.since_in(before, 1), Some((1_001, 1_001)));
        log.leave(before);
        assert_eq!(
            (log.len(), log.notes.len(), log.by_chatroom.len()),
            (0, 0, 0)
        );
    }
}
