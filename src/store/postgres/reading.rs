//! What each reading job asks PostgreSQL.
//!
//! Each job sees one state of the database: one statement does by itself, and a job of several has a transaction around them.

use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};

use super::client::{Client, Transaction};
use super::readers::Readers;
use super::{failures, rows, sql};
use crate::job::{
    Completion, Fault, Job, MessageBounds, MessageRange, MessageRows, News, OverviewRow,
    RecentRows, SessionRow,
};
use crate::model::{ChatroomId, Customer, ListWriter, MessageId, SessionHash, User, UserId};
use crate::store::clock::{expiry_unix_ms, system_unix_ms};
use crate::store::job_error::JobError;
use crate::store::last_read::{Extent, LastRead};
use crate::store::prefix::beyond;
use crate::store::reading::Reader;
use crate::store::write::Tried;

impl Reader for Readers {
    fn answer(
        &self,
        job: &Job,
        last_read: &mut LastRead,
        _is_over: &dyn Fn() -> bool,
    ) -> Result<Completion, JobError> {
        let answer = self.read(|client| answer(client, job, last_read, self.session_lifetime))?;
        self.followed.read(&answer);
        Ok(answer)
    }

    fn follow(&self, event_loop: u16, chatrooms: &[(ChatroomId, bool)]) {
        self.followed.follow(event_loop, chatrooms);
    }

    fn counts_failures(&self) -> bool {
        self.failures_max > 0
    }

    fn check_attempts(&self, tried: &Tried, customer: Customer) -> Result<(), JobError> {
        match self.failures_max {
            0 => Ok(()),
            max => self.read(|client| failures::check(client, tried, customer, max)),
        }
    }

    fn credentials(
        &self,
        folded: &str,
        _is_over: &dyn Fn() -> bool,
    ) -> Result<Option<(User, String)>, JobError> {
        self.read(|client| {
            let found = client.query_typed_opt(sql::CREDENTIALS, &[(&folded, Type::TEXT)])?;
            let row = found.map(|row| Ok((rows::user(&row, 0)?, row.try_get(2)?)));
            row.transpose()
        })
    }

    fn password_of(
        &self,
        user: UserId,
        _is_over: &dyn Fn() -> bool,
    ) -> Result<Option<String>, JobError> {
        self.read(|client| {
            let user = [(&user.get() as &(dyn ToSql + Sync), Type::INT8)];
            let found = client.query_typed_opt(sql::PASSWORD_OF_USER, &user)?;
            Ok(found.map(|row| row.try_get(0)).transpose()?)
        })
    }
}
fn answer(
    client: &mut Client,
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
            found: Ok(find_session(client, session, session_lifetime)?),
        },
        Job::LoadUser { event_loop, user } => Completion::UserLoaded {
            event_loop,
            user,
            chatrooms: Ok(chatrooms_of_user(client, user)?),
        },
        Job::LoadChatroom {
            event_loop,
            chatroom,
            recent,
        } => Completion::ChatroomLoaded {
            event_loop,
            chatroom,
            loaded: Ok(newest_messages(client, chatroom, recent)?),
        },
        Job::ReadMessages {
            ticket,
            chatroom,
            user,
            range,
            limit,
        } => {
            let asked = (chatroom, range, limit);
            let rows = read_messages(client, user, asked, last_read)?;
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
            read: Ok(newest_of(client, chatrooms)?),
        },
        Job::ReadNews {
            ticket,
            user,
            ref since,
            limit,
        } => {
            let news = read_news(client, user, since, limit)?;
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
            users: Ok(find_users(client, prefix, limit)?),
        },
        Job::ListParticipants {
            ticket,
            chatroom,
            user,
        } => {
            let users = participants_for(client, chatroom, user)?;
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
            chatrooms: Ok(overview(client, user)?),
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
    client: &mut Client,
    session: SessionHash,
    lifetime: Duration,
) -> Result<Option<SessionRow>, JobError> {
    let expiry_unix_ms = expiry_unix_ms(system_unix_ms(), lifetime);
    let token = &session.0[..];
    let Some(row) = client.query_typed_opt(sql::SESSION, &[(&token, Type::BYTEA)])? else {
        return Ok(None);
    };
    let used: i64 = row.try_get(2)?;
    let session = SessionRow {
        user: rows::user(&row, 0)?,
        used_unix_ms: rows::natural(&row, 2)?,
    };
    Ok((used >= expiry_unix_ms).then_some(session))
}

fn chatrooms_of_user(client: &mut Client, user: UserId) -> Result<Vec<ChatroomId>, JobError> {
    let found = client.query_typed(sql::CHATROOMS_OF_USER, &[(&user.get(), Type::INT8)])?;
    found.iter().map(|row| rows::chatroom_id(row, 0)).collect()
}

fn newest_messages(
    client: &mut Client,
    chatroom: ChatroomId,
    recent: u32,
) -> Result<RecentRows, JobError> {
    let mut snapshot = snapshot(client)?;
    let last = last_messages(&mut snapshot, &[chatroom])?;
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&chatroom.get(), Type::INT8),
        (&i64::from(recent), Type::INT8),
    ];
    let found = snapshot.query_typed(sql::NEWEST_MESSAGES, asked)?;
    let newest_first = found.iter().rev();
    let messages = newest_first.map(|row| rows::message(row, chatroom));
    Ok(RecentRows {
        last: last.first().and_then(|&(_, last)| last),
        messages: messages.collect::<Result<_, _>>()?,
    })
}

