//! What the engine knows of one connection: what it waits for, when that is over, and how it ends.
//!
//! The deadline depends on what the connection waits for: for a request's first byte (idle), for its rest
//! (header), for the peer to take an answer (send), for its end (linger), for a poll's own end (poll), for something to say (stream). While another call is being
//! answered there is none: a poll that is parked without an end costs no timer. Deadlines mostly move later, so the queue is
//! lazy: an entry that comes due too early is queued again (see `timers`). Entries are of slots, not of connections: who
//! comes into a slot finds the entry of who has left it.

use super::{Engine, Output};
use crate::api::{Outcome, Route};
use crate::arena::Key;
use crate::chat::HeldKey;
use crate::counters::OWN_CALL;
use crate::http::{Exchange, Phase, Rejection};
use crate::model::{ConnectionKey, Now};
use crate::routes::{Gone, ParkedKey};
use crate::timers::Due;

/// How long a closed connection's input is thrown away, at most, while the peer has not ended: a reset
/// would destroy the answer that it has not read yet (RFC 9112 §9.6).
const LINGER_MS: u64 = 5_000;

/// How long a stream is silent before its peer is told that it still is one: proxies give up connections on which
/// nothing is said for a minute, often less.
pub(super) const COMMENT_MS: u64 = 15_000;

/// What HTTP and chat know of one connection. There may be a million: a test pins its size.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) exchange: Exchange,
    /// The request under way, while somebody holds it who will answer: who, says `asked`.
    held: Option<Key<Pending>>,
    /// When what the connection waits for is over.
    pub(super) due: Due,
    /// Counts the exchanges, so that an answer finds the one that it is for.
    pub(super) number: u32,
    pub(super) asked: Asked,
    pub(super) flags: Flags,
    pub(super) farewell: Farewell,
}

/// What the request under way is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There is none, or it is to nothing.
    Nothing,
    /// A call of the API.
    Call(Route),
    /// A path of the host's own.
    Own,
}

/// What a peer's key of whoever will answer names: a call that the chat core holds, or a request that waits for the host's word. One key
/// for both, since there may be a million.
#[derive(Debug)]
enum Pending {}

/// Who will answer the request under way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder {
    /// The chat core.
    Chat(HeldKey),
    /// The host.
    Own(ParkedKey),
}

/// What is so or not, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// The engine has said that it wants no more input; a resume is owed.
    pub(super) const PAUSED: Self = Self(1 << 0);
    /// The peer has sent its FIN.
    pub(super) const HUNG_UP: Self = Self(1 << 1);
    /// … and all before it has been offered.
    pub(super) const ENDED: Self = Self(1 << 2);
    /// Some of what was sent is still queued.
    pub(super) const STALLED: Self = Self(1 << 3);
    /// A poll is held whose wait has an end.
    pub(super) const TIMED: Self = Self(1 << 4);
    /// A stream has begun.
    pub(super) const STREAMING: Self = Self(1 << 5);
    /// The request comes from a page of an allowed origin; which, the engine knows.
    pub(super) const GUEST: Self = Self(1 << 6);
    /// It keeps so much of input that it counts.
    pub(super) const UNREAD: Self = Self(1 << 7);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    /// Whether it was set.
    pub(super) fn clear(&mut self, flag: Self) -> bool {
        let was_set = self.has(flag);
        self.0 &= !flag.0;
        was_set
    }
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
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            held: None,
            due: Due::NEVER,
            number: 0,
            asked: Asked::Nothing,
            flags: Flags::default(),
            farewell: Farewell::None,
        }
    }
}

impl Peer {
    /// Whether its answer may be long in coming.
    pub(super) fn is_waiting(&self) -> bool {
        self.exchange.phase() == Phase::Answering && self.asked.waits()
    }

    /// The call that the chat core holds.
    pub(super) fn held(&self) -> Option<HeldKey> {
        match self.holder()? {
            Holder::Chat(held) => Some(held),
            Holder::Own(_) => None,
        }
    }

