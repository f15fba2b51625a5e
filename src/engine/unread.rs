//! Input that connections keep and that is no whole request yet: half heads, half bodies, and what waits behind a request that is being
//! answered. All of it together is within a bound.
//!
//! None of it needs a session, and each connection may keep as much as a head and a body: very many that say no last byte would take all
//! memory there is. Beyond the bound those are refused who have been at it longest. A request takes moments to arrive, so whoever means it is
//! among the last to have begun, however many sit there; were it the newcomer who is refused, those who sit there would decide who is served.
//!
//! What is refused was not begun. A little is not counted, so that what nearly all requests are costs nothing here, also in two pieces.

use std::collections::{BTreeMap, HashMap};

use super::peer::{Farewell, Flags};
use super::{Engine, Output};
use crate::api::Outcome;
use crate::http::{Phase, Rejection};
use crate::model::{ConnectionKey, Now};

/// Bytes from which on a connection counts.
const COUNTED_MIN: usize = 2 * 1024;
/// … and from which share of the bound on, where that is less.
const COUNTED_SHARE: usize = 32;

/// What the connections of one loop keep of input.
#[derive(Debug)]
pub(super) struct Unread {
    bytes_max: usize,
    /// Bytes from which on a connection counts; one at least.
    counted_min: usize,
    /// Of all of them.
    bytes: usize,
    kept: HashMap<ConnectionKey, Kept>,
    /// The same by when each of them began.
    oldest: BTreeMap<u64, ConnectionKey>,
    begun: u64,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: usize,
    since: u64,
}

impl Unread {
    /// Nothing. All that connections keep is to be `bytes_max` bytes at the most.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            counted_min: (bytes_max / COUNTED_SHARE).clamp(1, COUNTED_MIN),
            bytes: 0,
            kept: HashMap::new(),
            oldest: BTreeMap::new(),
            begun: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn set(&mut self, key: ConnectionKey, bytes: usize) {
        let (begun, oldest) = (&mut self.begun, &mut self.oldest);
        let kept = self.kept.entry(key).or_insert_with(|| {
            *begun = begun.wrapping_add(1);
            oldest.insert(*begun, key);
            Kept {
                bytes: 0,
                since: *begun,
            }
        });
        self.bytes = self.bytes.saturating_sub(kept.bytes).saturating_add(bytes);
        kept.bytes = bytes;
    }

    pub(super) fn remove(&mut self, key: ConnectionKey) {
        if let Some(kept) = self.kept.remove(&key) {
            self.bytes = self.bytes.saturating_sub(kept.bytes);
            self.oldest.remove(&kept.since);
        }
    }

    /// Who has kept something for longest, where all together keep too much. One alone may keep all.
    fn one_too_many(&self) -> Option<ConnectionKey> {
        let is_beyond = self.bytes > self.bytes_max && self.kept.len() > 1;
        let oldest = self.oldest.first_key_value();
        oldest.filter(|_| is_beyond).map(|(_, &key)| key)
    }
}

impl Engine {
    /// Bytes that connections keep of requests that are not whole, and behind those that are being answered.
    pub fn unread_bytes(&self) -> usize {
        self.unread.bytes()
    }

    /// About how many bytes all that is not whole takes, with what does not count: for whoever looks whether there was much.
    pub fn partial_bytes(&self) -> usize {
        let uncounted = self.partials.len().saturating_mul(COUNTED_MIN / 2);
        self.unread.bytes().saturating_add(uncounted)
    }

    /// More input waits behind the request that is being answered than is good for anything.
    ///
    /// Behind a poll that could stay for ever, and hide the peer's FIN behind a closed window. So the poll ends.
    pub fn flooded(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.farewell != Farewell::None {
            // Its end is queued: nothing may come behind that.
            return;
        }
        if peer.is_waiting() {
            let what = Rejection::BadRequest("too much is sent behind a poll that waits");
            self.end_waiting(now, key, what);
        }
    }

    /// Ends a poll or stream that waits for what is sent behind it.
    fn end_waiting(&mut self, now: Now, key: ConnectionKey, what: Rejection) {
        let peer = self.peers.get_mut(key).expect("it waits");
        if peer.flags.has(Flags::STREAMING) {
            // Its status has long been told.
            return self.leave(now, key);
        }
        let holder = peer.take_holder();
        peer.exchange.close_after_answer();
        self.forget(now, holder);
        self.answer(now, key, &Outcome::Rejected(what));
    }

    /// Some input was offered, of which `rest` bytes were not consumed.
    pub(super) fn note_unread(&mut self, now: Now, key: ConnectionKey, rest: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let partial = match peer.exchange.phase() {
            Phase::Receiving => self.partials.get(&key),
            _ => None,
        };
        let bytes = partial
            .map_or(0, |partial| partial.bytes())
            .saturating_add(rest);
        if bytes < self.unread.counted_min {
            // Most connections pay for the question with this bit alone.
            if peer.flags.clear(Flags::UNREAD) {
                self.unread.remove(key);
            }
            return;
        }
        peer.flags.set(Flags::UNREAD);
        self.unread.set(key, bytes);
        while let Some(key) = self.unread.one_too_many() {
            self.give_way(now, key);
        }
    }

    /// Lets go of what a connection keeps of input, and ends it: others need the room.
    fn give_way(&mut self, now: Now, key: ConnectionKey) {
        self.discard(key);
        let partial = self.partials.remove(&key);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.farewell != Farewell::None {
            return;
        }
        match peer.exchange.phase() {
            Phase::Receiving => {
                if let Some(what) = peer.exchange.refuse(partial, Rejection::Overloaded) {
                    self.answer(now, key, &Outcome::Rejected(what));
                }
            }
            Phase::Answering if peer.is_waiting() => {
                self.end_waiting(now, key, Rejection::Overloaded);
            }
            // Its answer is owed, and is the last.
            Phase::Answering => peer.exchange.close_after_answer(),
            // Answers before were too many at once, or are not taken.
            Phase::Idle | Phase::Lingering => self.leave(now, key),
        }
    }

    /// Nothing that a connection keeps of input will be wanted.
    pub(super) fn discard(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.flags.clear(Flags::UNREAD)
        {
            self.unread.remove(key);
            self.outputs.push_back(Output::Discard(key));
        }
    }
}

#[cfg(test)]
mod tests;
