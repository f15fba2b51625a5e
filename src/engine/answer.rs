//! From a whole request to its answer: where HTTP and the chat core meet, as far as a connection is concerned.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU64;

use super::peer::{Asked, Farewell, Flags, Holder};
use super::{Engine, Output};
use crate::api::{self, Guest, Outcome, Route, Routed};
use crate::buffer::Bytes;
use crate::chat::{self, Call, Failure, Reply, Streamed};
use crate::http::{After, Phase, Request};
use crate::model::{ConnectionKey, Now, Ticket};

/// Bytes of answers on one connection behind which the others have their turn: to send as many takes the system a part of a millisecond.
pub(super) const BYTES_PER_OFFER: u64 = 256 * 1024;
/// Bytes of answers to what has come due in one turn; what is due beyond that waits for the next.
pub(super) const BYTES_EXPIRED_PER_TURN: u64 = 1024 * 1024;

impl Engine {
    pub(super) fn request(
        &mut self,
        now: Now,
        key: ConnectionKey,
        request: &Request<'_>,
        origin: &dyn Fn() -> IpAddr,
    ) {
        let peer = self.peers.get_mut(key).expect("it was received from");
        peer.number = peer.number.wrapping_add(1);
        let sites = &self.settings.sites;
        if let Some(guest) = sites.guest(request) {
            peer.flags.set(Flags::GUEST);
            self.guests.insert(key, guest);
        }
        let outcome = match api::route(request, sites, &self.settings.own, origin) {
            Routed::Own => return self.ask_own(now, key, request, origin),
            Routed::CrossSite => Outcome::CrossSite,
            Routed::NotFound => Outcome::NotFound,
            Routed::NotAllowed(allow) => Outcome::NotAllowed(allow),
            Routed::Allowed(allow) => Outcome::Allowed(allow),
            Routed::File(file) => {
                let representation = api::representation(request, file);
                match api::is_known(request, representation) {
                    true => Outcome::Unchanged(representation),
                    false => Outcome::File(representation),
                }
            }
            Routed::To(route) => {
                peer.asked = Asked::Call(route);
                if route.waits() && peer.flags.has(Flags::HUNG_UP) {
                    return self.leave(now, key);
                }
                let client = || sites.client(request, origin());
                match api::parse(route, request, &client, &self.settings.rules) {
                    Ok(call) => return self.call(now, key, request, call),
                    Err(what) => Outcome::Failed(Failure::BadParameter(what)),
                }
            }
        };
        self.answer(now, key, &outcome);
    }

    fn call(&mut self, now: Now, key: ConnectionKey, request: &Request<'_>, call: Call) {
        let session = match call {
            Call::InSession(_) => api::session_of(request, &self.settings.rules),
            Call::Register { .. } | Call::LogIn { .. } | Call::Health | Call::Readiness => None,
        };
        let peer = self.peers.get_mut(key).expect("it was received from");
        let ticket = Ticket {
            connection: key,
            exchange: peer.number,
            event_loop: self.settings.event_loop,
        };
        let asked_s = call.timeout_s();
        let held = self.chat.call(now, ticket, session, call);
        peer.hold(held.map(Holder::Chat));
        if let Some(wait_ms) = self.poll_wait_ms(now, ticket, asked_s) {
            let peer = self.peers.get_mut(key).expect("it was received from");
            peer.flags.set(Flags::TIMED);
            self.set_due(now, key, wait_ms);
        }
        self.carry_out(now);
    }

    /// How long the poll that has just come may wait, in milliseconds; `None` for ever, and for what is no poll that waits.
    ///
    /// The server's own limit is less up to a tenth, so that polls that were parked together do not come back
    /// together. Nobody gains anything by guessing how much: a hash of who and when will do.
    fn poll_wait_ms(&self, now: Now, ticket: Ticket, asked_s: Option<u16>) -> Option<u64> {
        let peer = self.peers.get(ticket.connection)?;
        if peer.held().is_none() || peer.asked != Asked::Call(Route::Longpoll) {
            return None;
        }
        let asked_ms = asked_s.map(|seconds| u64::from(seconds) * 1000);
        let server_ms = self.settings.poll_ms.map(|ms| {
            let mut hasher = DefaultHasher::new();
            (ticket, now.monotonic_ms).hash(&mut hasher);
            let tenth = NonZeroU64::MIN.saturating_add(ms / 10);
            ms.saturating_sub(hasher.finish() % tenth)
        });
        asked_ms.into_iter().chain(server_ms).min()
    }

