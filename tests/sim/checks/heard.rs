//! What all servers have heard of, when somebody is told that somebody is out.

use loiter::job::{Completion, Fault};
use loiter::model::{ChatroomId, ConnectionKey, SessionHash};

use super::{Verdict, demand};
use crate::ask::Ask;
use crate::chronicle::Chronicle;
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

/// What a write has ended: who waits for its answer must find it so everywhere.
#[derive(Debug)]
pub(crate) struct Ended {
    sessions: Vec<SessionHash>,
    /// Somebody has left a chatroom, or had left it before: its place in the chronicle.
    left: Option<usize>,
    /// Who asks had left this one before this time, of which the server that has asked the others may be the last to hear.
    was_out: Option<(ChatroomId, usize)>,
}

impl Ended {
    /// By what, and for whom.
    fn by(
        completion: &Completion,
        chronicle: &Chronicle,
        at: Option<usize>,
    ) -> Option<((u16, ConnectionKey), Self)> {
        let (mut left, mut was_out) = (None, None);
        let (ticket, sessions) = match completion {
            Completion::LoggedOut {
                ticket,
                session,
                done: Ok(()) | Err(Fault::NoSession),
            } => (ticket, vec![*session]),
            Completion::PasswordChanged {
                ticket,
                ended: Some(ended),
                done: Ok(()),
                ..
            } => (ticket, ended.to_vec()),
            Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed: Ok(row),
            } => {
                left = at.or_else(|| chronicle.last_left(row.left, *chatroom, chronicle.now()));
                (ticket, Vec::new())
            }
            Completion::ParticipantRemoved {
                ticket,
                chatroom,
                removed: Err(Fault::NotAParticipant),
            } => {
                was_out = Some((*chatroom, chronicle.now()));
                (ticket, Vec::new())
            }
            _ => return None,
        };
        let ended = Self {
            left,
            sessions,
            was_out,
        };
        Some(((ticket.event_loop, ticket.connection), ended))
    }
}

impl World {
    /// The server that has its turn tells its loops what has come of a write of theirs.
    pub(crate) fn note_own_ended(&mut self, completion: &Completion, at: Option<usize>) {
        let ended = Ended::by(completion, &self.store.chronicle, at);
        if self.cluster.is_some()
            && let Some(((event_loop, key), ended)) = ended
        {
            // What another has done before this one knows by that.
            let ledger = &mut self.ledger;
            ended.left.into_iter().for_each(|at| ledger.note_told(at));
            self.ended.insert((self.here, event_loop, key), ended);
        }
    }

    /// Whether not all servers may have answered since a request was begun.
    pub(super) fn may_lack(&self, begun: Begun) -> bool {
        self.unanswered > begun.unanswered
    }

    /// An answer says that somebody is out: so they are at all servers.
    pub(super) fn check_all_have_heard(&mut self, asked: &Asked, begun: Begun) -> Verdict {
        let (Ask::LogOut | Ask::ChangePassword { .. } | Ask::Remove { .. } | Ask::Leave { .. }) =
            asked.ask
        else {
            return Ok(());
        };
        let Some(key) = self.answering else {
            return Ok(());
        };
        let at = u16::try_from(begun.at).expect("few");
        let Some(mut ended) = self.ended.remove(&(self.here, at, key)) else {
            return Ok(());
        };
        let was_out = ended.was_out.is_some();
        if let Some((chatroom, before)) = ended.was_out {
            let user = self.user_of(asked);
            let chronicle = &self.store.chronicle;
            ended.left = user.and_then(|user| chronicle.last_left(user, chatroom, before));
        }
        let may_lack = self.may_lack(begun);
        let here = self.here;
        let has_heard = |world: &Self| {
            let mut sessions = ended.sessions.iter();
            let has_heard = sessions.all(|&session| world.ledger.has_ended(session))
                && ended.left.is_none_or(|at| !world.ledger.is_untold(at));
            let is_asker = world.here == here;
            has_heard || world.is_down(world.here) || may_lack && !is_asker || was_out && is_asker
        };
        let has_heard = self.at_each(has_heard);
        demand(
            !has_heard.contains(&false),
            &format!("not all have heard of it: {has_heard:?}"),
        )
    }
}
