//! The whole server without sockets or disk: bytes, completions and the time go in, outputs come out.
//!
//! The same inputs give the same outputs, so a simulator can drive all of it. The engine owns what
//! HTTP and chat know of each connection; keys are minted by whoever owns the sockets. Outputs are
//! queued and taken by [`Engine::next_output`] in the order in which they must be carried out.
//!
//! Here are the inputs. `answer` has the way from a request to its answer, `peer` what is known of a connection:
//! what it waits for, when that is over, and how it ends. `unread` bounds what all of them keep of input. `own` has the host's own routes, and
//! `draining` goes through everybody at the end.

// A peer's numbers come through here: none of them is cut to fit, and no calculation with one can overflow.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod answer;
mod draining;
mod own;
mod peer;
mod unread;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::api::{BadPrefix, Prefixes};
use crate::api::{Guest, Outcome, Renderer, Rules, Sites};
use crate::arena::SideTable;
use crate::buffer::Bytes;
pub use crate::chat::Notice;
use crate::chat::{Chat, Counts};
use crate::config::Config;
use crate::counters::LoopCounters;
use crate::http::{CONTINUE, Event, Exchange, Limits, Partial, Phase};
use crate::job::{Audience, Completion, Fault, Job};
use crate::model::{Connection, ConnectionKey, Now};
use crate::routes::Own;
use crate::timers::{Deadlines, Due};
use answer::{BYTES_EXPIRED_PER_TURN, BYTES_PER_OFFER};
use peer::{Farewell, Flags, Peer};
use unread::Unread;

/// What the engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Queue these bytes behind those queued before.
    Send(ConnectionKey, Bytes),
    /// Offer the input again that was not consumed, and go on reading.
    Resume(ConnectionKey),
    /// Read once more, whether it is known that something has come or not: offer it, or say [`Engine::emptied`].
    Probe(ConnectionKey),
    /// Let go of the input that was not consumed: none of it will be wanted.
    Discard(ConnectionKey),
    /// Nothing will be sent any more: tell the peer so when all has gone out, and go on reading.
    Finish(ConnectionKey),
    /// Close at once; the engine has forgotten the connection.
    Close(ConnectionKey),
    /// Hand this job to the store.
    Submit(Job),
    /// Tell other loops: all of them, or one.
    Tell(Audience, Notice),
}

/// What became of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes from the input's start that are done with.
    pub consumed: usize,
    /// Whether more may be offered; if not, [`Output::Resume`] will ask for it.
    pub wants_more: bool,
}

/// Requests of one connection that are begun before the others' turn.
const REQUESTS_PER_OFFER: usize = 16;
/// Polls and held calls that are served in one turn: with the sends, about a millisecond.
///
/// Half of the connections that the runtime reads in one (`READS_MAX`), for most of those who are woken ask again at
/// once: were more woken than are read, the next turns would have ever more to read, and whoever asks something
/// meanwhile would stand behind all of it.
const SERVED_PER_TURN: usize = 128;
/// Deadlines that are looked at in one turn.
const EXPIRED_PER_TURN: usize = 1024;
/// … of which a poll that is answered counts as so many: an answer is a system call.
const ANSWERED_EACH: usize = 8;

/// The whole server without sockets or disk.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    chat: Chat,
    /// The host's own routes, if there are any.
    own: Option<Box<Own>>,
    renderer: Renderer,
    peers: SideTable<Peer, Connection>,
    /// Requests whose bodies are still coming.
    partials: HashMap<ConnectionKey, Box<Partial>>,
    /// What those take, and what waits with the runtime.
    unread: Unread,
    /// When polls end that stand behind an answer which is not taken: until it is, the deadline is that answer's.
    poll_ends: HashMap<ConnectionKey, Due>,
    /// Whose request is being answered, where it is a page of an allowed origin.
    guests: HashMap<ConnectionKey, Guest>,
    /// Slots of `peers`.
    deadlines: Deadlines,
    /// A drain's place among the connections, while it goes through them.
    draining: Option<usize>,
    is_draining: bool,
    outputs: VecDeque<Output>,
    /// Bytes of all that was ever to be sent.
    queued_bytes: u64,
}

#[derive(Debug)]
struct Settings {
    event_loop: u16,
    limits: Limits,
    rules: Rules,
    sites: Sites,
    /// Which paths are the host's own.
    own: Prefixes,
    header_ms: u64,
    idle_ms: u64,
    send_ms: u64,
    poll_ms: Option<u64>,
}

