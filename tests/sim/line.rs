//! One simulated connection: what is under way in both directions, and the runtime's side of it.
//!
//! The runtime's side keeps the rules of `runtime::Connection`: what the engine did not consume is offered
//! again with what came since; while it is paused nothing is; a FIN is noticed at once and only offered behind all bytes.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use loiter::engine::Taken;
use loiter::model::{ConnectionKey, SessionHash};
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::ledger::{Begun, BegunIn};
use crate::streaming::Streaming;

/// A request that was written.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) token: Option<String>,
    /// Of the token.
    pub(crate) session: SessionHash,
    /// Where it begins and ends in what the client has written to this connection.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_head: bool,
    pub(crate) wants_close: bool,
    pub(crate) is_http10: bool,
    pub(crate) expects_continue: bool,
    /// What held when the engine had taken its last byte.
    pub(crate) begun: Option<Begun>,
    /// The same of each chatroom, for a poll of several.
    pub(crate) begun_in: BTreeMap<usize, BegunIn>,
    /// Of several servers' store, what was committed in each chatroom when its place there was settled: what comes after it must hear.
    pub(crate) floors: BTreeMap<usize, i64>,
    /// Since when it has waited for nothing else.
    pub(crate) settled_ms: Option<u64>,
    /// The turn after which everything had come to rest, and a poll or stream was parked.
    pub(crate) parked: Option<u32>,
    /// A stream that has begun.
    pub(crate) stream: Option<Streaming>,
    /// All of it had come, and nothing was before it, as a drain began.
    pub(crate) came_before_drain: bool,
}

impl Asked {
    /// What held of one chatroom, and of everything else, when it was begun.
    pub(crate) fn begun_in(&self, chatroom: usize) -> Begun {
        let begun = self.begun.expect("it is being answered");
        match &self.ask {
            Ask::Several(_) => Begun {
                of: self.begun_in.get(&chatroom).copied().unwrap_or_default(),
                ..begun
            },
            _ => begun,
        }
    }
}

/// What a client reads at a time.
#[derive(Debug)]
pub(crate) enum Came {
    /// It is to write its body.
    Continue,
    Answer(Ask, Answer),
    /// Of a stream: its head, or a comment.
    Sign,
    /// A stream's message.
    Event(Value),
    /// A stream is over.
    End,
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The loop that takes it, which is the kernel's choice.
    pub(crate) home: usize,
    /// None until it is accepted.
    pub(crate) key: Option<ConnectionKey>,
    // The client's end.
    pub(crate) written: usize,
    pub(crate) has_fin: bool,
    /// A body that waits for 100 Continue.
    pub(crate) body: Option<Vec<u8>>,
    /// How far the client has read, and how much may be unread.
    pub(crate) read: usize,
    pub(crate) window: usize,
    // Upwards.
    pub(crate) under_way: VecDeque<u8>,
    arrived: VecDeque<u8>,
    pub(crate) fin_arrived: bool,
    pub(crate) is_reset: bool,
    // The runtime's side.
    leftover: Vec<u8>,
    is_paused: bool,
    reoffer: bool,
    /// It is to be read once more, whether something has come or not.
    is_probed: bool,
    pub(crate) hung_up: bool,
    pub(crate) ended: bool,
    /// The engine was told so.
    pub(crate) said_hung_up: bool,
    pub(crate) said_ended: bool,
    pub(crate) is_closing: bool,
    /// Bytes that the engine has consumed.
    pub(crate) taken: usize,
    /// Bytes queued and gone out.
    pub(crate) queued: usize,
    pub(crate) sent: usize,
    pub(crate) is_stalled: bool,
    pub(crate) is_finishing: bool,
    pub(crate) is_finished: bool,
    /// An answer has said that it is the last.
    pub(crate) said_close: bool,
    /// Requests without an answer, in order.
    pub(crate) asked: VecDeque<Asked>,
    /// What the client has not read, with the place where each ends.
    pub(crate) answers: VecDeque<(usize, Came)>,
    /// Since when it may have been idle.
    pub(crate) idle_ms: u64,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    Stalled,
    Drained,
    Finished,
}

const READ_CALLS_MAX: usize = 4;

