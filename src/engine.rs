//! The whole server without sockets or disk: bytes, completions and the time go in, outputs come out.
//!
//! The same inputs give the same outputs, so a simulator can drive all of it. The engine owns what
//! HTTP and chat know of each connection; keys are minted by whoever owns the sockets. Outputs are
//! queued and taken by [`Engine::next_output`] in the order in which they must be carried out.
//!
//! A connection's deadline depends on what it waits for: for a request's first byte (idle), for its rest
//! (header), for the peer to take an answer (send), for its end (linger). While a call is being
//! answered there is none: a parked poll costs no timer. Deadlines only move later, mostly, so the queue is
//! lazy: see `timers`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{self, Outcome, Renderer, Route, Routed, Rules};
use crate::arena::SideTable;
use crate::chat::{self, Call, Chat, Counts, Failure, HeldKey, Reply};
use crate::config::Config;
use crate::http::{After, CONTINUE, Event, Exchange, Limits, Phase, Request};
use crate::job::{Completion, Fault, Job};
use crate::model::{Connection, ConnectionKey, Now, Ticket};
use crate::timers::Deadlines;

/// What the engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Queue these bytes behind those queued before.
    Send(ConnectionKey, Arc<[u8]>),
    /// Offer the input again that was not consumed, and go on reading.
    Resume(ConnectionKey),
    /// Nothing will be sent any more: tell the peer so when all has gone out, and go on reading.
    Finish(ConnectionKey),
    /// Close at once; the engine has forgotten the connection.
    Close(ConnectionKey),
    /// Hand this job to the store.
    Submit(Job),
}

/// What became of some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Bytes from the input's start that are done with.
    pub consumed: usize,
    /// Whether more may be offered; if not, [`Output::Resume`] will ask for it.
    pub wants_more: bool,
}

/// How long a closed connection's input is thrown away, at most, while the peer has not ended: a reset
/// would destroy the answer that it has not read yet (RFC 9112 §9.6).
const LINGER_MS: u64 = 5_000;
/// Requests of one connection that are begun before the others' turn.
const REQUESTS_PER_OFFER: usize = 16;
/// Polls and held calls that are served in one turn: with the sends, about 3 ms.
const SERVED_PER_TURN: usize = 256;
/// Connections that a drain looks at in one turn.
const DRAINED_PER_TURN: usize = 4096;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// What HTTP and chat know of one connection.
#[derive(Debug)]
struct Peer {
    exchange: Exchange,
    /// The call under way, while the chat core holds it.
    held: Option<HeldKey>,
    /// When what the connection waits for is over, and the time of its entry in the queue.
    due_ms: u64,
    queued_ms: u64,
    /// Counts the exchanges, so that an answer finds the one that it is for.
    number: u32,
    address: IpAddr,
    route: Option<Route>,
    /// The engine has said that it wants no more input; a resume is owed.
    is_paused: bool,
    /// The peer has sent its FIN; `has_ended`: and all before it has been offered.
    hung_up: bool,
    has_ended: bool,
    /// Some of what was sent is still queued.
    is_stalled: bool,
    farewell: Farewell,
}

/// How far our own end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// More may be sent.
    None,
    /// All has been queued, the end too. `and_close`: there is no need to wait for the peer's.
    Finishing { and_close: bool },
    /// All has gone out.
    Finished,
}

