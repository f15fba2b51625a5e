//! A server's thread that asks for what others have written, and hears hints: step by step, so that anything may happen between two.
//!
//! What it decides is decided by the server's own code (`store::others`); here is the order in which it asks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use loiter::job::{Completion, Saved};
use loiter::model::{ChatroomId, Message};
use loiter::store::others::{FETCHED_MAX, Fetched, Hinted, Missing, Rounds, Seen, Written};

use super::Cluster;
use super::asking::Waiting;
use super::late::{ASK_EVERY_MS, HINTED_MS, LATE_MS, ROUND_MS, WAIT_MS};
use super::told::Heard;
use crate::store::hits;
use crate::world::World;

/// Chatrooms that are asked for at once: fewer than there are.
const SLICE: usize = 2;

/// It does as if the database were away when it could not look for so long.
const DEAF_MS: u64 = 5_000;
/// Between two attempts to connect.
const PAUSE_MS: u64 = 2_000;

pub(super) struct Listener {
    /// By which the others know it.
    pub(super) number: i64,
    pub(super) seen: Seen,
    /// When it has last looked for changes.
    looked_ms: u64,
    written: Written,
    /// When it has last looked at that.
    asked_ms: u64,
    rounds: Rounds,
    hinted: Hinted,
    /// The same, until it has been followed up.
    pub(super) heard: Heard,
    ask_at_ms: u64,
    /// When it looks at the latest what has been said meanwhile.
    waits_ms: u64,
    todo: VecDeque<Errand>,
    /// When what is to be done was begun.
    begun_ms: u64,
    /// Its connection is lost until then.
    cut_until_ms: u64,
    /// What other servers ask, until the loops are told.
    questions: Vec<Completion>,
    /// What it has asked them.
    pub(super) waiting: Waiting,
    /// Messages of this server that its loops have been told of: that is yet to be noted.
    unsettled: VecDeque<(ChatroomId, i64)>,
    /// What the loops must have been told by when: chatroom, message, time.
    promises: Vec<(i64, i64, u64)>,
    overdue: BTreeMap<i64, i64>,
}

#[derive(Debug)]
enum Errand {
    /// For all that was changed lately, or only for the newest of it.
    Look(bool),
    Tell(Vec<Completion>),
    SayHere,
    Written,
    Ask,
    FollowUp(Hinted),
    Fetch(Missing),
    TellFetched(Missing, Fetched),
    NoteTold(Missing, Fetched),
    TellQuestions,
    TakeAnswers,
}

impl Errand {
    /// Whether the database is asked for it.
    fn asks(&self) -> bool {
        match self {
            Self::Look(_)
            | Self::SayHere
            | Self::Written
            | Self::Ask
            | Self::FollowUp(_)
            | Self::Fetch(_)
            | Self::TakeAnswers => true,
            Self::Tell(_) | Self::TellFetched(..) | Self::NoteTold(..) | Self::TellQuestions => {
                false
            }
        }
    }
}

impl Listener {
    pub(super) fn new(number: i64, now_ms: u64) -> Self {
        Self {
            number,
            ask_at_ms: now_ms,
            looked_ms: now_ms,
            asked_ms: now_ms,
            seen: Seen::default(),
            written: Written::default(),
            rounds: Rounds::new(SLICE),
            hinted: Hinted::default(),
            heard: Heard::default(),
            waits_ms: 0,
            todo: VecDeque::new(),
            begun_ms: 0,
            cut_until_ms: 0,
            questions: Vec::new(),
            waiting: Waiting::default(),
            unsettled: VecDeque::new(),
            promises: Vec::new(),
            overdue: BTreeMap::new(),
        }
    }

    pub(super) fn promise(&mut self, chatroom: i64, id: i64, due_ms: u64) {
        let due_ms = due_ms.max(self.cut_until_ms + LATE_MS);
        self.promises.push((chatroom, id, due_ms));
    }

    /// Until when its connection was lost last; 0 where it never was.
    pub(super) fn cut_until_ms(&self) -> u64 {
        self.cut_until_ms
    }

    /// Up to which message the loops must have been told of a chatroom.
    pub(super) fn overdue(&self, chatroom: i64) -> i64 {
        self.overdue.get(&chatroom).copied().unwrap_or_default()
    }

    /// Whether something is overdue from now on.
    fn note_time(&mut self, now_ms: u64) -> bool {
        let mut is_any = false;
        for (chatroom, id, _) in self.promises.extract_if(.., |promise| promise.2 < now_ms) {
            let overdue = self.overdue.entry(chatroom).or_default();
            *overdue = id.max(*overdue);
            is_any = true;
        }
        is_any
    }

