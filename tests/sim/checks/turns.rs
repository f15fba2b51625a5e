//! What must hold at the end of each of a loop's turns.

use loiter::model::ConnectionKey;
use loiter::timers::Due;

use crate::ask::Poll;
use crate::data::chatroom_id;
use crate::ledger::Begun;
use crate::line::{Asked, Line};
use crate::loops::Question;
use crate::world::World;

/// Connections that are looked at in one turn; where there are more the next turn looks at others.
const CHECKED_MAX: usize = 64;

impl World {
    /// A loop that has nothing left to do has told every poll what there is to tell: none is parked while its loop has been told of something
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
                && let Some(begun) = asked.begun
                && let Some(poll) = asked.ask.as_poll()
                && let Some(fault) = self.fault_of(line, asked, begun, poll)
            {
                let may_wait = self.awaits_store(line, asked) && !line.said_hung_up;
                self.demand(may_wait, fault);
            }
        }
    }

    /// What is wrong with a poll that is parked.
    fn fault_of(
        &self,
        line: &Line,
        asked: &Asked,
        begun: Begun,
        poll: Poll,
    ) -> Option<&'static str> {
        if line.said_hung_up {
            return Some("a poll is held for nobody");
        }
        let ledger = &self.ledger;
        let heard = ledger.heard(poll.chatroom);
        match poll.since {
            // A load may have told of more, and of what is loaded a poll is told when it is heard of.
            Some(since) if since < heard => return Some("a poll is parked behind its chatroom"),
            None if begun.heard < heard => return Some("a wake is late"),
            _ => {}
        }
        let waited_ms = self.now.monotonic_ms - begun.now_ms;
        let most_ms = self.poll_waits_ms(poll).1.saturating_add(Due::STEP_MS);
        // Behind an answer that is not taken the deadline is that answer's.
        if waited_ms >= most_ms && !line.is_stalled {
            return Some("a poll waits for too long");
        }
        if ledger.has_ended(asked.session) {
            return Some("an ended session's poll is held");
        }
        let session = self.store.data.sessions.get(&asked.session.0);
        // Whose session is being looked for.
        let user = session?.user;
        let has_left = ledger.heard_before_leaving(user, poll.chatroom).is_some();
        has_left.then_some("who has left has a poll there")
    }

    /// Whether the store is yet to say what the first request of a connection needs.
    fn awaits_store(&self, line: &Line, asked: &Asked) -> bool {
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
        questions.into_iter().flatten()
    }
}
