//! What other servers must hear of beside messages, and are asked; and which of it has been heard of.

use std::collections::HashSet;

use crate::job::{AddedRow, ChatroomRow, Completion, QuestionId, RemovedRow, ServerQuestion};
use crate::model::{ChatroomId, MessageId, SessionHash, Ticket, UserId};

/// How long back a server looks, in milliseconds: longer than a transaction may take.
pub const LOOKED_BACK_MS: i64 = 20_000;

/// Something that other servers' caches may have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session is gone for good.
    SessionEnded(SessionHash),
    /// All sessions of the user have ended, but for this one.
    PasswordChanged(UserId, SessionHash),
    /// Somebody came in.
    Joined(ChatroomId, UserId),
    /// Somebody went.
    Left(ChatroomId, UserId),
    /// The messages before this one are gone.
    Expired(ChatroomId, MessageId),
    /// Nothing has, but the server that has written it wants to know something.
    Asked(QuestionId, ServerQuestion),
}

impl Change {
    /// What others must hear of what has come of a write, if anything.
    pub fn told_by(completion: &Completion) -> Option<Self> {
        Some(match completion {
            Completion::LoggedOut {
                session,
                done: Ok(()),
                ..
            } => Self::SessionEnded(*session),
            Completion::PasswordChanged {
                user,
                session,
                done: Ok(()),
                ..
            } => Self::PasswordChanged(*user, *session),
            Completion::ChatroomCreated {
                admin,
                chatroom: Ok(chatroom),
                ..
            } => Self::Joined(*chatroom, *admin),
            Completion::ParticipantAdded {
                chatroom,
                added: Ok(added),
                ..
            } => Self::Joined(*chatroom, added.joined),
            Completion::ParticipantRemoved {
                chatroom,
                removed: Ok(RemovedRow {
                    left: Some(user), ..
                }),
                ..
            } => Self::Left(*chatroom, *user),
            Completion::MessagesExpired { chatroom, first } => Self::Expired(*chatroom, *first),
            _ => return None,
        })
    }
}

/// What the others have changed, and which of it has been seen.
#[derive(Debug, Default)]
pub struct Seen(HashSet<i64>);

impl Seen {
    /// Takes in all that the others have changed lately ([`LOOKED_BACK_MS`]), by the rows' ids; a kind that a newer loiter has written is
    /// none. What has not been seen before the loops are told.
    pub fn take(&mut self, found: Vec<(i64, Option<Change>)>) -> Vec<Completion> {
        let mut told = Vec::new();
        let mut seen = HashSet::with_capacity(found.len());
        for (id, change) in found {
            seen.insert(id);
            if !self.0.contains(&id) {
                told.extend(change.map(completion));
            }
        }
        self.0 = seen;
        told
    }
}

/// As the loops hear of the same from their own server; but nobody here has asked for it.
fn completion(change: Change) -> Completion {
    let ticket = Ticket::of_nobody();
    // Nobody reads the row of what nobody has asked for.
    let row = |user| ChatroomRow {
        admin: user,
        name: None,
        participants: Vec::new(),
    };
    match change {
        Change::SessionEnded(session) => Completion::LoggedOut {
            ticket,
            session,
            done: Ok(()),
        },
        Change::PasswordChanged(user, session) => Completion::PasswordChanged {
            ticket,
            user,
            session,
            done: Ok(()),
        },
        Change::Joined(chatroom, joined) => Completion::ParticipantAdded {
            ticket,
            chatroom,
            added: Ok(AddedRow {
                joined,
                chatroom: row(joined),
            }),
        },
        Change::Left(chatroom, user) => Completion::ParticipantRemoved {
            ticket,
            chatroom,
            removed: Ok(RemovedRow {
                left: Some(user),
                chatroom: row(user),
            }),
        },
        Change::Expired(chatroom, first) => Completion::MessagesExpired { chatroom, first },
        Change::Asked(id, question) => Completion::ServerAsks { id, question },
    }
}
