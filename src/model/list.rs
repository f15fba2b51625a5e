//! Messages as the API shows them: ready-made JSON.
//!
//! Whoever has messages at hand makes this of them, a lane of the store or the chat core: what comes behind only passes it on.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::{Message, MessageId};
use crate::buffer::{Buffer, Bytes};

/// The end of the year 9999, beyond which RFC 3339 has no times.
const TIME_MAX_UNIX_MS: u64 = 253_402_300_799_999;

/// Messages as a JSON array, of one chatroom or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageList {
    json: Bytes,
    /// Of each message its id, and where in `json` it ends.
    messages: Vec<(MessageId, usize)>,
}

impl MessageList {
    /// The array.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Each message's id and its JSON, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &[u8])> {
        // Before each stands a bracket or a comma.
        let mut start = 0;
        self.messages.iter().map(move |&(id, end)| {
            let json = &self.json[start..end][1..];
            start = end;
            (id, json)
        })
    }
}

impl<'a> FromIterator<&'a Message> for MessageList {
    fn from_iter<T: IntoIterator<Item = &'a Message>>(messages: T) -> Self {
        let mut list = ListWriter::default();
        messages.into_iter().for_each(|message| list.push(message));
        list.finish()
    }
}

/// Makes a [`MessageList`], a message at a time.
#[derive(Debug, Default)]
pub struct ListWriter {
    json: Buffer,
    messages: Vec<(MessageId, usize)>,
    /// Where each message is rendered.
    scratch: Vec<u8>,
}

impl ListWriter {
    /// Appends a message.
    pub fn push(&mut self, message: &Message) {
        self.scratch.clear();
        self.scratch
            .push(if self.messages.is_empty() { b'[' } else { b',' });
        render(&mut self.scratch, message);
        self.json.extend_from_slice(&self.scratch);
        self.messages.push((message.id, self.json.as_slice().len()));
    }

    /// How many it has taken.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has taken none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The list of them.
    pub fn finish(mut self) -> MessageList {
        let end: &[u8] = if self.messages.is_empty() {
            b"[]"
        } else {
            b"]"
        };
        self.json.extend_from_slice(end);
        MessageList {
            json: self.json.freeze(),
            messages: self.messages,
        }
    }
}

/// Appends a message as a JSON object.
pub fn render(json: &mut Vec<u8>, message: &Message) {
    let time = Duration::from_millis(message.time_unix_ms.min(TIME_MAX_UNIX_MS));
    let time = UNIX_EPOCH.checked_add(time).expect("it is in this age");
    let (id, chatroom, user) = (message.id, message.chatroom, &message.user);
    put(
        json,
        format_args!(
            r#"{{"id":{id},"chatroomid":{chatroom},"userid":{},"username":"#,
            user.id
        ),
    );
    put_text(json, &user.name);
    put(json, format_args!(r#","message":"#));
    put_text(json, &message.text);
    let time = humantime::format_rfc3339_millis(time);
    put(json, format_args!(r#","time":"{time}"}}"#));
}

fn put(json: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    json.write_fmt(text).expect("a Vec takes all");
}

fn put_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("every string has a JSON form");
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

    #[test]
    fn a_message_is_rendered_as_the_contract_has_it() {
        let list = MessageList::from_iter(&[message(1, "say \"hi\"\n\u{1f600}")]);
        assert_eq!(
            list.json(),
            r#"[{"id":1,"chatroomid":7,"userid":1,"username":"ann","message":"say \"hi\"\n😀","time":"2026-11-23T08:00:00.000Z"}]"#
        );
    }

    #[test]
    fn a_time_that_cannot_be_is_shown_as_the_last_that_can() {
        for time_unix_ms in [TIME_MAX_UNIX_MS, TIME_MAX_UNIX_MS + 1, u64::MAX] {
            let late = Message {
                time_unix_ms,
                ..message(1, "x")
            };
            let list = MessageList::from_iter(&[late]);
            let time: &[u8] = br#""time":"9999-12-31T23:59:59.999Z"}]"#;
            assert!(list.json().ends_with(time), "{list:?}");
        }
    }

    #[test]
    fn the_whole_is_an_array_and_each_part_an_object() {
        for count in 0..4 {
            let messages: Vec<_> = (1..=count).map(|id| message(id, "a,[]\"b")).collect();
            let list = MessageList::from_iter(&messages);
            let whole: serde_json::Value = serde_json::from_slice(list.json()).expect("JSON");
            let whole = whole.as_array().expect("an array");
            let parts = list.iter().map(|(id, json)| {
                let part: serde_json::Value = serde_json::from_slice(json).expect("JSON");
                assert_eq!(part["id"], id.get());
                part
            });
            assert_eq!(*whole, parts.collect::<Vec<_>>());
            assert_eq!((list.len(), list.is_empty()), (whole.len(), count == 0));
        }
    }
}
