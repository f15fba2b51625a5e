//! The storage contract: what the chat core asks of a store, and what comes back.
//!
//! A [`Job`] is submitted once and answered by exactly one [`Completion`], whatever happens
//! (jobs that want none say so). One kind of completion is of no job: a store that removes old messages says so to all
//! ([`Completion::MessagesExpired`]). Nothing in it smells of SQLite: other stores come behind it.
//!
//! Two promises hold the whole server up, and every store keeps them:
//!
//! - **Durable before visible.** A completion that tells of a write is posted after the write is on disk.
//! - **Writes complete in the order of their commits.** The completions of one chatroom's messages
//!   come in the order of their ids. A read that was submitted after a write's completion was
//!   posted sees that write.
//!
//! Where several event loops share a store, [`Completion::audience`] says which of them are told of what.
//!
//! Writes check their own conditions (is he a participant, is she the admin) in the transaction that writes:
//! the caches of the chat core may spare a job, but never decide one.

mod completion;
mod servers;

use std::sync::Arc;
use std::time::Duration;

pub use completion::{
    AddedRow, Audience, ChatroomRow, Completion, MessageBounds, MessageRows, News, OverviewRow,
    RecentRows, RemovedRow, Saved, SavedBefore, SessionRow,
};
pub use servers::{QuestionId, ServerAnswer, ServerQuestion};

use crate::model::{
    ChatroomId, ChatroomName, Customer, MessageId, Secret, SessionHash, Ticket, User, UserId,
    Username,
};

/// The event loop that counts failed logins, and so the one that submits all jobs that verify a password.
pub const LOGINS_LOOP: u16 = 0;

/// The event loop that answers what other servers ask.
pub const SERVERS_LOOP: u16 = 0;

