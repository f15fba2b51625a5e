//! What this server has asked the others, until they have answered.
//!
//! A question is a row among the [changes](super::changes), and each answer a row of its own, for the server that asked. Who is asked are the
//! servers that have lately said that they are there; one that stands still, or died, is waited for until that is no longer so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::types::{ToSql, Type};

use super::{rows, sql};
use crate::job::{Completion, Fault, QuestionId, ServerAnswer, ServerQuestion};
use crate::model::{Ticket, UserId};
use crate::store::job_error::JobError;

/// How many times each server says that it is there, before one that did not is taken for gone.
const SAID: u32 = 3;
/// … and how long it has at least.
const LEASE_MIN: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct Questions {
    open: Mutex<HashMap<i64, Open>>,
    /// The number that this server has.
    server: i64,
    /// How long after it has last said so a server is there.
    lease: Duration,
}

/// A question that waits for answers.
#[derive(Debug)]
struct Open {
    ticket: Ticket,
    awaited: Vec<i64>,
    until: Instant,
    answer: ServerAnswer,
}

/// What the writing lane does of questions and answers in one transaction.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    questions: &'a Questions,
    /// Questions that were asked.
    asked: Vec<i64>,
    /// The servers that were answered.
    pub(super) answered: Vec<i64>,
}

impl Questions {
    /// Of the server with this number, where servers say so often that they are there.
    pub(super) fn new(server: i64, ask_every: Duration) -> Self {
        Self {
            open: Mutex::default(),
            server,
            lease: ask_every.saturating_mul(SAID).max(LEASE_MIN),
        }
    }

    pub(super) fn server(&self) -> i64 {
        self.server
    }

    /// In milliseconds: how long a server is there after it has said so, and for how long a question is worth answering.
    pub(super) fn lease_ms(&self) -> f64 {
        self.lease.as_secs_f64() * 1000.0
    }

    /// Says to all others that this server is there.
    pub(super) fn say_here(&self, client: &mut Client) -> Result<(), postgres::Error> {
        client.execute_typed(sql::SAY_HERE, &[(&self.server, Type::INT8)])?;
        Ok(())
    }

    /// … that it is no longer.
    pub(super) fn say_gone(&self, client: &mut Client) -> Result<(), JobError> {
        client.execute_typed(sql::SAY_GONE, &[(&self.server, Type::INT8)])?;
        Ok(())
    }