    /// Carries out what the chat core wants.
    pub(super) fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.chat.next_output() {
            match output {
                chat::Output::Submit(job) => self.outputs.push_back(Output::Submit(job)),
                chat::Output::Tell(who, notice) => {
                    self.outputs.push_back(Output::Tell(who, notice));
                }
                chat::Output::Answer(ticket, reply) => self.reply(now, ticket, reply),
                chat::Output::Stream(ticket, part) => self.stream(now, ticket, &part),
            }
        }
    }

    fn reply(&mut self, now: Now, ticket: Ticket, reply: Reply) {
        let key = ticket.connection;
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        if peer.number != ticket.exchange || peer.exchange.phase() != Phase::Answering {
            return;
        }
        let route = peer.asked.route().expect("only calls have tickets");
        self.answer(now, key, &Outcome::Replied(route, reply));
    }

    /// Queues a part of the stream that is owed, and lets the connection go on or end behind the last.
    fn stream(&mut self, now: Now, ticket: Ticket, part: &Streamed) {
        let key = ticket.connection;
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        if peer.number != ticket.exchange || peer.exchange.phase() != Phase::Answering {
            return;
        }
        if let Streamed::Begin = part {
            (self.chat.counters()).count_answer(peer.asked.counted_at(), 200);
            peer.flags.set(Flags::STREAMING);
            if let Some(held) = peer.held().filter(|_| peer.flags.has(Flags::STALLED)) {
                // It was asked for behind an answer that is not taken.
                self.chat.pause(held);
            }
            if self.is_draining || !peer.exchange.framing().is_chunked() {
                peer.exchange.close_after_answer();
            }
        }
        let framing = peer.exchange.framing();
        let guest = self.guest(key);
        let bytes = (self.renderer).render_stream(now, part, framing, guest);
        if !bytes.is_empty() {
            self.send(key, bytes);
        }
        match part {
            Streamed::End => self.answered(now, key),
            Streamed::Begin | Streamed::Events(_) => self.set_deadline(now, key),
        }
    }

    /// A stream has been silent for long: tells its peer that it still is one, and the chat core that it is in use.
    pub(super) fn send_comment(&mut self, now: Now, key: ConnectionKey) {
        let peer = self.peers.get_mut(key).expect("it has a deadline");
        let bytes = (self.renderer).render_comment(peer.exchange.framing());
        if let Some(held) = peer.held() {
            self.chat.keep_session(now, held);
        }
        self.send(key, bytes);
        self.set_deadline(now, key);
    }

    /// Queues the answer that is owed, and lets the connection go on or end.
    pub(super) fn answer(&mut self, now: Now, key: ConnectionKey, outcome: &Outcome) {
        let peer = self.peers.get_mut(key).expect("an answer is owed to it");
        if self.is_draining {
            // The drain itself may not have come to this connection yet.
            peer.exchange.close_after_answer();
        }
        let framing = peer.exchange.framing();
        let counted_at = peer.asked.counted_at();
        let guest = self.guest(key);
        let rendered = (self.renderer).render(now, outcome, framing, guest);
        self.counters().count_answer(counted_at, rendered.status);
        self.send(key, rendered.first);
        if let Some(body) = rendered.long_body {
            self.send(key, body);
        }
        if !rendered.end.is_empty() {
            self.send(key, Bytes::from_static(rendered.end));
        }
        self.answered(now, key);
    }

    /// Bytes of all that was ever to be sent: what a turn has come to is the difference.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Queues bytes for a connection.
    pub(super) fn send(&mut self, key: ConnectionKey, bytes: Bytes) {
        let more = bytes.len() as u64;
        self.queued_bytes = self.queued_bytes.saturating_add(more);
        self.outputs.push_back(Output::Send(key, bytes));
    }

    /// The allowed origin whose page has sent the request that is being answered.
    fn guest(&self, key: ConnectionKey) -> Option<Guest> {
        let peer = self.peers.get(key)?;
        // Most connections pay for the question with this bit alone.
        let is_guest = peer.flags.has(Flags::GUEST);
        is_guest.then(|| self.guests.get(&key).copied()).flatten()
    }

    /// All of the answer is queued: lets the connection go on or end.
    fn answered(&mut self, now: Now, key: ConnectionKey) {
        let peer = self.peers.get_mut(key).expect("it was answered");
        let after = peer.exchange.answered();
        peer.hold(None);
        peer.asked = Asked::Nothing;
        peer.flags.clear(Flags::TIMED);
        peer.flags.clear(Flags::STREAMING);
        if peer.flags.clear(Flags::GUEST) {
            self.guests.remove(&key);
        }
        if after == After::Close {
            peer.farewell = Farewell::Finishing { and_close: false };
            self.outputs.push_back(Output::Finish(key));
            self.discard(key);
        }
        self.resume(key);
        self.set_deadline(now, key);
    }
}