    /// Who will answer.
    pub(super) fn holder(&self) -> Option<Holder> {
        let bits = self.held?.to_bits();
        match self.asked {
            Asked::Own => ParkedKey::from_bits(bits).map(Holder::Own),
            Asked::Call(_) | Asked::Nothing => HeldKey::from_bits(bits).map(Holder::Chat),
        }
    }

    /// The same, and from here on nobody will.
    pub(super) fn take_holder(&mut self) -> Option<Holder> {
        let holder = self.holder();
        self.held = None;
        holder
    }

    /// Somebody holds what was asked.
    pub(super) fn hold(&mut self, holder: Option<Holder>) {
        let bits = holder.map(|holder| match holder {
            Holder::Chat(held) => held.to_bits(),
            Holder::Own(parked) => parked.to_bits(),
        });
        self.held = bits.and_then(Key::from_bits);
    }
}

impl Asked {
    /// Whether its answer may be long in coming.
    pub(super) fn waits(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Call(route) => route.waits(),
            Self::Own => true,
        }
    }

    /// The call.
    pub(super) fn route(self) -> Option<Route> {
        match self {
            Self::Call(route) => Some(route),
            Self::Nothing | Self::Own => None,
        }
    }

    /// Where its answer is counted.
    pub(super) fn counted_at(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Call(route) => Some(route as usize),
            Self::Own => Some(OWN_CALL),
        }
    }
}

impl Engine {
    /// Ends a connection to which nothing is owed any more, once what was queued has gone out.
    pub(super) fn leave(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let holder = peer.take_holder();
        // An answer that comes for it all the same finds another exchange.
        peer.number = peer.number.wrapping_add(1);
        let farewell = peer.farewell;
        if farewell != Farewell::Finished {
            peer.farewell = Farewell::Finishing { and_close: true };
        }
        self.forget(now, holder);
        match farewell {
            Farewell::Finished => self.close(now, key),
            Farewell::Finishing { .. } => {}
            Farewell::None => {
                self.outputs.push_back(Output::Finish(key));
                self.set_deadline(now, key);
            }
        }
    }

    pub(super) fn close(&mut self, now: Now, key: ConnectionKey) {
        if let Some(mut peer) = self.peers.remove(key) {
            self.partials.remove(&key);
            self.poll_ends.remove(&key);
            if peer.flags.has(Flags::UNREAD) {
                self.unread.remove(key);
            }
            if peer.flags.has(Flags::GUEST) {
                self.guests.remove(&key);
            }
            self.forget(now, peer.take_holder());
            self.outputs.push_back(Output::Close(key));
        }
    }

    /// Nobody waits any more for what somebody holds.
    pub(super) fn forget(&mut self, now: Now, holder: Option<Holder>) {
        match holder {
            None => {}
            Some(Holder::Chat(held)) => self.chat.forget(now, held),
            Some(Holder::Own(parked)) => drop(self.unpark(parked, Gone::Left)),
        }
    }

    /// What the connection waits for has not come in time.
    pub(super) fn time_out(&mut self, now: Now, key: ConnectionKey) {
        let peer = self.peers.get_mut(key).expect("it has a deadline");
        if peer.flags.has(Flags::STALLED) || peer.farewell != Farewell::None {
            return self.close(now, key);
        }
        if peer.flags.clear(Flags::TIMED) {
            peer.due = Due::NEVER;
            match peer.holder().expect("its wait has an end") {
                Holder::Chat(held) => self.chat.time_out(now, held),
                Holder::Own(parked) => return self.end_parked(now, key, parked),
            }
            return self.carry_out(now);
        }
        if peer.flags.has(Flags::STREAMING) {
            return self.send_comment(now, key);
        }
        let partial = self.partials.remove(&key);
        match (peer.exchange).refuse(partial, Rejection::RequestTimeout) {
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
            _ if peer.flags.has(Flags::STALLED) => return,
            _ if peer.farewell != Farewell::None => LINGER_MS,
            Phase::Idle => settings.idle_ms,
            Phase::Receiving => settings.header_ms,
            Phase::Lingering => LINGER_MS,
            Phase::Answering if peer.flags.has(Flags::TIMED) => return,
            Phase::Answering if peer.flags.has(Flags::STREAMING) => COMMENT_MS,
            Phase::Answering => u64::MAX,
        };
        self.set_due(now, key, wait_ms);
    }

