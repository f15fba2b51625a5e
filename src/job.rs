//! The storage contract: what the chat core asks of a store, and what comes back.
//!
//! A [`Job`] is submitted once and answered by exactly one [`Completion`], whatever happens
//! (jobs that want none say so). Nothing in it smells of SQLite: other stores come behind it.
//!
//! Two promises hold the whole server up, and every store keeps them:
//!
//! - **Durable before visible.** A completion that tells of a write is posted after the write is on disk.
//! - **Writes complete in the order of their commits.** The completions of one chatroom's messages
//!   come in the order of their ids. A read that was submitted after a write's completion was
//!   posted sees that write.
//!
//! Writes check their own conditions (is he a participant, is she the admin) in the transaction that writes:
//! the caches of the chat core may spare a job, but never decide one.

use std::sync::Arc;

use crate::model::{
    ChatroomId, Message, MessageId, Secret, SessionHash, Ticket, User, UserId, Username,
};

/// Something for the store to do.
#[derive(Debug)]
pub enum Job {
    /// Read whose session this is; answered by [`Completion::SessionFound`].
    FindSession {
        /// Which.
        session: SessionHash,
    },
    /// Read the chatrooms that a user is in; answered by [`Completion::UserLoaded`].
    LoadUser {
        /// Who.
        user: UserId,
    },
    /// Read a chatroom's newest messages; answered by [`Completion::ChatroomLoaded`].
    LoadChatroom {
        /// Which.
        chatroom: ChatroomId,
        /// How many messages at most.
        recent: u32,
    },
    /// Read the users whose folded name begins with a text; answered by [`Completion::UsersFound`].
    FindUsers {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The beginning, folded; not empty.
        prefix: String,
        /// How many users at most.
        limit: u32,
    },
    /// Read who is in a chatroom; answered by [`Completion::ParticipantsListed`].
    ListParticipants {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who asks, and must be in it.
        user: UserId,
    },
    /// Hash a password and write a new user; answered by [`Completion::Registered`].
    Register {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The new name.
        name: Username,
        /// The new password.
        password: Secret,
    },
    /// Verify a password and write a new session; answered by [`Completion::LoggedIn`].
    LogIn {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The folded name; `None` for one that could not have been registered,
        /// which costs the same time.
        folded: Option<Arc<str>>,
        /// The password to verify.
        password: Secret,
    },
    /// Remove a session; answered by [`Completion::LoggedOut`].
    LogOut {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which.
        session: SessionHash,
    },
    /// Write a new chatroom with one participant; answered by [`Completion::ChatroomCreated`].
    CreateChatroom {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Its admin and first participant.
        admin: UserId,
    },
    /// Write a new participant, unless the user is one already; answered by [`Completion::ParticipantAdded`].
    AddParticipant {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who asks, and must be its admin.
        admin: UserId,
        /// Who joins.
        whom: Whom,
    },
    /// Write a message under the chatroom's next id; answered by [`Completion::MessageSaved`].
    SaveMessage {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who says it, and must be a participant.
        author: User,
        /// What is said.
        text: Box<str>,
    },
    /// Write when sessions were last used, sometime. No completion; a failure loses only freshness.
    TouchSessions {
        /// Each with the time of its last use, in milliseconds since 1970 (UTC).
        used: Vec<(SessionHash, u64)>,
    },
}

