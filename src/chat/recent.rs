//! A chatroom's most recent messages as ready-made JSON.
//!
//! The messages stand behind one another in one buffer, a comma behind each, so that a list of
//! any of the newest is one copy and two brackets. Ids have no gaps: the newest id and the
//! count say which messages are here.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::model::{Message, MessageId};

/// The newest messages, at most as many as asked for, rendered.
#[derive(Debug, Default)]
pub(super) struct Recent {
    json: Vec<u8>,
    /// Bytes of each message in `json`, its comma included.
    sizes: VecDeque<u32>,
    last: Option<MessageId>,
}

impl Recent {
    /// The newest message's id.
    pub(super) fn last(&self) -> Option<MessageId> {
        self.last
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

    fn trim(&mut self, max: u32) {
        let surplus = self.sizes.len().saturating_sub(max as usize);
        let bytes: usize = self.sizes.drain(..surplus).map(|size| size as usize).sum();
        self.json.drain(..bytes);
    }

    /// The JSON array of all messages up to and with `newest`, oldest first.
    pub(super) fn list_until(&self, newest: Option<MessageId>) -> Arc<[u8]> {
        let number = |id: Option<MessageId>| id.map_or(0, MessageId::get);
        let newer = (number(self.last) - number(newest)).clamp(0, self.sizes.len() as i64);
        let cut: usize = (self.sizes.iter().rev())
            .take(newer as usize)
            .map(|&size| size as usize)
            .sum();
        let kept = &self.json[..self.json.len() - cut];
        let inner = kept.strip_suffix(b",").unwrap_or(kept);
        let mut list = Vec::with_capacity(inner.len() + 2);
        list.push(b'[');
        list.extend_from_slice(inner);
        list.push(b']');
        list.into()
    }

    /// The JSON array of all messages, oldest first.
    pub(super) fn list(&self) -> Arc<[u8]> {
        self.list_until(self.last)
    }
}

fn render(json: &mut Vec<u8>, message: &Message) {
    let text = |text: &str| serde_json::to_string(text).expect("every string has a JSON form");
    let time = UNIX_EPOCH + Duration::from_millis(message.time_unix_ms);
    write!(
        json,
        r#"{{"id":{},"chatroomid":{},"userid":{},"username":{},"message":{},"time":"{}"}}"#,
        message.id,
        message.chatroom,
        message.user.id,
        text(&message.user.name),
        text(&message.text),
        humantime::format_rfc3339_millis(time),
    )
    .expect("a Vec takes all");
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
    fn a_message_is_rendered_as_the_contract_has_it() {
        let mut recent = Recent::default();
        recent.push(&message(1, "say \"hi\"\n\u{1f600}"), 50);
        let list = String::from_utf8(recent.list().to_vec()).expect("UTF-8");
        assert_eq!(
            list,
            r#"[{"id":1,"chatroomid":7,"userid":1,"username":"ann","message":"say \"hi\"\n😀","time":"2026-11-23T08:00:00.000Z"}]"#
        );
    }

    #[test]
    fn keeps_the_newest() {
        let mut recent = Recent::default();
        assert_eq!(&*recent.list(), b"[]");
        (1..=5).for_each(|id| recent.push(&message(id, "x"), 3));
        assert_eq!(ids(&recent.list()), [3, 4, 5]);
        assert_eq!(ids(&recent.list_until(MessageId::new(4))), [3, 4]);
        assert_eq!(ids(&recent.list_until(MessageId::new(1))), [0; 0]);
        assert_eq!(ids(&recent.list_until(MessageId::new(9))), [3, 4, 5]);
    }

    #[test]
    fn a_gap_is_never_shown() {
        let mut recent = Recent::default();
        recent.push(&message(1, "x"), 3);
        recent.push(&message(4, "x"), 3);
        recent.push(&message(5, "x"), 3);
        assert_eq!(ids(&recent.list()), [4, 5]);
    }
}
