//! What comes back: completions, the rows in them, and the event loops that are told.
//!
//! A completion says whom it is for and what it is of, also where it tells of a fault: who takes it has kept nothing beside its question.

use std::sync::Arc;

#[cfg(doc)]
use super::Job;
use super::{
    Fault, LOGINS_LOOP, MessageRange, QuestionId, SERVERS_LOOP, ServerAnswer, ServerQuestion,
};
use crate::buffer::Bytes;
use crate::model::{
    ChatroomId, Message, MessageId, MessageList, Secret, SessionHash, Ticket, User, UserId,
};

/// What became of a [`Job`].
#[derive(Clone, Debug)]
pub enum Completion {
    /// Of [`Job::FindSession`].
    SessionFound {
        /// The loop that asked.
        event_loop: u16,
        /// Which.
        session: SessionHash,
        /// Whose; `None` if there is no such session or it has expired.
        found: Result<Option<SessionRow>, Fault>,
    },
    /// Of [`Job::LoadUser`].
    UserLoaded {
        /// The loop that asked.
        event_loop: u16,
        /// Who.
        user: UserId,
        /// The chatrooms that the user is in, ascending.
        chatrooms: Result<Vec<ChatroomId>, Fault>,
    },
    /// Of [`Job::LoadChatroom`].
    ChatroomLoaded {
        /// The loop that asked.
        event_loop: u16,
        /// Which.
        chatroom: ChatroomId,
        /// The newest messages; none for a chatroom that does not exist.
        loaded: Result<RecentRows, Fault>,
    },
    /// Of [`Job::ReadMessages`]; [`Fault::NotAParticipant`].
    MessagesRead {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// What was asked for.
        range: MessageRange,
        /// What there is of it.
        read: Result<MessageRows, Fault>,
    },
    /// Of [`Job::ReadNewest`].
    NewestRead {
        /// Who waits for it.
        ticket: Ticket,
        /// By chatroom the newest message ever saved, kept or not; `None` where nothing was ever said.
        read: Result<Vec<(ChatroomId, Option<MessageId>)>, Fault>,
    },
    /// Of [`Job::ReadNews`]; [`Fault::NotAParticipant`].
    NewsRead {
        /// Whom the answer is for.
        ticket: Ticket,
        /// What there is.
        read: Result<News, Fault>,
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
    /// Of [`Job::ListOverview`].
    OverviewListed {
        /// Whom the answer is for.
        ticket: Ticket,
        /// By the time of their newest message, the latest first; those in which nothing was ever said last. Of those at
        /// the same time the newest chatroom first.
        chatrooms: Result<Vec<OverviewRow>, Fault>,
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
    /// Of [`Job::ChangePassword`]; [`Fault::BadCredentials`].
    PasswordChanged {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Whose password.
        user: UserId,
        /// The session that stays.
        session: SessionHash,
        /// Those that are gone, where somebody else may have made others since; all others of the user where that is not said.
        ended: Option<Arc<[SessionHash]>>,
        /// Whether the password is the new one, and all other sessions of the user are gone for good.
        done: Result<(), Fault>,
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
    /// Of [`Job::RenameChatroom`]; [`Fault::NotAdmin`].
    ChatroomRenamed {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// The chatroom as it is now.
        renamed: Result<ChatroomRow, Fault>,
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
    /// Of [`Job::RemoveParticipant`]; [`Fault::NotAParticipant`] for who would leave and is not in it, [`Fault::NotAdmin`],
    /// [`Fault::NoSuchUser`], [`Fault::AdminMustStay`].
    ParticipantRemoved {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// The chatroom as it is now.
        removed: Result<RemovedRow, Fault>,
    },
    /// Of [`Job::SaveMessage`]; [`Fault::NotAParticipant`].
    MessageSaved {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Which chatroom.
        chatroom: ChatroomId,
        /// What is on disk now.
        saved: Result<Saved, Fault>,
    },
    /// Of [`Job::Probe`].
    Probed {
        /// Whom the answer is for.
        ticket: Ticket,
        /// Whether the store can write.
        done: Result<(), Fault>,
    },
    /// Of [`Job::AskServers`].
    ServersAnswered {
        /// Who waits for it.
        ticket: Ticket,
        /// What they have said, all together; nothing where there are no others.
        answer: Result<ServerAnswer, Fault>,
    },
    /// Of no job: another server asks, and waits for [`Job::AnswerServer`].
    ServerAsks {
        /// Which question.
        id: QuestionId,
        /// What it asks.
        question: ServerQuestion,
    },
    /// Of no job: what other servers have changed cannot be told any more. Nothing that is remembered of the database holds.
    ChangesMissed,
    /// Of no job: a chatroom's oldest messages are gone for good, and their ids are not used again.
    MessagesExpired {
        /// Which chatroom.
        chatroom: ChatroomId,
        /// The oldest message that is kept, or the next to come where none is.
        first: MessageId,
    },
}

/// A chatroom as one line of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverviewRow {
    /// Which.
    pub chatroom: ChatroomId,
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// Its admin.
    pub admin: UserId,
    /// How many are in it.
    pub participants: u64,
    /// The newest message ever saved, kept or not; `None` where nothing was ever said.
    pub last: Option<MessageId>,
}

/// How a message came to be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It was written now, with this id and time.
    New(Message),
    /// It had been written before. Nothing was written now, and nobody is to be woken.
    Before(SavedBefore),
}

/// A message that was there when it was sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedBefore {
    /// Its id.
    pub id: MessageId,
    /// Who has sent it, again.
    pub author: UserId,
}

/// The event loops that are told of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All of them.
    All,
    /// The one with this number.
    One(u16),
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
    /// The newest message ever saved, kept or not; `None` where nothing was ever said.
    pub last: Option<MessageId>,
    /// Oldest first, without a gap, ending with `last`; none where none is kept.
    pub messages: Vec<Message>,
}