impl Engine {
    /// The engine of the loop with this number.
    pub fn new(config: &Config, event_loop: u16) -> Self {
        Self {
            settings: Settings {
                event_loop,
                limits: Limits {
                    head_max: config.max_head,
                    body_max: config.max_body,
                },
                rules: Rules::from(config),
                sites: Sites::new(config),
                own: Prefixes::default(),
                header_ms: ms(config.header_timeout),
                idle_ms: ms(config.idle_timeout),
                send_ms: ms(config.send_timeout),
                poll_ms: config.poll_timeout.map(ms),
            },
            chat: Chat::new(config, event_loop),
            own: None,
            renderer: Renderer::new(config),
            peers: SideTable::large(),
            partials: HashMap::new(),
            unread: Unread::new(config.max_unread.checked_div(config.loops).unwrap_or(0)),
            poll_ends: HashMap::new(),
            guests: HashMap::new(),
            deadlines: Deadlines::large(),
            draining: None,
            is_draining: false,
            outputs: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// A connection was accepted.
    pub fn accept(&mut self, now: Now, key: ConnectionKey) {
        self.peers.insert(key, Peer::new(Exchange::default()));
        self.set_deadline(now, key);
        if self.is_draining {
            self.drain_one(key);
        }
    }

    /// Offers a connection's unread input from its start. `origin` says where it comes from; it is asked only by
    /// what counts by address, so that an address need not be kept for each connection.
    pub fn receive(
        &mut self,
        now: Now,
        key: ConnectionKey,
        input: &[u8],
        origin: &dyn Fn() -> IpAddr,
    ) -> Taken {
        let taken = self.take(now, key, input, origin);
        self.note_unread(now, key, input.len().saturating_sub(taken.consumed));
        taken
    }

    fn take(
        &mut self,
        now: Now,
        key: ConnectionKey,
        input: &[u8],
        origin: &dyn Fn() -> IpAddr,
    ) -> Taken {
        let mut consumed = 0;
        let enough = self.queued_bytes.saturating_add(BYTES_PER_OFFER);
        for _ in 0..REQUESTS_PER_OFFER {
            if self.queued_bytes >= enough {
                break;
            }
            let Some(peer) = self.peers.get_mut(key) else {
                return throw_away(input);
            };
            let before = peer.exchange.phase();
            if peer.farewell != Farewell::None && before != Phase::Answering {
                return throw_away(input);
            }
            if before == Phase::Answering || peer.flags.has(Flags::STALLED) {
                // One that does not take its answers gets no more work done.
                return self.pause(now, key, consumed);
            }
            let mut partial = match before {
                Phase::Receiving => self.partials.remove(&key),
                _ => None,
            };
            let limits = &self.settings.limits;
            let received = (peer.exchange).receive(&mut partial, &input[consumed..], limits);
            if let Some(partial) = partial {
                self.partials.insert(key, partial);
            }
            consumed = received.consumed.saturating_add(consumed);
            match received.event {
                Event::Request(request) => self.request(now, key, &request, origin),
                Event::Rejected(rejection) => self.answer(now, key, &Outcome::Rejected(rejection)),
                Event::Continue => {
                    self.send(key, Bytes::from_static(CONTINUE));
                    // The next round does not see that the request has begun. One that had begun before gets no
                    // more time for it.
                    if before != Phase::Receiving {
                        self.set_deadline(now, key);
                    }
                }
                Event::NeedMore => {
                    if peer.exchange.phase() != before {
                        self.set_deadline(now, key);
                    }
                    return Taken {
                        consumed,
                        wants_more: true,
                    };
                }
            }
        }
        // Others are to have their turn; what is left is offered again in the next.
        let taken = self.pause(now, key, consumed);
        self.resume(key);
        taken
    }

    fn pause(&mut self, now: Now, key: ConnectionKey, consumed: usize) -> Taken {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.flags.set(Flags::PAUSED);
            self.set_deadline(now, key);
        }
        Taken {
            consumed,
            wants_more: false,
        }
    }

    fn resume(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.flags.clear(Flags::PAUSED)
        {
            self.outputs.push_back(Output::Resume(key));
        }
    }

    /// The peer has sent its FIN; bytes before it may still be to come.
    ///
    /// A poll's client that has gone is forgotten at once. Any other call is finished: some clients
    /// send their request and shut their side down.
    pub fn hung_up(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.flags.set(Flags::HUNG_UP);
        if peer.is_waiting() {
            self.leave(now, key);
        }
    }

    /// The peer has sent its FIN and all bytes before it have been offered.
    pub fn ended(&mut self, now: Now, key: ConnectionKey) {
        self.hung_up(now, key);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.flags.set(Flags::ENDED);
        peer.exchange.close_after_answer();
        match peer.farewell {
            Farewell::Finished => self.close(now, key),
            Farewell::Finishing { .. } => {}
            Farewell::None if peer.exchange.phase() == Phase::Answering => {}
            Farewell::None => self.leave(now, key),
        }
    }

    /// All that has come was offered, and just then there was no more. Is not said while more waits that was offered and not
    /// wanted, and need not be of who hangs up.
    ///
    /// Who is idle then while the server drains has asked for nothing, and is let go. A request that is on its way at
    /// this very moment is not known of: as with any idle close (RFC 9112 §9.5).
    pub fn emptied(&mut self, now: Now, key: ConnectionKey) {
        if self.is_draining
            && let Some(peer) = self.peers.get(key)
            && peer.exchange.phase() == Phase::Idle
        {
            self.leave(now, key);
        }
    }

    /// The connection is broken: nothing can be read or sent.
    pub fn gone(&mut self, now: Now, key: ConnectionKey) {
        self.close(now, key);
    }

    /// Some of what was sent could not go out yet; said again whenever some more has.
    pub fn stalled(&mut self, now: Now, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            if peer.flags.has(Flags::TIMED) {
                self.poll_ends.entry(key).or_insert(peer.due);
            }
            if peer.flags.has(Flags::STREAMING)
                && let Some(held) = peer.held()
            {
                self.chat.pause(held);
            }
            peer.flags.set(Flags::STALLED);
            self.set_due(now, key, self.settings.send_ms);
        }
    }

