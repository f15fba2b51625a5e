//! The host's own routes: from a request to the host's answer, at once or when a wake or the end of its time has come.
//!
//! To a server without any, all of this is one comparison: where a path is nobody's, and where a turn looks for what is left to do.

use std::net::IpAddr;
use std::sync::Arc;

use super::peer::{Asked, Flags, Holder};
use super::{Engine, SERVED_PER_TURN, ms};
use crate::api::{OPERATIONS, Outcome, Prefixes};
use crate::chat::Failure;
use crate::counters::OWN_CALL;
use crate::http::{self, Phase};
use crate::job::Fault;
use crate::model::{ConnectionKey, Now};
use crate::routes::{Answer, Counts, Gone, Own, ParkedKey, Request, Response, Routes, Wake};

/// Answers to the host's own paths are counted behind those to all calls.
const _: () = assert!(OPERATIONS.len() <= OWN_CALL);

impl Engine {
    /// Has a host answer below these prefixes. `parked_max` of its requests may wait at a time.
    pub fn set_routes(&mut self, prefixes: Prefixes, routes: Box<dyn Routes>, parked_max: usize) {
        self.settings.own = prefixes;
        self.own = Some(Box::new(Own::new(routes, parked_max)));
    }

    /// Whom the host's own routes keep waiting.
    pub fn own_counts(&self) -> Counts {
        let own = self.own.as_ref();
        own.map_or_else(Counts::default, |own| own.counts())
    }

    /// The host wakes those who wait under a key: in the slices that [`Engine::serve`] takes.
    pub fn wake(&mut self, wake: Arc<Wake>) {
        if let Some(own) = &mut self.own {
            own.parked().wake(wake);
        }
    }

    pub(super) fn ask_own(
        &mut self,
        now: Now,
        key: ConnectionKey,
        request: &http::Request<'_>,
        origin: &dyn Fn() -> IpAddr,
    ) {
        let own = self.own.as_mut().expect("the path is its own");
        let peer = self.peers.get_mut(key).expect("it was received from");
        peer.asked = Asked::Own;
        let sites = &self.settings.sites;
        let client = || sites.client(request, origin());
        let is_cross_site = || sites.is_elsewhere(request, origin);
        let answer = own.answer(&Request::new(request, &client, &is_cross_site));
        match answer {
            Answer::Now(response) => self.answer(now, key, &Outcome::Own(response)),
            Answer::Park { key: topic, .. } if peer.flags.has(Flags::HUNG_UP) => {
                own.turn_away(topic, Gone::Left);
                self.leave(now, key);
            }
            Answer::Park {
                key: topic,
                at_most,
                then,
            } => {
                let exchange = (key, peer.number);
                let Some(parked) = own.parked().park(exchange, topic, then) else {
                    own.turn_away(topic, Gone::Refused);
                    let failure = Failure::Fault(Fault::Overloaded);
                    return self.answer(now, key, &Outcome::Failed(failure));
                };
                peer.hold(Some(Holder::Own(parked)));
                peer.flags.set(Flags::TIMED);
                self.set_due(now, key, ms(at_most));
            }
        }
    }

    /// Nobody waits any more for the host's word: what there was to be told when the time is over.
    pub(super) fn unpark(&mut self, parked: ParkedKey, how: Gone) -> Option<Response> {
        self.own.as_mut()?.forget(parked, how)
    }

    /// Nobody will be answered any more: the host is told of all who wait, and its handler let go of.
    pub fn end_own(&mut self) {
        if let Some(own) = self.own.take() {
            own.end();
        }
    }

    /// A request has waited long enough.
    pub(super) fn end_parked(&mut self, now: Now, key: ConnectionKey, parked: ParkedKey) {
        let then = self.unpark(parked, Gone::TimedOut);
        let then = then.expect("it waits until it is answered");
        self.answer(now, key, &Outcome::Own(then));
    }

    /// Answers a slice of those who have been woken, half of what a turn serves where the chat has its own; how many.
    pub(super) fn serve_own(&mut self, now: Now) -> usize {
        let max = match self.chat.has_work() {
            true => SERVED_PER_TURN / 2,
            false => SERVED_PER_TURN,
        };
        let mut served = 0_usize;
        while served < max
            && let Some(own) = &mut self.own
            && let Some(told) = own.next_told()
        {
            served = served.saturating_add(1);
            debug_assert!(self.peers.get(told.connection).is_some_and(|peer| {
                peer.number == told.exchange && peer.exchange.phase() == Phase::Answering
            }));
            self.answer(now, told.connection, &Outcome::Own(told.response));
        }
        served
    }

    pub(super) fn has_own_work(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.has_work())
    }

    pub(super) fn drain_own(&mut self) {
        if let Some(own) = &mut self.own {
            own.drain();
        }
    }

    pub(super) fn count_own(&self) {
        if let Some(own) = &self.own {
            let parked = own.counts().requests;
            self.counters().parked_own.set(parked as u64);
        }
    }
}

#[cfg(test)]
mod tests;
