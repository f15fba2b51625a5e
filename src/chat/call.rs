//! What the chat core is asked, and what it answers: plain values, nothing of HTTP.

use std::net::IpAddr;
use std::sync::Arc;

use super::gathering::PollsToEnd;
use crate::job::{Fault, Whom};
use crate::model::{ChatroomId, Secret, User, UserId, Username};

/// A request's meaning, its parameters checked.
#[derive(Debug)]
pub enum Call {
    /// A new user.
    Register {
        /// The new name.
        name: Username,
        /// The new password.
        password: Secret,
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
    /// A call that only a session's user may make.
    InSession(SessionCall),
}

/// A call that only a session's user may make.
#[derive(Debug)]
pub enum SessionCall {
    /// End the session.
    LogOut,
    /// The chatrooms that the user is in.
    Chatrooms,
    /// The users whose name begins so.
    FindUsers {
        /// The beginning, folded and not empty.
        prefix: String,
    },
    /// Wait for a message.
    Poll {
        /// Where.
        chatroom: ChatroomId,
    },
    /// End this session's polls.
    EndPolls {
        /// Where.
        chatroom: ChatroomId,
    },
    /// End this session's polls at this loop, for a caller at another.
    EndForAnother(PollsToEnd),
    /// Say something.
    Send {
        /// Where.
        chatroom: ChatroomId,
        /// What: the rules of messages hold for it.
        text: Box<str>,
    },
    /// A new chatroom.
    CreateChatroom,
    /// A new participant.
    AddParticipant {
        /// Where.
        chatroom: ChatroomId,
        /// Who.
        whom: Whom,
    },
    /// Who is there.
    Participants {
        /// Where.
        chatroom: ChatroomId,
    },
    /// A call with a wrong parameter: refused, but not before its session is known to be good.
    Refused(BadParameter),
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
    /// A session began.
    LoggedIn(User, Secret),
    /// The session is gone for good.
    LoggedOut,
    /// Chatrooms, ascending.
    Chatrooms(Vec<ChatroomId>),
    /// Users found, or participants in the order in which they joined.
    Users(Vec<User>),
    /// A list of most recent messages, as a JSON array that all who get it share.
    Messages(Arc<[u8]>),
    /// Polls were ended.
    Ended {
        /// How many.
        polls: u32,
        /// The list that they got.
        messages: Arc<[u8]>,
    },
    /// A new chatroom.
    Created(ChatroomId),
    /// A chatroom as it is now.
    Chatroom {
        /// Which.
        id: ChatroomId,
        /// Its admin.
        admin: UserId,
        /// By the order in which they joined.
        participants: Vec<User>,
    },
    /// The call was not done.
    Failed(Failure),
}

/// Why a call was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A parameter is wrong.
    BadParameter(BadParameter),
    /// Too many failed logins for this name or from this address.
    TooManyAttempts {
        /// When it is worth trying again, in seconds.
        retry_after_s: u64,
    },
    /// The store's reason.
    Fault(Fault),
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self::Failed(Failure::Fault(fault))
    }
}
