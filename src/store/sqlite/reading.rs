//! What each reading job asks SQLite.
//!
//! Each job sees one state of the database. Most are one statement: in WAL mode its snapshot is taken
//! as it starts and given up as it ends. That keeps the promise that a read submitted after a write's completion
//! sees that write, and lets the write-ahead log start over. A job of several statements has
//! a read transaction around them, which begins with the first and ends with the job.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result};

use super::readers::Readers;
use super::{rows, sql};
use crate::job::{
    Completion, Fault, Job, MessageBounds, MessageRange, MessageRows, News, OverviewRow,
    RecentRows, SessionRow,
};
use crate::model::{ChatroomId, ListWriter, MessageId, SessionHash, User, UserId};
use crate::store::clock::{expiry_unix_ms, system_unix_ms};
use crate::store::job_error::JobError;
use crate::store::last_read::{Extent, LastRead};
use crate::store::prefix::beyond;
use crate::store::reading::Reader;

impl Reader for Readers {
    fn answer(
        &self,
        job: &Job,
        last_read: &mut LastRead,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Completion, JobError> {
        self.read(is_over, |connection| {
            answer(connection, job, last_read, self.session_lifetime)
        })
    }

    fn credentials(
        &self,
        folded: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<(User, String)>, JobError> {
        self.read(is_over, |connection| Ok(credentials(connection, folded)?))
    }

    fn password_of(
        &self,
        user: UserId,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<String>, JobError> {
        self.read(is_over, |connection| Ok(password_of(connection, user)?))
    }
}

fn answer(
    connection: &Connection,
    job: &Job,
    last_read: &mut LastRead,
    session_lifetime: Duration,
) -> Result<Completion, JobError> {
    Ok(match *job {
        Job::FindSession {
            event_loop,
            session,
        } => Completion::SessionFound {
            event_loop,
            session,
            found: Ok(find_session(connection, session, session_lifetime)?),
        },
        Job::LoadUser { event_loop, user } => Completion::UserLoaded {
            event_loop,
            user,
            chatrooms: Ok(chatrooms_of_user(connection, user)?),
        },
        Job::LoadChatroom {
            event_loop,
            chatroom,
            recent,
        } => Completion::ChatroomLoaded {
            event_loop,
            chatroom,
            loaded: Ok(newest_messages(connection, chatroom, recent)?),
        },
        Job::ReadMessages {
            ticket,
            chatroom,
            user,
            range,
            limit,
        } => {
            let asked = (chatroom, range, limit);
            let rows = read_messages(connection, user, asked, last_read)?;
            let rows = rows.ok_or(JobError::Refused(Fault::NotAParticipant))?;
            Completion::MessagesRead {
                ticket,
                chatroom,
                range,
                read: Ok(rows),
            }
        }
        Job::ReadNewest {
            ticket,
            ref chatrooms,
            ..
        } => Completion::NewestRead {
            ticket,
            read: Ok(newest_of(connection, chatrooms)?),
        },
        Job::ReadNews {
            ticket,
            user,
            ref since,
            limit,
        } => {
            let news = read_news(connection, user, since, limit)?;
            let news = news.ok_or(JobError::Refused(Fault::NotAParticipant))?;
            Completion::NewsRead {
                ticket,
                read: Ok(news),
            }
        }
        Job::FindUsers {
            ticket,
            ref prefix,
            limit,
            ..
        } => Completion::UsersFound {
            ticket,
            users: Ok(find_users(connection, prefix, limit)?),
        },
        Job::ListParticipants {
            ticket,
            chatroom,
            user,
        } => {
            let users = participants_for(connection, chatroom, user)?;
            if users.is_empty() {
                return Err(JobError::Refused(Fault::NotAParticipant));
            }
            Completion::ParticipantsListed {
                ticket,
                users: Ok(users),
            }
        }
        Job::ListOverview { ticket, user } => Completion::OverviewListed {
            ticket,
            chatrooms: Ok(overview(connection, user)?),
        },
        Job::Register { .. }
        | Job::LogIn { .. }
        | Job::ChangePassword { .. }
        | Job::LogOut { .. }
        | Job::CreateChatroom { .. }
        | Job::RenameChatroom { .. }
        | Job::AddParticipant { .. }
        | Job::RemoveParticipant { .. }
        | Job::SaveMessage { .. }
        | Job::Probe { .. }
        | Job::TouchSessions { .. }
        | Job::AskServers { .. }
        | Job::AnswerServer { .. }
        | Job::Follow { .. } => unreachable!("Store::submit sends only reads here"),
    })
}

fn find_session(
    connection: &Connection,
    session: SessionHash,
    lifetime: Duration,
) -> Result<Option<SessionRow>> {
    let expiry_unix_ms = expiry_unix_ms(system_unix_ms(), lifetime);
    let found = connection
        .prepare_cached(sql::SESSION)?
        .query_row((session.0,), |row| {
            let used: i64 = row.get(2)?;
            let session = SessionRow {
                user: rows::user(row, 0)?,
                used_unix_ms: rows::unix_ms(row, 2)?,
            };
            Ok((used >= expiry_unix_ms).then_some(session))
        });
    Ok(found.optional()?.flatten())
}

fn chatrooms_of_user(connection: &Connection, user: UserId) -> Result<Vec<ChatroomId>> {
    connection
        .prepare_cached(sql::CHATROOMS_OF_USER)?
        .query_map((user.get(),), |row| rows::chatroom_id(row, 0))?
        .collect()
}

fn newest_messages(
    connection: &Connection,
    chatroom: ChatroomId,
    recent: u32,
) -> Result<RecentRows> {
    let snapshot = connection.unchecked_transaction()?;
    // One at least is read, since `last` is wanted also where no message is.
    let mut messages = snapshot
        .prepare_cached(sql::NEWEST_MESSAGES)?
        .query_map((chatroom.get(), recent.max(1)), |row| {
            rows::message(row, chatroom)
        })?
        .collect::<Result<Vec<_>>>()?;
    let last = match messages.first() {
        Some(newest) => Some(newest.id),
        None => snapshot
            .prepare_cached(sql::LAST_MESSAGE)?
            .query_row((chatroom.get(),), |row| rows::message_id_if_any(row, 0))
            .optional()?
            .flatten(),
    };
    messages.truncate(recent as usize);
    messages.reverse();
    Ok(RecentRows { last, messages })
}

fn newest_of(
    connection: &Connection,
    chatrooms: &[ChatroomId],
) -> Result<Vec<(ChatroomId, Option<MessageId>)>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut newest = snapshot.prepare_cached(sql::NEWEST_MESSAGE)?;
    let mut read = |&chatroom: &ChatroomId| {
        let last = newest.query_row((chatroom.get(),), |row| rows::message_id_if_any(row, 0));
        Ok((chatroom, last?))
    };
    chatrooms.iter().map(&mut read).collect()
}

/// Some of a chatroom's messages; none at all for one who is not in it.
fn read_messages(
    connection: &Connection,
    asker: UserId,
    (chatroom, range, limit): (ChatroomId, MessageRange, u32),
    last_read: &mut LastRead,
) -> Result<Option<MessageRows>> {
    // Given up as it is dropped, which changes nothing for who has only read.
    let snapshot = connection.unchecked_transaction()?;
    let Some(bounds) = bounds_for(&snapshot, chatroom, asker)? else {
        return Ok(None);
    };
    let extent = Extent {
        chatroom,
        range,
        limit,
        bounds,
    };
    if let Some(rows) = last_read.get(&extent) {
        return Ok(Some(rows));
    }
    // Two long lists at a time would be one too many.
    last_read.clear();
    let mut messages = ListWriter::default();
    write_messages(&snapshot, chatroom, (range, limit), bounds, &mut messages)?;
    let rows = MessageRows {
        messages: messages.finish(),
        bounds,
    };
    last_read.put(extent, rows.clone());
    Ok(Some(rows))
}

/// What is newer in several chatrooms; nothing for one who is not in all of those that are looked at.
fn read_news(
    connection: &Connection,
    asker: UserId,
    since: &[(ChatroomId, Option<MessageId>)],
    limit: u32,
) -> Result<Option<News>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut news = ListWriter::default();
    for &(chatroom, after) in since {
        let left = limit.saturating_sub(u32::try_from(news.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let range = MessageRange::After(after);
        let Some(bounds) = bounds_for(&snapshot, chatroom, asker)? else {
            return Ok(None);
        };
        if bounds.is_gap(after) {
            let first = bounds.first;
            return Ok(Some(News::Expired { chatroom, first }));
        }
        write_messages(&snapshot, chatroom, (range, left), bounds, &mut news)?;
    }
    Ok(Some(News::Messages(news.finish())))
}

/// Which messages a chatroom has; nothing for one who is not in it.
fn bounds_for(
    snapshot: &Connection,
    chatroom: ChatroomId,
    asker: UserId,
) -> Result<Option<MessageBounds>> {
    snapshot
        .prepare_cached(sql::MESSAGE_BOUNDS_FOR)?
        .query_row((chatroom.get(), asker.get()), |row| {
            Ok(MessageBounds {
                first: rows::message_id(row, 0)?,
                last: rows::message_id_if_any(row, 1)?,
            })
        })
        .optional()
}

/// Appends a range of messages, at most `limit`, one row at a time: what is long is held once.
fn write_messages(
    snapshot: &Connection,
    chatroom: ChatroomId,
    (range, limit): (MessageRange, u32),
    bounds: MessageBounds,
    list: &mut ListWriter,
) -> Result<()> {
    let (after, until) = range.ids(bounds.last, limit);
    let mut statement = snapshot.prepare_cached(sql::MESSAGES_BETWEEN)?;
    let mut found = statement.query((chatroom.get(), after, until, limit))?;
    while let Some(row) = found.next()? {
        list.push(&rows::message(row, chatroom)?);
    }
    Ok(())
}

/// The users whose folded names begin with `prefix`. A name that equals it is the least of them, and so the first.
fn find_users(connection: &Connection, prefix: &str, limit: u32) -> Result<Vec<User>> {
    // SQLite orders every blob behind every text.
    let beyond = beyond(prefix).map_or(Value::Blob(Vec::new()), Value::Text);
    connection
        .prepare_cached(sql::USERS_IN_RANGE)?
        .query_map((prefix, beyond, limit), |row| rows::user(row, 0))?
        .collect()
}

fn participants_for(
    connection: &Connection,
    chatroom: ChatroomId,
    asker: UserId,
) -> Result<Vec<User>> {
    connection
        .prepare_cached(sql::PARTICIPANTS_FOR)?
        .query_map((chatroom.get(), asker.get()), |row| rows::user(row, 0))?
        .collect()
}

fn overview(connection: &Connection, user: UserId) -> Result<Vec<OverviewRow>> {
    connection
        .prepare_cached(sql::OVERVIEW)?
        .query_map((user.get(),), rows::overview)?
        .collect()
}

fn credentials(connection: &Connection, folded: &str) -> rusqlite::Result<Option<(User, String)>> {
    connection
        .prepare_cached(sql::CREDENTIALS)?
        .query_row((folded,), |row| Ok((rows::user(row, 0)?, row.get(2)?)))
        .optional()
}

fn password_of(connection: &Connection, user: UserId) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(sql::PASSWORD_OF_USER)?
        .query_row((user.get(),), |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use super::super::readers;
    use super::*;
    use crate::store::lane::outlive;

    #[test]
    fn a_panic_is_the_jobs_alone() {
        let readers = readers::in_memory(|_| ());
        // A write in a reading lane is a defect, and so panics.
        let stray = Job::TouchSessions { used: Vec::new() };
        let answer = outlive(|| readers.answer(&stray, &mut LastRead::default(), &|| false));
        assert!(matches!(answer, Err(JobError::Panicked)));
        let read = readers.read(|| false, |_| Ok(()));
        assert!(read.is_ok(), "its connection is not lost");
    }
}
