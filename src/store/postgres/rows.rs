//! Columns to nouns. A number that cannot be what its column says (a negative id) is an error of the read, never a panic.

use tokio_postgres::Row;

use crate::job::OverviewRow;
use crate::model::{ChatroomId, Message, MessageId, SessionHash, User, UserId};
use crate::store::job_error::JobError;

/// What is wrong with the number in a column. What it is nobody's log should have: of a session it is a hash.
pub(super) fn bad_number(row: &Row, column: usize) -> JobError {
    JobError::BadNumber(format!("{column} ({})", row.columns()[column].name()).into())
}

/// The user whose id and name are in two columns, the first of which is `column`.
pub(super) fn user(row: &Row, column: usize) -> Result<User, JobError> {
    let name: &str = row.try_get(column + 1)?;
    Ok(User {
        id: user_id(row, column)?,
        name: name.into(),
    })
}

pub(super) fn user_id(row: &Row, column: usize) -> Result<UserId, JobError> {
    UserId::new(row.try_get(column)?).ok_or_else(|| bad_number(row, column))
}

pub(super) fn chatroom_id(row: &Row, column: usize) -> Result<ChatroomId, JobError> {
    ChatroomId::new(row.try_get(column)?).ok_or_else(|| bad_number(row, column))
}

pub(super) fn message_id(row: &Row, column: usize) -> Result<MessageId, JobError> {
    MessageId::new(row.try_get(column)?).ok_or_else(|| bad_number(row, column))
}

pub(super) fn session(row: &Row, column: usize) -> Result<SessionHash, JobError> {
    let hash: &[u8] = row.try_get(column)?;
    let hash = hash.try_into().map(SessionHash);
    hash.map_err(|_| bad_number(row, column))
}

/// As [`message_id`], of a column that has 0 for none.
pub(super) fn message_id_if_any(row: &Row, column: usize) -> Result<Option<MessageId>, JobError> {
    match row.try_get::<_, i64>(column)? {
        0 => Ok(None),
        _ => message_id(row, column).map(Some),
    }
}

/// A chatroom's message, whose id, user, user's name, text and time are the first columns.
pub(super) fn message(row: &Row, chatroom: ChatroomId) -> Result<Message, JobError> {
    let text: &str = row.try_get(3)?;
    Ok(Message {
        id: message_id(row, 0)?,
        chatroom,
        user: user(row, 1)?,
        text: text.into(),
        time_unix_ms: natural(row, 4)?,
    })
}

/// A chatroom as one line of many: id, name, admin, participants and newest message are the first columns.
pub(super) fn overview(row: &Row) -> Result<OverviewRow, JobError> {
    let name: Option<&str> = row.try_get(1)?;
    Ok(OverviewRow {
        chatroom: chatroom_id(row, 0)?,
        name: name.map(Into::into),
        admin: user_id(row, 2)?,
        participants: natural(row, 3)?,
        last: message_id_if_any(row, 4)?,
    })
}

/// A count, or a time in milliseconds since 1970 (UTC).
pub(super) fn natural(row: &Row, column: usize) -> Result<u64, JobError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| bad_number(row, column))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_postgres::types::Type;

    use super::super::client::PATIENCE;
    use super::super::fake::{Answer, Column, Fake, Part};
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_by_its_column_and_costs_no_connection() {
        const FOUND: &[&[Column]] = &[&[Column::Int(-7), Column::Text("hi")]];
        let fake = Fake::playing(&[Part::Answering(&[Answer::Rows(FOUND)])]);
        let mut client = fake.connect((PATIENCE, &Arc::default()));
        // As with all else that has parameters.
        let asked = client.query_typed_one("SELECT $1", &[(&1_i64, Type::INT8)]);
        let row = asked.expect("a row");
        for (failed, why) in [
            (
                user_id(&row, 0).map(drop),
                "the number in column 0 (column0)",
            ),
            (
                natural(&row, 0).map(drop),
                "the number in column 0 (column0)",
            ),
            (user_id(&row, 1).map(drop), "deserializing column 1: "),
        ] {
            let failed = failed.expect_err("it is none");
            assert!(!failed.is_of_a_lost_connection(), "{failed:?}");
            let told = failed.to_string();
            assert!(told.contains(why) && !told.contains("-7"), "{told}");
        }
    }
}
