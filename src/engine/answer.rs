//! From a whole request to its answer: where HTTP and the chat core meet, as far as a connection is concerned.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::peer::{Farewell, Flags};
use super::{Engine, Output};
use crate::api::{self, Outcome, Route, Routed};
use crate::chat::{self, Call, Failure, Reply};
use crate::http::{After, Phase, Request};
use crate::model::{ConnectionKey, Now, Ticket};

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
        let outcome = match api::route(request) {
            Routed::CrossSite => Outcome::CrossSite,
            Routed::NotFound => Outcome::NotFound,
            Routed::NotAllowed(allow) => Outcome::NotAllowed(allow),
            Routed::Allowed(allow) => Outcome::Allowed(allow),
            Routed::To(route) => {
                peer.route = Some(route);
                if route == Route::Longpoll && peer.flags.has(Flags::HUNG_UP) {
                    return self.leave(now, key);
                }
                match api::parse(route, request, origin, &self.settings.rules) {
                    Ok(call) => return self.call(now, key, request, call),
                    Err(what) => Outcome::Failed(Failure::BadParameter(what)),
                }
            }
        };
        self.answer(now, key, &outcome);
    }

    fn call(&mut self, now: Now, key: ConnectionKey, request: &Request<'_>, call: Call) {
        let session = match call {
            Call::InSession(_) => api::session_of(request),
            Call::Register { .. } | Call::LogIn { .. } | Call::Health | Call::Readiness => None,
        };
        let peer = self.peers.get_mut(key).expect("it was received from");
        let ticket = Ticket {
            connection: key,
            exchange: peer.number,
            event_loop: self.settings.event_loop,
        };
        let asked_s = call.timeout_s();
        peer.held = self.chat.call(now, ticket, session, call);
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
        if peer.held.is_none() || peer.route != Some(Route::Longpoll) {
            return None;
        }
        let asked_ms = asked_s.map(|seconds| u64::from(seconds) * 1000);
        let server_ms = self.settings.poll_ms.map(|ms| {
            let mut hasher = DefaultHasher::new();
            (ticket, now.monotonic_ms).hash(&mut hasher);
            ms - hasher.finish() % (ms / 10 + 1)
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
        let route = peer.route.expect("only calls have tickets");
        self.answer(now, key, &Outcome::Replied(route, reply));
    }

    /// Queues the answer that is owed, and lets the connection go on or end.
    pub(super) fn answer(&mut self, now: Now, key: ConnectionKey, outcome: &Outcome) {
        let peer = self.peers.get_mut(key).expect("an answer is owed to it");
        if self.is_draining {
            // The drain itself may not have come to this connection yet.
            peer.exchange.close_after_answer();
        }
        let bytes = (self.renderer).render(now, outcome, peer.exchange.framing());
        let after = peer.exchange.answered();
        peer.held = None;
        peer.route = None;
        peer.flags.clear(Flags::TIMED);
        self.outputs.push_back(Output::Send(key, bytes));
        if after == After::Close {
            peer.farewell = Farewell::Finishing { and_close: false };
            self.outputs.push_back(Output::Finish(key));
        }
        self.resume(key);
        self.set_deadline(now, key);
    }
}
