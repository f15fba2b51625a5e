//! What each writing job does to the database. When it begins and is committed is the writing lane's affair.
//!
//! A write checks its own conditions before it changes anything, in the transaction that it changes it in.

mod chatrooms;
mod messages;

use rusqlite::{Connection, ErrorCode, ffi, params};

use super::memory::Memory;
use super::sql;
use crate::job::{Completion, Fault, Job, ServerAnswer};
use crate::model::{SessionHash, User, UserId, Username};
use crate::store::job_error::JobError;
use crate::store::write::{NewPassword, NewSession, NewUser, Raised, Write};

impl Write {
    /// Whether it is more than one statement of which not only the last changes the database, so that half of it could be left. SQLite
    /// itself takes back what a single failing statement has done.
    pub(super) fn needs_savepoint(&self) -> bool {
        matches!(
            self,
            Self::Password(_)
                | Self::Session(NewSession {
                    raised: Some(_),
                    ..
                })
                | Self::Job(
                    Job::CreateChatroom { .. }
                        | Job::RenameChatroom { .. }
                        | Job::AddParticipant { .. }
                        | Job::RemoveParticipant { .. }
                        | Job::SaveMessage { nonce: Some(_), .. }
                )
        )
    }

    /// Does it, within the transaction that is open. A message's text moves into its completion;
    /// what [`Write::failed`] needs stays.
    pub(super) fn apply(
        &mut self,
        connection: &Connection,
        memory: &mut Memory,
        now_unix_ms: i64,
    ) -> Result<Option<Completion>, JobError> {
        let on = Open {
            connection,
            now_unix_ms,
        };
        match self {
            Self::Job(job) => on.job(job, memory),
            Self::User(new) => on.add_user(new).map(Some),
            Self::Session(new) => on.add_session(new).map(Some),
            Self::Password(new) => on.change_password(new).map(Some),
            // One server counts by itself, and has nothing written.
            Self::Failure(failure) => Ok(Some(failure.completion.clone())),
        }
    }
}

/// An open transaction.
struct Open<'a> {
    connection: &'a Connection,
    now_unix_ms: i64,
}

