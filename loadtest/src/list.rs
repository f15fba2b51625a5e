//! A list of most recent messages, checked: ids ascending without gaps, one chatroom, the last message read.
//!
//! Lists come by the ten thousand and each holds up to 50 messages, so only the last message is read as
//! JSON; of the others the id and the chatroom are taken from where loiter writes them. That holds because
//! the texts that this tool sends contain no brace; a list written otherwise is reported, never passed over.

use std::fmt;

/// The last message of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// Its id, which counts from 1 within its chatroom.
    pub(crate) id: u64,
    /// Its chatroom, that of the whole list.
    pub(crate) chatroomid: u64,
    /// Its text.
    pub(crate) text: String,
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
pub(crate) fn check(body: &[u8]) -> Result<Option<Last>, BadList> {
    let inner = body
        .strip_prefix(b"[")
        .and_then(|b| b.strip_suffix(b"]"))
        .ok_or(BadList::Shape)?;
    let mut before: Option<(u64, u64)> = None;
    let mut last = None;
    for (at, _) in inner.iter().enumerate().filter(|(_, byte)| **byte == b'{') {
        let (id, chatroomid) = ids(&inner[at..]).ok_or(BadList::Shape)?;
        if let Some((before, room)) = before {
            if id != before + 1 {
                return Err(BadList::Gap { before, id });
            }
            if room != chatroomid {
                return Err(BadList::Mixed);
            }
        }
        before = Some((id, chatroomid));
        last = Some(&inner[at..]);
    }
    match (last, inner) {
        (Some(last), _) => message(last).map(Some),
        (None, b"") => Ok(None),
        (None, _) => Err(BadList::Shape),
    }
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
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

fn message(object: &[u8]) -> Result<Last, BadList> {
    let value: serde_json::Value =
        serde_json::from_slice(object).map_err(|_malformed| BadList::Shape)?;
    let last = || {
        Some(Last {
            id: value["id"].as_u64()?,
            chatroomid: value["chatroomid"].as_u64()?,
            text: value["message"].as_str()?.to_owned(),
        })
    };
    last().ok_or(BadList::Shape)
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
        let last = check(&list(&[(9, 7), (10, 7), (11, 7)])).unwrap().unwrap();
        assert_eq!((last.id, last.chatroomid), (11, 7));
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
