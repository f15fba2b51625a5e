//! What servers ask one another: rows of questions and of answers, and who is there to be asked.
//!
//! A question is a row among the changes, told by each listener behind what was changed before (`listener`); each answer is a row of its own. Which
//! answers are waited for, and for how long, is decided by the server's own code (`store::others::Questions`). Answers are late, are lost, and come twice;
//! servers die or are cut off while they are asked or ask, and are waited for until their time is over. Whenever not all have answered that is counted
//! ([`World::unanswered`]): what one server cannot know without the others is demanded of an answer only where it is not.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fastrand::Rng;
use loiter::job::{Completion, QuestionId, ServerAnswer, ServerQuestion};
use loiter::model::Ticket;
use loiter::store::others::Questions;

use super::Cluster;
use super::late::ASK_EVERY_MS;
use super::listener::Listener;
use crate::data::hash_of;
use crate::store::hits;
use crate::world::World;

/// What simulated time counts from.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What a server waits for.
pub(super) struct Waiting(pub(super) Questions);

impl Default for Waiting {
    fn default() -> Self {
        Self(Questions::new(Duration::from_millis(ASK_EVERY_MS)))
    }
}

/// The database's tables of it, and what becomes of them.
pub(super) struct Asking {
    /// When each server has last said that it is there.
    here_ms: BTreeMap<i64, u64>,
    answers: Vec<Answer>,
    /// In percent of answers.
    lost: u32,
    late: u32,
    doubled: u32,
}

struct Answer {
    id: QuestionId,
    server: i64,
    answer: ServerAnswer,
    /// It is committed by then.
    seen_ms: u64,
}

impl Asking {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let percent = |rng: &mut Rng| [0, 0, 0, 10, 40][rng.usize(..5)];
        Self {
            here_ms: BTreeMap::new(),
            answers: Vec::new(),
            lost: percent(rng),
            late: percent(rng),
            doubled: percent(rng),
        }
    }

    /// Answers come from now on.
    pub(super) fn mend(&mut self) {
        (self.lost, self.late, self.doubled) = (0, 0, 0);
    }
}

fn instant(now_ms: u64) -> Instant {
    *BEGAN + Duration::from_millis(now_ms)
}

/// How long a server is there that has said so, and a question worth an answer.
pub(super) fn lease_ms() -> u64 {
    let lease = Waiting::default().0.lease();
    lease.as_millis() as u64
}

impl World {
    /// Says to the others that the server is there.
    pub(super) fn say_here(&mut self) {
        let (number, now_ms) = (self.listener().number, self.now.monotonic_ms);
        self.cluster().asking.here_ms.insert(number, now_ms);
    }

    /// … that it is no longer.
    pub(crate) fn say_gone(&mut self) {
        if self.cluster.is_some() {
            let number = self.listener().number;
            self.cluster().asking.here_ms.remove(&number);
        }
    }

    /// Whether a server could not look for so long that it does as if the database were away.
    pub(crate) fn note_deaf(&mut self) {
        if self.cluster.is_some() {
            let now_ms = self.now.monotonic_ms;
            self.store.lanes.is_deaf = self.listener().is_deaf(now_ms);
        }
    }

    /// Questions were committed.
    pub(super) fn ask_others(&mut self, asked: Vec<(Option<Ticket>, ServerQuestion)>) {
        let now_ms = self.now.monotonic_ms;
        let number = self.listener().number;
        for (ticket, question) in asked {
            let others = self.cluster().asking.here_ms.iter();
            let others: Vec<i64> = others
                .filter(|&(&other, &here_ms)| other != number && here_ms + lease_ms() > now_ms)
                .map(|(&other, _)| other)
                .collect();
            self.note_left_out(&others);
            if others.is_empty() {
                ticket
                    .into_iter()
                    .for_each(|ticket| self.store.tell_alone(ticket));
                continue;
            }
            self.tally.one(match question {
                ServerQuestion::WhoIsPresent { .. } => "servers asked who is present",
                ServerQuestion::EndPolls { .. } => "servers asked to end polls",
                ServerQuestion::HaveHeard => "servers asked whether they have heard",
            });
            let id = self.write_question(question);
            match ticket {
                Some(ticket) => {
                    let waiting = &self.listener().waiting.0;
                    let lease = Duration::from_millis(lease_ms());
                    let others = others.into_iter().map(|other| (other, lease)).collect();
                    waiting.ask(id, ticket, others, instant(now_ms));
                }
                // It was asked all the same.
                None => self.note_stray(question),
            }
        }
    }

