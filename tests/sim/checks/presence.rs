//! Who is present, at whichever server: bounds for each answer while clients come and go, and exactly who it is when everything rests.
//!
//! A poll or stream that is known to be parked counts from then on, and for ten seconds more, whatever ends it. Nobody counts for longer
//! than ten seconds (and a little) after their last has gone.

use std::collections::{BTreeMap, BTreeSet};

use loiter::model::UserId;
use serde_json::Value;

use super::{Verdict, demand};
use crate::answer::Answer;
use crate::ask::{Ask, Several, Which};
use crate::ledger::Begun;
use crate::line::{Asked, Came, Line};
use crate::request::Shape;
use crate::world::World;

/// A client between two polls is present for so long.
const LATELY_MS: u64 = 10_000;
/// Time goes in steps.
const STEPS_MS: u64 = 256;
/// Turns within which a question is answered where everything rests, each of all servers.
const TURNS_MAX: u32 = 100;

/// Somebody, and where they wait: in one chatroom, or in all that they are in.
type Waits = (UserId, Option<usize>);

/// When polls and streams were seen, by any server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Parked, for certain, and at which server.
    parked_ms: BTreeMap<(usize, Waits), u64>,
    /// Answered, or lost with their connections.
    gone_ms: BTreeMap<Waits, u64>,
}

impl World {
    fn waits(&self, asked: &Asked) -> Vec<Waits> {
        let Some(user) = self.user_of(asked) else {
            return Vec::new();
        };
        let chatrooms = match &asked.ask {
            Ask::Several(Several {
                which: Which::All, ..
            }) => return vec![(user, None)],
            Ask::Stream(stream) => vec![stream.chatroom],
            _ => self.polled(asked),
        };
        let waits = chatrooms.into_iter().map(|chatroom| (user, Some(chatroom)));
        waits.collect()
    }

    /// Everything rests: what is held is parked.
    pub(crate) fn note_parked(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let here = self.here;
        for wait in self.waiting(|line, asked| line.is_held() && asked.parked.is_some()) {
            self.seen.parked_ms.insert((here, wait), now_ms);
        }
    }

    /// The server that has its turn knows of nobody any more.
    pub(crate) fn forget_parked(&mut self) {
        let here = self.here;
        self.seen.parked_ms.retain(|(at, _), _| *at != here);
    }

    /// A request is over.
    pub(crate) fn note_gone(&mut self, asked: &Asked) {
        if asked.begun.is_some() {
            for wait in self.waits(asked) {
                self.seen.gone_ms.insert(wait, self.now.monotonic_ms);
            }
        }
    }

    fn waiting_anywhere(
        &mut self,
        is_meant: impl Fn(&Line, &Asked) -> bool + Copy,
    ) -> BTreeSet<Waits> {
        let waiting = self.at_each(|world| world.waiting(is_meant));
        waiting.into_iter().flatten().collect()
    }

    fn waiting(&self, is_meant: impl Fn(&Line, &Asked) -> bool) -> BTreeSet<Waits> {
        let lines = self.lines.values();
        let asked = lines.flat_map(|line| line.asked.iter().map(move |asked| (line, asked)));
        let meant = asked.filter(|(line, asked)| is_meant(line, asked));
        meant.flat_map(|(_, asked)| self.waits(asked)).collect()
    }

    pub(super) fn judge_presence(
        &mut self,
        body: &Value,
        (chatroom, asker): (usize, UserId),
        begun: Begun,
    ) -> Verdict {
        let told = ids(body)?;
        let rooms = self.store.chronicle.rooms(chatroom, begun.committed);
        let is_in_order = |participants: &[UserId]| {
            let mut participants = participants.iter();
            told.iter().all(|id| participants.any(|other| other == id))
        };
        let was_so = rooms.iter().any(|room| is_in_order(&room.participants));
        demand(was_so, "others than participants, or in another order")?;
        let now_ms = self.now.monotonic_ms;
        let was_in = |user: &UserId| rooms.iter().all(|room| room.participants.contains(user));
        // Who has been put out is told of nobody by the others.
        let may_lack = self.may_lack(begun) || !was_in(&asker);
        for (&(server, (user, at)), &parked_ms) in &self.seen.parked_ms {
            let is_here = at.is_none_or(|at| at == chatroom) && now_ms <= parked_ms + LATELY_MS;
            let may_be_missing = may_lack && server != self.here;
            demand(
                !is_here || !was_in(&user) || may_be_missing || told.contains(&user),
                &format!("user {user} is missing, who is at server {server}"),
            )?;
        }
        let under_way = self.waiting_anywhere(|_, asked| asked.begun.is_some());
        for user in told {
            let waits = [(user, Some(chatroom)), (user, None)];
            let may_be_here = waits
                .iter()
                .any(|wait| under_way.contains(wait) || self.was_here(wait, begun.now_ms));
            demand(may_be_here, &format!("user {user} has long been gone"))?;
        }
        Ok(())
    }

