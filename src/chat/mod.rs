//! The chat core: everything that a request means, without HTTP, sockets, disk or clock.
//!
//! Calls and completions go in ([`Chat::call`], [`Chat::complete`]); answers and jobs come out
//! ([`Chat::next_output`]). What would take long is marked, and served in slices
//! ([`Chat::serve`]): a chatroom of 100,000 polls delays nobody by more than a slice.
//!
//! - `proceed` takes a call as far as it can go, `waits` is what it waits for; `jobs` are those that the store alone can answer.
//! - `complete` takes in what the store says; `memberships` who is where.
//! - `serve` wakes chatrooms and ends polls, slice by slice; `leaving` ends those of who has left, and `walk` is the cursor. `doubts` are who may have left.
//! - `followers` are polls of several chatrooms and streams, `several` and `streams` what becomes of them, `news` what they get.
//! - `reads` are polls whose list the store is reading.
//! - `gathering` is an endpoll over several event loops, `notice` how loops talk.
//! - `servers` is what other servers of the same database ask, and may have changed.
//! - `presence` finds who is in a chatroom just now, `lately` is what it remembers of who was.
//! - `logins` is the limit on failed ones, `rates` are those on what is done too often, `passwords` what changing one ends.
//! - `sessions`, `chatrooms` and `held` are what is remembered; `recent` is ready-made JSON.
//!
//! Two rules keep every message: a poll that has to wait for the store watches its chatroom
//! from the moment it came (**park first, then look**), and a cache is told of every change from the
//! moment its load was asked for. So no commit can fall between.

// A peer's numbers come through here, and none of them is cut to fit.
#![deny(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod attempts;
mod call;
mod chatrooms;
mod complete;
mod doubts;
mod followers;
mod gathering;
mod held;
mod jobs;
mod lately;
mod leaving;
mod lists;
mod logins;
mod memberships;
mod news;
mod notice;
mod passwords;
mod presence;
mod proceed;
mod rates;
mod reads;
mod recent;
mod serve;
mod servers;
mod sessions;
mod several;
mod streams;
mod told;
mod waits;
mod walk;
mod wanted;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

pub use call::{BadParameter, Call, Failure, PollCall, Reply, SessionCall};
pub use held::HeldKey;
pub use notice::Notice;
pub use recent::Events;
pub use several::{SeveralCall, Which};
pub use streams::{StreamCall, Streamed};
pub use wanted::{Limit, Since, Wanted};

use crate::arena::{Arena, SideTable};
use crate::buffer::Bytes;
use crate::config::Config;
use crate::counters::LoopCounters;
use crate::job::{Audience, Fault, Job};
use crate::model::{MessageId, Now, SessionHash, Ticket};
use chatrooms::{ChatroomKey, Chatrooms};
use doubts::Doubts;
use followers::Followers;
use gathering::Gathering;
use held::{Held, Waiting};
use lists::TailoredList;
use logins::{Aim, Login, Logins};
use presence::{Presence, Search};
use rates::{Rates, Registration};
use reads::Reads;
use servers::Questions;
use sessions::{SessionKey, Sessions, UserKey};
use streams::LastEvents;
use told::ToldLog;

/// What the chat core wants done.
#[derive(Debug)]
pub enum Output {
    /// Answer a call. Each call is answered once, unless it is forgotten.
    Answer(Ticket, Reply),
    /// A part of the answer to a call for a stream, which has several.
    Stream(Ticket, Streamed),
    /// Hand a job to the store.
    Submit(Job),
    /// Tell other loops: all of them, or one. There are others.
    Tell(Audience, Notice),
}