    /// Sets when the connection is given up.
    pub(super) fn set_due(&mut self, now: Now, key: ConnectionKey, wait_ms: u64) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.due = Due::at(now.monotonic_ms.saturating_add(wait_ms));
            self.queue_deadline(key);
        }
    }

    /// Makes sure that the connection comes up in the queue when it is due, or before.
    pub(super) fn queue_deadline(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get(key) {
            self.deadlines.schedule(peer.due, key.slot());
        }
    }

    /// A slot has come up in the queue: ends what the connection there waits for if it is due, or else queues it anew.
    /// Whether it was due.
    pub(super) fn look_at(&mut self, now: Now, slot: u32) -> bool {
        let Some(key) = self.peers.key_in(slot) else {
            return false;
        };
        let peer = self.peers.get(key).expect("its key was found");
        let is_due = peer.due.is_past(now.monotonic_ms);
        match is_due {
            true => self.time_out(now, key),
            false => self.queue_deadline(key),
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::arena::{Arena, SideTable};
    use crate::config::Config;
    use crate::model::Connection;

    #[test]
    fn what_is_known_of_a_parked_connection_is_small() {
        assert_eq!(SideTable::<Peer, Connection>::SLOT_BYTES, 32);
    }

    /// The beginnings of what is sent at a time of the monotonic clock, once `input` has come and what is due has ended.
    fn sent(engine: &mut Engine, key: ConnectionKey, at_ms: u64, input: &[u8]) -> Vec<String> {
        let now = Now {
            monotonic_ms: at_ms,
            unix_ms: 0,
        };
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        engine.receive(now, key, input, &origin);
        engine.expire(now);
        let outputs = std::iter::from_fn(|| engine.next_output());
        outputs
            .filter_map(|output| match output {
                Output::Send(_, bytes) => Some(String::from_utf8_lossy(&bytes[..12]).into_owned()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn to_be_told_to_continue_gives_a_request_no_more_time() {
        let mut keys: Arena<(), Connection> = Arena::default();
        let key = keys.insert(());
        let mut engine = Engine::new(&Config::default(), 0);
        engine.accept(Now::default(), key);
        let begun =
            b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n";
        assert_eq!(sent(&mut engine, key, 0, begun), [""; 0]);
        // The runtime offers from the start what was not consumed.
        let head = [&begun[..], b"\r\n"].concat();
        assert_eq!(sent(&mut engine, key, 9_000, &head), ["HTTP/1.1 100"]);
        assert_eq!(sent(&mut engine, key, 9_900, b"x"), [""; 0]);
        assert_eq!(sent(&mut engine, key, 10_200, b"x"), ["HTTP/1.1 408"]);
    }

    #[test]
    fn a_request_that_begins_with_its_whole_head_has_a_limit_too() {
        let mut keys: Arena<(), Connection> = Arena::default();
        let key = keys.insert(());
        let mut engine = Engine::new(&Config::default(), 0);
        engine.accept(Now::default(), key);
        let head =
            b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(sent(&mut engine, key, 0, head), ["HTTP/1.1 100"]);
        assert_eq!(sent(&mut engine, key, 10_200, b"x"), ["HTTP/1.1 408"]);
    }

    #[test]
    fn half_a_body_goes_with_its_connection() {
        let mut keys: Arena<(), Connection> = Arena::default();
        let mut engine = Engine::new(&Config::default(), 0);
        let begun = b"POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx";
        let [broken, ended, late] = [(); 3].map(|()| keys.insert(()));
        for key in [broken, ended, late] {
            engine.accept(Now::default(), key);
            assert_eq!(sent(&mut engine, key, 0, begun), [""; 0]);
        }
        assert_eq!(engine.partials.len(), 3);
        engine.gone(Now::default(), broken);
        assert_eq!(engine.partials.len(), 2);
        engine.ended(Now::default(), ended);
        engine.finished(Now::default(), ended);
        assert_eq!(engine.partials.len(), 1);
        assert_eq!(sent(&mut engine, late, 10_200, b""), ["HTTP/1.1 408"]);
        assert!(engine.partials.is_empty());
    }
}
