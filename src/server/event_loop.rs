//! One event loop: a reactor's sockets, an engine, and the way to the store, in the order of a turn.
//!
//! Each phase of a turn is bounded and leaves what it did not finish for the next:
//!
//! 1. wait for events, until the host's timeout or the next deadline;
//! 2. read the clock, once;
//! 3. take what has come by post: completions are oldest, and answers wait for them; then whom the host wakes, so many a turn;
//! 4. offer input to the engine, and before each piece of it what has come by post since; then a few of the long lists that the store has read: they
//!    are for those who asked for them, and nobody else waits for them;
//! 5. accept newcomers, after those who are here already;
//! 6. end what has come due, after the input that may have come just in time;
//! 7. serve slices of wakes, then carry the engine's outputs out: queue bytes, submit jobs, tell other loops;
//! 8. flush, when all answers of the turn are queued, so that one write takes them;
//! 9. close and free, last, so that no key is reused within a turn.
//!
//! **No input overtakes the post.** What a client can have learned from another loop before it sent a request was in
//! this loop's box by then. The box is looked at after the request's bytes were read and before the engine has them: so
//! the request finds it told, whichever loops the client talks to. With one loop the same order holds, and costs an atomic
//! load for each piece of input.
//!
//! The host's wakes keep that order as long as a turn has room for them, and no longer (`wakes`): a host that wakes without pause would
//! else be all that a loop hears.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::clock::{Clock, ms};
use super::handle::{Handle, Wish};
use super::letters::Mailbox;
use super::panicked::guard;
use crate::config::Config;
use crate::engine::{Engine, Output};
use crate::job::Job;
use crate::model::Now;
use crate::runtime::{Flushed, Reactor, Taken};
use crate::store::Store;

/// Letters that one turn takes in before its input: each may begin a wake or wake a held call. Where there are
/// more, the input waits for the next turn too.
const LETTERS_PER_TURN: usize = 1024;
/// Text of long lists that one turn writes out: a millisecond or two of work.
const LONG_BYTES_PER_TURN: usize = 256 * 1024;
/// Bytes of answers that a turn's letters may come to, and as many that its input may: what is beyond them waits for the next turn, so that whoever
/// asks for little is behind a millisecond's sending, however much others ask for.
const ANSWERS_PER_TURN: u64 = 1024 * 1024;
/// What the store has to finish what it has taken after a drain that has used its time up.
const STORE_END_MIN: Duration = Duration::from_millis(100);

/// One event loop. Whoever owns it calls [`EventLoop::turn`].
pub(super) struct EventLoop {
    reactor: Reactor,
    engine: Engine,
    mailbox: Mailbox,
    store: Arc<Store>,
    control: Handle,
    clock: Clock,
    drain_timeout: Duration,
    state: State,
    refusal_unix_s: u64,
    /// What a turn hands to the store, together.
    jobs: Vec<Job>,
}

/// How far a loop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Draining { until_ms: u64 },
    Stopped,
}

impl EventLoop {
    pub(super) fn new(
        config: &Config,
        reactor: Reactor,
        engine: Engine,
        mailbox: Mailbox,
        store: Arc<Store>,
        control: &Handle,
        clock: Clock,
    ) -> Self {
        Self {
            reactor,
            engine,
            mailbox,
            store,
            control: control.clone(),
            clock,
            drain_timeout: config.drain_timeout,
            state: State::Serving,
            refusal_unix_s: 0,
            jobs: Vec::new(),
        }
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        self.reactor.addresses()
    }

