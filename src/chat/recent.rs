//! A chatroom's most recent messages as ready-made JSON.
//!
//! The messages stand behind one another in one buffer, a comma behind each, so that a list of
//! any of the newest is one copy and two brackets. Ids have no gaps: the newest id and the
//! count say which messages are here.

use std::collections::VecDeque;

use crate::buffer::{Buffer, Bytes};
use crate::model::{Message, MessageId, MessageList, render};

/// The newest messages, rendered: as many as lists have, and right after they were loaded some more.
#[derive(Debug, Default)]
pub(super) struct Recent {
    json: Vec<u8>,
    /// Bytes of each message in `json`, its comma included.
    sizes: VecDeque<u32>,
    last: Option<MessageId>,
}

/// Which messages are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) last: Option<MessageId>,
    count: usize,
}

impl Recent {
    pub(super) fn span(&self) -> Span {
        Span {
            last: self.last,
            count: self.sizes.len(),
        }
    }

    /// The newest message's id.
    pub(super) fn last(&self) -> Option<MessageId> {
        self.last
    }

    /// How many messages are here.
    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.json.capacity() + self.sizes.capacity() * size_of::<u32>()
    }

    /// Whether `id` is the one that comes next.
    pub(super) fn is_next(&self, id: MessageId) -> bool {
        id.get() == self.last.map_or(0, MessageId::get) + 1
    }

    /// Appends a message and lets go of the oldest beyond `max`.
    ///
    /// Where the messages do not follow one another, all that came before is let go of:
    /// better a short list than one with a gap.
    pub(super) fn push(&mut self, message: &Message, max: u32) {
        if self.last.is_some() && !self.is_next(message.id) {
            self.json.clear();
            self.sizes.clear();
        }
        let before = self.json.len();
        render(&mut self.json, message);
        self.json.push(b',');
        let size =
            u32::try_from(self.json.len() - before).expect("messages are bounded below 4 GiB");
        self.sizes.push_back(size);
        self.last = Some(message.id);
        self.trim(max);
    }

    /// Lets go of the oldest beyond `max`.
    pub(super) fn trim(&mut self, max: u32) {
        let surplus = self.sizes.len().saturating_sub(max as usize);
        let bytes: usize = self.sizes.drain(..surplus).map(|size| size as usize).sum();
        self.json.drain(..bytes);
    }

    /// Where no message is here, the next is the one behind `last`.
    pub(super) fn go_on_behind(&mut self, last: Option<MessageId>) {
        if self.sizes.is_empty() {
            self.last = last;
        }
    }

    /// Lets go of the messages older than `first`.
    pub(super) fn forget_before(&mut self, first: MessageId) {
        let kept = self.newer_than(first).map_or(0, |newer| newer + 1);
        self.trim(u32::try_from(kept).unwrap_or(u32::MAX));
    }

    /// Whether this message is here.
    pub(super) fn holds(&self, id: MessageId) -> bool {
        self.newer_than(id)
            .is_some_and(|newer| newer < self.sizes.len())
    }

    /// How many messages are newer; `None` where `id` itself is newer than all.
    fn newer_than(&self, id: MessageId) -> Option<usize> {
        usize::try_from(self.last?.get() - id.get()).ok()
    }

    /// The JSON array of the oldest `max` messages that are newer than `since`, unless some of them are not here.
    pub(super) fn newer(&self, since: i64, max: u32) -> Option<Bytes> {
        let last = self.last.map_or(0, MessageId::get);
        let newer = usize::try_from(last.saturating_sub(since)).unwrap_or(0);
        if newer > self.sizes.len() {
            return None;
        }
        let skipped = newer.saturating_sub(max as usize);
        let wanted = u32::try_from(newer - skipped).expect("at most `max`");
        Some(self.list_behind(skipped, wanted))
    }

    /// The JSON array of the newest `max` messages, unless some of them are not here.
    pub(super) fn newest(&self, max: u32) -> Option<Bytes> {
        let last = self.last.map_or(0, MessageId::get);
        let wanted = usize::try_from(last)
            .unwrap_or(usize::MAX)
            .min(max as usize);
        (wanted <= self.sizes.len()).then(|| self.list_behind(0, max))
    }

    /// The oldest `max` messages that are newer than `since`, one by one, unless some of them are not here.
    pub(super) fn events(&self, since: i64, max: u32) -> Option<Events> {
        let last = self.last.map_or(0, MessageId::get);
        let newer = usize::try_from(last.saturating_sub(since)).unwrap_or(0);
        let skipped = self.sizes.len().checked_sub(newer)?;
        let start: usize = self
            .sizes
            .iter()
            .take(skipped)
            .map(|&size| size as usize)
            .sum();
        let mut events = Events::default();
        let mut at = start;
        let sizes = self.sizes.iter().skip(skipped).take(max as usize);
        for (&size, id) in sizes.zip(since + 1..) {
            let end = at + size as usize;
            let id = MessageId::new(id).expect("ids are positive");
            if !events.take(id, &self.json[at..end - 1]) {
                break;
            }
            at = end;
        }
        Some(events)
    }

    /// The JSON array of at most `max` messages, oldest first, that ends with `newest`, which must be here.
    pub(super) fn list_until(&self, newest: MessageId, max: u32) -> Bytes {
        debug_assert!(self.holds(newest), "a list ends with what it is asked for");
        self.list_behind(self.newer_than(newest).unwrap_or(0), max)
    }

    /// The JSON array of the newest messages, at most `max`, oldest first.
    pub(super) fn list(&self, max: u32) -> Bytes {
        self.list_behind(0, max)
    }

    /// The list that would be the newest without the newest `skipped`.
    fn list_behind(&self, skipped: usize, max: u32) -> Bytes {
        let bytes = |sizes: &mut dyn Iterator<Item = &u32>| -> usize {
            sizes.map(|&size| size as usize).sum()
        };
        let mut newest_first = self.sizes.iter().rev();
        let end = self.json.len() - bytes(&mut newest_first.by_ref().take(skipped));
        let start = end - bytes(&mut newest_first.take(max as usize));
        let kept = &self.json[start..end];
        let inner = kept.strip_suffix(b",").unwrap_or(kept);
        let mut list = Buffer::with_capacity(inner.len() + 2);
        list.extend_from_slice(b"[");
        list.extend_from_slice(inner);
        list.extend_from_slice(b"]");
        list.freeze()
    }
}