    /// Whether somebody may have been there in the ten seconds before.
    fn was_here(&self, wait: &Waits, now_ms: u64) -> bool {
        let gone_ms = self.seen.gone_ms.get(wait);
        gone_ms.is_some_and(|gone_ms| now_ms <= gone_ms + LATELY_MS + STEPS_MS)
    }

    /// Everything has rested for longer than who has gone counts: whoever has something parked is present at every loop, and nobody
    /// else.
    pub(crate) fn check_presence(&mut self) {
        self.trace.note(format_args!("who is present?"));
        for chatroom in 1..=self.store.data.chatrooms.len() {
            let homes = match self.cluster {
                None => 0..self.loops.len(),
                // It takes them long to ask one another, and each asks for all of its loops.
                Some(_) => {
                    let home = self.rng.usize(..self.loops.len());
                    home..home + 1
                }
            };
            for home in homes {
                self.check_present(home, chatroom);
            }
        }
    }

    fn check_present(&mut self, home: usize, chatroom: usize) {
        let is_parked = |line: &Line, asked: &Asked| line.is_held() && asked.begun.is_some();
        let now_ms = self.now.monotonic_ms;
        let before = self.waiting_anywhere(is_parked);
        let Some(told) = self.ask_presence(home, chatroom) else {
            return;
        };
        // Meanwhile somebody's time may be over.
        let parked = self.waiting_anywhere(is_parked);
        let is_any = |user: UserId, is: &dyn Fn(&Waits) -> bool| {
            is(&(user, Some(chatroom))) || is(&(user, None))
        };
        let participants = self.store.data.chatrooms[chatroom - 1].participants.clone();
        for user in participants {
            let is_parked = is_any(user, &|wait| parked.contains(wait) && before.contains(wait));
            // Whose own time was over when this began may count yet, or not.
            let may_count = is_any(user, &|wait| {
                before.contains(wait) || self.was_here(wait, now_ms)
            });
            let is_so = told.contains(&user) == is_parked || !is_parked && may_count;
            let what = format!("{told:?} are told to be in {chatroom}, of {parked:?}");
            self.demand(is_so, &what);
        }
    }

    /// A participant asks, with a new session; nobody does where there is none.
    fn ask_presence(&mut self, home: usize, chatroom: usize) -> Option<Vec<UserId>> {
        let user = *self.store.data.chatrooms[chatroom - 1]
            .participants
            .first()?;
        let token = format!("asks-{}", self.lines_made);
        self.store.data.add_session(user, self.now, &token);
        let answer = self.ask_calmly(home, Ask::Presence { chatroom }, token);
        Some(ids(&answer.body).expect("200"))
    }

    /// Asks where everything rests, on a connection of its own, and waits for the answer.
    pub(super) fn ask_calmly(&mut self, home: usize, ask: Ask, token: String) -> Answer {
        self.lines_made += 1;
        let id = self.lines_made;
        self.lines.insert(id, Line::new(home, usize::MAX));
        self.write_as(id, ask, Shape::default(), Some(token));
        for turn in 1..=TURNS_MAX {
            match self.cluster {
                None => self.turn(true),
                Some(_) => self.calm_round(turn),
            }
            let line = self.lines.get_mut(&id).expect("it is being answered");
            if let Some((end, Came::Answer(_, answer))) = line.answers.pop_front() {
                line.read = end;
                line.has_fin = true;
                return answer;
            }
        }
        panic!("{}: nobody answers", self.trace.stamp());
    }
}

fn ids(users: &Value) -> Result<Vec<UserId>, String> {
    let users = users.as_array().ok_or("no array")?.iter();
    let ids = users.map(|user| user["userid"].as_i64().and_then(UserId::new));
    ids.collect::<Option<_>>().ok_or("no id".to_owned())
}
