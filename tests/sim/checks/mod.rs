//! What must hold for every answer at the moment at which the engine sends it, and for every turn.
//!
//! Here is what all answers share; a file for each subject has the rest.

mod accounts;
mod chatrooms;
mod endings;
mod heard;
mod lists;
mod polls;
mod presence;
mod rest;
mod said;
mod several;
mod streams;
mod turns;
mod waits;

use loiter::model::UserId;

use crate::answer::Answer;
use crate::ask::{Ask, Poll, Stream};
use crate::ledger::Begun;
use crate::line::Asked;
use crate::world::World;

pub(crate) use endings::Endings;
pub(crate) use heard::Ended;
pub(crate) use presence::Seen;

pub(crate) type Verdict = Result<(), String>;

pub(crate) fn demand(holds: bool, what: &str) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

impl World {
    /// Holds an answer against its request.
    pub(crate) fn judge(&mut self, asked: &Asked, answer: &Answer) -> Verdict {
        if self.gave_way(asked, answer) {
            // Its last byte may have been read after it had been refused.
            self.tally.one("requests that gave way");
            if asked.begun.is_some() {
                // It had been read to its end before it was refused: a poll may have been ended, and counted.
                self.note_perhaps_ended(asked);
            }
            return self.note_not_saved(asked);
        }
        let Some(begun) = asked.begun else {
            let is_garbage = matches!(asked.ask, Ask::Garbage { .. });
            let is_late = answer.is(408, "request_timeout");
            demand(
                is_garbage || is_late,
                "a request was answered that is not all here",
            )?;
            return self.judge_garbage(asked, answer);
        };
        let must_close = asked.wants_close || self.ledger.is_draining;
        demand(
            answer.closes || !must_close,
            "the connection is not told to close",
        )?;
        if let Ask::Garbage { .. } = asked.ask {
            return self.judge_garbage(asked, answer);
        }
        if let Ask::Stray { status, .. } = asked.ask {
            demand(answer.status == status, "the wrong status")?;
            return demand(
                answer.has_allow == matches!(status, 204 | 405),
                "Allow stands where it should not, or does not where it should",
            );
        }
        if answer.status != 200 {
            self.note_perhaps_ended(asked);
        }
        if answer.is(500, "storage_failed") {
            return self.judge_failed(asked, begun);
        }
        if answer.is(503, "overloaded") && !matches!(asked.ask, Ask::Ready) {
            self.note_not_saved(asked)?;
            demand(answer.has_retry_after, "no Retry-After")?;
            let refused = self.ledger.refusals > begun.refusals;
            return demand(refused, "no job was refused");
        }
        let says_out = answer.is(401, "no_session") || answer.is(403, "not_a_participant");
        if answer.status == 200 || says_out {
            self.check_all_have_heard(asked, begun)?;
        }
        match asked.ask.needs_session() {
            true => self.judge_in_session(asked, begun, answer),
            false => self.judge_without(&asked.ask, begun, answer),
        }
    }

    fn judge_failed(&mut self, asked: &Asked, begun: Begun) -> Verdict {
        self.note_not_saved(asked)?;
        let mut failed = self.ledger.has_storage_failed(&begun);
        if let (Ask::EndPolls { chatroom, .. }, Some(token)) = (&asked.ask, &asked.token) {
            // At another loop, where it may have had no room, or there was none to ask other servers; elsewhere polls may have ended.
            let asks = self.loops.len() > 1 || self.servers() > 1;
            failed |= asks && self.ledger.refusals > begun.refusals;
            (self.endings.orphans).insert((token.clone(), *chatroom));
        }
        demand(failed, "the storage has not failed")
    }

    fn judge_garbage(&self, asked: &Asked, answer: &Answer) -> Verdict {
        if !answer.is(408, "request_timeout")
            && let Ask::Garbage { statuses, .. } = asked.ask
        {
            demand(statuses.contains(&answer.status), "the wrong status")?;
        }
        demand(answer.closes, "the connection goes on")
    }

    /// Whether half a request, or what is sent behind one, may have had to make room for others'.
    fn gave_way(&self, asked: &Asked, answer: &Answer) -> bool {
        let is_overloaded = answer.is(503, "overloaded") || asked.is_head && answer.status == 503;
        self.is_tight && is_overloaded && answer.closes && answer.has_retry_after
    }

