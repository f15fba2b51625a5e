//! How servers ask one another by way of the database.
//!
//! A question is a row among the [changes](super::changes), and each answer a row of its own, for the server that asked. Who is asked are the
//! servers that have lately said that they are there; one that stands still, or died, is waited for as long as it has said that it would be
//! there, and one that has said that it is gone no longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::error::Error;
use super::hearing::Hearing;
use super::number::Number;
use super::{rows, sql};
use crate::job::{Completion, QuestionId, ServerAnswer, ServerQuestion};
use crate::model::{Ticket, UserId};
use crate::store::job_error::JobError;
use crate::store::others::{Change, Questions};

/// A parameter and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

const WHO_IS_PRESENT: &str = "who_is_present";
const END_POLLS: &str = "end_polls";
const HAVE_HEARD: &str = "have_heard";

/// A server among those that share a database.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) number: Arc<Number>,
    pub(super) hearing: Arc<Hearing>,
    /// What it has asked.
    pub(super) questions: Arc<Questions>,
}

/// What the writing lane does of questions and answers in one transaction.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    member: &'a Member,
    /// Questions that were asked.
    asked: Vec<i64>,
    /// The servers that were answered.
    pub(super) answered: Vec<i64>,
}

impl Member {
    /// The number that it has.
    pub(super) fn number(&self) -> i64 {
        self.number.get()
    }

    /// In milliseconds: how long this server is there after it has said so.
    pub(super) fn lease_ms(&self) -> i64 {
        i64::try_from(self.questions.lease().as_millis()).unwrap_or(i64::MAX)
    }

