//! One simulated world: engines, their network, their store, their clock, and turns as the server makes them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use fastrand::Rng;
use loiter::config::Config;
use loiter::engine::Output;
use loiter::model::{ConnectionKey, Now};

use crate::answer::Answer;
use crate::ask::Ask;
use crate::checks::{Ended, Endings, Seen};
use crate::clients::Client;
use crate::ledger::{Begun, Ledger};
use crate::line::{Came, Flushed, Line};
use crate::loops::Loop;
use crate::servers::Cluster;
use crate::store::{Store, hits};
use crate::streaming;
use crate::tally::Tally;
use crate::trace::Trace;

/// More than any world needs.
const TURNS_MAX: u32 = 5_000;
/// Connections that the runtime reads in one turn.
const READS_MAX: usize = 128;
/// What one turn may make the engine ask for: a few outputs for each connection read and each poll served.
const OUTPUTS_MAX: usize = 2 * 256 + 3 * READS_MAX;
/// A calm turn reads all.
const CALM_OUTPUTS_MAX: usize = 2 * 4096 + OUTPUTS_MAX;

pub(crate) struct World {
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) rng: Rng,
    pub(crate) now: Now,
    pub(crate) config: Config,
    pub(crate) loops: Vec<Loop>,
    /// How often a loop falls asleep, in percent of its turns.
    pub(crate) dozes: u32,
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) lines: BTreeMap<u32, Line>,
    pub(crate) lines_made: u32,
    pub(crate) clients: Vec<Client>,
    /// Tokens that clients know of, good or not.
    pub(crate) tokens: Vec<String>,
    /// Which server's turn it is, and what the others have of their own.
    pub(crate) here: usize,
    pub(crate) cluster: Option<Box<Cluster>>,
    /// How often something was answered though not all servers had said what they were asked.
    pub(crate) unanswered: u64,
    pub(crate) endings: Endings,
    pub(crate) seen: Seen,
    /// What writes have ended, for whom at which server and loop.
    pub(crate) ended: HashMap<(usize, u16, ConnectionKey), Ended>,
    /// Messages whose senders were told that they are not saved.
    pub(crate) not_saved: BTreeSet<String>,
    pub(crate) has_short_sessions: bool,
    /// Those who send have to give way to one another.
    pub(crate) is_tight: bool,
    pub(crate) texts: u32,
    pub(crate) jobs: u32,
    /// Those that tell the store of sessions in use.
    pub(crate) touches: u32,
    /// The connection whose answer is being judged.
    pub(crate) answering: Option<ConnectionKey>,
}

impl World {
    pub(crate) fn with(trace: Trace, rng: Rng, config: Config, store: Store) -> Self {
        Self {
            trace,
            tally: Tally::default(),
            rng,
            now: Now {
                monotonic_ms: 0,
                unix_ms: 1_795_420_800_000,
            },
            loops: Loop::all(&config),
            dozes: 0,
            ledger: Ledger::new(&store),
            is_tight: config.max_unread < Config::default().max_unread,
            has_short_sessions: store.data.session_lifetime_ms < 1_000_000,
            config,
            store,
            lines: BTreeMap::new(),
            lines_made: 0,
            clients: Vec::new(),
            tokens: Vec::new(),
            here: 0,
            cluster: None,
            unanswered: 0,
            endings: Endings::default(),
            seen: Seen::default(),
            ended: HashMap::new(),
            not_saved: BTreeSet::new(),
            texts: 0,
            jobs: 0,
            touches: 0,
            answering: None,
        }
    }

    #[track_caller]
    pub(crate) fn demand(&self, holds: bool, what: &str) {
        assert!(holds, "{}: {what}", self.trace.stamp());
    }

    /// One turn, in the server's order. `calm`: everything that can be delivered is.
    pub(crate) fn turn(&mut self, calm: bool) {
        self.trace.turn(self.now);
        self.ledger.turn(self.trace.turns());
        let turns_max = TURNS_MAX * self.servers() as u32 * 2;
        self.demand(self.trace.turns() < turns_max, "there is no end to it");
        let mut loops: Vec<usize> = (0..self.loops.len()).collect();
        self.rng.shuffle(&mut loops);
        for at in loops {
            self.post_completions(calm);
            if calm || self.has_turn(at) {
                self.turn_loop(at, calm);
            }
        }
        self.note_deaf();
        self.store.work(&mut self.rng, self.now);
        self.tell_others();
        for line in self.lines.values_mut() {
            line.carry(&mut self.rng, calm);
        }
    }

