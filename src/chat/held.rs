//! Calls that are not answered yet: those that wait for a cache to be filled, and parked polls.
//!
//! A call keeps its key from the moment it is first held until it is answered or forgotten,
//! whatever it waits for in between: whoever owns the connection needs to know nothing else.

use crate::arena::{Key, Link, Pinned};
use crate::chat::call::SessionCall;
use crate::chat::chatrooms::{Chatroom, ChatroomKey};
use crate::chat::sessions::{Session, SessionKey};
use crate::chat::several::SeveralWatch;
use crate::model::{ConnectionKey, MessageId, SessionHash, Ticket};

/// Names a call that is not answered yet.
pub type HeldKey = Key<Held>;

/// A call that is not answered yet.
#[derive(Debug)]
pub enum Held {
    /// Waits for something to be loaded; then it is begun again. The key is stale while it is: never between two
    /// inputs. The call itself stands elsewhere, so that what every parked poll takes up stays small.
    Waiting(Key<Waiting>),
    /// A poll in its chatroom's list and in its session's.
    Parked(Poll),
}

/// A call that waits for a session, a user or a chatroom to be loaded.
#[derive(Debug)]
pub struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) session: SessionHash,
    pub(super) call: SessionCall,
    /// For a poll: what it would have heard, had it been parked when it came.
    pub(super) watch: Option<Watch>,
    /// What other servers may have changed was loaded anew for it.
    pub(super) is_renewed: bool,
}

/// What is kept for a call that waits, since it came.
#[derive(Debug)]
pub(super) enum Watch {
    /// Of its chatroom the newest message that the loop had been told of then.
    Chatroom {
        chatroom: ChatroomKey,
        told: Option<MessageId>,
    },
    /// Of several.
    Several(SeveralWatch),
}

/// A parked poll: all that chat keeps of it. There may be a million, so its ticket is without the loop's number, and
/// its session and chatroom, which stay as long as it does, are named by their slots.
///
/// One without a chatroom waits by places (`followers`): a poll of several chatrooms, or a stream.
#[derive(Debug)]
pub struct Poll {
    connection: ConnectionKey,
    exchange: u32,
    pub(super) session: Pinned<Session>,
    pub(super) chatroom: Option<Pinned<Chatroom>>,
    in_chatroom: Link,
    in_session: Link,
}

impl Poll {
    /// A poll of this loop that is not in its lists yet.
    pub(super) fn new(ticket: Ticket, session: SessionKey, chatroom: Option<ChatroomKey>) -> Self {
        Self {
            connection: ticket.connection,
            exchange: ticket.exchange,
            session: session.pin(),
            chatroom: chatroom.map(ChatroomKey::pin),
            in_chatroom: Link::default(),
            in_session: Link::default(),
        }
    }

    /// Whom its answer is for, on the loop with this number.
    pub(super) fn ticket(&self, event_loop: u16) -> Ticket {
        Ticket {
            connection: self.connection,
            exchange: self.exchange,
            event_loop,
        }
    }
}

impl Held {
    /// The poll, if this is one that is parked.
    pub(super) fn as_poll(&self) -> Option<&Poll> {
        match self {
            Self::Parked(poll) => Some(poll),
            Self::Waiting(_) => None,
        }
    }
}

/// The link in the chatroom's list, of a value that is in one.
pub(super) fn in_chatroom(held: &mut Held) -> &mut Link {
    match held {
        Held::Parked(poll) => &mut poll.in_chatroom,
        Held::Waiting(_) => unreachable!("only parked polls are in lists"),
    }
}

/// The link in the session's list, of a value that is in one.
pub(super) fn in_session(held: &mut Held) -> &mut Link {
    match held {
        Held::Parked(poll) => &mut poll.in_session,
        Held::Waiting(_) => unreachable!("only parked polls are in lists"),
    }
}

/// [`in_chatroom`] for reading.
pub(super) fn chatroom_link(held: &Held) -> &Link {
    match held {
        Held::Parked(poll) => &poll.in_chatroom,
        Held::Waiting(_) => unreachable!("only parked polls are in lists"),
    }
}

/// [`in_session`] for reading.
pub(super) fn session_link(held: &Held) -> &Link {
    match held {
        Held::Parked(poll) => &poll.in_session,
        Held::Waiting(_) => unreachable!("only parked polls are in lists"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_poll_stays_small() {
        assert_eq!(size_of::<Poll>(), 36);
        assert_eq!(size_of::<Held>(), 36);
    }
}