/// Some of a chatroom's messages as stored, and which there are beside them, all at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRows {
    /// Oldest first, without a gap.
    pub messages: MessageList,
    /// Which messages the chatroom has.
    pub bounds: MessageBounds,
}

/// Which messages a chatroom has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageBounds {
    /// The oldest message that is kept, or the next to come where none is.
    pub first: MessageId,
    /// The newest message ever saved, kept or not; `None` where nothing was ever said.
    pub last: Option<MessageId>,
}

impl MessageBounds {
    /// Whether what came right after a message (`None`: before the first) is no longer kept.
    pub fn is_gap(self, after: Option<MessageId>) -> bool {
        let after = after.map_or(0, MessageId::get);
        let last = self.last.map_or(0, MessageId::get);
        after < last && self.first.get() > after + 1
    }
}

/// What is newer in several chatrooms, all at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// By the chatrooms' ids, then oldest first; in each without a gap.
    Messages(MessageList),
    /// What came right after is no longer kept in a chatroom; nothing was read, then.
    Expired {
        /// Which.
        chatroom: ChatroomId,
        /// The oldest message that is kept, or the next to come where none is.
        first: MessageId,
    },
}

/// A chatroom after someone joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedRow {
    /// Who joined, or was there already.
    pub joined: UserId,
    /// The newest message ever saved then, kept or not; what is newer they must hear of.
    pub last: Option<MessageId>,
    /// The chatroom as it is now.
    pub chatroom: ChatroomRow,
}

/// A chatroom after someone left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedRow {
    /// Who left, or was not in it.
    pub left: UserId,
    /// Whether they were.
    pub was_in_it: bool,
    /// The chatroom as it is now.
    pub chatroom: ChatroomRow,
}

/// A chatroom as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatroomRow {
    /// Its admin.
    pub admin: UserId,
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// All participants, by the order in which they joined.
    pub participants: Vec<User>,
}

impl Completion {
    /// What was read for one answer, which others' may share: it costs as much to send as it is long.
    pub fn read_list(&self) -> Option<&Bytes> {
        let messages = match self {
            Self::MessagesRead { read: Ok(read), .. } => &read.messages,
            Self::NewsRead {
                read: Ok(News::Messages(messages)),
                ..
            } => messages,
            _ => return None,
        };
        Some(messages.json())
    }

    /// What was read for one answer is let go of: it is told that instead.
    pub fn fail_read(&mut self, fault: Fault) {
        match self {
            Self::MessagesRead { read, .. } => *read = Err(fault),
            Self::NewsRead { read, .. } => *read = Err(fault),
            _ => {}
        }
    }

