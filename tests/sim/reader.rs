//! What somebody has read, exactly once and in order, however it came: by polls of one chatroom or several, or by a stream.

use std::collections::BTreeMap;

use serde_json::Value;

/// How far somebody has read, by chatroom.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    newest: BTreeMap<usize, i64>,
    /// Messages that have come.
    pub(crate) read: u64,
}

impl Reader {
    /// The newest message that has come of a chatroom, or 0.
    pub(crate) fn newest(&self, chatroom: usize) -> i64 {
        self.newest.get(&chatroom).copied().unwrap_or_default()
    }

    /// Begins to read a chatroom behind a message, unless it has begun before.
    pub(crate) fn begin(&mut self, chatroom: usize, newest: i64) {
        self.newest.entry(chatroom).or_insert(newest);
    }

    /// How far it has read in each of its chatrooms.
    pub(crate) fn pairs(&self) -> Vec<(usize, i64)> {
        let pairs = self.newest.iter();
        pairs
            .map(|(&chatroom, &newest)| (chatroom, newest))
            .collect()
    }

    /// Takes in messages, of any chatrooms; each must be the next of its own.
    pub(crate) fn hear(&mut self, messages: &[Value]) -> Result<(), String> {
        for message in messages {
            let chatroom = message["chatroomid"].as_u64().ok_or("no chatroom")?;
            let newest = self.newest.entry(chatroom as usize).or_default();
            if message["id"] != *newest + 1 {
                return Err(format!(
                    "a reader has missed or doubled a message: {message} behind {newest}"
                ));
            }
            *newest += 1;
            self.read += 1;
        }
        Ok(())
    }

    /// Has been told that what comes next is no longer kept, and goes on with `first`.
    pub(crate) fn skip_to(&mut self, chatroom: usize, first: i64) -> Result<(), String> {
        let newest = self.newest.entry(chatroom).or_default();
        if first <= *newest + 1 {
            return Err(format!("nothing is missing between {newest} and {first}"));
        }
        *newest = first - 1;
        Ok(())
    }
}