/// The chat core of one event loop.
#[derive(Debug)]
pub struct Chat {
    counters: Arc<LoopCounters>,
    settings: Settings,
    sessions: Sessions,
    chatrooms: Chatrooms,
    held: Arena<Held>,
    /// What those polls of `held` want that want anything special.
    wanted: SideTable<Wanted, Held>,
    /// The last list that was made for one of them, for the next, who mostly wants the same.
    last_list: Option<TailoredList>,
    /// The same for streams.
    last_events: Option<LastEvents>,
    /// The list of those who get nothing.
    empty_list: Bytes,
    followers: Followers,
    /// Streams that are behind.
    feeding: VecDeque<HeldKey>,
    /// Those of them that have just been told a batch.
    fed: Vec<HeldKey>,
    /// Polls that the store reads for.
    reads: Reads,
    /// Streams that the store reads for.
    stream_reads: HashMap<Ticket, HeldKey>,
    /// Those of `followers` that are to end in a later slice.
    closing: VecDeque<HeldKey>,
    /// Messages that the loop was told of while anybody waits who wants to know: see `several`.
    told_log: ToldLog,
    /// By session the polls that wait for more than the session and its user.
    settling: HashMap<SessionHash, HashSet<HeldKey>>,
    /// Held calls for which the store reads where chatrooms end.
    newest_waiters: HashMap<Ticket, HeldKey>,
    /// What senders want of their lists.
    limits: HashMap<Ticket, Limit>,
    /// Who waits to hear whether the store can write.
    probed_for: Vec<Ticket>,
    /// Senders of what had been sent before, for whom the store reads the list.
    sent_before: HashMap<Ticket, MessageId>,
    /// Those of `held` that wait for something to be loaded. Boxed: after a start all may wait at once, and later none.
    waiting: Arena<Box<Waiting>, Waiting>,
    /// Held calls whose wait is over.
    again: VecDeque<HeldKey>,
    /// Held polls of several chatrooms that wait for nothing but a later slice.
    turns: VecDeque<HeldKey>,
    /// Chatrooms with polls to wake, in turn.
    waking: VecDeque<ChatroomKey>,
    /// Sessions with polls to end, in turn.
    ending: VecDeque<SessionKey>,
    /// Chatrooms that somebody has left, in turn.
    leaving: VecDeque<ChatroomKey>,
    /// Who may have left chatrooms.
    doubts: Doubts,
    /// Former users with sessions to end, in turn.
    parting: VecDeque<UserKey>,
    /// Endpolls of this loop that others have a part in.
    gatherings: HashMap<Ticket, Gathering>,
    /// Calls of this loop that ask who is present.
    presences: HashMap<Ticket, Presence>,
    /// What they and those of other loops have this one look for, in turn.
    searching: VecDeque<Search>,
    /// What other servers have asked.
    questions: Questions,
    /// Who has come to wait in chatrooms that are still being loaded, later than their users came into those.
    late: Vec<(HeldKey, ChatroomKey)>,
    /// What calls of this loop are answered when all servers have heard of it.
    unheard: HashMap<Ticket, Reply>,
    logins: Logins,
    rates: Rates,
    /// Messages of this loop that are being saved.
    sends: usize,
    /// Sessions whose use the store is to be told of.
    used: Vec<(SessionHash, u64)>,
    is_draining: bool,
    /// Nothing is heard of what other servers write.
    is_deaf: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Settings {
    event_loop: u16,
    /// How many there are.
    loops: usize,
    recent: u32,
    session_lifetime_ms: u64,
    /// 0 is unlimited.
    polls_per_session_max: usize,
    places_max: usize,
    /// Others write to the database too.
    is_shared: bool,
}

/// What the chat core holds right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that are not answered yet, parked polls included; not those whose ticket is with the store.
    pub held: usize,
    /// Logins whose password is being verified, or waits to be.
    pub logins: usize,
    /// Chatrooms being woken; users, sessions and chatrooms whose polls are being ended; who may have left; streams that are behind; calls that want to
    /// know what is told; endpolls that other loops have a part in; and what is to be found out about who is present.
    pub sweeps: usize,
    /// Polls of several chatrooms, and streams; and places that they have.
    pub followers: (usize, usize),
    /// Messages that are being saved, and lengths of lists that are remembered for their senders.
    pub sends: usize,
    /// Polls that are over and whose list the store reads.
    pub reads: usize,
    /// Remembered sessions, users and chatrooms.
    pub remembered: (usize, usize, usize),
}