fn newest_of(
    client: &mut Client,
    chatrooms: &[ChatroomId],
) -> Result<Vec<(ChatroomId, Option<MessageId>)>, JobError> {
    let mut found = last_messages(client, chatrooms)?;
    found.sort_unstable_by_key(|&(chatroom, _)| chatroom);
    let last = |chatroom: ChatroomId| {
        let at = found.binary_search_by_key(&chatroom, |&(chatroom, _)| chatroom);
        at.ok().and_then(|at| found[at].1)
    };
    Ok(chatrooms.iter().map(|&of| (of, last(of))).collect())
}

/// The newest message ever of each chatroom that there is.
fn last_messages(
    client: &mut Client,
    chatrooms: &[ChatroomId],
) -> Result<Vec<(ChatroomId, Option<MessageId>)>, JobError> {
    let ids: Vec<i64> = chatrooms.iter().map(|chatroom| chatroom.get()).collect();
    let found = client.query_typed(sql::LAST_MESSAGES, &[(&ids, Type::INT8_ARRAY)])?;
    let last = |row| Ok((rows::chatroom_id(row, 0)?, rows::message_id_if_any(row, 1)?));
    found.iter().map(last).collect()
}

/// Some of a chatroom's messages; none at all for one who is not in it.
fn read_messages(
    client: &mut Client,
    asker: UserId,
    (chatroom, range, limit): (ChatroomId, MessageRange, u32),
    last_read: &mut LastRead,
) -> Result<Option<MessageRows>, JobError> {
    let mut snapshot = snapshot(client)?;
    let Some(bounds) = bounds_for(&mut snapshot, chatroom, asker)? else {
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
    write_messages(
        &mut snapshot,
        chatroom,
        (range, limit),
        bounds,
        &mut messages,
    )?;
    let rows = MessageRows {
        messages: messages.finish(),
        bounds,
    };
    last_read.put(extent, rows.clone());
    Ok(Some(rows))
}

/// What is newer in several chatrooms; nothing for one who is not in all of those that are looked at.
fn read_news(
    client: &mut Client,
    asker: UserId,
    since: &[(ChatroomId, Option<MessageId>)],
    limit: u32,
) -> Result<Option<News>, JobError> {
    let mut snapshot = snapshot(client)?;
    let mut news = ListWriter::default();
    for &(chatroom, after) in since {
        let left = limit.saturating_sub(u32::try_from(news.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let range = MessageRange::After(after);
        let Some(bounds) = bounds_for(&mut snapshot, chatroom, asker)? else {
            return Ok(None);
        };
        if bounds.is_gap(after) {
            let first = bounds.first;
            return Ok(Some(News::Expired { chatroom, first }));
        }
        write_messages(&mut snapshot, chatroom, (range, left), bounds, &mut news)?;
    }
    Ok(Some(News::Messages(news.finish())))
}

/// Which messages a chatroom has; nothing for one who is not in it.
fn bounds_for(
    snapshot: &mut Client,
    chatroom: ChatroomId,
    asker: UserId,
) -> Result<Option<MessageBounds>, JobError> {
    let asked: &[(&(dyn ToSql + Sync), Type)] =
        &[(&chatroom.get(), Type::INT8), (&asker.get(), Type::INT8)];
    let found = snapshot.query_typed_opt(sql::MESSAGE_BOUNDS_FOR, asked)?;
    let bounds = found.map(|row| {
        Ok(MessageBounds {
            first: rows::message_id(&row, 0)?,
            last: rows::message_id_if_any(&row, 1)?,
        })
    });
    bounds.transpose()
}

/// Appends a range of messages, at most `limit`.
fn write_messages(
    snapshot: &mut Client,
    chatroom: ChatroomId,
    (range, limit): (MessageRange, u32),
    bounds: MessageBounds,
    list: &mut ListWriter,
) -> Result<(), JobError> {
    let (after, until) = range.ids(bounds.last, limit);
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&chatroom.get(), Type::INT8),
        (&after, Type::INT8),
        (&until, Type::INT8),
        (&i64::from(limit), Type::INT8),
    ];
    for row in snapshot.query_typed(sql::MESSAGES_BETWEEN, asked)? {
        list.push(&rows::message(&row, chatroom)?);
    }
    Ok(())
}

/// The users whose folded names begin with `prefix`. A name that equals it is the least of them, and so the first.
fn find_users(client: &mut Client, prefix: &str, limit: u32) -> Result<Vec<User>, JobError> {
    // No name has one, and PostgreSQL takes none.
    if prefix.contains('\0') {
        return Ok(Vec::new());
    }
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&prefix, Type::TEXT),
        (&beyond(prefix), Type::TEXT),
        (&i64::from(limit), Type::INT8),
    ];
    let found = client.query_typed(sql::USERS_IN_RANGE, asked)?;
    found.iter().map(|row| rows::user(row, 0)).collect()
}

fn participants_for(
    client: &mut Client,
    chatroom: ChatroomId,
    asker: UserId,
) -> Result<Vec<User>, JobError> {
    let asked: &[(&(dyn ToSql + Sync), Type)] =
        &[(&chatroom.get(), Type::INT8), (&asker.get(), Type::INT8)];
    let found = client.query_typed(sql::PARTICIPANTS_FOR, asked)?;
    found.iter().map(|row| rows::user(row, 0)).collect()
}

fn overview(client: &mut Client, user: UserId) -> Result<Vec<OverviewRow>, JobError> {
    let found = client.query_typed(sql::OVERVIEW, &[(&user.get(), Type::INT8)])?;
    found.iter().map(rows::overview).collect()
}

/// One state of the database, for several statements.
fn snapshot(client: &mut Client) -> Result<Transaction<'_>, JobError> {
    Ok(client.snapshot()?)
}