/// How long a nonce is remembered, at least.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Something for the store to do.
#[derive(Debug)]
pub enum Job {
    /// Read whose session this is; answered by [`Completion::SessionFound`].
    FindSession {
        /// The loop that asks.
        event_loop: u16,
        /// Which.
        session: SessionHash,
    },
    /// Read the chatrooms that a user is in; answered by [`Completion::UserLoaded`].
    LoadUser {
        /// The loop that asks.
        event_loop: u16,
        /// Who.
        user: UserId,
    },
    /// Read a chatroom's newest messages; answered by [`Completion::ChatroomLoaded`].
    LoadChatroom {
        /// The loop that asks.
        event_loop: u16,
        /// Which.
        chatroom: ChatroomId,
        /// How many messages at most.
        recent: u32,
    },
    /// Read some of a chatroom's messages; answered by [`Completion::MessagesRead`].
    ReadMessages {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who asks, and must be in it.
        user: UserId,
        /// Which of its messages.
        range: MessageRange,
        /// How many messages at most.
        limit: u32,
    },
    /// Read the newest messages' ids of several chatrooms; answered by [`Completion::NewestRead`].
    ReadNewest {
        /// Who waits for it.
        ticket: Ticket,
        /// Who asks.
        user: UserId,
        /// Which.
        chatrooms: Vec<ChatroomId>,
    },
    /// Read what is newer in several chatrooms; answered by [`Completion::NewsRead`].
    ReadNews {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who asks, and must be in all of them.
        user: UserId,
        /// Which, ascending, and than which message; `None` is before the first.
        since: Vec<(ChatroomId, Option<MessageId>)>,
        /// How many messages at most, of all together.
        limit: u32,
    },
    /// Read the users whose folded name begins with a text; answered by [`Completion::UsersFound`].
    FindUsers {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who asks.
        user: UserId,
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
    /// Read what a user's chatrooms are and when they were last spoken in; answered by [`Completion::OverviewListed`].
    ListOverview {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who.
        user: UserId,
    },
    /// Hash a password and write a new user; answered by [`Completion::Registered`].
    Register {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who asks, as far as work is shared out.
        customer: Customer,
        /// The new name.
        name: Username,
        /// The new password.
        password: Secret,
    },
    /// Verify a password and write a new session; answered by [`Completion::LoggedIn`].
    LogIn {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who asks, as far as work is shared out.
        customer: Customer,
        /// The folded name; `None` for one that could not have been registered,
        /// which costs the same time.
        folded: Option<Arc<str>>,
        /// The password to verify.
        password: Secret,
    },
    /// Verify a password, hash another, write it, and remove all other sessions of the user; answered by
    /// [`Completion::PasswordChanged`].
    ChangePassword {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Who asks, as far as work is shared out.
        customer: Customer,
        /// The session that stays.
        session: SessionHash,
        /// Whose it is.
        user: UserId,
        /// The password to verify.
        password: Secret,
        /// The new password.
        new: Secret,
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
        /// Its name, if it is to have one.
        name: Option<ChatroomName>,
    },
    /// Write another name of a chatroom; answered by [`Completion::ChatroomRenamed`].
    RenameChatroom {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which.
        chatroom: ChatroomId,
        /// Who asks, and must be its admin.
        admin: UserId,
        /// The name that it is to have.
        name: ChatroomName,
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
    /// Remove a participant, if the user is one; answered by [`Completion::ParticipantRemoved`].
    RemoveParticipant {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who asks, and must be its admin to remove another, or a participant to leave.
        by: UserId,
        /// Who leaves.
        whom: Whom,
    },
    /// Write a message under the chatroom's next id, unless it was written before; answered by
    /// [`Completion::MessageSaved`].
    SaveMessage {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// Who says it, and must be a participant.
        author: User,
        /// What is said.
        text: Box<str>,
        /// 1 to 64 bytes that the author's client has made up for this message. What the author has sent to this chatroom
        /// with the same ones in the last [`NONCE_LIFETIME`] is this message, sent once more.
        nonce: Option<Box<str>>,
    },
    /// Write something small; answered by [`Completion::Probed`].
    Probe {
        /// Whom the answer is for.
        ticket: Ticket,
    },
    /// Ask all other servers of this database; answered by [`Completion::ServersAnswered`], when all have, or those that have not
    /// are taken for gone.
    AskServers {
        /// Who waits for it.
        ticket: Ticket,
        /// What.
        question: ServerQuestion,
    },
    /// Answer another server. No completion; where it fails the other one waits for as long as for a server that is gone.
    AnswerServer {
        /// What was asked.
        question: QuestionId,
        /// What there is to say.
        answer: ServerAnswer,
    },
    /// A loop holds chatrooms from now on (true), or no more (false), in this order. No completion: where others write to the
    /// database too, the loop is told of what is new in those that it holds ([`Completion::MessageSaved`], with a ticket of nobody).
    Follow {
        /// Which loop.
        event_loop: u16,
        /// Which chatrooms.
        chatrooms: Vec<(ChatroomId, bool)>,
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

/// Messages on one side of another, which need not exist itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRange {
    /// The oldest of those that are newer; `None` is before the first.
    After(Option<MessageId>),
    /// The newest of those that are older; `None` is beyond the newest.
    Before(Option<MessageId>),
}

impl MessageRange {
    /// The ids of at most `limit` of the messages of a chatroom whose newest is `last`: beyond the first of the two, up to the
    /// second. Ids have no gaps.
    pub fn ids(self, last: Option<MessageId>, limit: u32) -> (i64, i64) {
        match self {
            Self::After(id) => (id.map_or(0, MessageId::get), i64::MAX),
            Self::Before(id) => {
                let last = last.map_or(0, MessageId::get);
                let until = id.map_or(last, |id| last.min(id.get() - 1));
                (until.saturating_sub(limit.into()), until)
            }
        }
    }
}

/// Why a job was not done. Nothing of it was written, then, but where that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full, read-only, locked or broken; the store's log says which.
    StorageFailed,
    /// It was being done when the store, or a part of those who had to do it, failed: all of it may have been done, or some, or nothing.
    OutcomeUnknown,
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
    /// The admin cannot leave a chatroom in which others are.
    AdminMustStay,
    /// So many logins have failed, at all servers together, that no more are tried.
    TooManyAttempts {
        /// When it is worth trying again, in seconds.
        retry_after_s: u64,
    },
}

impl Job {
    /// The completion of a job that was not done because of `fault`; `None` for a job that wants none.
    pub fn failed(&self, fault: Fault) -> Option<Completion> {
        Some(match *self {
            Self::FindSession {
                event_loop,
                session,
            } => Completion::SessionFound {
                event_loop,
                session,
                found: Err(fault),
            },
            Self::LoadUser { event_loop, user } => Completion::UserLoaded {
                event_loop,
                user,
                chatrooms: Err(fault),
            },
            Self::LoadChatroom {
                event_loop,
                chatroom,
                ..
            } => Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded: Err(fault),
            },
            Self::ReadMessages {
                ticket,
                chatroom,
                range,
                ..
            } => Completion::MessagesRead {
                ticket,
                chatroom,
                range,
                read: Err(fault),
            },
            Self::ReadNewest { ticket, .. } => Completion::NewestRead {
                ticket,
                read: Err(fault),
            },
            Self::ReadNews { ticket, .. } => Completion::NewsRead {
                ticket,
                read: Err(fault),
            },
            Self::FindUsers { ticket, .. } => Completion::UsersFound {
                ticket,
                users: Err(fault),
            },
            Self::ListParticipants { ticket, .. } => Completion::ParticipantsListed {
                ticket,
                users: Err(fault),
            },
            Self::ListOverview { ticket, .. } => Completion::OverviewListed {
                ticket,
                chatrooms: Err(fault),
            },
            Self::Register { ticket, .. } => Completion::Registered {
                ticket,
                user: Err(fault),
            },
            Self::LogIn { ticket, .. } => Completion::LoggedIn {
                ticket,
                login: Err(fault),
            },
            Self::ChangePassword {
                ticket,
                session,
                user,
                ..
            } => Completion::PasswordChanged {
                ticket,
                user,
                session,
                ended: None,
                done: Err(fault),
            },
            Self::LogOut { ticket, session } => Completion::LoggedOut {
                ticket,
                session,
                done: Err(fault),
            },
            Self::CreateChatroom { ticket, admin, .. } => Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom: Err(fault),
            },
            Self::RenameChatroom {
                ticket, chatroom, ..
            } => Completion::ChatroomRenamed {
                ticket,
                chatroom,
                renamed: Err(fault),
            },
            Self::AddParticipant {
                ticket, chatroom, ..
            } => Completion::ParticipantAdded {
                ticket,
                chatroom,
                added: Err(fault),
            },
            Self::RemoveParticipant {
                ticket, chatroom, ..
            } => Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed: Err(fault),
            },
            Self::SaveMessage {
                ticket, chatroom, ..
            } => Completion::MessageSaved {
                ticket,
                chatroom,
                saved: Err(fault),
            },
            Self::Probe { ticket } => Completion::Probed {
                ticket,
                done: Err(fault),
            },
            Self::AskServers { ticket, .. } => Completion::ServersAnswered {
                ticket,
                answer: Err(fault),
            },
            Self::AnswerServer { .. } | Self::TouchSessions { .. } | Self::Follow { .. } => {
                return None;
            }
        })
    }
}
