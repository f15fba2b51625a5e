//! What the writing lane remembers from one message to the next: each chatroom's newest, and who was found to be in it.
//!
//! Every message needs both, and the database says them with two steps down two trees: more than it costs to write it. While the
//! lane has its transaction nobody else writes, and whether somebody has written since the last one SQLite says
//! (`data_version`). So what is remembered is what the database would say. It is forgotten as a whole whenever
//! that may no longer be so: nothing here decides by itself, and nothing here is worth a doubt.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::sql;
use crate::model::{ChatroomId, MessageId, UserId};

/// Chatrooms, and participants, that are remembered at most; about 3 MB.
const ENTRIES_MAX: usize = 1 << 16;

/// A chatroom's newest message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) id: MessageId,
    pub(super) time_unix_ms: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    newest: HashMap<ChatroomId, Newest>,
    participants: HashSet<(ChatroomId, UserId)>,
    /// The database's, of when all of this was so.
    version: i64,
}

impl Memory {
    /// A transaction has begun on this connection, the only one that writes here.
    pub(super) fn begin(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut ask = connection.prepare_cached(sql::DATA_VERSION)?;
        let version = ask.query_row((), |row| row.get(0))?;
        if version != self.version {
            self.forget();
            self.version = version;
        }
        Ok(())
    }

    /// Something may have come to be otherwise.
    pub(super) fn forget(&mut self) {
        self.newest.clear();
        self.participants.clear();
    }

    /// The newest message of a chatroom that is known to have some, for one who is known to be in it.
    pub(super) fn newest_for(&self, chatroom: ChatroomId, user: UserId) -> Option<Newest> {
        let is_known = self.participants.contains(&(chatroom, user));
        self.newest.get(&chatroom).copied().filter(|_| is_known)
    }

    /// A participant has written a message, with all that belongs to it.
    pub(super) fn note(&mut self, chatroom: ChatroomId, user: UserId, newest: Newest) {
        if self.newest.len().max(self.participants.len()) >= ENTRIES_MAX {
            self.forget();
        }
        self.newest.insert(chatroom, newest);
        self.participants.insert((chatroom, user));
    }
}
