//! What must hold at the end of each of a loop's turns.

use loiter::model::{ConnectionKey, UserId};
use loiter::timers::Due;

use super::streams::COMMENT_MS;
use crate::ask::{Ask, Which};
use crate::data::chatroom_id;
use crate::ledger::Begun;
use crate::line::{Asked, Line};
use crate::loops::Question;
use crate::world::World;

/// Connections that are looked at in one turn; where there are more the next turn looks at others.
const CHECKED_MAX: usize = 64;

impl World {
    /// A loop that has nothing left to do has told every poll and stream what there is to tell: none is parked while its loop has been told of something
    /// newer, nor for longer than it may wait, nor for who has left or whose session is over.
    pub(crate) fn check_turn(&self, at: usize) {
        if self.loops[at].engine.has_work() {
            return;
        }
        let surplus = self.lines.len().saturating_sub(CHECKED_MAX) as u32;
        let start = match surplus {
            0 => 0,
            surplus => self.trace.turns() * CHECKED_MAX as u32 % surplus,
        };
        let lines = self.lines.range(start..).map(|(_, line)| line);
        for line in lines.take(CHECKED_MAX).filter(|line| line.home == at) {
            if line.is_closing || line.is_finishing {
                continue;
            }
            if let Some(asked) = line.asked.front()
                && asked.ask.waits()
                && let Some(begun) = asked.begun
                && let Some(fault) = self.fault_of(line, asked, begun)
            {
                let may_wait = self.awaits_store(line, asked) && !line.said_hung_up;
                self.demand(may_wait, &format!("{fault}: {asked:?}"));
            }
        }
    }

    /// What is wrong with a poll or a stream that is parked.
    fn fault_of(&self, line: &Line, asked: &Asked, begun: Begun) -> Option<&'static str> {
        if line.said_hung_up {
            return Some("it is held for nobody");
        }
        let ledger = &self.ledger;
        if ledger.has_ended(asked.session) {
            return Some("it has outlived its session");
        }
        // Who does not take what was sent is told nothing, and waits for nothing but that.
        if line.is_stalled && asked.stream.is_some() {
            return None;
        }
        let places = self.places(asked);
        let user = self.user_of(asked);
        let is_of_all = matches!(&asked.ask, Ask::Several(of) if of.which == Which::All);
        // A load may have seen that the user has left one before the loop is told: a poll of all goes on without it.
        let may_have_gone = |chatroom| {
            let chronicle = &self.store.chronicle;
            is_of_all && user.is_some_and(|user| chronicle.may_be_out(user, chatroom, begun.told))
        };
        let mut read = places
            .iter()
            .filter(|&&(chatroom, _)| !may_have_gone(chatroom));
        // A load may have told of more, and of what is loaded a poll is told when it is heard of.
        if read.any(|&(chatroom, read)| read < ledger.heard(chatroom)) {
            return Some("a wake is late");
        }
        let mut read = places.iter();
        let mut read = read
            .by_ref()
            .filter(|&&(chatroom, _)| !may_have_gone(chatroom));
        if read.any(|&(chatroom, read)| self.is_overdue(asked, chatroom, read)) {
            return Some("what another server wrote is late");
        }
        let waited_ms = self.now.monotonic_ms - begun.now_ms;
        let most_ms = self.waits_ms(&asked.ask).1.saturating_add(Due::STEP_MS);
        // Behind an answer that is not taken the deadline is that answer's.
        if waited_ms >= most_ms && !line.is_stalled {
            return Some("it waits for too long");
        }
        if let Some(stream) = asked.stream {
            let silent_ms = self.now.monotonic_ms - stream.active_ms;
            if silent_ms >= COMMENT_MS + Due::STEP_MS {
                return Some("a stream is silent for too long");
            }
        }
        // Whose session is being looked for.
        let user = user?;
        let mut places = places.iter();
        let has_left = places.any(|&(chatroom, _)| {
            // The store may have read that they are back, and not told it yet.
            let may_be_back = (self.store.chronicle).may_be_in(user, chatroom, ledger.told());
            ledger.heard_before_leaving(user, chatroom).is_some() && !may_be_back
                || self.has_left_under(asked, user, chatroom)
        });
        has_left.then_some("who has left waits there")
    }

    /// Whether somebody has left a chatroom since something of theirs was parked there, which is not of all chatrooms. Where others write to the store they may have
    /// been back before their loop was told.
    fn has_left_under(&self, asked: &Asked, user: UserId, chatroom: usize) -> bool {
        if self.cluster.is_some() {
            return false;
        }
        let is_of_all = matches!(&asked.ask, Ask::Several(of) if of.which == Which::All);
        let parked = asked.parked.filter(|_| !is_of_all);
        parked.is_some_and(|parked| self.ledger.has_left_since(user, chatroom, parked))
    }

    /// Whether the store is yet to say what the first request of a connection needs.
    pub(crate) fn awaits_store(&self, line: &Line, asked: &Asked) -> bool {
        let mut questions = self.questions(line.key, asked);
        questions.any(|question| self.loops[line.home].awaits(&question))
    }

    /// Whether it is yet to say that, or has only just said it: then the answer may not have gone out.
    pub(super) fn has_awaited_store(
        &self,
        at: usize,
        key: Option<ConnectionKey>,
        asked: &Asked,
    ) -> bool {
        let event_loop = &self.loops[at];
        let mut questions = self.questions(key, asked);
        questions.any(|question| {
            event_loop.awaits(&question) || event_loop.told_by_store.contains(&question)
        })
    }

    /// What a loop may have to ask the store for a request.
    fn questions(
        &self,
        key: Option<ConnectionKey>,
        asked: &Asked,
    ) -> impl Iterator<Item = Question> {
        let session = self.store.data.sessions.get(&asked.session.0);
        let questions = [
            Some(Question::Session(asked.session)),
            session.map(|session| Question::User(session.user)),
            (asked.ask.chatroom()).map(|id| Question::Chatroom(chatroom_id(id))),
            key.map(Question::Messages),
        ];
        let several = match asked.ask {
            Ask::Several(_) => self.polled(asked),
            _ => Vec::new(),
        };
        let several = several
            .into_iter()
            .map(|id| Question::Chatroom(chatroom_id(id)));
        questions.into_iter().flatten().chain(several)
    }
}
