//! Who is present: bounds for each answer while clients come and go, and exactly who it is when everything rests.
//!
//! A poll that is known to be parked counts from then on, and for ten seconds more, whatever ends it. Nobody counts for longer
//! than ten seconds (and a little) after the last poll of theirs has gone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ask::{Ask, Shape};
use crate::data::{chatroom_id, hash_of};
use crate::ledger::Begun;
use crate::line::{Asked, Line};
use crate::world::World;

/// A client between two polls is present for so long.
const LATELY_MS: u64 = 10_000;
/// Time goes in steps.
const STEPS_MS: u64 = 256;
/// Turns within which a question is answered where everything rests.
const TURNS_MAX: u32 = 100;

/// When polls were seen, by user and chatroom.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    /// Parked, for certain.
    parked_ms: BTreeMap<(i64, usize), u64>,
    /// Answered, or lost with their connections.
    gone_ms: BTreeMap<(i64, usize), u64>,
}

impl World {
    /// Whose poll this is, and where.
    fn poller(&self, asked: &Asked) -> Option<(i64, usize)> {
        let (Ask::Poll { chatroom } | Ask::Follow { chatroom, .. }) = asked.ask else {
            return None;
        };
        let hash = hash_of(asked.token.as_deref()?);
        let session = self.store.data.sessions.get(&hash.0)?;
        Some((session.user.get(), chatroom))
    }

    /// Everything rests: what is held is parked.
    pub(crate) fn note_parked_polls(&mut self) {
        let now_ms = self.now.monotonic_ms;
        for poll in self.pollers(|asked| asked.is_parked) {
            self.polls.parked_ms.insert(poll, now_ms);
        }
    }

    /// A request is over.
    pub(crate) fn note_gone_poll(&mut self, asked: &Asked) {
        if let Some(poll) = self.poller(asked) {
            self.polls.gone_ms.insert(poll, self.now.monotonic_ms);
        }
    }

    fn pollers(&self, is_meant: impl Fn(&Asked) -> bool) -> BTreeSet<(i64, usize)> {
        let asked = self.lines.values().flat_map(|line| &line.asked);
        let meant = asked.filter(|asked| is_meant(asked));
        meant.filter_map(|asked| self.poller(asked)).collect()
    }

    pub(crate) fn judge_presence(
        &self,
        body: &Value,
        chatroom: usize,
        begun: Begun,
    ) -> Result<(), String> {
        let told = ids(body)?;
        let stored = self.store.data.participants(chatroom_id(chatroom));
        let mut stored = stored.iter().map(|user| user.id.get());
        let is_ordered = told.iter().all(|id| stored.any(|stored| stored == *id));
        if !is_ordered {
            return Err("others than participants, or in another order".to_owned());
        }
        let now_ms = self.now.monotonic_ms;
        for (&(user, at), &parked_ms) in &self.polls.parked_ms {
            let counts = at == chatroom && now_ms <= parked_ms + LATELY_MS;
            if counts && !told.contains(&user) {
                return Err(format!("{user} is missing"));
            }
        }
        let under_way = self.pollers(|asked| asked.begun.is_some());
        for user in told {
            let gone_ms = self.polls.gone_ms.get(&(user, chatroom));
            let is_lately =
                gone_ms.is_some_and(|gone_ms| begun.now_ms <= gone_ms + LATELY_MS + STEPS_MS);
            if !is_lately && !under_way.contains(&(user, chatroom)) {
                return Err(format!("{user} has long been gone"));
            }
        }
        Ok(())
    }

    /// Everything has rested for longer than a poll that has gone counts: whoever has one parked is present, and nobody else.
    pub(crate) fn check_presence(&mut self) {
        self.trace.note(format_args!("who is present?"));
        let parked = self.pollers(|asked| asked.begun.is_some());
        for chatroom in 1..=self.store.data.chatrooms.len() {
            let stored = self.store.data.participants(chatroom_id(chatroom));
            let stored = stored.iter().map(|user| user.id.get());
            let present: Vec<i64> = stored
                .filter(|&user| parked.contains(&(user, chatroom)))
                .collect();
            for home in 0..self.loops.len() {
                let told = self.ask_presence(home, chatroom);
                let what = format!("{told:?} are present in {chatroom}, not {present:?}");
                self.demand(told == present, &what);
            }
        }
    }

    /// The admin asks, with a new session.
    fn ask_presence(&mut self, home: usize, chatroom: usize) -> Vec<i64> {
        let admin = self.store.data.chatrooms[chatroom - 1].admin;
        let token = format!("asks-{}", self.lines_made);
        self.store.data.add_session(admin, self.now, &token);
        self.lines_made += 1;
        let id = self.lines_made;
        self.lines.insert(id, Line::new(home, usize::MAX));
        let ask = Ask::Presence { chatroom };
        self.write_as(id, ask, Shape::default(), Some(token));
        for _ in 0..TURNS_MAX {
            self.turn(true);
            let line = self.lines.get_mut(&id).expect("it is being answered");
            if let Some((end, Some((_, answer)))) = line.answers.pop_front() {
                line.read = end;
                line.has_fin = true;
                return ids(&answer.body).expect("200");
            }
        }
        self.demand(false, "nobody says who is present");
        unreachable!("just demanded")
    }
}

fn ids(users: &Value) -> Result<Vec<i64>, String> {
    let users = users.as_array().ok_or("no array")?.iter();
    Ok(users.filter_map(|user| user["userid"].as_i64()).collect())
}