    /// A loop may be slower than another, and now and then get nothing done for long.
    fn has_turn(&mut self, at: usize) -> bool {
        let Self {
            loops, rng, tally, ..
        } = self;
        let event_loop = &mut loops[at];
        if event_loop.asleep == 0 && hits(rng, self.dozes) {
            event_loop.asleep = rng.u32(2..40);
            tally.one("loops put to sleep");
        }
        if event_loop.asleep > 0 {
            event_loop.asleep -= 1;
            return false;
        }
        loops.len() == 1 || rng.u8(..4) > 0
    }

    fn turn_loop(&mut self, at: usize, calm: bool) {
        self.trace.note(format_args!("loop {at}"));
        let is_deaf = self.store.lanes.is_deaf;
        self.loops[at].engine.set_deaf(is_deaf);
        self.ledger.note_deaf(is_deaf);
        self.take_post(at);
        self.read_lines(at, calm);
        self.accept_lines(at, calm);
        self.loops[at].engine.expire(self.now);
        self.loops[at].engine.serve(self.now);
        self.carry_out(at, calm);
        self.flush(at);
        self.carry_out(at, calm);
        self.reap(at);
        self.settle_floors(at);
        self.check_turn(at);
        self.loops[at].told_by_store.clear();
        self.loops[at].saved_taken = 0;
    }

    fn read_lines(&mut self, at: usize, calm: bool) {
        let lines = self.lines.iter().filter(|(_, line)| line.home == at);
        let mut ids: Vec<u32> = lines.map(|(&id, _)| id).collect();
        self.rng.shuffle(&mut ids);
        let mut reads_left = if calm { usize::MAX } else { READS_MAX };
        for id in ids {
            let is_ready = self.lines[&id].key.is_some() && self.lines[&id].is_ready();
            // Being served without a reason is allowed too.
            if is_ready && (calm || self.rng.u8(..4) > 0) || self.rng.u8(..40) == 0 {
                if reads_left == 0 {
                    return;
                }
                reads_left -= 1;
                if self.rng.u8(..4) == 0 {
                    self.post_completions(calm);
                }
                self.take_post(at);
                self.read_line(at, id);
            }
        }
    }

    fn read_line(&mut self, at: usize, id: u32) {
        let Self {
            loops, rng, now, ..
        } = self;
        let engine = &mut loops[at].engine;
        let line = self.lines.get_mut(&id).expect("listed");
        let Some(key) = line.key else { return };
        let (was_stalled, had_taken) = (line.is_stalled, line.taken);
        let origin = || IpAddr::V4(Ipv4Addr::new(10, 0, 0, (id % 7) as u8));
        let emptied = line.read(rng, |input| engine.receive(*now, key, input, &origin));
        let taken = line.taken;
        let is_idle = !was_stalled || line.is_finishing || taken == had_taken;
        for asked in &mut line.asked {
            if asked.begun.is_none() && asked.end <= taken {
                let now_ms = now.monotonic_ms;
                let begun = (self.ledger).begin(&self.store, asked, at, now_ms);
                let unanswered = self.unanswered;
                asked.begun = Some(Begun {
                    unanswered,
                    ..begun
                });
            }
        }
        // What was said once may be said again, or not.
        let mut say = |is_so: bool, was_said: &mut bool| {
            let say = is_so && (!*was_said || rng.bool());
            *was_said |= say;
            say
        };
        let hung_up = say(line.hung_up, &mut line.said_hung_up);
        let ended = say(line.ended, &mut line.said_ended);
        let is_reset = line.is_reset;
        self.trace.note(format_args!(
            "read line {id}, {taken} taken, {hung_up} {ended} {is_reset}"
        ));
        // Who has given way may be read to its end before it hears of it.
        let may_be_read = is_idle || self.is_tight;
        self.demand(may_be_read, "work is done for a peer that takes no answers");
        if hung_up || ended || is_reset {
            self.note_lost(id);
        }
        if hung_up {
            self.loops[at].engine.hung_up(self.now, key);
        }
        if ended {
            self.loops[at].engine.ended(self.now, key);
        }
        if is_reset {
            self.loops[at].engine.gone(self.now, key);
        } else if emptied {
            self.loops[at].engine.emptied(self.now, key);
        }
    }