impl Chat {
    /// An empty core for the loop with this number.
    pub fn new(config: &Config, event_loop: u16) -> Self {
        let lifetime_ms = config.session_lifetime.as_millis();
        Self {
            settings: Settings {
                event_loop,
                loops: config.loops,
                recent: config.recent,
                session_lifetime_ms: u64::try_from(lifetime_ms).unwrap_or(u64::MAX),
                polls_per_session_max: config.max_polls_per_session,
                places_max: config.max_places,
                is_shared: config.is_shared(),
            },
            counters: Arc::default(),
            sessions: Sessions::new(config.cache_sessions),
            chatrooms: Chatrooms::new(config.cache_messages, config.is_shared()),
            held: Arena::large(),
            wanted: SideTable::default(),
            last_list: None,
            last_events: None,
            empty_list: Bytes::from_static(b"[]"),
            followers: Followers::default(),
            feeding: VecDeque::new(),
            fed: Vec::new(),
            reads: Reads::default(),
            stream_reads: HashMap::new(),
            closing: VecDeque::new(),
            told_log: ToldLog::default(),
            settling: HashMap::new(),
            newest_waiters: HashMap::new(),
            limits: HashMap::new(),
            probed_for: Vec::new(),
            sent_before: HashMap::new(),
            waiting: Arena::default(),
            again: VecDeque::new(),
            turns: VecDeque::new(),
            waking: VecDeque::new(),
            ending: VecDeque::new(),
            leaving: VecDeque::new(),
            doubts: Doubts::default(),
            parting: VecDeque::new(),
            gatherings: HashMap::new(),
            presences: HashMap::new(),
            searching: VecDeque::new(),
            questions: Questions::default(),
            unheard: HashMap::new(),
            late: Vec::new(),
            logins: Logins::new(config.login_attempts),
            rates: Rates::new(config.send_rate, config.register_rate),
            sends: 0,
            used: Vec::new(),
            is_draining: false,
            is_deaf: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a call, with the session that its request named, if any.
    ///
    /// Returns a key where the call is held: whoever asked passes it to [`Chat::forget`] if they
    /// vanish before the answer. The key is stale once the call is answered.
    pub fn call(
        &mut self,
        now: Now,
        ticket: Ticket,
        session: Option<SessionHash>,
        call: Call,
    ) -> Option<HeldKey> {
        match call {
            Call::Register {
                name,
                password,
                address,
            } => {
                let registration = Registration {
                    ticket,
                    name,
                    password,
                    customer: address.into(),
                };
                self.register(now, registration);
                None
            }
            Call::LogIn {
                folded,
                password,
                address,
            } => {
                let login = Login {
                    ticket,
                    folded,
                    password,
                    address,
                    aim: Aim::Session,
                };
                self.hand_in(now, login);
                None
            }
            Call::Health => {
                self.answer(ticket, Reply::Done);
                None
            }
            Call::Readiness => {
                // One write tells all who ask while it is under way: anybody may ask.
                if self.probed_for.is_empty() {
                    self.submit(Job::Probe { ticket });
                }
                self.probed_for.push(ticket);
                None
            }
            Call::InSession(call) => match session {
                None => {
                    self.answer(ticket, Fault::NoSession.into());
                    None
                }
                Some(session) => self.begin(
                    now,
                    Waiting {
                        ticket,
                        session,
                        call,
                        watch: None,
                        is_renewed: false,
                    },
                ),
            },
        }
    }

    /// Whoever made a held call is gone: nothing of it stays. Stale keys are ignored.
    pub fn forget(&mut self, now: Now, key: HeldKey) {
        match self.held.get(key) {
            None => {}
            Some(Held::Parked(poll)) if poll.chatroom.is_none() => {
                match self.followers.is_spent() && self.followers.feed_mut(key).is_none() {
                    // It is answered then, for nobody.
                    true => self.closing.push_back(key),
                    false => drop(self.unfollow(now, key)),
                }
            }
            Some(Held::Parked(_)) => drop(self.unpark(now, key)),
            Some(&Held::Waiting(waiting)) => {
                self.held.remove(key);
                let waiting = self.waiting.remove(waiting).expect("it waits");
                self.settled(key, &waiting);
                self.unwatch(waiting.watch.as_ref());
            }
        }
    }

    /// A poll has waited long enough: it gets what it would get if it were ended. Stale keys are ignored.
    pub fn time_out(&mut self, now: Now, key: HeldKey) {
        match self.held.get(key) {
            None => {}
            Some(Held::Parked(_)) => self.end_parked_poll(now, key),
            Some(&Held::Waiting(waiting)) => {
                let waiting = self.waiting.get_mut(waiting).expect("it waits");
                match &mut waiting.call {
                    SessionCall::Poll(poll) => poll.is_over = true,
                    SessionCall::PollSeveral(poll) => poll.is_over = true,
                    _ => {}
                }
            }
        }
    }

    /// Whether nothing is heard of what other servers write, from now on: what is remembered may not hold then, and calls fail.
    pub fn set_deaf(&mut self, is_deaf: bool) {
        self.is_deaf = is_deaf;
    }

    /// From here on every poll ends at once with its list, those that come too.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.closing.extend(self.followers.keys());
        for chatroom in self.chatrooms.with_polls() {
            // Where a load has failed, once more: its polls are woken when it is done.
            self.load_chatroom(chatroom);
            self.wake(chatroom);
        }
    }

    /// What is to be done next, in order.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What its loop counts, shared with whoever looks.
    pub fn counters(&self) -> &Arc<LoopCounters> {
        &self.counters
    }

    /// Says how much the chat core holds right now to whoever looks.
    pub fn count(&self) {
        let (sessions, _) = self.sessions.counts();
        let numbers = [
            (
                &self.counters.parked,
                self.held.len().saturating_sub(self.waiting.len()),
            ),
            (&self.counters.waiting, self.waiting.len()),
            (&self.counters.remembered_sessions, sessions),
            (&self.counters.remembered_chatrooms, self.chatrooms.len()),
        ];
        for (number, now) in numbers {
            number.set(now as u64);
        }
    }

    /// What is held right now.
    pub fn counts(&self) -> Counts {
        let (sessions, users) = self.sessions.counts();
        Counts {
            held: self.held.len(),
            logins: self.logins.len(),
            sweeps: self.waking.len()
                + self.ending.len()
                + self.leaving.len()
                + self.doubts.len()
                + self.parting.len()
                + self.feeding.len()
                + self.fed.len()
                + self.closing.len()
                + self.turns.len()
                + self.stream_reads.len()
                + self.told_log.len()
                + self.settling.len()
                + self.newest_waiters.len()
                + self.gatherings.len()
                + self.presences.len()
                + self.searching.len()
                + self.questions.len()
                + self.unheard.len(),
            followers: (self.followers.len(), self.followers.places.len()),
            sends: self.sends
                + self.limits.len()
                + self.sent_before.len()
                + self.probed_for.len()
                + self.rates.len(),
            reads: self.reads.len(),
            remembered: (sessions, users, self.chatrooms.len()),
        }
    }

    fn answer(&mut self, ticket: Ticket, reply: Reply) {
        if Questions::is_of_server(ticket) {
            return self.answer_server(ticket, &reply);
        }
        self.outputs.push_back(Output::Answer(ticket, reply));
    }

    fn tell(&mut self, who: Audience, notice: Notice) {
        self.outputs.push_back(Output::Tell(who, notice));
    }

    fn submit(&mut self, job: Job) {
        self.outputs.push_back(Output::Submit(job));
    }
}

#[cfg(test)]
mod tests;
