//! What an answer says, checked: a list's ids ascending without gaps, one chatroom, the last message read.
//!
//! Lists come by the ten thousand and each holds up to 50 messages, so nothing here allocates, and the ids, the chatroom and the last
//! message's text are taken from where loiter writes them. That holds because the texts that this tool sends contain
//! neither a brace nor a quote; a list written otherwise is reported, never passed over.

use std::fmt;
use std::str;

/// The last message of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last<'a> {
    /// The id of the list's first message.
    pub(crate) first: u64,
    /// Its id, which counts from 1 within its chatroom.
    pub(crate) id: u64,
    /// Its chatroom, that of the whole list.
    pub(crate) chatroomid: u64,
    /// Its text.
    pub(crate) text: &'a str,
}

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadList {
    /// No array of messages as the contract shows them.
    Shape,
    /// An id that does not follow the one before it.
    Gap {
        /// The id before.
        before: u64,
        /// The id that came.
        id: u64,
    },
    /// Messages of several chatrooms.
    Mixed,
}

impl fmt::Display for BadList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("not a list of messages"),
            Self::Gap { before, id } => write!(f, "a list in which {id} follows {before}"),
            Self::Mixed => f.write_str("a list of several chatrooms"),
        }
    }
}

/// Checks a whole list; `None` is the empty one.
pub(crate) fn check(body: &[u8]) -> Result<Option<Last<'_>>, BadList> {
    let inner = body
        .strip_prefix(b"[")
        .and_then(|b| b.strip_suffix(b"]"))
        .ok_or(BadList::Shape)?;
    let mut list: Option<(u64, u64, u64)> = None;
    let mut last = None;
    for (at, _) in inner.iter().enumerate().filter(|(_, byte)| **byte == b'{') {
        let (id, chatroomid) = ids(&inner[at..]).ok_or(BadList::Shape)?;
        if let Some((_, before, room)) = list {
            if id != before + 1 {
                return Err(BadList::Gap { before, id });
            }
            if room != chatroomid {
                return Err(BadList::Mixed);
            }
        }
        let first = list.map_or(id, |(first, _, _)| first);
        list = Some((first, id, chatroomid));
        last = Some(&inner[at..]);
    }
    match (list, last) {
        (Some((first, id, chatroomid)), Some(object)) => Ok(Some(Last {
            first,
            id,
            chatroomid,
            text: text(object).ok_or(BadList::Shape)?,
        })),
        _ if inner.is_empty() => Ok(None),
        _ => Err(BadList::Shape),
    }
}

/// Reads a message that was published as it stands: `{"message":"…"}`. It has neither an id nor a chatroom.
pub(crate) fn published(body: &[u8]) -> Result<Last<'_>, BadList> {
    Ok(Last {
        first: 0,
        id: 0,
        chatroomid: 0,
        text: text(body).ok_or(BadList::Shape)?,
    })
}

/// `{"id":12,"chatroomid":7,` → 12 and 7.
fn ids(object: &[u8]) -> Option<(u64, u64)> {
    let (id, rest) = number(object.strip_prefix(b"{\"id\":")?)?;
    let (chatroomid, _) = number(rest.strip_prefix(b",\"chatroomid\":")?)?;
    Some((id, chatroomid))
}

fn number(digits: &[u8]) -> Option<(u64, &[u8])> {
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(len);
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The value of `"message"`, which has to be the object's last text but those that this tool does not read.
fn text(object: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"message\":\"";
    if object.last() != Some(&b'}') {
        return None;
    }
    let at = object.windows(NAME.len()).position(|part| part == NAME)?;
    let text = &object[at + NAME.len()..];
    let end = text.iter().position(|byte| *byte == b'"')?;
    str::from_utf8(&text[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[(u64, u64)]) -> Vec<u8> {
        let messages: Vec<String> = ids
            .iter()
            .map(|(id, room)| {
                format!(
                    r#"{{"id":{id},"chatroomid":{room},"userid":1,"username":"ann","message":"m{id}","time":"t"}}"#
                )
            })
            .collect();
        format!("[{}]", messages.join(",")).into_bytes()
    }

    #[test]
    fn the_last_message_is_read() {
        let body = list(&[(9, 7), (10, 7), (11, 7)]);
        let last = check(&body).unwrap().unwrap();
        assert_eq!((last.first, last.id, last.chatroomid), (9, 11, 7));
        assert_eq!(last.text, "m11");
        assert_eq!(check(b"[]"), Ok(None));
    }

    #[test]
    fn gaps_repeats_and_strangers_are_named() {
        assert_eq!(
            check(&list(&[(9, 7), (11, 7)])),
            Err(BadList::Gap { before: 9, id: 11 })
        );
        assert_eq!(
            check(&list(&[(9, 7), (9, 7)])),
            Err(BadList::Gap { before: 9, id: 9 })
        );
        assert_eq!(check(&list(&[(9, 7), (10, 8)])), Err(BadList::Mixed));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bad in [
            &b"{}"[..],
            b"",
            b"[1]",
            b"[{\"id\":1}]",
            br#"[{"id":1,"chatroomid":7}]"#,
        ] {
            assert_eq!(
                check(bad),
                Err(BadList::Shape),
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
    }
}