    fn accept_lines(&mut self, at: usize, calm: bool) {
        let Loop { engine, keys, .. } = &mut self.loops[at];
        for (&id, line) in self.lines.iter_mut().filter(|(_, line)| line.home == at) {
            if line.key.is_none() && (calm || self.rng.bool()) {
                let key = keys.insert(id);
                line.key = Some(key);
                line.idle_ms = self.now.monotonic_ms;
                self.trace.note(format_args!("accept line {id} as {key:?}"));
                engine.accept(self.now, key);
            }
        }
    }

    fn carry_out(&mut self, at: usize, calm: bool) {
        let mut outputs = 0;
        let outputs_max = match calm {
            true => CALM_OUTPUTS_MAX,
            false => OUTPUTS_MAX,
        };
        while let Some(output) = self.loops[at].engine.next_output() {
            outputs += 1;
            self.demand(outputs < outputs_max, "one turn asks for too much");
            match &output {
                Output::Send(key, bytes) => {
                    let text = String::from_utf8_lossy(bytes);
                    self.trace.note(format_args!("send to {key:?}: {text}"));
                }
                output => self.trace.note(format_args!("{output:?}")),
            }
            match output {
                Output::Submit(job) => self.submit(at, job),
                Output::Tell(who, notice) => self.tell(at, who, notice),
                Output::Send(key, bytes) => self.send(at, key, &bytes),
                Output::Resume(key) => self.line_of(at, key).resume(),
                Output::Probe(key) => self.line_of(at, key).probe(),
                Output::Discard(key) => self.line_of(at, key).discard(),
                Output::Finish(key) => {
                    let line = self.line_of(at, key);
                    let is_new = !std::mem::replace(&mut line.is_finishing, true);
                    self.demand(is_new, "finished twice");
                    self.finish_stream(at, key);
                    self.check_farewell(at, key);
                }
                Output::Close(key) => {
                    self.check_farewell(at, key);
                    self.line_of(at, key).is_closing = true;
                    self.loops[at].closing.push(key);
                }
            }
        }
    }

    /// The line of a key that may still be spoken of.
    pub(crate) fn line_of(&mut self, at: usize, key: ConnectionKey) -> &mut Line {
        let id = self.loops[at].keys.get(key).copied();
        let id = id.filter(|id| self.lines.get(id).is_some_and(|line| !line.is_closing));
        self.demand(id.is_some(), "an output for a key that is closed");
        self.lines
            .get_mut(&id.expect("just checked"))
            .expect("listed")
    }

    fn send(&mut self, at: usize, key: ConnectionKey, bytes: &[u8]) {
        let now_ms = self.now.monotonic_ms;
        let line = self.line_of(at, key);
        let may_send = !line.is_finishing && !line.said_close;
        line.idle_ms = now_ms;
        line.queued += bytes.len();
        let end = line.queued;
        self.answering = Some(key);
        let line = self.line_of(at, key);
        if bytes == loiter::http::CONTINUE {
            let front = line.asked.front_mut();
            let is_due = front.is_some_and(|asked| std::mem::take(&mut asked.expects_continue));
            line.answers.push_back((end, Came::Continue));
            self.demand(is_due && may_send, "nobody waits for 100 Continue");
            return;
        }
        let is_streaming = line
            .asked
            .front()
            .is_some_and(|asked| asked.stream.is_some());
        if is_streaming || streaming::begins(bytes) {
            self.demand(may_send || is_streaming, "a stream behind the last answer");
            return self.send_of_stream(at, key, bytes);
        }
        let Some(asked) = line.asked.pop_front() else {
            return self.demand(false, "an answer that nobody asked for");
        };
        // Of a HEAD request that is cut short before its first space nobody can know what it would be.
        let offered = line.offered_up_to().saturating_sub(asked.start);
        let is_head = asked.is_head && offered >= "HEAD ".len();
        self.demand(may_send, "an answer behind the last");
        self.note_gone(&asked);
        self.tally.one("answers");
        let verdict = Answer::parse(bytes, is_head).and_then(|answer| {
            self.judge(&asked, &answer)
                .map_err(|what| format!("{what}, in {answer:?}"))?;
            let line = self.line_of(at, key);
            line.said_close = answer.closes;
            let came = Came::Answer(asked.ask.clone(), answer);
            line.answers.push_back((end, came));
            Ok(())
        });
        if let Err(what) = verdict {
            self.demand(false, &format!("{what}, to {asked:?}"));
        }
    }

