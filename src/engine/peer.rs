//! What the engine knows of one connection: what it waits for, when that is over, and how it ends.
//!
//! The deadline depends on what the connection waits for: for a request's first byte (idle), for its rest
//! (header), for the peer to take an answer (send), for its end (linger). While a call is being
//! answered there is none: a parked poll costs no timer. Deadlines mostly move later, so the queue is
//! lazy: an entry that comes due too early is queued again (see `timers`).

use std::net::IpAddr;

use super::{Engine, Output};
use crate::api::{Outcome, Route};
use crate::chat::HeldKey;
use crate::http::{Exchange, Phase};
use crate::model::{ConnectionKey, Now};

/// How long a closed connection's input is thrown away, at most, while the peer has not ended: a reset
/// would destroy the answer that it has not read yet (RFC 9112 §9.6).
const LINGER_MS: u64 = 5_000;
/// Deadlines come due in steps of this length, so that many that lie close together cost one turn.
const STEP_MS: u64 = 128;
/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

/// What HTTP and chat know of one connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) exchange: Exchange,
    /// The call under way, while the chat core holds it.
    pub(super) held: Option<HeldKey>,
    /// When what the connection waits for is over, and the time of its entry in the queue.
    pub(super) due_ms: u64,
    pub(super) queued_ms: u64,
    /// Counts the exchanges, so that an answer finds the one that it is for.
    pub(super) number: u32,
    pub(super) address: IpAddr,
    pub(super) route: Option<Route>,
    /// The engine has said that it wants no more input; a resume is owed.
    pub(super) is_paused: bool,
    /// The peer has sent its FIN; `has_ended`: and all before it has been offered.
    pub(super) hung_up: bool,
    pub(super) has_ended: bool,
    /// Some of what was sent is still queued.
    pub(super) is_stalled: bool,
    pub(super) farewell: Farewell,
}

/// How far our own end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// More may be sent.
    None,
    /// All has been queued, the end too. `and_close`: there is no need to wait for the peer's.
    Finishing { and_close: bool },
    /// All has gone out.
    Finished,
}

impl Peer {
    /// A connection that has just been accepted.
    pub(super) fn new(exchange: Exchange, address: IpAddr) -> Self {
        Self {
            exchange,
            held: None,
            due_ms: NEVER,
            queued_ms: NEVER,
            number: 0,
            address,
            route: None,
            is_paused: false,
            hung_up: false,
            has_ended: false,
            is_stalled: false,
            farewell: Farewell::None,
        }
    }
}

impl Engine {
    /// Ends a connection to which nothing is owed any more, once what was queued has gone out.
    pub(super) fn leave(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if let Some(held) = peer.held.take() {
            self.chat.forget(held);
        }
        // An answer that comes for it all the same finds another exchange.
        peer.number = peer.number.wrapping_add(1);
        match peer.farewell {
            Farewell::Finished => self.close(key),
            Farewell::Finishing { .. } => peer.farewell = Farewell::Finishing { and_close: true },
            Farewell::None => {
                peer.farewell = Farewell::Finishing { and_close: true };
                self.outputs.push_back(Output::Finish(key));
                self.set_deadline(now, key);
            }
        }
    }

    pub(super) fn close(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.remove(key) {
            if let Some(held) = peer.held {
                self.chat.forget(held);
            }
            self.outputs.push_back(Output::Close(key));
        }
    }

    /// What the connection waits for has not come in time.
    pub(super) fn time_out(&mut self, now: Now, key: ConnectionKey) {
        let peer = self.peers.get_mut(key).expect("it has a deadline");
        if peer.is_stalled || peer.farewell != Farewell::None {
            return self.close(key);
        }
        match peer.exchange.timed_out() {
            Some(rejection) => self.answer(now, key, &Outcome::Rejected(rejection)),
            None => self.leave(now, key),
        }
    }

    /// Sets when what the connection waits for now is over.
    pub(super) fn set_deadline(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let settings = &self.settings;
        let wait_ms = match peer.exchange.phase() {
            // Only what goes out moves this one: what the peer sends is no sign that it takes its answers.
            _ if peer.is_stalled => return,
            _ if peer.farewell != Farewell::None => LINGER_MS,
            Phase::Idle => settings.idle_ms,
            Phase::Receiving => settings.header_ms,
            Phase::Lingering => LINGER_MS,
            Phase::Answering => NEVER,
        };
        self.set_due(now, key, wait_ms);
    }

    /// Sets when the connection is given up.
    pub(super) fn set_due(&mut self, now: Now, key: ConnectionKey, wait_ms: u64) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.due_ms = (now.monotonic_ms.checked_add(wait_ms))
                .and_then(|due_ms| due_ms.checked_next_multiple_of(STEP_MS))
                .unwrap_or(NEVER);
            self.queue_deadline(key);
        }
    }

    /// Makes sure that the connection comes up in the queue when it is due, or before.
    pub(super) fn queue_deadline(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.due_ms < peer.queued_ms
        {
            peer.queued_ms = peer.due_ms;
            self.deadlines.schedule(peer.due_ms, key);
        }
    }
}