    /// Says to all others that this server is there; returns whether it has another number than when it last said so.
    pub(super) fn say_here(&self, client: &mut Client) -> Result<bool, Error> {
        let former = self.number.unsaid();
        let here: &[Parameter<'_>] =
            &[(&self.number(), Type::INT8), (&self.lease_ms(), Type::INT8)];
        client.execute_typed(sql::servers::SAY_HERE, here)?;
        // Behind that: somebody is there all the time.
        for number in &former {
            client.execute_typed(sql::servers::SAY_GONE, &[(number, Type::INT8)])?;
        }
        self.number.said(&former);
        Ok(!former.is_empty())
    }

    /// … that it is no longer: behind all that it has answered.
    pub(super) fn say_gone(&self, client: &mut Client) -> Result<(), JobError> {
        client.execute_typed(sql::servers::SAY_GONE, &[(&self.number(), Type::INT8)])?;
        Ok(())
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> Asking<'_> {
        Asking {
            member: self,
            asked: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// Takes the answers that are there, and tells of the questions that all have answered. Who has gone meanwhile is waited for no longer, where
    /// that is looked for.
    pub(super) fn take_answers(
        &self,
        client: &mut Client,
        looks_for_gone: bool,
    ) -> Result<Vec<Completion>, JobError> {
        // Before their answers, which were all there when they went.
        let gone = match looks_for_gone {
            true => self.gone(client)?,
            false => Vec::new(),
        };
        let found =
            client.query_typed(sql::servers::TAKE_ANSWERS, &[(&self.number(), Type::INT8)])?;
        let mut told = Vec::new();
        for row in &found {
            let users: Vec<i64> = row.try_get(2)?;
            let present = users.into_iter().map(UserId::new).collect::<Option<_>>();
            let ended: i64 = row.try_get(3)?;
            let answer = ServerAnswer {
                present: present.ok_or_else(|| rows::bad_number(row, 2))?,
                ended: u32::try_from(ended).map_err(|_| rows::bad_number(row, 3))?,
                has_failed: row.try_get(4)?,
            };
            let (question, server) = (row.try_get(0)?, row.try_get(1)?);
            told.extend(self.questions.answered(question, server, answer));
        }
        told.extend(self.questions.gone(&gone));
        Ok(told)
    }

    /// The servers among those that are waited for that have said that they are gone.
    fn gone(&self, client: &mut Client) -> Result<Vec<i64>, JobError> {
        let awaited = self.questions.awaited();
        let gone = client.query_typed(sql::servers::GONE, &[(&awaited, Type::INT8_ARRAY)])?;
        let gone = gone.iter().map(|row| row.try_get(0));
        Ok(gone.collect::<Result<_, _>>()?)
    }
}

impl Asking<'_> {
    /// Asks all others, within the transaction that is open. It waits for answers from now on: they may come as soon as it is committed.
    /// Where there are no others, that is the answer.
    pub(super) fn ask(
        &mut self,
        client: &mut Client,
        ticket: Ticket,
        question: ServerQuestion,
    ) -> Result<Option<Completion>, JobError> {
        let (kind, chatroom, user, session) = match question {
            ServerQuestion::WhoIsPresent { chatroom, user } => {
                (WHO_IS_PRESENT, chatroom.get(), user.get(), Vec::new())
            }
            ServerQuestion::EndPolls { session, chatroom } => {
                (END_POLLS, chatroom.get(), 0, session.0.to_vec())
            }
            ServerQuestion::HaveHeard => (HAVE_HEARD, 0, 0, Vec::new()),
        };
        let asked: &[Parameter<'_>] = &[
            (&self.member.number(), Type::INT8),
            (&kind, Type::TEXT),
            (&chatroom, Type::INT8),
            (&user, Type::INT8),
            (&session, Type::BYTEA),
            (&self.member.lease_ms(), Type::INT8),
        ];
        let found = client.query_typed(sql::servers::ASK, asked)?;
        let Some(first) = found.first() else {
            return Ok(Some(Completion::ServersAnswered {
                ticket,
                answer: Ok(ServerAnswer::default()),
            }));
        };
        let number = first.try_get(0)?;
        let servers = found.iter().map(|row| {
            let lease_ms = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
            Ok((row.try_get(1)?, Duration::from_millis(lease_ms)))
        });
        let servers = servers.collect::<Result<_, JobError>>()?;
        let questions = &self.member.questions;
        questions.ask(number, ticket, servers, Instant::now());
        self.asked.push(number);
        Ok(None)
    }

    /// Answers another server, within the transaction that is open.
    pub(super) fn answer(
        &mut self,
        client: &mut Client,
        question: QuestionId,
        answer: &ServerAnswer,
    ) -> Result<(), JobError> {
        let present: Vec<i64> = answer.present.iter().map(|user| user.get()).collect();
        let row: &[Parameter<'_>] = &[
            (&question.number, Type::INT8),
            (&question.server, Type::INT8),
            (&self.member.number(), Type::INT8),
            (&present, Type::INT8_ARRAY),
            (&i64::from(answer.ended), Type::INT8),
            (&answer.has_failed, Type::BOOL),
        ];
        client.execute_typed(sql::servers::ANSWER, row)?;
        self.answered.push(question.server);
        Ok(())
    }

    /// The questions, by their numbers.
    pub(super) fn asked(&self) -> impl Iterator<Item = i64> {
        self.asked.iter().copied()
    }

    /// Whether anything was asked.
    pub(super) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The transaction is committed: who asked is told by the answers.
    pub(super) fn keep(mut self) {
        self.asked.clear();
    }
}

impl Drop for Asking<'_> {
    /// Where the transaction was not committed who asked is told so, and not by answers.
    fn drop(&mut self) {
        for &question in &self.asked {
            self.member.questions.take_back(question);
        }
    }
}

/// The question in a row of the changes of this kind; nothing where it is none.
pub(super) fn question(kind: &str, row: &tokio_postgres::Row) -> Result<Option<Change>, JobError> {
    let question = match kind {
        WHO_IS_PRESENT => ServerQuestion::WhoIsPresent {
            chatroom: rows::chatroom_id(row, 2)?,
            user: rows::user_id(row, 3)?,
        },
        END_POLLS => ServerQuestion::EndPolls {
            session: rows::session(row, 4)?,
            chatroom: rows::chatroom_id(row, 2)?,
        },
        HAVE_HEARD => ServerQuestion::HaveHeard,
        _ => return Ok(None),
    };
    let id = QuestionId {
        server: row.try_get(6)?,
        number: row.try_get(0)?,
    };
    Ok(Some(Change::Asked(id, question)))
}