    /// All that was sent has gone out after all.
    pub fn drained(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.flags.clear(Flags::STALLED);
        if let Some(end) = self.poll_ends.remove(&key)
            && peer.flags.has(Flags::TIMED)
        {
            peer.due = end;
            return self.queue_deadline(key);
        }
        if peer.flags.has(Flags::STREAMING)
            && let Some(held) = peer.held()
        {
            self.chat.go_on(held);
        }
        if peer.exchange.phase() != Phase::Answering {
            self.resume(key);
        }
        self.set_deadline(now, key);
    }

    /// All that there will ever be has gone out, the end too.
    pub fn finished(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let and_close = peer.farewell == Farewell::Finishing { and_close: true };
        if and_close || peer.flags.has(Flags::ENDED) {
            return self.close(now, key);
        }
        peer.flags.clear(Flags::STALLED);
        peer.farewell = Farewell::Finished;
        self.set_deadline(now, key);
    }

    /// Whether the store hears nothing of what other servers write, from now on.
    pub fn set_deaf(&mut self, is_deaf: bool) {
        self.chat.set_deaf(is_deaf);
    }

    /// The store says what became of a job.
    pub fn complete(&mut self, now: Now, completion: Completion) {
        self.chat.complete(now, completion);
        self.carry_out(now);
    }

    /// Another loop tells something.
    pub fn hear(&mut self, now: Now, notice: Notice) {
        self.chat.hear(now, notice);
        self.carry_out(now);
    }

    /// The store has no room for a job.
    pub fn refused(&mut self, now: Now, job: &Job) {
        if let Some(completion) = job.failed(Fault::Overloaded) {
            self.complete(now, completion);
        }
    }

    /// Ends what has come due, so many at a time: while more has, [`Engine::deadline_ms`] is past.
    pub fn expire(&mut self, now: Now) {
        let mut looked_at = 0;
        let enough = self.queued_bytes.saturating_add(BYTES_EXPIRED_PER_TURN);
        while looked_at < EXPIRED_PER_TURN
            && self.queued_bytes < enough
            && let Some(slot) = self.deadlines.pop_due(now.monotonic_ms)
        {
            let is_over = self.look_at(now, slot);
            let counts = if is_over { ANSWERED_EACH } else { 1 };
            looked_at = counts.saturating_add(looked_at);
        }
    }

    /// Serves a slice of what takes long: wakes, endings, a drain.
    pub fn serve(&mut self, now: Now) {
        self.drain_slice();
        self.chat.end_input();
        let own = self.serve_own(now);
        if self.chat.has_work() {
            self.chat.serve(now, SERVED_PER_TURN.saturating_sub(own));
            self.carry_out(now);
        }
        if !self.chat.has_work() && !self.has_own_work() {
            self.renderer.forget();
        }
    }

    /// Whether [`Engine::serve`] has something to do.
    pub fn has_work(&self) -> bool {
        self.chat.has_work() || self.draining.is_some() || self.has_own_work()
    }

    /// When [`Engine::expire`] has something to do, in milliseconds of the monotonic clock.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.deadlines.next_ms()
    }

    /// What is to be done next, in order.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The answer to a newcomer for whom there is no room.
    pub fn refusal(&mut self, now: Now) -> Vec<u8> {
        self.renderer.render_refusal(now)
    }

    /// What the loop counts, shared with whoever looks.
    pub fn counters(&self) -> &Arc<LoopCounters> {
        self.chat.counters()
    }

    /// Says how much there is right now to whoever looks.
    pub fn count(&self) {
        self.counters().connections.set(self.peers.len() as u64);
        self.chat.count();
        self.count_own();
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// What the chat core holds right now.
    pub fn counts(&self) -> Counts {
        self.chat.counts()
    }
}

fn throw_away(input: &[u8]) -> Taken {
    Taken {
        consumed: input.len(),
        wants_more: true,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