    /// Whether it has ended: its sockets are closed, and further turns do nothing.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Stopped
    }

    #[cfg(debug_assertions)]
    pub(super) fn break_checkpoints(&self) {
        self.store.break_checkpoints();
    }

    pub(super) fn connections_of_all(&self) -> usize {
        self.reactor.places().taken()
    }

    /// How long its owner may wait for its descriptor before the next turn; `None` is for ever.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        if self.is_done() {
            return None;
        }
        let mailbox = &self.mailbox;
        let has_post = mailbox.has_untold() || mailbox.has_long() || mailbox.wakes.has_untold();
        if self.reactor.has_work() || self.engine.has_work() || has_post {
            return Some(Duration::ZERO);
        }
        let drained_ms = match self.state {
            State::Draining { until_ms } => Some(until_ms),
            State::Serving | State::Stopped => None,
        };
        let engine_ms = self
            .engine
            .deadline_ms()
            .into_iter()
            .chain(drained_ms)
            .min();
        let engine = engine_ms.map(|at_ms| self.clock.until(at_ms));
        let reactor = self.reactor.deadline();
        let reactor = reactor.map(|at| at.saturating_duration_since(Instant::now()));
        engine.into_iter().chain(reactor).min()
    }

    /// One turn. Waits for something to do for at most `timeout`; `None` is as long as it takes.
    ///
    /// # Errors
    /// Only if the system's polling itself fails.
    pub(super) fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.into_iter().chain(self.poll_timeout()).min();
        self.reactor.wait(timeout)?;
        let begun = Instant::now();
        let number = self.mailbox.number();
        #[cfg(debug_assertions)]
        self.control.assert_whole(number);
        self.control.give_pulse(number);
        let now = self.clock.now();
        self.engine.set_deaf(self.store.is_deaf());
        self.obey(now);
        let enough = self.enough();
        let (mailbox, engine) = (&mut self.mailbox, &mut self.engine);
        mailbox.tell(now, engine, LETTERS_PER_TURN, enough);
        mailbox.wakes.begin_turn();
        mailbox.wakes.tell(engine);
        self.take_input(now);
        let engine = &mut self.engine;
        self.mailbox.tell_long(now, engine, LONG_BYTES_PER_TURN);
        self.take_newcomers(now);
        self.engine.expire(now);
        self.engine.serve(now);
        self.carry_out(now);
        self.flush(now);
        self.reactor.reap();
        self.reactor.note_kept(self.engine.partial_bytes());
        self.end_drain(now);
        self.count(begun);
        if self.is_done() {
            self.mailbox.wakes.close();
            self.engine.end_own();
            self.control.end_pulse(number);
            // They may have waited for this one's last connection.
            self.control.wake_all();
            self.rest()?;
        }
        Ok(())
    }

    /// Says what there is now, and how long a turn was busy that began its work then.
    fn count(&self, begun: Instant) {
        let counters = self.engine.counters();
        self.engine.count();
        counters
            .unsent_bytes
            .set(self.reactor.unsent_bytes() as u64);
        counters.refused.set(self.reactor.refusals());
        counters.given_up.set(self.reactor.given_up());
        let busy = begun.elapsed().as_micros();
        counters
            .turn_us
            .observe(u64::try_from(busy).unwrap_or(u64::MAX));
    }

    /// Ends at once, in whatever state it is.
    pub(super) fn give_up(&mut self) {
        self.state = State::Stopped;
        self.mailbox.wakes.close();
        self.control.end_pulse(self.mailbox.number());
        // What cannot even be closed is closed as it is dropped.
        let _ = guard(self.mailbox.number(), || self.reactor.end());
    }

    /// Closes what is open, and takes the wakes that have come: from then on its descriptor is not readable.
    ///
    /// # Errors
    /// Only if the system's polling itself fails.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.reactor.end()
    }

    fn obey(&mut self, now: Now) {
        match self.control.wish() {
            Wish::Stop => self.state = State::Stopped,
            Wish::Drain if self.state == State::Serving => {
                let until_ms = now.monotonic_ms.saturating_add(ms(self.drain_timeout));
                self.state = State::Draining { until_ms };
                self.reactor.stop_accepting();
                self.engine.drain(now);
            }
            Wish::Drain | Wish::Serve => {}
        }
    }

    /// Ends when nobody is left at any loop: until then others may wait for what this one is to tell them.
    fn end_drain(&mut self, now: Now) {
        if let State::Draining { until_ms } = self.state
            && (self.reactor.places().are_empty_for_good() || now.monotonic_ms >= until_ms)
        {
            self.state = State::Stopped;
            let left = self.clock.until(until_ms).max(STORE_END_MIN);
            self.store.finish_by(Instant::now() + left);
        }
    }

    /// How many bytes will ever have been queued when the answers of one more phase are as long as they may be.
    fn enough(&self) -> u64 {
        self.engine.queued_bytes().saturating_add(ANSWERS_PER_TURN)
    }

    fn take_input(&mut self, now: Now) {
        let enough = self.enough();
        let Self {
            reactor,
            engine,
            mailbox,
            ..
        } = self;
        loop {
            if mailbox.has_post() {
                mailbox.tell(now, engine, LETTERS_PER_TURN, enough);
            }
            // What a client knows may be among what is untold.
            if mailbox.has_untold() || engine.queued_bytes() >= enough {
                return;
            }
            let Some(key) = reactor.next_ready() else {
                return;
            };
            let peer = reactor.read(key, |input, origin| {
                if mailbox.has_post() {
                    // All of it: no more than was committed since a moment ago.
                    mailbox.tell(now, engine, usize::MAX, u64::MAX);
                }
                mailbox.wakes.tell(engine);
                let taken = engine.receive(now, key, input, &|| origin.address());
                Taken {
                    consumed: taken.consumed,
                    wants_more: taken.wants_more,
                }
            });
            if peer.gone {
                engine.gone(now, key);
            } else if peer.ended {
                engine.ended(now, key);
            } else if peer.hung_up {
                engine.hung_up(now, key);
            } else if peer.flooded {
                engine.flooded(now, key);
            } else if peer.emptied {
                engine.emptied(now, key);
            }
        }
    }

    fn take_newcomers(&mut self, now: Now) {
        let unix_s = now.unix_ms / 1000;
        if unix_s != self.refusal_unix_s {
            self.refusal_unix_s = unix_s;
            self.reactor.set_refusal(self.engine.refusal(now));
        }
        while let Some(key) = self.reactor.next_accepted() {
            self.engine.counters().accepted.add(1);
            self.engine.accept(now, key);
        }
    }

    fn carry_out(&mut self, now: Now) {
        loop {
            while let Some(output) = self.engine.next_output() {
                match output {
                    Output::Send(key, bytes) => self.reactor.send(key, bytes),
                    Output::Resume(key) => self.reactor.resume(key),
                    Output::Probe(key) => self.reactor.probe(key),
                    Output::Discard(key) => self.reactor.discard(key),
                    Output::Finish(key) => self.reactor.finish(key),
                    Output::Close(key) => self.reactor.close(key),
                    Output::Submit(job) => self.jobs.push(job),
                    Output::Tell(who, notice) => self.mailbox.post(who, notice),
                }
            }
            if self.jobs.is_empty() {
                return;
            }
            for job in self.store.submit_all(self.jobs.drain(..)) {
                self.engine.refused(now, &job);
            }
        }
    }

    fn flush(&mut self, now: Now) {
        self.reactor.flush();
        while let Some((key, flushed)) = self.reactor.next_flushed() {
            match flushed {
                Flushed::Stalled => self.engine.stalled(now, key),
                Flushed::Drained => self.engine.drained(now, key),
                Flushed::Finished => self.engine.finished(now, key),
                Flushed::Broken => self.engine.gone(now, key),
            }
        }
        // What that came to is closing and reading on: nothing that would have to be flushed.
        self.carry_out(now);
    }
}

/// One that the host drops, or whose server could not start another, has not ended.
impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.is_done() || thread::panicking() {
            return;
        }
        let engine = &mut self.engine;
        let ended = guard(self.mailbox.number(), || {
            engine.end_own();
            Ok(())
        });
        if let Err(error) = ended {
            log::error!("{error}");
        }
    }
}

impl AsRawFd for EventLoop {
    fn as_raw_fd(&self) -> RawFd {
        self.reactor.as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