    /// A hint comes. What is written to chatrooms is told soon.
    pub(super) fn hear(&mut self, text: &str, now_ms: u64) {
        if now_ms < self.cut_until_ms {
            return;
        }
        self.hinted.take(text, self.number);
        let mut only = Hinted::default();
        only.take(text, self.number);
        for (chatroom, last) in only.chatrooms {
            self.heard.note(chatroom, last);
            self.promises.push((chatroom, last, now_ms + HINTED_MS));
        }
    }

    /// The connection is lost; what was asked is lost too.
    pub(super) fn cut(&mut self, until_ms: u64) {
        // What was answered is told all the same.
        self.hinted = Hinted::default();
        self.heard = Heard::default();
        self.written = Written::default();
        self.rounds = Rounds::new(SLICE);
        self.cut_until_ms = until_ms;
        self.ask_at_ms = until_ms;
        for promise in &mut self.promises {
            promise.2 = promise.2.max(until_ms + LATE_MS);
        }
    }

    /// Something is to be done by then, at the latest.
    pub(super) fn next_ms(&self) -> u64 {
        match self.todo.is_empty() {
            true => self.ask_at_ms.min(self.waits_ms),
            false => self.begun_ms + ROUND_MS,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.todo.is_empty() && self.unsettled.is_empty() && !has_said(&self.hinted)
    }

    /// Whether it could not look for so long that what is remembered may not hold.
    pub(super) fn is_deaf(&self, now_ms: u64) -> bool {
        now_ms > self.looked_ms + DEAF_MS
    }

    fn is_cut(&self, now_ms: u64) -> bool {
        now_ms < self.cut_until_ms
    }
}

fn has_said(hinted: &Hinted) -> bool {
    !hinted.chatrooms.is_empty() || hinted.is_changed || hinted.is_answered
}

impl World {
    /// The server's own message was posted to its loops.
    pub(crate) fn note_own(&mut self, completion: &Completion) {
        if self.cluster.is_some()
            && let Completion::MessageSaved {
                chatroom,
                saved: Ok(Saved::New(message)),
                ..
            } = completion
        {
            let own = (*chatroom, message.id.get());
            self.listener().unsettled.push_back(own);
        }
    }

    /// Some of what the listener has to do is done; all of it where it is `calm`.
    pub(crate) fn step_listener(&mut self, calm: bool) {
        if self.cluster.is_none() {
            return;
        }
        while calm || self.rng.u8(..3) > 0 {
            let settles = !self.listener().unsettled.is_empty() && (calm || self.rng.bool());
            if settles {
                self.settle_own();
            } else if !self.step_errand() {
                return;
            }
        }
    }

    /// Does all that is to be done by now.
    pub(super) fn finish_errands(&mut self) {
        while self.step_errand() {}
    }

    fn settle_own(&mut self) {
        let own = self.listener().unsettled.pop_front();
        let (chatroom, id) = own.expect("looked at");
        let followed = self.store.lanes.followed.as_ref();
        followed.expect("it is shared").told(chatroom, id, id);
        self.check_told();
    }