    /// Who serves and is not asked has not said for too long that it is there.
    fn note_left_out(&mut self, asked: &[i64]) {
        for at in 0..self.servers() {
            let number = self.cluster().listeners[at].number;
            if at != self.here && !self.is_down(at) && !asked.contains(&number) {
                self.unanswered += 1;
            }
        }
    }

    /// What this question ends is told to nobody.
    pub(super) fn note_stray(&mut self, question: ServerQuestion) {
        let ServerQuestion::EndPolls { session, chatroom } = question else {
            return;
        };
        let is_its = |token: &&String| hash_of(token) == session;
        if let Some(token) = self.tokens.iter().find(is_its) {
            let of = (token.clone(), chatroom.get() as usize);
            self.endings.orphans.insert(of);
        }
    }

    /// Answers were committed. Returns who is answered.
    pub(super) fn answer_others(&mut self, answered: Vec<(QuestionId, ServerAnswer)>) -> Vec<i64> {
        let (server, now_ms) = (self.listener().number, self.now.monotonic_ms);
        let askers = answered.iter().map(|(id, _)| id.server).collect();
        for (id, answer) in answered {
            let Self {
                cluster,
                rng,
                tally,
                ..
            } = self;
            let asking = &mut cluster.as_mut().expect("there are several").asking;
            if hits(rng, asking.lost) {
                tally.one("answers of servers lost");
                continue;
            }
            let mut copies = 1;
            if hits(rng, asking.doubled) {
                tally.one("answers of servers doubled");
                copies = 2;
            }
            for _ in 0..copies {
                let late_ms = match hits(rng, asking.late) {
                    true => rng.u64(..4_000),
                    false => 0,
                };
                tally.add("answers of servers late", (late_ms > 0).into());
                asking.answers.push(Answer {
                    id,
                    server,
                    answer: answer.clone(),
                    seen_ms: now_ms + late_ms,
                });
            }
        }
        askers
    }

    /// Takes the answers that are there. What is told of them.
    pub(super) fn take_answers(&mut self) -> Vec<Completion> {
        let now_ms = self.now.monotonic_ms;
        let Cluster {
            asking, listeners, ..
        } = self.cluster.as_deref_mut().expect("there are several");
        let Listener {
            number, waiting, ..
        } = &listeners[self.here];
        let is_its = |answer: &mut Answer| answer.id.server == *number && answer.seen_ms <= now_ms;
        let found = asking.answers.extract_if(.., is_its);
        let told = found
            .filter_map(|found| (waiting.0).answered(found.id.number, found.server, found.answer));
        let told: Vec<_> = told.collect();
        for completion in &told {
            self.tally.one("questions that all servers answered");
            if let Completion::ServersAnswered {
                answer: Ok(answer), ..
            } = completion
            {
                let (ended, present) = (answer.ended.into(), answer.present.len() as u64);
                self.tally.add("polls that other servers ended", ended);
                self.tally.add("users present at other servers", present);
            }
        }
        told
    }

    /// Tells of the questions that are not waited for any longer.
    pub(super) fn expire_questions(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let mut over = self.listener().waiting.0.expire(instant(now_ms));
        if over.is_empty() {
            return;
        }
        // Of many they come in any order.
        over.sort_by_key(|completion| format!("{completion:?}"));
        self.tally
            .add("questions that not all servers answered", over.len() as u64);
        self.unanswered += over.len() as u64;
        self.note_all_stray();
        over.iter().for_each(|completion| self.post(completion));
    }

    /// Whoever has not been told of a question yet may do what it asks when nobody waits for that any more.
    pub(super) fn note_all_stray(&mut self) {
        let number = self.listener().number;
        let since_ms = self.now.monotonic_ms.saturating_sub(2 * lease_ms());
        let asked = self.cluster().telling.questions_of(number, since_ms);
        asked.into_iter().for_each(|asked| self.note_stray(asked));
    }

    /// A connection is lost on which answers were taken: some of these are there no more.
    pub(super) fn may_lose_answers(&mut self) {
        if self.rng.u8(..4) == 0 {
            let number = self.listener().number;
            let answers = &mut self.cluster().asking.answers;
            answers.retain(|answer| answer.id.server != number);
        }
    }

    /// What the loops are told of a question.
    pub(crate) fn note_answered_by_servers(&mut self, completion: &Completion) {
        if let Completion::ServersAnswered { answer, .. } = completion {
            let is_all = answer.as_ref().is_ok_and(|answer| !answer.has_failed);
            self.unanswered += u64::from(!is_all);
        }
    }
}
