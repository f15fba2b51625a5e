//! What each write but a message's does to the database, within the transaction that is open.
//!
//! A write checks its own conditions before it changes anything. A chatroom that it is about is locked by then.

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::questions::Asking;
use super::{failures, rows, sql};
use crate::job::{AddedRow, ChatroomRow, Completion, Fault, Job, RemovedRow, Whom};
use crate::model::{ChatroomId, ChatroomName, SessionHash, User, UserId};
use crate::store::job_error::JobError;
use crate::store::write::{NewPassword, NewSession, NewUser, Raised, Write};

/// A parameter and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

impl Write {
    pub(super) fn apply_to(
        &mut self,
        client: &mut Client,
        now_unix_ms: i64,
        asking: &mut Asking<'_>,
    ) -> Result<Option<Completion>, JobError> {
        let mut on = Open {
            client,
            now_unix_ms,
        };
        match self {
            Self::Job(Job::AskServers { ticket, question }) => {
                asking.ask(on.client, *ticket, *question)
            }
            Self::Job(Job::AnswerServer { question, answer }) => {
                asking.answer(on.client, *question, answer)?;
                Ok(None)
            }
            Self::Job(job) => on.job(job),
            Self::User(new) => on.add_user(new).map(Some),
            Self::Session(new) => on.add_session(new).map(Some),
            Self::Password(new) => on.change_password(new).map(Some),
            Self::Failure(failure) => {
                failures::add(on.client, &failure.tried, failure.customer)?;
                Ok(Some(failure.completion.clone()))
            }
        }
    }
}

/// An open transaction.
struct Open<'a> {
    client: &'a mut Client,
    now_unix_ms: i64,
}