impl Line {
    /// A connection whose client leaves so many bytes unread at most.
    pub(crate) fn new(home: usize, window: usize) -> Self {
        Self {
            home,
            window,
            ..Self::default()
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.under_way.extend(bytes);
        self.written += bytes.len();
    }

    /// Lets some of what the client has written arrive; the FIN only behind all.
    pub(crate) fn carry(&mut self, rng: &mut Rng, all: bool) {
        let size = match all || rng.u8(..4) == 0 {
            true => self.under_way.len(),
            false => rng.usize(..=self.under_way.len()),
        };
        self.arrived.extend(self.under_way.drain(..size));
        if self.under_way.is_empty() && self.has_fin && self.body.is_none() && (all || rng.bool()) {
            self.fin_arrived = true;
        }
    }

    fn wants_socket(&self) -> bool {
        !(self.is_paused || self.ended || self.is_reset || self.is_closing)
            && (!self.arrived.is_empty() || self.fin_arrived)
    }

    /// Whether the runtime has a reason to read it.
    pub(crate) fn is_ready(&self) -> bool {
        self.wants_socket()
            || self.reoffer && !self.leftover.is_empty()
            || self.is_probed && !(self.is_paused || self.is_closing)
            || self.fin_arrived && !self.hung_up
            || self.is_reset
    }

    /// Offers input to the engine as the runtime does. Whether it was read until no more was there, and is not paused.
    pub(crate) fn read(&mut self, rng: &mut Rng, mut take: impl FnMut(&[u8]) -> Taken) -> bool {
        if self.is_reset || self.is_closing {
            return false;
        }
        self.hung_up |= self.fin_arrived;
        if std::mem::take(&mut self.reoffer) && !self.leftover.is_empty() {
            self.offer(0, &mut take);
        }
        for _ in 0..READ_CALLS_MAX {
            if !self.wants_socket() {
                break;
            }
            if self.arrived.is_empty() {
                self.ended = true;
                break;
            }
            let size = match rng.u8(..3) {
                0 => rng.usize(1..=self.arrived.len()),
                _ => self.arrived.len(),
            };
            self.offer(size, &mut take);
        }
        let emptied = self.arrived.is_empty() && !self.is_paused;
        self.is_probed &= !emptied;
        emptied
    }

    fn offer(&mut self, size: usize, take: &mut impl FnMut(&[u8]) -> Taken) {
        self.leftover.extend(self.arrived.drain(..size));
        let taken = take(&self.leftover);
        self.leftover.drain(..taken.consumed);
        self.taken += taken.consumed;
        self.is_paused |= !taken.wants_more;
    }

    pub(crate) fn resume(&mut self) {
        self.is_paused = false;
        self.reoffer = true;
    }

    pub(crate) fn discard(&mut self) {
        self.taken += self.leftover.len();
        self.leftover.clear();
    }

    pub(crate) fn probe(&mut self) {
        self.is_probed = true;
    }

    /// Marks a request that came before a drain and is owed an answer, whatever comes then. Whether it was not read yet.
    pub(crate) fn note_drain(&mut self) -> bool {
        let arrived = self.arrived_up_to();
        let is_owed = self.is_writable() && !self.is_finishing && !self.said_close;
        match self.asked.front_mut() {
            Some(asked) if is_owed && asked.end <= arrived => {
                asked.came_before_drain = true;
                asked.begun.is_none()
            }
            _ => false,
        }
    }

    /// Lets go out what the client's window takes.
    pub(crate) fn flush(&mut self) -> Option<Flushed> {
        let room = self
            .read
            .saturating_add(self.window)
            .saturating_sub(self.sent);
        let went = room.min(self.queued - self.sent);
        self.sent += went;
        if self.sent < self.queued {
            let is_new = !std::mem::replace(&mut self.is_stalled, true);
            return (is_new || went > 0).then_some(Flushed::Stalled);
        }
        let was_stalled = std::mem::take(&mut self.is_stalled);
        if self.is_finishing && !self.is_finished {
            self.is_finished = true;
            return Some(Flushed::Finished);
        }
        was_stalled.then_some(Flushed::Drained)
    }

    /// Whether nothing but that is owed on it.
    pub(crate) fn asks_only_who_it_is(&self) -> bool {
        self.asked
            .iter()
            .all(|asked| matches!(asked.ask, Ask::WhoAmI))
            && self
                .answers
                .iter()
                .all(|(_, came)| matches!(came, Came::Answer(Ask::WhoAmI, _)))
    }

    /// Whether the engine still has something to say on it.
    pub(crate) fn is_held(&self) -> bool {
        !self.is_closing && !self.is_finishing && !self.said_hung_up
    }

    /// Whether the client may still write.
    pub(crate) fn is_writable(&self) -> bool {
        !self.has_fin && !self.is_reset && !self.is_closing && self.body.is_none()
    }

    /// How much of what the client wrote has arrived.
    pub(crate) fn arrived_up_to(&self) -> usize {
        self.written - self.under_way.len()
    }

    /// How much of it the engine has seen.
    pub(crate) fn offered_up_to(&self) -> usize {
        self.taken + self.leftover.len()
    }
}
