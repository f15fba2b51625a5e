//! Columns to nouns, and back where SQLite's integers are narrower than ours.
//!
//! A number that cannot be what its column says (a negative id) is an error of the read, never a panic:
//! the file may have been damaged by someone else.

use rusqlite::types::ValueRef;
use rusqlite::{Error, Result, Row};

use crate::job::OverviewRow;
use crate::model::{ChatroomId, Message, MessageId, User, UserId};

/// The user whose id and name are in two columns, the first of which is `column`.
pub(super) fn user(row: &Row<'_>, column: usize) -> Result<User> {
    Ok(User {
        id: user_id(row, column)?,
        name: row.get(column + 1)?,
    })
}

pub(super) fn user_id(row: &Row<'_>, column: usize) -> Result<UserId> {
    id(row, column, UserId::new)
}

pub(super) fn chatroom_id(row: &Row<'_>, column: usize) -> Result<ChatroomId> {
    id(row, column, ChatroomId::new)
}

pub(super) fn message_id(row: &Row<'_>, column: usize) -> Result<MessageId> {
    id(row, column, MessageId::new)
}

/// As [`message_id`], of a column that may be null.
pub(super) fn message_id_if_any(row: &Row<'_>, column: usize) -> Result<Option<MessageId>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => message_id(row, column).map(Some),
    }
}

/// A chatroom's message, whose id, user, user's name, text and time are the first columns.
pub(super) fn message(row: &Row<'_>, chatroom: ChatroomId) -> Result<Message> {
    Ok(Message {
        id: message_id(row, 0)?,
        chatroom,
        user: user(row, 1)?,
        text: row.get(3)?,
        time_unix_ms: unix_ms(row, 4)?,
    })
}

/// A chatroom as one line of many: id, name, admin, participants and newest message are the first columns.
pub(super) fn overview(row: &Row<'_>) -> Result<OverviewRow> {
    Ok(OverviewRow {
        chatroom: chatroom_id(row, 0)?,
        name: row.get(1)?,
        admin: user_id(row, 2)?,
        participants: natural(row, 3)?,
        last: message_id_if_any(row, 4)?,
    })
}

/// A time in milliseconds since 1970 (UTC).
pub(super) fn unix_ms(row: &Row<'_>, column: usize) -> Result<u64> {
    natural(row, column)
}

fn natural(row: &Row<'_>, column: usize) -> Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| Error::IntegralValueOutOfRange(column, number))
}

fn id<T>(row: &Row<'_>, column: usize, new: fn(i64) -> Option<T>) -> Result<T> {
    let number = row.get(column)?;
    new(number).ok_or(Error::IntegralValueOutOfRange(column, number))
}