impl Open<'_> {
    fn job(&self, job: &mut Job, memory: &mut Memory) -> Result<Option<Completion>, JobError> {
        Ok(Some(match *job {
            Job::SaveMessage {
                ticket,
                chatroom,
                ref author,
                ref mut text,
                ref nonce,
            } => Completion::MessageSaved {
                ticket,
                chatroom,
                saved: Ok(self.save_message(memory, chatroom, author, text, nonce.as_deref())?),
            },
            Job::AddParticipant {
                ticket,
                chatroom,
                admin,
                ref whom,
            } => Completion::ParticipantAdded {
                ticket,
                chatroom,
                added: Ok(self.add_participant(chatroom, admin, whom)?),
            },
            Job::RemoveParticipant {
                ticket,
                chatroom,
                by,
                ref whom,
            } => {
                memory.forget();
                Completion::ParticipantRemoved {
                    ticket,
                    chatroom,
                    removed: Ok(self.remove_participant(chatroom, by, whom)?),
                }
            }
            Job::CreateChatroom {
                ticket,
                admin,
                ref name,
            } => Completion::ChatroomCreated {
                ticket,
                admin,
                chatroom: Ok(self.add_chatroom(admin, name.as_ref())?),
            },
            Job::RenameChatroom {
                ticket,
                chatroom,
                admin,
                ref name,
            } => Completion::ChatroomRenamed {
                ticket,
                chatroom,
                renamed: Ok(self.rename_chatroom(chatroom, admin, name)?),
            },
            Job::LogOut { ticket, session } => {
                self.remove_session(session)?;
                Completion::LoggedOut {
                    ticket,
                    session,
                    done: Ok(()),
                }
            }
            Job::Probe { ticket } => {
                self.connection.prepare_cached(sql::PROBE)?.execute(())?;
                Completion::Probed {
                    ticket,
                    done: Ok(()),
                }
            }
            // A file has one server.
            Job::AskServers { ticket, .. } => Completion::ServersAnswered {
                ticket,
                answer: Ok(ServerAnswer::default()),
            },
            Job::AnswerServer { .. } => return Ok(None),
            Job::TouchSessions { ref used } => {
                self.touch_sessions(used)?;
                return Ok(None);
            }
            Job::FindSession { .. }
            | Job::LoadUser { .. }
            | Job::LoadChatroom { .. }
            | Job::ReadMessages { .. }
            | Job::ReadNews { .. }
            | Job::ReadNewest { .. }
            | Job::FindUsers { .. }
            | Job::ListParticipants { .. }
            | Job::ListOverview { .. }
            | Job::Register { .. }
            | Job::LogIn { .. }
            | Job::ChangePassword { .. }
            | Job::Follow { .. } => unreachable!("Store::submit sends only writes here"),
        }))
    }

    fn add_user(&self, new: &NewUser) -> Result<Completion, JobError> {
        let user = insert_user(self.connection, &new.name, &new.password, self.now_unix_ms)?;
        Ok(Completion::Registered {
            ticket: new.ticket,
            user: Ok(user),
        })
    }

    fn add_session(&self, new: &NewSession) -> Result<Completion, JobError> {
        let added = self.connection.prepare_cached(sql::ADD_SESSION)?.execute((
            new.session.0,
            new.user.id.get(),
            self.now_unix_ms,
            &new.verified,
        ))?;
        if added == 0 {
            return Err(JobError::Refused(Fault::BadCredentials));
        }
        if let Some(Raised { before, after }) = &new.raised {
            // Of two logins at once the other may have done so.
            self.connection
                .prepare_cached(sql::RAISE_PASSWORD)?
                .execute((new.user.id.get(), after, before))?;
        }
        Ok(Completion::LoggedIn {
            ticket: new.ticket,
            login: Ok((new.user.clone(), new.token.clone())),
        })
    }

    fn change_password(&self, new: &NewPassword) -> Result<Completion, JobError> {
        let user = new.user.get();
        let changed = self
            .connection
            .prepare_cached(sql::CHANGE_PASSWORD)?
            .execute((user, &new.password, &new.verified))?;
        if changed == 0 {
            return Err(JobError::Refused(Fault::BadCredentials));
        }
        self.connection
            .prepare_cached(sql::REMOVE_OTHER_SESSIONS)?
            .execute((user, new.session.0))?;
        Ok(new.completion(Ok(())))
    }

    fn remove_session(&self, session: SessionHash) -> Result<(), JobError> {
        let removed = self
            .connection
            .prepare_cached(sql::REMOVE_SESSION)?
            .execute((session.0,))?;
        match removed {
            0 => Err(JobError::Refused(Fault::NoSession)),
            _ => Ok(()),
        }
    }

    fn touch_sessions(&self, used: &[(SessionHash, u64)]) -> Result<(), JobError> {
        let mut touch = self.connection.prepare_cached(sql::TOUCH_SESSION)?;
        for &(session, used_unix_ms) in used {
            touch.execute((session.0, i64::try_from(used_unix_ms).unwrap_or(i64::MAX)))?;
        }
        Ok(())
    }
}

/// Adds a user with the hash of a password. Refused with [`Fault::UsernameTaken`], and with nothing else.
pub(super) fn insert_user(
    connection: &Connection,
    name: &Username,
    password: &str,
    now_unix_ms: i64,
) -> Result<User, JobError> {
    connection
        .prepare_cached(sql::ADD_USER)?
        .execute(params![name.shown(), name.folded(), password, now_unix_ms])
        .map_err(|error| {
            if is_not_unique(&error) {
                JobError::Refused(Fault::UsernameTaken)
            } else {
                error.into()
            }
        })?;
    Ok(User {
        id: UserId::new(connection.last_insert_rowid()).expect("SQLite counts rows from 1"),
        name: name.shown().clone(),
    })
}

/// What a query that found no row means; every other error stays what it is.
fn or_refused(fault: Fault) -> impl FnOnce(rusqlite::Error) -> JobError {
    move |error| match error {
        rusqlite::Error::QueryReturnedNoRows => JobError::Refused(fault),
        error => JobError::Sqlite(error),
    }
}

fn is_not_unique(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::SqliteFailure(
            ffi::Error {
                code: ErrorCode::ConstraintViolation,
                extended_code: ffi::SQLITE_CONSTRAINT_UNIQUE,
            },
            _,
        )
    )
}