    pub(super) fn begin(&self) -> Asking<'_> {
        Asking {
            questions: self,
            asked: Vec::new(),
            answered: Vec::new(),
        }
    }

    /// Whether any waits for answers.
    pub(super) fn is_asking(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Takes the answers that are there, and tells of the questions that all have answered.
    pub(super) fn take_answers(&self, client: &mut Client) -> Result<Vec<Completion>, JobError> {
        let found = client.query_typed(sql::TAKE_ANSWERS, &[(&self.server, Type::INT8)])?;
        let mut answers = Vec::with_capacity(found.len());
        for row in &found {
            let users: Vec<i64> = row.try_get(2)?;
            let present = users.into_iter().map(UserId::new).collect::<Option<_>>();
            let ended: i64 = row.try_get(3)?;
            let answer = ServerAnswer {
                present: present.ok_or(JobError::BadNumber)?,
                ended: u32::try_from(ended).map_err(|_| JobError::BadNumber)?,
                has_failed: row.try_get(4)?,
            };
            answers.push((row.try_get(0)?, row.try_get(1)?, answer));
        }
        let mut open = self.lock();
        let told = answers
            .into_iter()
            .filter_map(|(question, server, answer)| {
                let asked: &mut Open = open.get_mut(&question)?;
                asked.take(server, answer);
                match asked.awaited.is_empty() {
                    true => open.remove(&question).map(Open::completion),
                    false => None,
                }
            });
        Ok(told.collect())
    }

    /// Tells of the questions that nobody is waited for any longer.
    pub(super) fn expire(&self, now: Instant) -> Vec<Completion> {
        let mut open = self.lock();
        let over: Vec<i64> = (open.iter())
            .filter_map(|(&question, asked)| (asked.until <= now).then_some(question))
            .collect();
        let over = over.iter().filter_map(|question| open.remove(question));
        over.map(Open::completion).collect()
    }

    /// No answer is taken any more.
    pub(super) fn give_up(&self) -> Vec<Completion> {
        let given_up = self.lock().drain().map(|(_, asked)| asked).collect();
        let given_up: Vec<Open> = given_up;
        let failed = given_up
            .into_iter()
            .map(|asked| Completion::ServersAnswered {
                ticket: asked.ticket,
                answer: Err(Fault::StorageFailed),
            });
        failed.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn take(&mut self, server: i64, answer: ServerAnswer) {
        // Once from each, and from nobody else.
        if let Some(place) = self.awaited.iter().position(|&awaited| awaited == server) {
            self.awaited.swap_remove(place);
            self.answer.add(answer);
        }
    }

    fn completion(self) -> Completion {
        Completion::ServersAnswered {
            ticket: self.ticket,
            answer: Ok(self.answer),
        }
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
                (WHO_IS_PRESENT, chatroom, user.get(), Vec::new())
            }
            ServerQuestion::EndPolls { session, chatroom } => {
                (END_POLLS, chatroom, 0, session.0.to_vec())
            }
        };
        let questions = self.questions;
        let asked: &[(&(dyn ToSql + Sync), Type)] = &[
            (&questions.server, Type::INT8),
            (&questions.lease_ms(), Type::FLOAT8),
            (&kind, Type::TEXT),
            (&chatroom.get(), Type::INT8),
            (&user, Type::INT8),
            (&session, Type::BYTEA),
        ];
        let found = client.query_typed(sql::ASK, asked)?;
        let mut awaited = Vec::with_capacity(found.len());
        let mut number = None;
        for row in &found {
            number = Some(row.try_get(0)?);
            awaited.push(row.try_get(1)?);
        }
        let Some(number) = number else {
            return Ok(Some(Completion::ServersAnswered {
                ticket,
                answer: Ok(ServerAnswer::default()),
            }));
        };
        let open = Open {
            ticket,
            awaited,
            until: Instant::now() + questions.lease,
            answer: ServerAnswer::default(),
        };
        questions.lock().insert(number, open);
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
        let row: &[(&(dyn ToSql + Sync), Type)] = &[
            (&question.number, Type::INT8),
            (&question.server, Type::INT8),
            (&self.questions.server, Type::INT8),
            (&present, Type::INT8_ARRAY),
            (&i64::from(answer.ended), Type::INT8),
            (&answer.has_failed, Type::BOOL),
        ];
        client.execute_typed(sql::ANSWER, row)?;
        self.answered.push(question.server);
        Ok(())
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
        if self.asked.is_empty() {
            return;
        }
        let mut open = self.questions.lock();
        for question in &self.asked {
            open.remove(question);
        }
    }
}

const WHO_IS_PRESENT: &str = "who_is_present";
const END_POLLS: &str = "end_polls";

/// The question in a row of the changes; nothing where it is none.
pub(super) fn question(kind: &str, row: &postgres::Row) -> Result<Option<Completion>, JobError> {
    let question = match kind {
        WHO_IS_PRESENT => ServerQuestion::WhoIsPresent {
            chatroom: rows::chatroom_id(row, 2)?,
            user: rows::user_id(row, 3)?,
        },
        END_POLLS => ServerQuestion::EndPolls {
            session: rows::session(row, 4)?,
            chatroom: rows::chatroom_id(row, 2)?,
        },
        _ => return Ok(None),
    };
    let id = QuestionId {
        server: row.try_get(6)?,
        number: row.try_get(0)?,
    };
    Ok(Some(Completion::ServerAsks { id, question }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: i64) -> UserId {
        UserId::new(id).expect("positive")
    }

    fn answer(present: i64, ended: u32) -> ServerAnswer {
        ServerAnswer {
            present: vec![user(present)],
            ended,
            has_failed: false,
        }
    }

    fn open() -> Open {
        Open {
            ticket: Ticket::of_nobody(),
            awaited: vec![7, 8],
            until: Instant::now(),
            answer: ServerAnswer::default(),
        }
    }

    #[test]
    fn each_server_is_counted_once() {
        let mut asked = open();
        asked.take(7, answer(1, 2));
        asked.take(7, answer(1, 2));
        asked.take(9, answer(5, 5));
        assert_eq!(asked.awaited, [8]);
        asked.take(8, answer(3, 1));
        assert_eq!(asked.answer.ended, 3);
        assert_eq!(asked.answer.present, [user(1), user(3)]);
    }

    #[test]
    fn who_does_not_answer_is_waited_for_a_while_and_who_asks_is_told_once() {
        let questions = Questions::new(1, Duration::from_secs(1));
        questions.lock().insert(5, open());
        assert!(questions.is_asking());
        assert_eq!(questions.expire(Instant::now()).len(), 1);
        assert!(!questions.is_asking());
        questions.lock().insert(5, open());
        let mut asking = questions.begin();
        asking.asked.push(5);
        drop(asking);
        assert!(questions.give_up().is_empty());
    }
}
