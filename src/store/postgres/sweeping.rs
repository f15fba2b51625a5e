//! What is removed because it is old: sessions, nonces, and messages where they are not kept for ever; a few rows at a time.
//!
//! As in SQLite a chatroom's messages go from its beginning, so that what is kept has no gap. Several servers may be at it: what one has locked
//! the others leave alone.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::{failures, rows, sql};
use crate::job::{Completion, NONCE_LIFETIME};
use crate::model::{ChatroomId, MessageId};
use crate::store::clock::expiry_unix_ms;
use crate::store::job_error::JobError;
use crate::store::others::{KEPT, WRITTEN_KEPT};
use crate::store::writing::Swept;

/// Rows of each kind that are removed in one transaction.
const ROWS_MAX: usize = 256;

/// Rows of what was written to chatrooms, each of a batch of messages; no log is written for them.
const WRITTEN_ROWS_MAX: usize = 2048;

/// How long a server that has ended without a word is remembered, in milliseconds.
const SERVERS_KEPT_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

/// How long what is stored lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweeper {
    pub(super) session_lifetime: Duration,
    /// `None` keeps messages for ever.
    pub(super) retention: Option<Duration>,
}

impl Sweeper {
    /// Removes some of what is old, within the transaction that is open; by the database's clock too: one server whose own is wrong is not to remove
    /// what is everybody's.
    pub(super) fn sweep(&self, client: &mut Client, now_unix_ms: i64) -> Result<Swept, JobError> {
        let mut swept = Swept::default();
        let now_there: i64 = client.query_typed_one(sql::NOW_UNIX_MS, &[])?.try_get(0)?;
        let now_unix_ms = now_unix_ms.min(now_there);
        let kinds = [
            (sql::REMOVE_EXPIRED_SESSIONS, self.session_lifetime),
            (sql::REMOVE_OLD_NONCES, NONCE_LIFETIME),
        ];
        for (statement, lifetime) in kinds {
            let which: &[(&(dyn ToSql + Sync), Type)] = &[
                (&expiry_unix_ms(now_unix_ms, lifetime), Type::INT8),
                (&(ROWS_MAX as i64), Type::INT8),
            ];
            let removed = client.execute_typed(statement, which)? as usize;
            swept.rows += removed;
            swept.is_partial |= removed == ROWS_MAX;
        }
        let kept_ms = KEPT.as_secs_f64() * 1000.0;
        let old: &[(&(dyn ToSql + Sync), Type)] =
            &[(&kept_ms, Type::FLOAT8), (&(ROWS_MAX as i64), Type::INT8)];
        swept.is_partial |=
            client.execute_typed(sql::servers::REMOVE_OLD_CHANGES, old)? == ROWS_MAX as u64;
        let old: &[(&(dyn ToSql + Sync), Type)] = &[
            (&(WRITTEN_KEPT.as_secs_f64() * 1000.0), Type::FLOAT8),
            (&(WRITTEN_ROWS_MAX as i64), Type::INT8),
        ];
        let removed = client.execute_typed(sql::servers::REMOVE_OLD_WRITTEN, old)?;
        swept.is_partial |= removed == WRITTEN_ROWS_MAX as u64;
        let old: &[(&(dyn ToSql + Sync), Type)] = &[
            (&(failures::WINDOW_MS as f64), Type::FLOAT8),
            (&(ROWS_MAX as i64), Type::INT8),
        ];
        let removed = client.execute_typed(sql::servers::REMOVE_OLD_FAILED_LOGINS, old)?;
        swept.is_partial |= removed == ROWS_MAX as u64;
        // Few, since who asks takes them, and who ends says so.
        for (statement, kept_ms) in [
            (sql::servers::REMOVE_OLD_ANSWERS, kept_ms),
            (sql::servers::REMOVE_OLD_SERVERS, SERVERS_KEPT_MS),
        ] {
            client.execute_typed(statement, &[(&kept_ms, Type::FLOAT8)])?;
        }
        if let Some(retention) = self.retention {
            remove_messages(client, expiry_unix_ms(now_unix_ms, retention), &mut swept)?;
        }
        Ok(swept)
    }
}

/// Takes the chatrooms one by one, the one with the oldest message first.
fn remove_messages(
    client: &mut Client,
    expiry_unix_ms: i64,
    swept: &mut Swept,
) -> Result<(), JobError> {
    let mut left = ROWS_MAX;
    while left > 0 {
        let old = &[(&expiry_unix_ms as &(dyn ToSql + Sync), Type::INT8)];
        let Some(row) = client.query_typed_opt(sql::CHATROOM_WITH_OLD_MESSAGES, old)? else {
            return Ok(());
        };
        let chatroom = rows::chatroom_id(&row, 0)?;
        let removed = shorten(client, chatroom, expiry_unix_ms, left)?;
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
    client: &mut Client,
    chatroom: ChatroomId,
    expiry_unix_ms: i64,
    max: usize,
) -> Result<Vec<MessageId>, JobError> {
    let which: &[(&(dyn ToSql + Sync), Type)] = &[
        (&chatroom.get(), Type::INT8),
        (&(max as i64 + 1), Type::INT8),
    ];
    let found = client.query_typed(sql::OLDEST_MESSAGES, which)?;
    let oldest = found
        .iter()
        .map(|row| Ok((rows::message_id(row, 0)?, row.try_get(1)?)));
    let oldest: Vec<(MessageId, i64)> = oldest.collect::<Result<_, JobError>>()?;
    let is_old = |(_, time): &&(MessageId, i64)| *time < expiry_unix_ms;
    let removed = oldest.iter().take(max).take_while(is_old).count();
    let kept = oldest.get(removed).map(|&(_, time)| time);
    let noted: &[(&(dyn ToSql + Sync), Type)] =
        &[(&chatroom.get(), Type::INT8), (&kept, Type::INT8)];
    client.execute_typed(sql::NOTE_OLDEST, noted)?;
    let removed: Vec<MessageId> = oldest[..removed].iter().map(|&(id, _)| id).collect();
    if let Some(last) = removed.last() {
        let until: &[(&(dyn ToSql + Sync), Type)] =
            &[(&chatroom.get(), Type::INT8), (&last.get(), Type::INT8)];
        client.execute_typed(sql::REMOVE_MESSAGES_UNTIL, until)?;
    }
    Ok(removed)
}
