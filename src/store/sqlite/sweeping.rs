//! What is removed because it is old: sessions, nonces, and messages where they are not kept for ever.
//!
//! The writing lane does it between two commits, a few rows at a time, so that nobody who writes waits for long. No table is
//! searched for what is old: sessions and nonces have an index by time. Messages have none, since each that is written would pay for
//! it; instead each chatroom knows a time that none of its messages is older than, and there is an index of those. It is
//! written with the first message of a chatroom, and from then on only here.
//!
//! What is removed of a chatroom is always its beginning: what is kept has no gap. An emptied one keeps its last message's id, so
//! that none is given twice.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result};

use super::{rows, sql};
use crate::job::{Completion, NONCE_LIFETIME};
use crate::model::{ChatroomId, MessageId};
use crate::store::clock::expiry_unix_ms;
use crate::store::writing::Swept;

/// Rows of each kind that are removed in one transaction.
pub(super) const ROWS_MAX: usize = 256;

/// How long what is stored lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweeper {
    pub(super) session_lifetime: Duration,
    /// `None` keeps messages for ever.
    pub(super) retention: Option<Duration>,
}

impl Sweeper {
    /// Removes some of what is old, within the transaction that is open.
    pub(super) fn sweep(&self, connection: &Connection, now_unix_ms: i64) -> Result<Swept> {
        let mut swept = Swept::default();
        let kinds = [
            (sql::REMOVE_EXPIRED_SESSIONS, self.session_lifetime),
            (sql::REMOVE_OLD_NONCES, NONCE_LIFETIME),
        ];
        for (statement, lifetime) in kinds {
            let expiry_unix_ms = expiry_unix_ms(now_unix_ms, lifetime);
            let mut remove = connection.prepare_cached(statement)?;
            let removed = remove.execute((expiry_unix_ms, ROWS_MAX as i64))?;
            swept.rows += removed;
            swept.is_partial |= removed == ROWS_MAX;
        }
        if let Some(retention) = self.retention {
            let expiry_unix_ms = expiry_unix_ms(now_unix_ms, retention);
            remove_messages(connection, expiry_unix_ms, &mut swept)?;
        }
        Ok(swept)
    }
}

/// Takes the chatrooms one by one, the one with the oldest message first.
fn remove_messages(connection: &Connection, expiry_unix_ms: i64, swept: &mut Swept) -> Result<()> {
    let mut left = ROWS_MAX;
    while left > 0 {
        let chatroom = connection
            .prepare_cached(sql::CHATROOM_WITH_OLD_MESSAGES)?
            .query_row((expiry_unix_ms,), |row| rows::chatroom_id(row, 0))
            .optional()?;
        let Some(chatroom) = chatroom else {
            return Ok(());
        };
        let removed = shorten(connection, chatroom, expiry_unix_ms, left)?;
        if let Some(last) = removed.last() {
            let first = last.next();
            let told = Completion::MessagesExpired { chatroom, first };
            swept.told.push(told);
        }
        swept.rows += removed.len();
        // A chatroom costs something also where nothing of it is old.
        left = left.saturating_sub(removed.len().max(1));
    }
    swept.is_partial = true;
    Ok(())
}

/// Removes at most `max` of a chatroom's oldest messages, up to the first that is not old, and notes the time of that one. Returns
/// those that were removed.
fn shorten(
    connection: &Connection,
    chatroom: ChatroomId,
    expiry_unix_ms: i64,
    max: usize,
) -> Result<Vec<MessageId>> {
    let mut oldest: Vec<(MessageId, i64)> = connection
        .prepare_cached(sql::OLDEST_MESSAGES)?
        .query_map((chatroom.get(), max as i64 + 1), |row| {
            Ok((rows::message_id(row, 0)?, row.get(1)?))
        })?
        .collect::<Result<_>>()?;
    let is_old = |(_, time): &&(MessageId, i64)| *time < expiry_unix_ms;
    let removed = oldest.iter().take(max).take_while(is_old).count();
    let kept = oldest.get(removed).copied();
    oldest.truncate(removed);
    connection
        .prepare_cached(sql::NOTE_OLDEST)?
        .execute((chatroom.get(), kept.map(|(_, time)| time)))?;
    if let Some(&(last, time)) = oldest.last() {
        connection
            .prepare_cached(sql::REMOVE_MESSAGES_UNTIL)?
            .execute((chatroom.get(), last.get()))?;
        if kept.is_none() {
            let mut note = connection.prepare_cached(sql::NOTE_LAST)?;
            note.execute((chatroom.get(), last.get(), time))?;
        }
    }
    Ok(oldest.into_iter().map(|(id, _)| id).collect())
}