/// Bytes of messages that are told a stream at once, but for one that is longer by itself. It may be what a peer does not take, and there may be
/// as many of those as there are connections.
const EVENTS_BYTES: usize = 32 * 1024;

/// Messages as ready-made JSON, one by one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Events {
    json: Vec<u8>,
    /// Of each message its id, and where it ends in `json`.
    messages: Vec<(MessageId, usize)>,
}

impl Events {
    /// Of these messages, or of as many as there is room for.
    pub(super) fn of(messages: &MessageList) -> Self {
        let mut events = Self::default();
        for (id, json) in messages.iter() {
            if !events.take(id, json) {
                break;
            }
        }
        events
    }

    /// Takes one more, if there is room; the first always finds some.
    fn take(&mut self, id: MessageId, json: &[u8]) -> bool {
        let has_room = self.messages.is_empty() || self.json.len() + json.len() <= EVENTS_BYTES;
        if has_room {
            self.json.extend_from_slice(json);
            self.messages.push((id, self.json.len()));
        }
        has_room
    }

    /// Each message's id and its JSON, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &[u8])> {
        let mut start = 0;
        self.messages.iter().map(move |&(id, end)| {
            let json = &self.json[start..end];
            start = end;
            (id, json)
        })
    }

    /// The newest message's id.
    pub fn last(&self) -> Option<MessageId> {
        self.messages.last().map(|&(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChatroomId, User, UserId};

    fn message(id: i64, text: &str) -> Message {
        Message {
            id: MessageId::new(id).expect("positive"),
            chatroom: ChatroomId::new(7).expect("positive"),
            user: User {
                id: UserId::new(1).expect("positive"),
                name: "ann".into(),
            },
            text: text.into(),
            time_unix_ms: 1_795_420_800_000,
        }
    }

    fn ids(list: &[u8]) -> Vec<i64> {
        let list: serde_json::Value = serde_json::from_slice(list).expect("JSON");
        let ids = list.as_array().expect("an array").iter();
        ids.map(|m| m["id"].as_i64().expect("an id")).collect()
    }

    #[test]
    fn keeps_the_newest() {
        let mut recent = Recent::default();
        assert_eq!(&*recent.list(3), b"[]");
        (1..=5).for_each(|id| recent.push(&message(id, "x"), 3));
        assert_eq!(ids(&recent.list(3)), [3, 4, 5]);
        assert_eq!(ids(&recent.list(2)), [4, 5]);
    }

    #[test]
    fn a_list_ends_where_it_is_asked_to() {
        let mut recent = Recent::default();
        (1..=5).for_each(|id| recent.push(&message(id, "x"), 4));
        let until = |id, max| ids(&recent.list_until(MessageId::new(id).expect("positive"), max));
        assert_eq!(until(5, 2), [4, 5]);
        assert_eq!(until(3, 2), [2, 3]);
        assert_eq!(until(2, 2), [2]);
        let holds = |id| recent.holds(MessageId::new(id).expect("positive"));
        assert_eq!([1, 2, 5, 6].map(holds), [false, true, true, false]);
    }

    #[test]
    fn what_is_newer_comes_oldest_first_and_whole() {
        let mut recent = Recent::default();
        assert_eq!(&*recent.newer(0, 5).expect("all of nothing"), b"[]");
        (1..=9).for_each(|id| recent.push(&message(id, "x"), 4));
        let newer = |since, max| recent.newer(since, max).map(|list| ids(&list));
        assert_eq!(newer(9, 5), Some(vec![]));
        assert_eq!(newer(7, 5), Some(vec![8, 9]));
        assert_eq!(newer(5, 2), Some(vec![6, 7]));
        assert_eq!(newer(5, 4), Some(vec![6, 7, 8, 9]));
        assert_eq!(newer(4, 1), None, "5 is not here");
        let newest = |max| recent.newest(max).map(|list| ids(&list));
        assert_eq!(newest(2), Some(vec![8, 9]));
        assert_eq!(newest(4), Some(vec![6, 7, 8, 9]));
        assert_eq!(newest(5), None);
    }

    #[test]
    fn a_short_history_is_here_whole() {
        let mut recent = Recent::default();
        (1..=2).for_each(|id| recent.push(&message(id, "x"), 50));
        assert_eq!(recent.newest(200).map(|list| ids(&list)), Some(vec![1, 2]));
        assert_eq!(
            recent.newer(0, 200).map(|list| ids(&list)),
            Some(vec![1, 2])
        );
    }

    #[test]
    fn events_are_bounded_in_number_and_in_bytes() {
        let mut recent = Recent::default();
        let long = "x".repeat(EVENTS_BYTES / 4);
        let messages: Vec<_> = (1..=9).map(|id| message(id, &long)).collect();
        messages.iter().for_each(|message| recent.push(message, 8));
        let ids = |events: &Events| events.iter().map(|(id, _)| id.get()).collect::<Vec<_>>();
        let events = |since, max| recent.events(since, max).map(|events| ids(&events));
        assert_eq!(events(0, 64), None, "1 is not here");
        assert_eq!(events(1, 2), Some(vec![2, 3]));
        assert_eq!(events(1, 64), Some(vec![2, 3, 4]));
        assert_eq!(events(9, 64), Some(vec![]));
        assert_eq!(
            Events::of(&messages.iter().collect()),
            recent_events(&messages[..3])
        );
        let alone = Events::of(
            &[message(1, &long.repeat(9)), message(2, "x")]
                .iter()
                .collect(),
        );
        assert_eq!(ids(&alone), [1]);
    }

    fn recent_events(messages: &[Message]) -> Events {
        let mut recent = Recent::default();
        messages.iter().for_each(|message| recent.push(message, 8));
        recent.events(0, 64).expect("all are here")
    }

    #[test]
    fn a_gap_is_never_shown() {
        let mut recent = Recent::default();
        recent.push(&message(1, "x"), 3);
        recent.push(&message(4, "x"), 3);
        recent.push(&message(5, "x"), 3);
        assert_eq!(ids(&recent.list(50)), [4, 5]);
    }
}