/// The whole server without sockets or disk.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    chat: Chat,
    renderer: Renderer,
    peers: SideTable<Peer, Connection>,
    deadlines: Deadlines<ConnectionKey>,
    /// A drain's place among the connections, while it goes through them.
    draining: Option<usize>,
    is_draining: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Settings {
    event_loop: u16,
    limits: Limits,
    rules: Rules,
    header_ms: u64,
    idle_ms: u64,
    send_ms: u64,
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
                header_ms: ms(config.header_timeout),
                idle_ms: ms(config.idle_timeout),
                send_ms: ms(config.send_timeout),
            },
            chat: Chat::new(config, event_loop),
            renderer: Renderer::new(config),
            peers: SideTable::default(),
            deadlines: Deadlines::default(),
            draining: None,
            is_draining: false,
            outputs: VecDeque::new(),
        }
    }

    /// A connection was accepted.
    pub fn accept(&mut self, now: Now, key: ConnectionKey, address: IpAddr) {
        let mut exchange = Exchange::default();
        if self.is_draining {
            exchange.close_after_answer();
        }
        self.peers.insert(
            key,
            Peer {
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
            },
        );
        self.set_deadline(now, key);
    }

    /// Offers a connection's unread input from its start.
    pub fn receive(&mut self, now: Now, key: ConnectionKey, input: &[u8]) -> Taken {
        let mut consumed = 0;
        for _ in 0..REQUESTS_PER_OFFER {
            let Some(peer) = self.peers.get_mut(key) else {
                return throw_away(input);
            };
            let before = peer.exchange.phase();
            if peer.farewell != Farewell::None && before != Phase::Answering {
                return throw_away(input);
            }
            if before == Phase::Answering || peer.is_stalled {
                // One that does not take its answers gets no more work done.
                return self.pause(now, key, consumed);
            }
            let received = (peer.exchange).receive(&input[consumed..], &self.settings.limits);
            consumed += received.consumed;
            match received.event {
                Event::Request(request) => self.request(now, key, &request),
                Event::Rejected(rejection) => self.answer(now, key, &Outcome::Rejected(rejection)),
                Event::Continue => self.outputs.push_back(Output::Send(key, CONTINUE.into())),
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
            peer.is_paused = true;
            self.set_deadline(now, key);
        }
        Taken {
            consumed,
            wants_more: false,
        }
    }

    fn resume(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key)
            && std::mem::take(&mut peer.is_paused)
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
        peer.hung_up = true;
        if peer.exchange.phase() == Phase::Answering && peer.route == Some(Route::Longpoll) {
            self.leave(now, key);
        }
    }

    /// The peer has sent its FIN and all bytes before it have been offered.
    pub fn ended(&mut self, now: Now, key: ConnectionKey) {
        self.hung_up(now, key);
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.has_ended = true;
        peer.exchange.close_after_answer();
        match peer.farewell {
            Farewell::Finished => self.close(key),
            Farewell::Finishing { .. } => {}
            Farewell::None if peer.exchange.phase() == Phase::Answering => {}
            Farewell::None => self.leave(now, key),
        }
    }

    /// The connection is broken: nothing can be read or sent.
    pub fn gone(&mut self, key: ConnectionKey) {
        self.close(key);
    }

    /// Some of what was sent could not go out yet; said again whenever some more has.
    pub fn stalled(&mut self, now: Now, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.is_stalled = true;
            self.set_deadline(now, key);
        }
    }

    /// All that was sent has gone out after all.
    pub fn drained(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.is_stalled = false;
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
        if and_close || peer.has_ended {
            return self.close(key);
        }
        peer.is_stalled = false;
        peer.farewell = Farewell::Finished;
        self.set_deadline(now, key);
    }

    /// The store says what became of a job.
    pub fn complete(&mut self, now: Now, completion: Completion) {
        self.chat.complete(now, completion);
        self.carry_out(now);
    }

    /// The store has no room for a job.
    pub fn refused(&mut self, now: Now, job: &Job) {
        if let Some(completion) = job.failed(Fault::Overloaded) {
            self.complete(now, completion);
        }
    }

    /// Ends what has come due.
    pub fn expire(&mut self, now: Now) {
        while let Some(key) = self.deadlines.pop_due(now.monotonic_ms) {
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            if peer.due_ms <= now.monotonic_ms {
                peer.queued_ms = NEVER;
                self.time_out(now, key);
            } else if peer.queued_ms <= now.monotonic_ms {
                peer.queued_ms = NEVER;
                self.queue_deadline(key);
            }
        }
    }

    /// Serves a slice of what takes long: wakes, endings, a drain.
    pub fn serve(&mut self, now: Now) {
        self.drain_slice(now);
        if self.chat.has_work() {
            self.chat.serve(now, SERVED_PER_TURN);
            self.carry_out(now);
        }
        if !self.chat.has_work() {
            self.renderer.forget();
        }
    }

    /// Whether [`Engine::serve`] has something to do.
    pub fn has_work(&self) -> bool {
        self.chat.has_work() || self.draining.is_some()
    }

    /// When [`Engine::expire`] has something to do, in milliseconds of the monotonic clock.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.deadlines.next_ms()
    }

    /// What is to be done next, in order.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Begins to end everything: parked polls with their lists, idle connections at once, the others with
    /// their answer. It is done when there are no connections left.
    pub fn drain(&mut self, now: Now) {
        if !self.is_draining {
            self.is_draining = true;
            self.draining = Some(0);
            self.chat.drain();
            self.carry_out(now);
        }
    }

    /// The answer to a newcomer for whom there is no room.
    pub fn refusal(&mut self, now: Now) -> Vec<u8> {
        self.renderer.render_refusal(now)
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// What the chat core holds right now.
    pub fn counts(&self) -> Counts {
        self.chat.counts()
    }

    fn drain_slice(&mut self, now: Now) {
        let Some(start) = self.draining else { return };
        let end = start + DRAINED_PER_TURN;
        for key in self.peers.keys_in(start..end) {
            let peer = self.peers.get_mut(key).expect("listed");
            peer.exchange.close_after_answer();
            // A request whose first bytes are on their way is not known of: as with any idle close.
            if peer.exchange.phase() == Phase::Idle {
                self.leave(now, key);
            }
        }
        self.draining = (end < self.peers.slots()).then_some(end);
    }

    fn request(&mut self, now: Now, key: ConnectionKey, request: &Request<'_>) {
        let peer = self.peers.get_mut(key).expect("it was received from");
        peer.number = peer.number.wrapping_add(1);
        let outcome = match api::route(request) {
            Routed::NotFound => Outcome::NotFound,
            Routed::NotAllowed(allow) => Outcome::NotAllowed(allow),
            Routed::Allowed(allow) => Outcome::Allowed(allow),
            Routed::To(route) => {
                peer.route = Some(route);
                if route == Route::Longpoll && peer.hung_up {
                    return self.leave(now, key);
                }
                match api::parse(route, request, peer.address, &self.settings.rules) {
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
            Call::Register { .. } | Call::LogIn { .. } => None,
        };
        let peer = self.peers.get_mut(key).expect("it was received from");
        let ticket = Ticket {
            connection: key,
            exchange: peer.number,
            event_loop: self.settings.event_loop,
        };
        peer.held = self.chat.call(now, ticket, session, call);
        self.carry_out(now);
    }

    /// Carries out what the chat core wants.
    fn carry_out(&mut self, now: Now) {
        while let Some(output) = self.chat.next_output() {
            match output {
                chat::Output::Submit(job) => self.outputs.push_back(Output::Submit(job)),
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
    fn answer(&mut self, now: Now, key: ConnectionKey, outcome: &Outcome) {
        let peer = self.peers.get_mut(key).expect("an answer is owed to it");
        let bytes = (self.renderer).render(now, outcome, peer.exchange.framing());
        let after = peer.exchange.answered();
        peer.held = None;
        peer.route = None;
        self.outputs.push_back(Output::Send(key, bytes));
        if after == After::Close {
            peer.farewell = Farewell::Finishing { and_close: false };
            self.outputs.push_back(Output::Finish(key));
        }
        self.resume(key);
        self.set_deadline(now, key);
    }

    /// Ends a connection to which nothing is owed any more, once what was queued has gone out.
    fn leave(&mut self, now: Now, key: ConnectionKey) {
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

    fn close(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.remove(key) {
            if let Some(held) = peer.held {
                self.chat.forget(held);
            }
            self.outputs.push_back(Output::Close(key));
        }
    }

    /// What the connection waits for has not come in time.
    fn time_out(&mut self, now: Now, key: ConnectionKey) {
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
    fn set_deadline(&mut self, now: Now, key: ConnectionKey) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let settings = &self.settings;
        let wait_ms = match peer.exchange.phase() {
            _ if peer.is_stalled => settings.send_ms,
            _ if peer.farewell != Farewell::None => LINGER_MS,
            Phase::Idle => settings.idle_ms,
            Phase::Receiving => settings.header_ms,
            Phase::Lingering => LINGER_MS,
            Phase::Answering => NEVER,
        };
        peer.due_ms = now.monotonic_ms.saturating_add(wait_ms);
        self.queue_deadline(key);
    }

    /// Makes sure that the connection comes up in the queue when it is due, or before.
    fn queue_deadline(&mut self, key: ConnectionKey) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.due_ms < peer.queued_ms
        {
            peer.queued_ms = peer.due_ms;
            self.deadlines.schedule(peer.due_ms, key);
        }
    }
}

fn throw_away(input: &[u8]) -> Taken {
    Taken {
        consumed: input.len(),
        wants_more: true,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}
