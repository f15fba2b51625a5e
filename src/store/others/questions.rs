//! What this server has asked the others, until they have answered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::{Completion, Fault, ServerAnswer};
use crate::model::Ticket;

/// How many times each server says that it is there, before one that did not is taken for gone.
const SAID: u32 = 3;
/// … and how long it has at least.
const LEASE_MIN: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Questions {
    open: Mutex<HashMap<i64, Open>>,
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

impl Questions {
    /// Where servers say so often that they are there.
    pub fn new(ask_every: Duration) -> Self {
        Self {
            open: Mutex::default(),
            lease: ask_every.saturating_mul(SAID).max(LEASE_MIN),
        }
    }

    /// How long a server is there after it has said so, and for how long a question is worth answering.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Waits for these servers' answers to a question, from now on.
    pub fn ask(&self, number: i64, ticket: Ticket, servers: Vec<i64>, now: Instant) {
        let open = Open {
            ticket,
            awaited: servers,
            until: now + self.lease,
            answer: ServerAnswer::default(),
        };
        self.lock().insert(number, open);
    }

    /// A question was not asked after all.
    pub fn take_back(&self, number: i64) {
        self.lock().remove(&number);
    }

    /// Whether any waits for answers.
    pub fn is_asking(&self) -> bool {
        !self.lock().is_empty()
    }

    /// A server has answered: once each, and nobody else. Told is what all have said, when they have.
    pub fn answered(&self, number: i64, server: i64, answer: ServerAnswer) -> Option<Completion> {
        let mut questions = self.lock();
        let open = questions.get_mut(&number)?;
        let place = open.awaited.iter().position(|&awaited| awaited == server)?;
        open.awaited.swap_remove(place);
        open.answer.add(answer);
        match open.awaited.is_empty() {
            true => questions.remove(&number).map(Open::completion),
            false => None,
        }
    }

    /// Tells of the questions that nobody is waited for any longer.
    pub fn expire(&self, now: Instant) -> Vec<Completion> {
        let mut questions = self.lock();
        let over = questions.extract_if(|_, open| open.until <= now);
        over.map(|(_, open)| open.completion()).collect()
    }

    /// No answer is taken any more.
    pub fn give_up(&self) -> Vec<Completion> {
        let given_up = std::mem::take(&mut *self.lock());
        let failed = |open: Open| Completion::ServersAnswered {
            ticket: open.ticket,
            answer: Err(Fault::StorageFailed),
        };
        given_up.into_values().map(failed).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn completion(self) -> Completion {
        Completion::ServersAnswered {
            ticket: self.ticket,
            answer: Ok(self.answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

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

    fn asking() -> (Questions, Instant) {
        let (questions, now) = (Questions::new(Duration::from_secs(1)), Instant::now());
        questions.ask(5, Ticket::of_nobody(), vec![7, 8], now);
        assert!(questions.is_asking());
        (questions, now)
    }

    fn told(completion: Option<Completion>) -> ServerAnswer {
        match completion {
            Some(Completion::ServersAnswered { answer, .. }) => answer.expect("no fault"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_server_is_counted_once() {
        let (questions, _) = asking();
        for (server, number) in [(7, 5), (7, 5), (9, 5), (8, 6)] {
            let told = questions.answered(number, server, answer(1, 2));
            assert!(told.is_none(), "{told:?}");
        }
        let told = told(questions.answered(5, 8, answer(3, 1)));
        assert_eq!((told.ended, told.present), (3, vec![user(1), user(3)]));
        assert!(!questions.is_asking());
    }

    #[test]
    fn who_does_not_answer_is_waited_for_a_while() {
        let (questions, now) = asking();
        let almost = questions.lease() - Duration::from_millis(1);
        assert!(questions.expire(now + almost).is_empty());
        questions.answered(5, 8, answer(3, 1));
        let told = told(questions.expire(now + questions.lease()).pop());
        assert_eq!(told.ended, 1);
        assert!(questions.answered(5, 7, answer(1, 1)).is_none());
    }

    #[test]
    fn who_asks_is_told_once() {
        let (questions, _) = asking();
        questions.take_back(5);
        assert!(questions.give_up().is_empty());
        let (questions, _) = asking();
        assert_eq!(questions.give_up().len(), 1);
        assert!(questions.give_up().is_empty());
    }
}