    /// Whether there was something to do.
    fn step_errand(&mut self) -> bool {
        let now_ms = self.now.monotonic_ms;
        let listener = self.listener();
        let asks = |errand: &Errand| errand.asks();
        if listener.is_cut(now_ms) && listener.todo.front().is_none_or(asks) {
            // What was asked and not told yet nobody tells any more.
            listener.todo.clear();
            listener.questions.clear();
            listener.waits_ms = now_ms + PAUSE_MS;
            self.expire_questions();
            return false;
        }
        if self.listener().todo.is_empty() {
            self.check_followed_up();
            if !self.begin_round() {
                return false;
            }
        }
        let errand = self.listener().todo.pop_front().expect("looked at");
        let here = self.here;
        self.trace.note(format_args!("listener {here} {errand:?}"));
        match errand {
            Errand::Look(is_all) => {
                let told = self.look(is_all);
                let is_question = |told: &Completion| matches!(told, Completion::ServerAsks { .. });
                let (asked, changed) = told.into_iter().partition(is_question);
                self.listener().questions = asked;
                self.do_next(Errand::Tell(changed));
            }
            Errand::SayHere => self.say_here(),
            Errand::TellQuestions => {
                for question in std::mem::take(&mut self.listener().questions) {
                    self.tally.one("questions heard of");
                    self.post(&question);
                }
            }
            Errand::TakeAnswers => {
                for completion in self.take_answers() {
                    self.post(&completion);
                }
            }
            Errand::Tell(told) => {
                for completion in told {
                    self.note_change_told(&completion);
                    self.tally.one("changes heard of");
                    self.post(&completion);
                }
            }
            Errand::Written => {
                let said = self.look_at_written();
                self.do_next(Errand::FollowUp(said));
            }
            Errand::Ask => {
                if let Some(behind) = self.ask_for_some() {
                    self.do_next(Errand::FollowUp(behind));
                }
            }
            Errand::FollowUp(hinted) => {
                let followed = self.store.lanes.followed.as_ref();
                let missing = Missing::of(followed.expect("it is shared"), &hinted);
                self.do_next(Errand::Fetch(missing));
            }
            Errand::Fetch(missing) if missing.is_empty() => {}
            Errand::Fetch(missing) => {
                let fetched = Fetched::of(self.news_of(&missing));
                self.do_next(Errand::TellFetched(missing, fetched));
            }
            Errand::TellFetched(missing, fetched) => {
                for completion in fetched.completions() {
                    self.tally.one("messages heard of");
                    self.post(&completion);
                }
                self.do_next(Errand::NoteTold(missing, fetched));
            }
            Errand::NoteTold(mut missing, fetched) => {
                let followed = self.store.lanes.followed.as_ref();
                missing.note_told(followed.expect("it is shared"), &fetched);
                self.check_told();
                self.do_next(Errand::Fetch(missing));
            }
        }
        true
    }

    fn look(&mut self, is_all: bool) -> Vec<Completion> {
        let now_ms = self.now.monotonic_ms;
        let listener = self.listener();
        let number = listener.number;
        if !is_all {
            let (rows, over) = self.rows_of_others(number, None);
            return match self.listener().seen.behind() {
                Some(_) => self.listener().seen.take_newest(rows, over),
                None => self.listener().seen.take(Duration::ZERO, rows, over),
            };
        }
        let away_ms = now_ms - std::mem::replace(&mut listener.looked_ms, now_ms);
        let away = Duration::from_millis(away_ms);
        let (rows, over) = self.rows_of_others(number, Some(away));
        self.listener().seen.take(away, rows, over)
    }

    fn do_next(&mut self, errand: Errand) {
        self.listener().todo.push_front(errand);
    }

    /// Begins the next round, if it is time or something was said.
    fn begin_round(&mut self) -> bool {
        self.expire_questions();
        let now_ms = self.now.monotonic_ms;
        let followed = self.store.lanes.followed.as_ref();
        let followed = followed.expect("it is shared");
        let due = followed.take_due();
        let here = self.here;
        let listeners = &mut self.cluster.as_mut().expect("there are several").listeners;
        let listener = &mut listeners[here];
        let asks = listener.rounds.are_due(followed);
        for (chatroom, last) in due {
            listener.hinted.note(chatroom.get(), last);
        }
        let hinted = std::mem::take(&mut listener.hinted);
        self.check_hinted(&hinted);
        let listener = self.listener();
        let is_time = listener.ask_at_ms <= now_ms;
        listener.waits_ms = now_ms + WAIT_MS;
        if !is_time && !asks && !has_said(&hinted) {
            return false;
        }
        listener.begun_ms = now_ms;
        if is_time || hinted.is_changed {
            listener.todo.push_back(Errand::Look(is_time));
        }
        if is_time {
            listener.ask_at_ms = now_ms + ASK_EVERY_MS;
            listener.todo.push_back(Errand::SayHere);
            listener.todo.push_back(Errand::Written);
        }
        listener.todo.push_back(Errand::Ask);
        let takes_answers = (is_time || hinted.is_answered) && listener.waiting.0.is_asking();
        // Before the answers: who asked for them gets what was written before.
        listener.todo.push_back(Errand::FollowUp(hinted));
        listener.todo.push_back(Errand::TellQuestions);
        if takes_answers {
            listener.todo.push_back(Errand::TakeAnswers);
        }
        true
    }

    fn look_at_written(&mut self) -> Hinted {
        let now_ms = self.now.monotonic_ms;
        let here = self.here;
        let cluster = self.cluster.as_mut().expect("there are several servers");
        let listener = &mut cluster.listeners[here];
        let away_ms = now_ms - std::mem::replace(&mut listener.asked_ms, now_ms);
        let away = Duration::from_millis(away_ms);
        let behind = listener.written.behind(away);
        let (found, now) = cluster.telling.written.look(&behind, listener.number);
        let (said, is_missed) = listener.written.take(found, Some(now), Some(0));
        listener.rounds.pass(away);
        if is_missed {
            let followed = self.store.lanes.followed.as_ref();
            listener.rounds.ask_for_all(followed.expect("it is shared"));
        }
        said
    }

