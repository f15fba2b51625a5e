//! What is followed, and what a follower is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Message;

/// How long a poll is parked, at most, before it is asked anew: less than what proxies and address translators bear.
const TIMEOUT: Duration = Duration::from_secs(50);
/// How many bytes a poll's chatrooms and pairs may take in its query: servers, and proxies before them, refuse a request line of 8 KiB or more.
const QUERY_MAX: usize = 6000;

/// Chatrooms to follow, and from where.
///
/// Unless [`Following::since`] says otherwise, a chatroom is followed from the newest message that it has when following begins.
#[derive(Clone, Debug)]
pub struct Following {
    pub(crate) chatrooms: Chatrooms,
    pub(crate) since: BTreeMap<u64, u64>,
    pub(crate) limit: Option<u8>,
    pub(crate) timeout: Duration,
    pub(crate) query_max: usize,
    pub(crate) is_strict: bool,
}

/// Which chatrooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chatrooms {
    These(Vec<u64>),
    All,
}

impl Following {
    /// These chatrooms, one at least; on one connection, however many they are.
    pub fn of(chatrooms: impl IntoIterator<Item = u64>) -> Self {
        let mut chatrooms = Vec::from_iter(chatrooms);
        chatrooms.sort_unstable();
        chatrooms.dedup();
        Self::new(Chatrooms::These(chatrooms))
    }

    /// All chatrooms of the user: those that are joined later from their first message.
    pub fn all() -> Self {
        Self::new(Chatrooms::All)
    }

    fn new(chatrooms: Chatrooms) -> Self {
        Self {
            chatrooms,
            since: BTreeMap::new(),
            limit: None,
            timeout: TIMEOUT,
            query_max: QUERY_MAX,
            is_strict: false,
        }
    }

    /// Begins behind a message of a chatroom, the last that is known; 0 is before the first.
    pub fn since(mut self, chatroom: u64, id: u64) -> Self {
        self.since.insert(chatroom, id);
        self
    }

    /// Asks for so many messages at a time, 1 to 200; otherwise it is as the server likes.
    pub fn limit(mut self, limit: u8) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How long a poll may be parked, 1 to 3600 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes a poll may take to say which chatrooms it is for and how far each is told; 6,000 otherwise. For a server whose
    /// `--max-head` is small. Whatever has no room is told no less, but may be told later, by two polls' timeout at most.
    pub fn query_max(mut self, bytes: usize) -> Self {
        self.query_max = bytes;
        self
    }

    /// Takes it for an error where the server gives a message out of turn, instead of asking again: for tests of the server, which must
    /// not be made good by its client.
    pub fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }
}

impl From<u64> for Following {
    fn from(chatroom: u64) -> Self {
        Self::of([chatroom])
    }
}

impl<const N: usize> From<[u64; N]> for Following {
    fn from(chatrooms: [u64; N]) -> Self {
        Self::of(chatrooms)
    }
}

/// What a follower is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Messages: of each chatroom every one, once, in the order of the ids.
    Messages(&'a [Message]),
    /// There are messages that nobody can be told any more. It goes on behind them.
    Gap(Gap),
}

/// A hole in what a follower is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The server keeps old messages no longer.
    Expired {
        /// Of which chatroom.
        chatroomid: u64,
        /// The last message that was told.
        since: u64,
        /// The one that comes next, which may be yet to be said.
        first: u64,
    },
    /// The server knows less than this client: it has lost messages, as by a restored backup. What this client was told behind
    /// `last` counts no more, and the same ids will come again.
    Ahead {
        /// Of which chatroom.
        chatroomid: u64,
        /// The last message that was told.
        since: u64,
        /// The newest one of the server.
        last: u64,
    },
}
