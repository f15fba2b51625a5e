//! What other servers must hear of beside messages, and what they are asked: written with what it is of, in the same transaction, and kept for a minute.
//!
//! Each server asks for what the others have written lately, as often as it asks for messages, and knows which of it it has seen: rows may become
//! visible in another order than that of their ids.

use std::collections::HashSet;

use postgres::types::{ToSql, Type};
use postgres::{Client, GenericClient};

use super::{questions, rows, sql};
use crate::job::{AddedRow, ChatroomRow, Completion, RemovedRow};
use crate::model::{ChatroomId, MessageId, SessionHash, Ticket, UserId};
use crate::store::job_error::JobError;

/// How long back a server looks, in milliseconds: longer than a transaction may take.
const LOOKED_BACK_MS: i64 = 20_000;

/// How long they are kept, in milliseconds.
pub(super) const KEPT_MS: i64 = 60_000;

/// Something that other servers' caches may have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    SessionEnded(SessionHash),
    /// All sessions of the user have ended, but for this one.
    PasswordChanged(UserId, SessionHash),
    Joined(ChatroomId, UserId),
    Left(ChatroomId, UserId),
    /// The messages before this one are gone.
    Expired(ChatroomId, MessageId),
}

/// Those of a transaction, column by column.
#[derive(Debug, Default)]
pub(super) struct Changes {
    kinds: Vec<&'static str>,
    chatrooms: Vec<i64>,
    users: Vec<i64>,
    sessions: Vec<Vec<u8>>,
    messages: Vec<i64>,
}

impl Changes {
    /// Notes what others must hear of what has come of a write.
    pub(super) fn note(&mut self, completion: &Completion) {
        match completion {
            Completion::LoggedOut {
                session,
                done: Ok(()),
                ..
            } => self.push("session_ended", 0, 0, session.0.to_vec(), 0),
            Completion::PasswordChanged {
                user,
                session,
                done: Ok(()),
                ..
            } => self.push("password_changed", 0, user.get(), session.0.to_vec(), 0),
            Completion::ChatroomCreated {
                admin,
                chatroom: Ok(chatroom),
                ..
            } => self.push("joined", chatroom.get(), admin.get(), Vec::new(), 0),
            Completion::ParticipantAdded {
                chatroom,
                added: Ok(added),
                ..
            } => self.push("joined", chatroom.get(), added.joined.get(), Vec::new(), 0),
            Completion::ParticipantRemoved {
                chatroom,
                removed: Ok(RemovedRow {
                    left: Some(user), ..
                }),
                ..
            } => self.push("left", chatroom.get(), user.get(), Vec::new(), 0),
            Completion::MessagesExpired { chatroom, first } => {
                self.push("expired", chatroom.get(), 0, Vec::new(), first.get());
            }
            _ => {}
        }
    }

    fn push(
        &mut self,
        kind: &'static str,
        chatroom: i64,
        user: i64,
        session: Vec<u8>,
        message: i64,
    ) {
        self.kinds.push(kind);
        self.chatrooms.push(chatroom);
        self.users.push(user);
        self.sessions.push(session);
        self.messages.push(message);
    }

    /// All sessions of a user have ended, of which no server has said so.
    pub(super) fn note_password(&mut self, user: UserId) {
        // No session has this hash, so none stays.
        self.push("password_changed", 0, user.get(), vec![0; 32], 0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Writes them, within the transaction that is open.
    pub(super) fn write(
        &self,
        client: &mut impl GenericClient,
        server: i64,
    ) -> Result<(), JobError> {
        if self.is_empty() {
            return Ok(());
        }
        let columns: &[(&(dyn ToSql + Sync), Type)] = &[
            (&server, Type::INT8),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.chatrooms, Type::INT8_ARRAY),
            (&self.users, Type::INT8_ARRAY),
            (&self.sessions, Type::BYTEA_ARRAY),
            (&self.messages, Type::INT8_ARRAY),
        ];
        client.execute_typed(sql::ADD_CHANGES, columns)?;
        Ok(())
    }
}

/// What the others have changed, and which of it has been seen.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<i64>);

impl Seen {
    /// What others have changed or asked since that was looked at last, as the loops are told of it. A question that nobody waits for any more,
    /// after so many milliseconds, is told to nobody.
    pub(super) fn look(
        &mut self,
        client: &mut Client,
        server: i64,
        lease_ms: f64,
    ) -> Result<Vec<Completion>, JobError> {
        let asked: &[(&(dyn ToSql + Sync), Type)] = &[
            (&server, Type::INT8),
            (&(LOOKED_BACK_MS as f64), Type::FLOAT8),
        ];
        let found = client.query_typed(sql::CHANGES_OF_OTHERS, asked)?;
        let mut told = Vec::new();
        let mut seen = HashSet::with_capacity(found.len());
        for row in &found {
            let id: i64 = row.try_get(0)?;
            seen.insert(id);
            if self.0.contains(&id) {
                continue;
            }
            let kind = row.try_get(1)?;
            if let Some(question) = questions::question(kind, row)? {
                let age_ms: f64 = row.try_get(7)?;
                told.extend((age_ms < lease_ms).then_some(question));
            } else if let Some(change) = change(kind, row)? {
                told.push(completion(change));
            }
        }
        self.0 = seen;
        Ok(told)
    }
}

/// Nothing for a kind that a newer loiter has written.
fn change(kind: &str, row: &postgres::Row) -> Result<Option<Change>, JobError> {
    let session = || rows::session(row, 4);
    Ok(Some(match kind {
        "session_ended" => Change::SessionEnded(session()?),
        "password_changed" => Change::PasswordChanged(rows::user_id(row, 3)?, session()?),
        "joined" => Change::Joined(rows::chatroom_id(row, 2)?, rows::user_id(row, 3)?),
        "left" => Change::Left(rows::chatroom_id(row, 2)?, rows::user_id(row, 3)?),
        "expired" => Change::Expired(rows::chatroom_id(row, 2)?, rows::message_id(row, 5)?),
        _ => return Ok(None),
    }))
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
    }
}
