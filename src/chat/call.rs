//! What the chat core is asked, and what it answers: plain values, nothing of HTTP.

use std::net::IpAddr;
use std::sync::Arc;

use super::gathering::PollsToEnd;
use super::several::SeveralCall;
use super::streams::StreamCall;
use super::wanted::{Limit, Wanted};
use crate::buffer::Bytes;
use crate::job::{ChatroomRow, Fault, OverviewRow, Whom};
use crate::model::{ChatroomId, ChatroomName, MessageId, Secret, User, Username};

/// A request's meaning, its parameters checked.
#[derive(Debug)]
pub enum Call {
    /// A new user.
    Register {
        /// The new name.
        name: Username,
        /// The new password.
        password: Secret,
        /// Where from.
        address: IpAddr,
    },
    /// A new session.
    LogIn {
        /// The folded name; `None` for one that could not have been registered.
        folded: Option<Arc<str>>,
        /// The password to verify.
        password: Secret,
        /// Whose failures are counted.
        address: IpAddr,
    },
    /// Whether anybody is here at all.
    Health,
    /// Whether calls that write can be done, and more will be taken.
    Readiness,
    /// A call that only a session's user may make.
    InSession(SessionCall),
}

impl Call {
    /// How long a poll asks to wait at most, in seconds.
    pub fn timeout_s(&self) -> Option<u16> {
        match self {
            Self::InSession(SessionCall::Poll(poll)) => poll.timeout_s,
            Self::InSession(SessionCall::PollSeveral(poll)) => poll.timeout_s,
            _ => None,
        }
    }
}

/// A call that only a session's user may make.
#[derive(Debug)]
pub enum SessionCall {
    /// End the session.
    LogOut,
    /// The chatrooms that the user is in.
    Chatrooms,
    /// The chatrooms that the user is in, with what was last said in them.
    Overview,
    /// The users whose name begins so.
    FindUsers {
        /// The beginning, folded and not empty.
        prefix: String,
    },
    /// Wait for a message.
    Poll(PollCall),
    /// Wait for a message in one of several chatrooms.
    PollSeveral(Box<SeveralCall>),
    /// Hear every message.
    Stream(StreamCall),
    /// End this session's polls.
    EndPolls {
        /// Where.
        chatroom: ChatroomId,
        /// Of the list that the caller gets.
        limit: Option<Limit>,
    },
    /// End this session's polls at this loop, for a caller at another.
    EndForAnother(PollsToEnd),
    /// Say something.
    Send {
        /// Where.
        chatroom: ChatroomId,
        /// What: the rules of messages hold for it.
        text: Box<str>,
        /// Of the list that the sender gets.
        limit: Option<Limit>,
        /// What the sender's client has made up for this message, so that it can be sent once more.
        nonce: Option<Box<str>>,
    },
    /// Another password; ends all other sessions of the user.
    ChangePassword {
        /// The password to verify.
        password: Secret,
        /// The new password.
        new: Secret,
        /// Whose failures are counted.
        address: IpAddr,
    },
    /// A new chatroom.
    CreateChatroom {
        /// Its name, if it is to have one.
        name: Option<ChatroomName>,
    },
    /// Another name of a chatroom.
    RenameChatroom {
        /// Which.
        chatroom: ChatroomId,
        /// The name that it is to have.
        name: ChatroomName,
    },
    /// A new participant.
    AddParticipant {
        /// Where.
        chatroom: ChatroomId,
        /// Who.
        whom: Whom,
    },
    /// One participant less.
    RemoveParticipant {
        /// Where.
        chatroom: ChatroomId,
        /// Who; `None` is who asks.
        whom: Option<Whom>,
    },
    /// Who is there.
    Participants {
        /// Where.
        chatroom: ChatroomId,
    },
    /// Who is there just now.
    Presence {
        /// Where.
        chatroom: ChatroomId,
    },
    /// What was said.
    History {
        /// Where.
        chatroom: ChatroomId,
        /// Before which message; `None` is up to the newest.
        before: Option<MessageId>,
        /// How much of it.
        limit: Option<Limit>,
    },
    /// Whose session this is.
    WhoAmI {
        /// The session's token, to be given anew.
        token: Secret,
    },
    /// A call with a wrong parameter: refused, but not before its session is known to be good.
    Refused(BadParameter),
}

/// A wait for a message.
#[derive(Clone, Copy, Debug)]
pub struct PollCall {
    /// Where.
    pub chatroom: ChatroomId,
    /// Which messages.
    pub wanted: Wanted,
    /// How long at most, in seconds.
    pub timeout_s: Option<u16>,
    /// Whether its time is over: it is answered as soon as it can be, and not parked.
    pub is_over: bool,
    /// Whether its `since` was ahead of what was remembered, and the store has been asked how far the chatroom reaches.
    pub is_ahead: bool,
}

impl SessionCall {
    /// Whether it must not pass by polls that came before it.
    pub(super) fn ends_polls(&self) -> bool {
        matches!(self, Self::EndPolls { .. } | Self::EndForAnother(_))
    }
}

/// What was wrong with a parameter: a whole sentence that names it and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadParameter(pub String);

/// The one answer to a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A user was registered.
    Registered(User),
    /// A session began, or goes on.
    LoggedIn(User, Secret),
    /// The session is gone for good.
    LoggedOut,
    /// It was done, and there is nothing to tell.
    Done,
    /// Chatrooms, ascending.
    Chatrooms(Vec<ChatroomId>),
    /// Chatrooms, the most recently spoken in first.
    Overview(Vec<OverviewRow>),
    /// Users found, or participants, all or those present, in the order in which they joined.
    Users(Vec<User>),
    /// A list of most recent messages, as a JSON array that all who get it share.
    Messages(Bytes),
    /// A message is saved.
    Sent {
        /// The message's id.
        id: MessageId,
        /// The list that ends with it; of one that was sent once more, the list as it is now.
        messages: Bytes,
    },
    /// Polls were ended.
    Ended {
        /// How many.
        polls: u32,
        /// The list that they got.
        messages: Bytes,
    },
    /// A new chatroom.
    Created(ChatroomId),
    /// A chatroom as it is now.
    Chatroom(ChatroomId, ChatroomRow),
    /// The call was not done.
    Failed(Failure),
}

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A parameter is wrong.
    BadParameter(BadParameter),
    /// A poll is since a message that nobody has written yet.
    SinceAhead {
        /// Where, of several chatrooms.
        chatroom: Option<ChatroomId>,
        /// The newest message's id; 0 where there is none.
        last: i64,
    },
    /// What came right after the poll's `since` is no longer kept.
    SinceExpired {
        /// Where, of several chatrooms.
        chatroom: Option<ChatroomId>,
        /// The oldest message that is kept, or the next to come.
        first: MessageId,
    },
    /// Too many failed logins for this name or from this address; or messages of this user, or registrations from there.
    TooManyAttempts {
        /// When it is worth trying again, in seconds.
        retry_after_s: u64,
    },
    /// The store cannot write, or the server is about to end.
    NotReady,
    /// The store's reason.
    Fault(Fault),
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self::Failed(match fault {
            Fault::TooManyAttempts { retry_after_s } => Failure::TooManyAttempts { retry_after_s },
            other => Failure::Fault(other),
        })
    }
}