    /// Which event loops are told.
    ///
    /// All of them where a cache of any may have to change. What was read goes to the loop that asked, and to no other:
    /// it is as old as its question, and only the loop that asked has noted beside its question what has changed since.
    /// For another it could bring back what is gone.
    pub fn audience(&self) -> Audience {
        match self {
            Self::MessageSaved {
                saved: Ok(Saved::New(_)),
                ..
            }
            | Self::ChatroomCreated {
                chatroom: Ok(_), ..
            }
            | Self::ParticipantAdded { added: Ok(_), .. }
            | Self::ParticipantRemoved { removed: Ok(_), .. }
            | Self::MessagesExpired { .. }
            | Self::ChangesMissed
            | Self::PasswordChanged { done: Ok(()), .. }
            | Self::LoggedOut {
                done: Ok(()) | Err(Fault::NoSession),
                ..
            } => Audience::All,
            Self::SessionFound { event_loop, .. }
            | Self::UserLoaded { event_loop, .. }
            | Self::ChatroomLoaded { event_loop, .. } => Audience::One(*event_loop),
            Self::ServerAsks { .. } => Audience::One(SERVERS_LOOP),
            // A password that is wrong counts, whatever it was verified for.
            Self::LoggedIn { .. } | Self::PasswordChanged { .. } => Audience::One(LOGINS_LOOP),
            Self::MessagesRead { ticket, .. }
            | Self::NewsRead { ticket, .. }
            | Self::NewestRead { ticket, .. }
            | Self::UsersFound { ticket, .. }
            | Self::ParticipantsListed { ticket, .. }
            | Self::OverviewListed { ticket, .. }
            | Self::Registered { ticket, .. }
            | Self::LoggedOut { ticket, .. }
            | Self::ChatroomCreated { ticket, .. }
            | Self::ChatroomRenamed { ticket, .. }
            | Self::ParticipantAdded { ticket, .. }
            | Self::ParticipantRemoved { ticket, .. }
            | Self::Probed { ticket, .. }
            | Self::ServersAnswered { ticket, .. }
            | Self::MessageSaved { ticket, .. } => Audience::One(ticket.event_loop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;
    use crate::model::ConnectionKey;

    fn ticket() -> Ticket {
        Ticket {
            connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
            exchange: 1,
            event_loop: 2,
        }
    }

    #[test]
    fn what_changes_caches_goes_to_all_and_what_was_read_to_the_asker() {
        let session = SessionHash([0; 32]);
        let log_out = Job::LogOut {
            ticket: ticket(),
            session,
        };
        let told = |done| Completion::LoggedOut {
            ticket: ticket(),
            session,
            done,
        };
        assert_eq!(told(Ok(())).audience(), Audience::All);
        assert_eq!(told(Err(Fault::NoSession)).audience(), Audience::All);
        let failed = |job: &Job| job.failed(Fault::StorageFailed).map(|told| told.audience());
        assert_eq!(failed(&log_out), Some(Audience::One(2)));
        let find = Job::FindSession {
            event_loop: 1,
            session,
        };
        assert_eq!(failed(&find), Some(Audience::One(1)));
        let read = Job::ReadMessages {
            ticket: ticket(),
            chatroom: ChatroomId::new(1).expect("positive"),
            user: UserId::new(1).expect("positive"),
            range: MessageRange::After(None),
            limit: 1,
        };
        assert_eq!(failed(&read), Some(Audience::One(2)));
        let again = Completion::MessageSaved {
            ticket: ticket(),
            chatroom: ChatroomId::new(1).expect("positive"),
            saved: Ok(Saved::Before(SavedBefore {
                id: MessageId::new(1).expect("positive"),
                author: UserId::new(1).expect("positive"),
            })),
        };
        assert_eq!(again.audience(), Audience::One(2));
        let removed = |was_in_it| Completion::ParticipantRemoved {
            ticket: ticket(),
            chatroom: ChatroomId::new(1).expect("positive"),
            removed: Ok(RemovedRow {
                left: UserId::new(2).expect("positive"),
                was_in_it,
                chatroom: ChatroomRow {
                    admin: UserId::new(1).expect("positive"),
                    name: None,
                    participants: Vec::new(),
                },
            }),
        };
        assert_eq!(removed(true).audience(), Audience::All);
        // Another server may have removed them, and this one not have heard of it.
        assert_eq!(removed(false).audience(), Audience::All);
        let changed = |done| Completion::PasswordChanged {
            ticket: ticket(),
            user: UserId::new(1).expect("positive"),
            session,
            ended: None,
            done,
        };
        assert_eq!(changed(Ok(())).audience(), Audience::All);
        let expired = Completion::MessagesExpired {
            chatroom: ChatroomId::new(1).expect("positive"),
            first: MessageId::new(2).expect("positive"),
        };
        assert_eq!(expired.audience(), Audience::All);
        assert_eq!(Completion::ChangesMissed.audience(), Audience::All);
        let wrong = changed(Err(Fault::BadCredentials));
        assert_eq!(wrong.audience(), Audience::One(LOGINS_LOOP));
        let log_in = Job::LogIn {
            ticket: ticket(),
            customer: std::net::IpAddr::from([127, 0, 0, 1]).into(),
            folded: None,
            password: Secret("x".into()),
        };
        assert_eq!(failed(&log_in), Some(Audience::One(LOGINS_LOOP)));
    }
}