    fn judge_in_session(&mut self, asked: &Asked, begun: Begun, answer: &Answer) -> Verdict {
        let token = asked.token.as_deref().unwrap_or_default();
        let session = self.store.data.session(token);
        let is_gone = session.is_none_or(|session| session.is_gone);
        if answer.status == 401 {
            demand(answer.is(401, "no_session"), "another code")?;
            let may_be_old = session.is_some() && self.has_short_sessions;
            self.note_not_saved(asked)?;
            return demand(is_gone || may_be_old, "a good session is refused");
        }
        let user = session.ok_or("nobody's session is good")?.user;
        demand(!begun.session_ended, "a session is good that was ended")?;
        match &asked.ask {
            Ask::LogOut => {
                demand(is_gone, "logged out, but not in the store")?;
                demand(
                    answer.status == 200 && answer.body["status"] == "ok",
                    "no 200",
                )
            }
            Ask::Several(several) => self.judge_several(asked, several, user, answer),
            Ask::Wrong { .. } => demand(answer.is(400, "bad_parameter"), "not 400 bad_parameter"),
            ask => match ask.chatroom() {
                Some(chatroom) => self.judge_in_chatroom(asked, begun, chatroom, user, answer),
                None => self.judge_of_user(asked, begun, user, answer),
            },
        }
    }

    /// Somebody must have been out of a chatroom since then of whom an engine says so that remembers who is in it. Where others write to the store it has asked
    /// it since, whatever it had been told.
    fn refused_from(&self, begun: Begun) -> usize {
        match self.cluster {
            None => begun.told,
            Some(_) => begun.committed,
        }
    }

    fn judge_in_chatroom(
        &mut self,
        asked: &Asked,
        begun: Begun,
        chatroom: usize,
        user: UserId,
        answer: &Answer,
    ) -> Verdict {
        let ask = &asked.ask;
        if let Ask::Rename { .. } | Ask::Add { .. } | Ask::Remove { .. } | Ask::Leave { .. } = ask {
            return self.judge_change(ask, begun, (user, chatroom), answer);
        }
        let (status, from) = match ask {
            // Of these an engine remembers who is in a chatroom; the others are the store's alone.
            Ask::Poll(_) | Ask::EndPolls { .. } => (500, self.refused_from(begun)),
            Ask::Stream(_) => (403, self.refused_from(begun)),
            Ask::Send { .. } => (500, begun.committed),
            _ => (403, begun.committed),
        };
        if answer.is(status, "not_a_participant") {
            self.note_not_saved(asked)?;
            let may_be_out = (self.store.chronicle).may_be_out(user, chatroom, from);
            return demand(may_be_out, "a participant is refused");
        }
        let from = match ask {
            Ask::Poll(_) | Ask::EndPolls { .. } | Ask::Stream(_) => begun.told,
            _ => from,
        };
        let may_be_in = self.store.chronicle.may_be_in(user, chatroom, from);
        demand(may_be_in, "an outsider is answered")?;
        match ask {
            Ask::Poll(poll) if answer.status != 200 => {
                return self.judge_refused_poll(*poll, begun, answer);
            }
            &Ask::Stream(Stream { since, .. }) => {
                // From now is from when it came, however long it waited until it could begin.
                let poll = Poll {
                    since: since.or(Some(begun.of.heard)),
                    ..Poll::plain(chatroom)
                };
                return self.judge_refused_poll(poll, begun, answer);
            }
            _ => {}
        }
        demand(answer.status == 200, "the wrong status")?;
        if answer.body.is_null() {
            return demand(asked.is_head, "no body");
        }
        let last = match ask {
            Ask::Participants { .. } => {
                return self.judge_participants(&answer.body, chatroom, begun);
            }
            Ask::Presence { .. } => {
                return self.judge_presence(&answer.body, (chatroom, user), begun);
            }
            Ask::Poll(poll) => self.judge_poll(asked, begun, *poll, answer)?,
            Ask::EndPolls { limit, .. } => {
                self.judge_end_polls(asked, begun, (chatroom, *limit), answer)?
            }
            Ask::History { before, limit, .. } => {
                self.judge_history(begun, (chatroom, *before, *limit), answer)?
            }
            Ask::Send { .. } => self.judge_send(asked, begun, (user, chatroom), answer)?,
            ask => unreachable!("{ask:?} is about no chatroom"),
        };
        // Of what several servers do it may be heard in another order: their own was saved while they were in it.
        let is_own = self.cluster.is_some() && last.is_some() && last == answer.message_id;
        let last = last.filter(|_| !is_own);
        self.check_is_meant_for(asked, user, chatroom, last)
    }
}