impl Open<'_> {
    fn job(&mut self, job: &Job) -> Result<Option<Completion>, JobError> {
        Ok(Some(match *job {
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
            } => Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed: Ok(self.remove_participant(chatroom, by, whom)?),
            },
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
                self.execute(sql::PROBE, &[])?;
                Completion::Probed {
                    ticket,
                    done: Ok(()),
                }
            }
            Job::TouchSessions { ref used } => {
                self.touch_sessions(used)?;
                return Ok(None);
            }
            Job::SaveMessage { .. } | Job::AskServers { .. } | Job::AnswerServer { .. } => {
                unreachable!("done before")
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

    fn execute(&mut self, statement: &str, with: &[Parameter<'_>]) -> Result<u64, JobError> {
        Ok(self.client.execute_typed(statement, with)?)
    }

    /// Whether the statement has a row.
    fn finds(&mut self, statement: &str, with: &[Parameter<'_>]) -> Result<bool, JobError> {
        Ok(self.client.query_typed_opt(statement, with)?.is_some())
    }

    fn add_user(&mut self, new: &NewUser) -> Result<Completion, JobError> {
        let row: &[Parameter<'_>] = &[
            (&&**new.name.shown(), Type::TEXT),
            (&&**new.name.folded(), Type::TEXT),
            (&new.password, Type::TEXT),
            (&self.now_unix_ms, Type::INT8),
        ];
        let added = self.client.query_typed_opt(sql::ADD_USER, row)?;
        let added = added.ok_or(JobError::Refused(Fault::UsernameTaken))?;
        Ok(Completion::Registered {
            ticket: new.ticket,
            user: Ok(User {
                id: rows::user_id(&added, 0)?,
                name: new.name.shown().clone(),
            }),
        })
    }

    fn add_session(&mut self, new: &NewSession) -> Result<Completion, JobError> {
        let now_unix_ms = self.now_unix_ms;
        let added = self.execute(
            sql::ADD_SESSION,
            &[
                (&&new.session.0[..], Type::BYTEA),
                (&new.user.id.get(), Type::INT8),
                (&now_unix_ms, Type::INT8),
                (&new.verified, Type::TEXT),
            ],
        )?;
        if added == 0 {
            return Err(JobError::Refused(Fault::BadCredentials));
        }
        if let Some(Raised { before, after }) = &new.raised {
            // Of two logins at once the other may have done so.
            self.execute(
                sql::RAISE_PASSWORD,
                &[
                    (&new.user.id.get(), Type::INT8),
                    (after, Type::TEXT),
                    (before, Type::TEXT),
                ],
            )?;
        }
        Ok(Completion::LoggedIn {
            ticket: new.ticket,
            login: Ok((new.user.clone(), new.token.clone())),
        })
    }

    fn change_password(&mut self, new: &NewPassword) -> Result<Completion, JobError> {
        let user = new.user.get();
        let changed = self.execute(
            sql::CHANGE_PASSWORD,
            &[
                (&user, Type::INT8),
                (&new.password, Type::TEXT),
                (&new.verified, Type::TEXT),
            ],
        )?;
        if changed == 0 {
            return Err(JobError::Refused(Fault::BadCredentials));
        }
        let others: &[Parameter<'_>] = &[(&user, Type::INT8), (&&new.session.0[..], Type::BYTEA)];
        let ended = (self.client).query_typed(sql::REMOVE_OTHER_SESSIONS, others)?;
        let ended = ended.iter().map(|row| rows::session(row, 0));
        let ended = ended.collect::<Result<_, _>>()?;
        Ok(new.ended(Some(ended), Ok(())))
    }

    fn remove_session(&mut self, session: SessionHash) -> Result<(), JobError> {
        match self.execute(sql::REMOVE_SESSION, &[(&&session.0[..], Type::BYTEA)])? {
            0 => Err(JobError::Refused(Fault::NoSession)),
            _ => Ok(()),
        }
    }

    fn touch_sessions(&mut self, used: &[(SessionHash, u64)]) -> Result<(), JobError> {
        let tokens: Vec<&[u8]> = used.iter().map(|(session, _)| &session.0[..]).collect();
        let times = used
            .iter()
            .map(|&(_, time)| i64::try_from(time).unwrap_or(i64::MAX));
        let times: Vec<i64> = times.collect();
        let used: &[Parameter<'_>] = &[(&tokens, Type::BYTEA_ARRAY), (&times, Type::INT8_ARRAY)];
        self.execute(sql::TOUCH_SESSIONS, used)?;
        Ok(())
    }

    fn add_participant(
        &mut self,
        chatroom: ChatroomId,
        admin: UserId,
        whom: &Whom,
    ) -> Result<AddedRow, JobError> {
        self.check_admin(chatroom, admin)?;
        let joined = self
            .user(whom)?
            .ok_or(JobError::Refused(Fault::NoSuchUser))?;
        self.participate(chatroom, joined)?;
        let which: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8)];
        let row = self.client.query_typed_one(sql::CHATROOM, which)?;
        Ok(AddedRow {
            joined,
            last: rows::message_id_if_any(&row, 2)?,
            chatroom: self.chatroom(chatroom)?,
        })
    }

    /// Who names themselves leaves; who names another must be the admin.
    fn remove_participant(
        &mut self,
        chatroom: ChatroomId,
        by: UserId,
        whom: &Whom,
    ) -> Result<RemovedRow, JobError> {
        let whom = self.user(whom)?;
        let user = if whom == Some(by) {
            self.check_leave(chatroom, by)?;
            by
        } else {
            self.check_admin(chatroom, by)?;
            whom.ok_or(JobError::Refused(Fault::NoSuchUser))?
        };
        let place: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8), (&user.get(), Type::INT8)];
        let left = self.execute(sql::REMOVE_PARTICIPANT, place)?;
        if left > 0 {
            self.count_participants(chatroom, -1)?;
        }
        Ok(RemovedRow {
            left: user,
            was_in_it: left > 0,
            chatroom: self.chatroom(chatroom)?,
        })
    }

    fn check_admin(&mut self, chatroom: ChatroomId, user: UserId) -> Result<(), JobError> {
        let place: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8), (&user.get(), Type::INT8)];
        match self.finds(sql::IS_ADMIN, place)? {
            true => Ok(()),
            false => Err(JobError::Refused(Fault::NotAdmin)),
        }
    }

    fn check_leave(&mut self, chatroom: ChatroomId, user: UserId) -> Result<(), JobError> {
        let place: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8), (&user.get(), Type::INT8)];
        let found = self
            .client
            .query_typed_opt(sql::STANDING_OF_PARTICIPANT, place)?;
        let standing = found.ok_or(JobError::Refused(Fault::NotAParticipant))?;
        let (is_admin, participants): (bool, i64) = (standing.try_get(0)?, standing.try_get(1)?);
        match is_admin && participants > 1 {
            true => Err(JobError::Refused(Fault::AdminMustStay)),
            false => Ok(()),
        }
    }

    fn rename_chatroom(
        &mut self,
        chatroom: ChatroomId,
        admin: UserId,
        name: &ChatroomName,
    ) -> Result<ChatroomRow, JobError> {
        let named: &[Parameter<'_>] = &[
            (&chatroom.get(), Type::INT8),
            (&admin.get(), Type::INT8),
            (&&**name.shown(), Type::TEXT),
        ];
        match self.execute(sql::RENAME_CHATROOM, named)? {
            0 => Err(JobError::Refused(Fault::NotAdmin)),
            _ => self.chatroom(chatroom),
        }
    }

    /// A chatroom that exists, as it is now.
    fn chatroom(&mut self, chatroom: ChatroomId) -> Result<ChatroomRow, JobError> {
        let which: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8)];
        let participants = self.client.query_typed(sql::PARTICIPANTS, which)?;
        let row = self.client.query_typed_one(sql::CHATROOM, which)?;
        let name: Option<&str> = row.try_get(1)?;
        let users = participants.iter().map(|row| rows::user(row, 0));
        Ok(ChatroomRow {
            admin: rows::user_id(&row, 0)?,
            name: name.map(Into::into),
            participants: users.collect::<Result<_, _>>()?,
        })
    }

    fn user(&mut self, whom: &Whom) -> Result<Option<UserId>, JobError> {
        let found = match whom {
            Whom::Id(user) => {
                (self.client).query_typed_opt(sql::USER_BY_ID, &[(&user.get(), Type::INT8)])?
            }
            Whom::Name(folded) => {
                (self.client).query_typed_opt(sql::USER_BY_NAME, &[(&&**folded, Type::TEXT)])?
            }
            Whom::Nobody => None,
        };
        found.map(|row| rows::user_id(&row, 0)).transpose()
    }

    fn add_chatroom(
        &mut self,
        admin: UserId,
        name: Option<&ChatroomName>,
    ) -> Result<ChatroomId, JobError> {
        let name = name.map(|name| &**name.shown());
        let row: &[Parameter<'_>] = &[
            (&admin.get(), Type::INT8),
            (&name, Type::TEXT),
            (&self.now_unix_ms, Type::INT8),
        ];
        let added = self.client.query_typed_one(sql::ADD_CHATROOM, row)?;
        let chatroom = rows::chatroom_id(&added, 0)?;
        self.participate(chatroom, admin)?;
        Ok(chatroom)
    }

    fn participate(&mut self, chatroom: ChatroomId, user: UserId) -> Result<(), JobError> {
        let place: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8), (&user.get(), Type::INT8)];
        if self.execute(sql::ADD_PARTICIPANT, place)? > 0 {
            self.count_participants(chatroom, 1)?;
        }
        Ok(())
    }

    fn count_participants(&mut self, chatroom: ChatroomId, joined: i64) -> Result<(), JobError> {
        let count: &[Parameter<'_>] = &[(&chatroom.get(), Type::INT8), (&joined, Type::INT8)];
        self.execute(sql::COUNT_PARTICIPANTS, count)?;
        Ok(())
    }
}
