//! Streams: when one may begin, go on, and end.

use loiter::model::ConnectionKey;
use loiter::timers::Due;

use super::{Verdict, demand};
use crate::answer::Head;
use crate::ask::{Ask, Stream};
use crate::ledger::Begun;
use crate::line::{Asked, Came, Line};
use crate::streaming::{Piece, Streaming};
use crate::world::World;

/// Messages that a stream is told at once.
const BATCH_MAX: usize = 64;
/// A stream is silent for so long.
pub(super) const COMMENT_MS: u64 = 15_000;

impl World {
    /// A stream begins; says what is known of it then.
    pub(crate) fn judge_stream(&self, asked: &Asked, head: &Head<'_>) -> Result<Streaming, String> {
        let begun = asked.begun.ok_or("it was not asked for yet")?;
        let Ask::Stream(Stream {
            chatroom, since, ..
        }) = asked.ask
        else {
            return Err("nobody asked for a stream".to_owned());
        };
        let is_chunked = head.field("Transfer-Encoding") == Some("chunked");
        let is_framed = is_chunked != asked.is_http10 && head.field("Content-Length").is_none();
        demand(head.status == 200 && is_framed, "another framing")?;
        let must_close = asked.wants_close || self.ledger.is_draining;
        let is_told = head.closes() || !must_close;
        demand(is_told, "the connection is not told to close")?;
        let token = asked.token.as_deref().unwrap_or_default();
        let session = self.store.data.session(token).ok_or("nobody's session")?;
        demand(!begun.session_ended, "a session is good that was ended")?;
        let chronicle = &self.store.chronicle;
        let may_be_in = chronicle.may_be_in(session.user, chatroom, begun.told);
        demand(may_be_in, "an outsider gets a stream")?;
        // Whom a drain tells at once that it is over nothing was to be compared for.
        let is_known = since <= Some(self.stored(chatroom)) || self.ledger.is_draining;
        demand(is_known, "since is ahead")?;
        Ok(Streaming {
            is_chunked,
            told: match self.cluster {
                None => Some(since.unwrap_or(begun.of.heard)),
                Some(_) => since,
            },
            stored: self.stored(chatroom),
            begun_turn: self.trace.turns(),
            active_ms: self.now.monotonic_ms,
        })
    }

    /// A stream goes on, or ends.
    pub(crate) fn judge_piece(
        &self,
        asked: &Asked,
        stream: Streaming,
        piece: &Piece,
        at: usize,
        key: ConnectionKey,
    ) -> Verdict {
        let begun = asked.begun.expect("it has begun");
        let id = self.loops[at].keys.get(key).copied().expect("just sent to");
        let line = &self.lines[&id];
        match piece {
            Piece::End => self.judge_end(asked, begun, stream),
            Piece::Comment => {
                let silent_ms = self.now.monotonic_ms - stream.active_ms;
                let is_time = silent_ms + Due::STEP_MS >= COMMENT_MS;
                demand(is_time && !line.is_stalled, "a comment that is not due")
            }
            Piece::Events(events) => {
                // One that begins behind an answer that is not taken is told a batch of what it has missed.
                let is_new = stream.begun_turn == self.trace.turns();
                demand(
                    !line.is_stalled || is_new,
                    "who does not take what was sent is told more",
                )?;
                demand(events.len() <= BATCH_MAX, "more than a batch")?;
                let waiting = unread(line) + events.len();
                let woken = self.loops[at].saved_taken;
                demand(waiting <= BATCH_MAX + woken, "a long queue")?;
                let mut told = stream.told;
                for event in events {
                    let is_next = match told {
                        Some(told) => event.id == told + 1,
                        // Of what others had committed it may be told, or not.
                        None => (begun.of.heard + 1..=stream.stored + 1).contains(&event.id),
                    };
                    demand(is_next, "an event is missing or doubled")?;
                    told = Some(event.id);
                    self.judge_event(asked, begun, event.id, &event.message)?;
                }
                Ok(())
            }
        }
    }

    fn judge_event(
        &self,
        asked: &Asked,
        begun: Begun,
        id: i64,
        message: &serde_json::Value,
    ) -> Verdict {
        let chatroom = asked.ask.chatroom().expect("a stream is of one");
        let list = std::slice::from_ref(message);
        let last = self.judge_slice(list, chatroom, begun)?;
        demand(last == Some(id), "the event's id is not the message's")?;
        let user = self.store.data.sessions[&asked.session.0].user;
        self.check_is_meant_for(asked, user, chatroom, last)
    }

    /// A stream ends where it must, and where what comes next cannot be had.
    fn judge_end(&self, asked: &Asked, begun: Begun, stream: Streaming) -> Verdict {
        let ledger = &self.ledger;
        let chatroom = asked.ask.chatroom().expect("a stream is of one");
        let session = &self.store.data.sessions[&asked.session.0];
        let has_left =
            (self.store.chronicle).may_be_out(session.user, chatroom, self.refused_from(begun));
        let cannot_read = ledger.has_storage_failed(&begun)
            || ledger.refusals > begun.refusals
            || self.kept_from(chatroom) > stream.told.unwrap_or(begun.of.heard) + 1;
        let max = self.config.max_polls_per_session as u64;
        let token = asked.token.as_deref().unwrap_or_default();
        let is_surplus = max > 0 && ledger.polls(token, begun.at) > max;
        let may_end = ledger.is_draining
            || ledger.has_ended(asked.session)
            || has_left
            || cannot_read
            || is_surplus;
        demand(may_end, "a stream ends for nothing")
    }
}

/// Events that have not gone out.
fn unread(line: &Line) -> usize {
    let answers = line.answers.iter();
    let events = answers.filter(|(_, came)| matches!(came, Came::Event(_)));
    events.filter(|(end, _)| *end > line.sent).count()
}
