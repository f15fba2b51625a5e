//! Who is present: bounds for each answer while clients come and go, and exactly who it is when everything rests.
//!
//! A poll or stream that is known to be parked counts from then on, and for ten seconds more, whatever ends it. Nobody counts for longer
//! than ten seconds (and a little) after their last has gone.

use std::collections::{BTreeMap, BTreeSet};

use loiter::model::UserId;
use serde_json::Value;

use super::{Verdict, demand};
use crate::ask::{Ask, Several, Which};
use crate::ledger::Begun;
use crate::line::{Asked, Came, Line};
use crate::request::Shape;
use crate::world::World;

/// A client between two polls is present for so long.
const LATELY_MS: u64 = 10_000;
/// Time goes in steps.
const STEPS_MS: u64 = 256;
/// Turns within which a question is answered where everything rests.
const TURNS_MAX: u32 = 100;

/// Somebody, and where they wait: in one chatroom, or in all that they are in.
type Waits = (UserId, Option<usize>);

/// When polls and streams were seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Parked, for certain.
    parked_ms: BTreeMap<Waits, u64>,
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
        for wait in self.waiting(|line, asked| line.is_held() && asked.parked.is_some()) {
            self.seen.parked_ms.insert(wait, now_ms);
        }
    }

    /// A request is over.
    pub(crate) fn note_gone(&mut self, asked: &Asked) {
        if asked.begun.is_some() {
            for wait in self.waits(asked) {
                self.seen.gone_ms.insert(wait, self.now.monotonic_ms);
            }
        }
    }

    fn waiting(&self, is_meant: impl Fn(&Line, &Asked) -> bool) -> BTreeSet<Waits> {
        let lines = self.lines.values();
        let asked = lines.flat_map(|line| line.asked.iter().map(move |asked| (line, asked)));
        let meant = asked.filter(|(line, asked)| is_meant(line, asked));
        meant.flat_map(|(_, asked)| self.waits(asked)).collect()
    }

    pub(super) fn judge_presence(&self, body: &Value, chatroom: usize, begun: Begun) -> Verdict {
        let told = ids(body)?;
        let rooms = self.store.chronicle.rooms(chatroom, begun.committed);
        let is_in_order = |participants: &[UserId]| {
            let mut participants = participants.iter();
            told.iter().all(|id| participants.any(|other| other == id))
        };
        let was_so = rooms.iter().any(|room| is_in_order(&room.participants));
        demand(was_so, "others than participants, or in another order")?;
        let now_ms = self.now.monotonic_ms;
        for (&(user, at), &parked_ms) in &self.seen.parked_ms {
            let is_here = at.is_none_or(|at| at == chatroom) && now_ms <= parked_ms + LATELY_MS;
            let was_in = rooms.iter().all(|room| room.participants.contains(&user));
            demand(
                !is_here || !was_in || told.contains(&user),
                &format!("user {user} is missing"),
            )?;
        }
        let under_way = self.waiting(|_, asked| asked.begun.is_some());
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
        let now_ms = self.now.monotonic_ms;
        let parked = self.waiting(|line, asked| line.is_held() && asked.begun.is_some());
        for chatroom in 1..=self.store.data.chatrooms.len() {
            let participants = self.store.data.chatrooms[chatroom - 1].participants.clone();
            let is_any = |user: UserId, is: &dyn Fn(&Waits) -> bool| {
                is(&(user, Some(chatroom))) || is(&(user, None))
            };
            for home in 0..self.loops.len() {
                let Some(told) = self.ask_presence(home, chatroom) else {
                    continue;
                };
                for &user in &participants {
                    let is_parked = is_any(user, &|wait| parked.contains(wait));
                    // Whose own time was over when this began may count yet, or not.
                    let may_count = is_any(user, &|wait| self.was_here(wait, now_ms));
                    let is_so = told.contains(&user) == is_parked || !is_parked && may_count;
                    let what = format!("{told:?} are told to be in {chatroom}, of {parked:?}");
                    self.demand(is_so, &what);
                }
            }
        }
    }

    /// A participant asks, with a new session; nobody does where there is none.
    fn ask_presence(&mut self, home: usize, chatroom: usize) -> Option<Vec<UserId>> {
        let user = *self.store.data.chatrooms[chatroom - 1]
            .participants
            .first()?;
        let token = format!("asks-{}", self.lines_made);
        self.store.data.add_session(user, self.now, &token);
        self.lines_made += 1;
        let id = self.lines_made;
        self.lines.insert(id, Line::new(home, usize::MAX));
        let ask = Ask::Presence { chatroom };
        self.write_as(id, ask, Shape::default(), Some(token));
        for _ in 0..TURNS_MAX {
            self.turn(true);
            let line = self.lines.get_mut(&id).expect("it is being answered");
            if let Some((end, Came::Answer(_, answer))) = line.answers.pop_front() {
                line.read = end;
                line.has_fin = true;
                return Some(ids(&answer.body).expect("200"));
            }
        }
        self.demand(false, "nobody says who is present");
        None
    }
}

fn ids(users: &Value) -> Result<Vec<UserId>, String> {
    let users = users.as_array().ok_or("no array")?.iter();
    let ids = users.map(|user| user["userid"].as_i64().and_then(UserId::new));
    ids.collect::<Option<_>>().ok_or("no id".to_owned())
}
