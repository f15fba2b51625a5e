//! What other servers must hear of beside messages, and what they are asked: written with what it is of, in the same transaction, and kept for ten minutes.
//!
//! Each server asks for what the others have written lately, as often as it asks for messages, and knows which of it it has seen: rows may become
//! visible in another order than that of their ids. Where a hint says that there is something new it asks only for what is.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::questions::Member;
use super::{questions, rows, sql};
use crate::job::Completion;
use crate::model::MessageId;
use crate::store::job_error::JobError;
use crate::store::others::{Change, Horizon, Seen, looked_back_ms};

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
        for change in Change::told_by(completion) {
            self.push_change(change);
        }
    }

    /// Notes what no completion tells of.
    pub(super) fn push_change(&mut self, change: Change) {
        match change {
            Change::SessionEnded(session) => {
                self.push("session_ended", 0, 0, session.0.to_vec(), 0);
            }
            Change::Joined(chatroom, user, last) => {
                let last = last.map_or(0, MessageId::get);
                self.push("joined", chatroom.get(), user.get(), Vec::new(), last);
            }
            Change::Left(chatroom, user) => {
                self.push("left", chatroom.get(), user.get(), Vec::new(), 0);
            }
            Change::Expired(chatroom, first) => {
                self.push("expired", chatroom.get(), 0, Vec::new(), first.get());
            }
            Change::Asked(..) => unreachable!("nothing has come of a write then"),
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

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Writes them, within the transaction that is open; returns the last one's id.
    pub(super) fn write(&self, client: &mut Client, server: i64) -> Result<Option<i64>, JobError> {
        if self.is_empty() {
            return Ok(None);
        }
        let columns: &[(&(dyn ToSql + Sync), Type)] = &[
            (&server, Type::INT8),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.chatrooms, Type::INT8_ARRAY),
            (&self.users, Type::INT8_ARRAY),
            (&self.sessions, Type::BYTEA_ARRAY),
            (&self.messages, Type::INT8_ARRAY),
        ];
        let last = client.query_typed_one(sql::servers::ADD_CHANGES, columns)?;
        Ok(last.try_get(0)?)
    }
}

/// What was found.
pub(super) struct Heard {
    /// What others have changed or asked, as the loops are told of it.
    pub(super) told: Vec<Completion>,
    /// For how long who has asked waits from now on, by the question's number.
    pub(super) waits: Vec<(i64, Duration)>,
    /// The machine has slept since the last look.
    pub(super) has_slept: bool,
}

/// What others have changed or asked since that was looked at last, so long ago; only what was not to be seen at the last
/// look where that is not said. A question that nobody waits for any more is told to nobody.
pub(super) fn look(
    seen: &mut Seen,
    client: &mut Client,
    member: &Member,
    away: Option<Duration>,
) -> Result<Heard, JobError> {
    let newest = seen.behind().filter(|_| away.is_none());
    let back_ms = match &newest {
        Some(_) => 0,
        None => looked_back_ms(away.unwrap_or_default()),
    };
    let behind = seen.behind().unwrap_or(Horizon::END);
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&member.number(), Type::INT8),
        (&behind.next, Type::INT8),
        (&behind.open, Type::INT8_ARRAY),
        (&(back_ms as f64), Type::FLOAT8),
    ];
    let rows = client.query_typed(sql::servers::CHANGES_OF_OTHERS, asked)?;
    let (mut now, mut time_ms) = (None, 0.0);
    let mut found = Vec::with_capacity(rows.len());
    let mut waits = Vec::new();
    for row in &rows {
        match row.try_get::<_, Option<i64>>(0)? {
            // What it has itself written, under another number.
            Some(id) if member.number.has_written(row.try_get(6)?, id) => found.push((id, None)),
            Some(id) => {
                let change = change(row, member)?;
                let change = change.map(|(change, left)| {
                    waits.extend(left.map(|left| (id, left)));
                    change
                });
                found.push((id, change));
            }
            None => {
                time_ms = row.try_get(7)?;
                now = Horizon::parse(row.try_get(8)?);
            }
        }
    }
    // While the machine slept its clock may have stood still. The database's has not.
    if let Some(away) = away
        && let Some(slept) = seen.slept(time_ms, away)
    {
        let heard = look(seen, client, member, Some(slept))?;
        return Ok(Heard {
            has_slept: true,
            ..heard
        });
    }
    if away.is_some() {
        seen.note_look(time_ms);
    }
    // In the order in which they were written.
    found.sort_unstable_by_key(|&(id, _)| id);
    let told = match (newest, away) {
        (Some(_), _) => seen.take_newest(found, now),
        (None, away) => seen.take(away.unwrap_or_default(), found, now),
    };
    Ok(Heard {
        told,
        waits,
        has_slept: false,
    })
}

/// What is in a row, and for how long somebody waits for an answer, if it is a question; nothing for a kind that a newer loiter has written.
fn change(
    row: &tokio_postgres::Row,
    member: &Member,
) -> Result<Option<(Change, Option<Duration>)>, JobError> {
    let kind: &str = row.try_get(1)?;
    let session = || rows::session(row, 4);
    let change = match kind {
        "session_ended" => Change::SessionEnded(session()?),
        "joined" => Change::Joined(
            rows::chatroom_id(row, 2)?,
            rows::user_id(row, 3)?,
            rows::message_id_if_any(row, 5)?,
        ),
        "left" => Change::Left(rows::chatroom_id(row, 2)?, rows::user_id(row, 3)?),
        "expired" => Change::Expired(rows::chatroom_id(row, 2)?, rows::message_id(row, 5)?),
        other => {
            let (age_ms, waits_ms): (f64, i64) = (row.try_get(7)?, row.try_get(5)?);
            let question = questions::question(other, row)?;
            // As long as who has asked waits for this server.
            let left_ms = waits_ms.max(member.lease_ms()) as f64 - age_ms;
            let left = Duration::try_from_secs_f64(left_ms / 1000.0).unwrap_or(Duration::ZERO);
            let question = question.filter(|_| !left.is_zero());
            return Ok(question.map(|question| (question, Some(left))));
        }
    };
    Ok(Some((change, None)))
}
