//! What this server has asked the others, until they have answered.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::job::{Completion, Fault, ServerAnswer};
use crate::model::Ticket;

/// How many times each server says that it is there, before one that did not is taken for gone.
const SAID: u32 = 3;
/// … and how long it has at least.
const LEASE_MIN: Duration = Duration::from_secs(5);

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
    awaited: Vec<Awaited>,
    answer: ServerAnswer,
}

/// A server that is waited for.
#[derive(Debug)]
struct Awaited {
    server: i64,
    until: Instant,
}

impl Questions {
    /// Where servers say so often that they are there.
    pub fn new(ask_every: Duration) -> Self {
        Self {
            open: Mutex::default(),
            lease: ask_every.saturating_mul(SAID).max(LEASE_MIN),
        }
    }

    /// How long this server is there after it has said so, and for how long it waits for answers at least.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Waits for these servers' answers to a question, from now on. Each has so long as it says that it is there, since it may ask as seldom; and
    /// as long as this one, which may look for answers as seldom.
    pub fn ask(&self, number: i64, ticket: Ticket, servers: Vec<(i64, Duration)>, now: Instant) {
        let awaited = |(server, lease): (i64, Duration)| Awaited {
            server,
            until: now + lease.max(self.lease),
        };
        let open = Open {
            ticket,
            awaited: servers.into_iter().map(awaited).collect(),
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
        let mut awaited = open.awaited.iter();
        let place = awaited.position(|awaited| awaited.server == server)?;
        open.awaited.swap_remove(place);
        open.answer.add(answer);
        match open.awaited.is_empty() {
            true => questions.remove(&number).map(Open::completion),
            false => None,
        }
    }

    /// All servers that are waited for.
    pub fn awaited(&self) -> Vec<i64> {
        let questions = self.lock();
        let awaited = questions.values().flat_map(|open| &open.awaited);
        let mut servers: Vec<i64> = awaited.map(|awaited| awaited.server).collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    /// These servers will answer no more. Tells of the questions that nobody is waited for any longer.
    pub fn gone(&self, servers: &[i64]) -> Vec<Completion> {
        self.wait_only_for(|awaited| !servers.contains(&awaited.server))
    }

    /// Tells of the questions that nobody is waited for any longer.
    pub fn expire(&self, now: Instant) -> Vec<Completion> {
        self.wait_only_for(|awaited| now < awaited.until)
    }

    fn wait_only_for(&self, is_awaited: impl Fn(&Awaited) -> bool) -> Vec<Completion> {
        let mut questions = self.lock();
        let over = questions.extract_if(|_, open| {
            open.awaited.retain(&is_awaited);
            open.awaited.is_empty()
        });
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
        let servers = [7, 8].map(|server| (server, Duration::ZERO));
        questions.ask(5, Ticket::of_nobody(), servers.into(), now);
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
    fn each_server_is_waited_for_as_long_as_it_says_that_it_is_there() {
        let (questions, now) = asking();
        let servers = [(8, Duration::from_secs(60)), (9, Duration::from_secs(1))];
        questions.ask(6, Ticket::of_nobody(), servers.into(), now);
        assert_eq!(questions.awaited(), [7, 8, 9]);
        assert_eq!(questions.expire(now + questions.lease()).len(), 1);
        assert_eq!(questions.awaited(), [8]);
        assert!(questions.expire(now + Duration::from_secs(59)).is_empty());
        assert_eq!(questions.expire(now + Duration::from_secs(60)).len(), 1);
    }

    #[test]
    fn who_has_gone_is_not_waited_for() {
        let (questions, _) = asking();
        assert!(questions.gone(&[7, 9]).is_empty());
        questions.answered(5, 7, answer(1, 1));
        assert_eq!(told(questions.gone(&[8]).pop()).ended, 0);
        assert!(!questions.is_asking());
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