    /// What is newer in some of the chatrooms that are held, if it is time to ask for them.
    fn ask_for_some(&mut self) -> Option<Hinted> {
        let followed = self.store.lanes.followed.as_ref();
        let followed = followed.expect("it is shared");
        let here = self.here;
        let listeners = &mut self.cluster.as_mut().expect("there are several").listeners;
        let rounds = &mut listeners[here].rounds;
        let (chatrooms, told) = (rounds.are_due(followed)).then(|| rounds.take(followed))?;
        self.tally.one("slices asked for");
        let mut behind = Hinted {
            is_certain: true,
            ..Hinted::default()
        };
        for (chatroom, told) in chatrooms.into_iter().zip(told) {
            let last = self.stored(chatroom as usize);
            if last > told {
                behind.chatrooms.insert(chatroom, last);
            }
        }
        Some(behind)
    }

    fn news_of(&self, missing: &Missing) -> Vec<Message> {
        let asked = missing.chatrooms().into_iter().zip(missing.told());
        let mut asked: Vec<(i64, i64)> = asked.collect();
        asked.sort_unstable();
        let mut found = Vec::new();
        for (chatroom, told) in asked {
            let of = ChatroomId::new(chatroom).expect("from 1");
            if let Some(room) = self.store.data.chatroom(of) {
                let kept = room.messages[room.expired..].iter();
                found.extend(kept.filter(|message| message.id.get() > told).cloned());
            }
        }
        found.truncate(FETCHED_MAX);
        found
    }

    /// Time passes: at each moment at which something is to be done by a listener it is done.
    pub(crate) fn pass_with_listeners(&mut self, passed_ms: u64) {
        let end_ms = self.now.monotonic_ms + passed_ms;
        let here = self.here;
        loop {
            let now_ms = self.now.monotonic_ms;
            let cluster = self.cluster();
            let mut next_ms = cluster.listeners.iter().map(Listener::next_ms).min();
            let hints = cluster.telling.hints.iter().map(|hint| hint.due_ms);
            next_ms = next_ms.into_iter().chain(hints).min();
            let next_ms = next_ms.unwrap_or(end_ms).max(now_ms + 1).min(end_ms);
            if now_ms >= end_ms {
                break;
            }
            self.now.monotonic_ms = next_ms;
            self.now.unix_ms += next_ms - now_ms;
            for at in 0..self.servers() {
                if !self.is_down(at) && self.cluster().listeners[at].note_time(next_ms) {
                    self.visit(at);
                    self.check_told_in_time();
                }
            }
            self.deliver_hints(false);
            for at in 0..self.servers() {
                if self.is_down(at) {
                    continue;
                }
                if self.cluster().listeners[at].next_ms() <= next_ms {
                    self.visit(at);
                    self.finish_errands();
                }
            }
        }
        self.visit(here);
    }

    /// Hints come whose time it is.
    pub(super) fn deliver_hints(&mut self, all: bool) {
        let now_ms = self.now.monotonic_ms;
        let Self { cluster, rng, .. } = self;
        let cluster = cluster.as_mut().expect("there are several servers");
        let Cluster {
            telling, listeners, ..
        } = &mut **cluster;
        let mut come: Vec<_> = (telling.hints)
            .extract_if(.., |hint| all || hint.due_ms <= now_ms)
            .collect();
        rng.shuffle(&mut come);
        for hint in come {
            listeners[hint.to].hear(&hint.text, now_ms);
        }
    }

    /// For how long some of them are still cut off.
    pub(super) fn cut_for_ms(&mut self) -> u64 {
        let now_ms = self.now.monotonic_ms;
        let listeners = self.cluster().listeners.iter();
        let cut_ms = listeners.map(|one| one.cut_until_ms.saturating_sub(now_ms));
        cut_ms.max().unwrap_or_default()
    }

    /// A listener may lose its connection.
    pub(super) fn may_be_cut(&mut self, percent: u32) {
        if hits(&mut self.rng, percent) {
            self.tally.one("listeners cut off");
            let now_ms = self.now.monotonic_ms;
            let longest_ms = [300, 3_000, 3_000, 40_000][self.rng.usize(..4)];
            let until_ms = now_ms + self.rng.u64(..longest_ms);
            self.listener().cut(until_ms);
            self.may_lose_answers();
        }
    }
}