/// Whom a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// By id.
    Id(UserId),
    /// By folded name.
    Name(Arc<str>),
    /// By a name that could not have been registered.
    Nobody,
}

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum Completion {
    /// Of [`Job::FindSession`].
    SessionFound {
        /// Which.
        session: SessionHash,
        /// Whose; `None` if there is no such session or it has expired.
        found: Result<Option<SessionRow>, Fault>,
    },
    /// Of [`Job::LoadUser`].
    UserLoaded {
        /// Who.
        user: UserId,
        /// The chatrooms that the user is in, ascending.
        chatrooms: Result<Vec<ChatroomId>, Fault>,
    },
    /// Of [`Job::LoadChatroom`].
    ChatroomLoaded {
        /// Which.
        chatroom: ChatroomId,
        /// The newest messages; none for a chatroom that does not exist.
        loaded: Result<RecentRows, Fault>,
    },
    /// Of [`Job::FindUsers`].
    UsersFound {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The exact one first, then by folded name.
        users: Result<Vec<User>, Fault>,
    },
    /// Of [`Job::ListParticipants`]; [`Fault::NotAParticipant`].
    ParticipantsListed {
        /// Whom the answer is for.
        ticket: Ticket,
        /// By the order in which they joined.
        users: Result<Vec<User>, Fault>,
    },
    /// Of [`Job::Register`]; [`Fault::UsernameTaken`].
    Registered {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The new user.
        user: Result<User, Fault>,
    },
    /// Of [`Job::LogIn`]; [`Fault::BadCredentials`].
    LoggedIn {
        /// Whom the answer is for.
        ticket: Ticket,
        /// The user and the new session's token.
        login: Result<(User, Secret), Fault>,
    },
    /// Of [`Job::LogOut`]; [`Fault::NoSession`] if there was none.
    LoggedOut {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which session.
        session: SessionHash,
        /// Whether it is gone for good.
        done: Result<(), Fault>,
    },
    /// Of [`Job::CreateChatroom`].
    ChatroomCreated {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Its admin and first participant.
        admin: UserId,
        /// The new chatroom.
        chatroom: Result<ChatroomId, Fault>,
    },
    /// Of [`Job::AddParticipant`]; [`Fault::NotAdmin`], [`Fault::NoSuchUser`].
    ParticipantAdded {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// The chatroom as it is now.
        added: Result<AddedRow, Fault>,
    },
    /// Of [`Job::SaveMessage`]; [`Fault::NotAParticipant`].
    MessageSaved {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// The message with its id and time.
        message: Result<Message, Fault>,
    },
}

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose.
    pub user: User,
    /// When it was last used, in milliseconds since 1970 (UTC), as far as that has been written.
    pub used_unix_ms: u64,
}

/// A chatroom's newest messages as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentRows {
    /// The newest message's id; `None` where nothing was ever said.
    pub last: Option<MessageId>,
    /// Oldest first, without a gap, ending with `last`.
    pub messages: Vec<Message>,
}

/// A chatroom after someone joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedRow {
    /// Who joined, or was there already.
    pub joined: UserId,
    /// The chatroom's admin.
    pub admin: UserId,
    /// All participants, by the order in which they joined.
    pub participants: Vec<User>,
}

/// Why a job was not done. Nothing of it was written, then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full, read-only, locked or broken; the store's log says which.
    StorageFailed,
    /// A bounded queue was full, and nothing was begun.
    Overloaded,
    /// Another user has this name.
    UsernameTaken,
    /// No such user, or another password.
    BadCredentials,
    /// No such session.
    NoSession,
    /// No such chatroom, or the user is not in it.
    NotAParticipant,
    /// No such chatroom, or the user is not its admin.
    NotAdmin,
    /// No user has this name.
    NoSuchUser,
}

impl Job {
    /// The completion of a job that was not done because of `fault`; `None` for a job that wants none.
    pub fn failed(&self, fault: Fault) -> Option<Completion> {
        Some(match *self {
            Self::FindSession { session } => Completion::SessionFound {
                session,
                found: Err(fault),
            },
            Self::LoadUser { user } => Completion::UserLoaded {
                user,
                chatrooms: Err(fault),
            },
            Self::LoadChatroom { chatroom, .. } => Completion::ChatroomLoaded {
                chatroom,
                loaded: Err(fault),
            },
            Self::FindUsers { ticket, .. } => Completion::UsersFound {
                ticket,
                users: Err(fault),
            },
            Self::ListParticipants { ticket, .. } => Completion::ParticipantsListed {
                ticket,
                users: Err(fault),
            },
            Self::Register { ticket, .. } => Completion::Registered {
                ticket,
                user: Err(fault),
            },
            Self::LogIn { ticket, .. } => Completion::LoggedIn {
                ticket,
                login: Err(fault),
            },
            Self::LogOut { ticket, session } => Completion::LoggedOut {
                ticket,
                session,
                done: Err(fault),
            },
            Self::CreateChatroom { ticket, admin } => Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom: Err(fault),
            },
            Self::AddParticipant {
                ticket, chatroom, ..
            } => Completion::ParticipantAdded {
                ticket,
                chatroom,
                added: Err(fault),
            },
            Self::SaveMessage {
                ticket, chatroom, ..
            } => Completion::MessageSaved {
                ticket,
                chatroom,
                message: Err(fault),
            },
            Self::TouchSessions { .. } => return None,
        })
    }
}