    fn flush(&mut self, at: usize) {
        let engine = &mut self.loops[at].engine;
        for (&id, line) in self.lines.iter_mut().filter(|(_, line)| line.home == at) {
            let Some(key) = line.key else { continue };
            if line.is_closing || line.is_reset {
                continue;
            }
            let Some(flushed) = line.flush() else {
                continue;
            };
            self.trace.note(format_args!("line {id} {flushed:?}"));
            match flushed {
                Flushed::Stalled => {
                    let front = line.asked.front();
                    let is_stream = front.is_some_and(|asked| asked.stream.is_some());
                    self.tally.add("streams stalled", is_stream.into());
                    engine.stalled(self.now, key);
                }
                Flushed::Drained => {
                    line.idle_ms = self.now.monotonic_ms;
                    if let Some(stream) = line.asked.front_mut().and_then(|a| a.stream.as_mut()) {
                        stream.active_ms = self.now.monotonic_ms;
                    }
                    engine.drained(self.now, key);
                }
                Flushed::Finished => engine.finished(self.now, key),
            }
        }
    }

    fn reap(&mut self, at: usize) {
        for key in std::mem::take(&mut self.loops[at].closing) {
            let id = self.loops[at].keys.remove(key);
            id.into_iter().for_each(|id| self.note_lost(id));
            let line = id.and_then(|id| self.lines.remove(&id));
            self.orphan(line.expect("listed while it has a key"));
        }
    }

    /// Whose client has gone: an endpoll may have ended and counted the poll whose list is still being read.
    fn note_lost(&mut self, id: u32) {
        let line = self.lines.get_mut(&id).expect("it is lost only now");
        if let Some(asked) = line.asked.pop_front() {
            if asked.begun.is_some() {
                self.note_perhaps_ended(&asked);
            }
            let line = self.lines.get_mut(&id).expect("just seen");
            line.asked.push_front(asked);
        }
    }

    fn orphan(&mut self, line: Line) {
        (line.asked.iter()).for_each(|asked| self.note_gone(asked));
        for asked in line.asked.into_iter().filter(|asked| asked.begun.is_some()) {
            if let (Ask::EndPolls { chatroom, .. }, Some(token)) = (asked.ask, asked.token) {
                self.endings.orphans.insert((token, chatroom));
            }
        }
    }

    /// The process dies and begins anew: connections are gone, what is committed stays.
    pub(crate) fn crash(&mut self) {
        self.trace.note(format_args!("crash"));
        let held = self.counts().held as u64;
        self.tally.add("polls and calls that a crash cut off", held);
        self.store.crash(&mut self.rng, self.now);
        self.tell_others();
        self.store.lose();
        self.go_down();
        self.forget_all();
    }

    /// The process begins anew.
    pub(crate) fn forget_all(&mut self) {
        match self.cluster {
            Some(_) => self.lose_lines(),
            None => {
                self.lines.clear();
                self.endings = Endings::default();
                self.seen = Seen::default();
            }
        }
        self.loops = Loop::all(&self.config);
        self.ledger = Ledger::new(&self.store);
        self.ledger.turn(self.trace.turns());
        self.begin_listening();
    }

    /// Nobody is told of what was under way here; the other servers may have been.
    fn lose_lines(&mut self) {
        let ids: Vec<u32> = self.lines.keys().copied().collect();
        ids.into_iter().for_each(|id| self.note_lost(id));
        for line in std::mem::take(&mut self.lines).into_values() {
            self.orphan(line);
        }
        self.forget_parked();
        let here = self.here;
        self.ended.retain(|(at, ..), _| *at != here);
    }

    /// Any key that is in use: what another loop is told of must never be taken for one's own.
    pub(crate) fn some_key(&mut self) -> Option<ConnectionKey> {
        let keys = self.loops.iter().flat_map(|one| one.keys.iter());
        let keys: Vec<ConnectionKey> = keys.map(|(key, _)| key).collect();
        self.rng.choice(keys)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.store.is_idle()
            && self.loops.iter().all(Loop::is_at_rest)
            && self.lines.values().all(|line| {
                line.key.is_some()
                    && !line.is_ready()
                    && line.under_way.is_empty()
                    && line.body.is_none()
                    && line.fin_arrived == line.has_fin
                    && line.sent == line.queued
                    && line.answers.is_empty()
            })
    }
}
