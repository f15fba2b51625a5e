//! The event loops of a simulated server, and the post between them.
//!
//! Each loop has an engine and the lines that it has accepted. As the server does, the post fills all boxes that something
//! concerns at once, at any time; a loop takes its own at its own turns, and before each piece of input, whole. So
//! loops hear of the same commit at different times, but none acts on input before it has heard what anybody
//! could know.

use std::collections::{HashMap, HashSet, VecDeque};

use loiter::arena::Arena;
use loiter::config::Config;
use loiter::engine::{Engine, Notice};
use loiter::job::{Audience, Completion, Fault, Job, LOGINS_LOOP};
use loiter::model::{ChatroomId, Connection, ConnectionKey, SessionHash, UserId, fold};

use crate::world::World;

/// One event loop.
pub(crate) struct Loop {
    pub(crate) engine: Engine,
    /// The lines that it has accepted.
    pub(crate) keys: Arena<u32, Connection>,
    pub(crate) closing: Vec<ConnectionKey>,
    inbox: VecDeque<Letter>,
    /// What it has asked the store that polls may wait for.
    awaited: HashMap<Question, usize>,
    /// What the store has said in this turn.
    pub(crate) told_by_store: HashSet<Question>,
    /// Messages that it has been told of in this turn.
    pub(crate) saved_taken: usize,
    /// Turns that it has still to miss.
    pub(crate) asleep: u32,
}

/// What is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Session(SessionHash),
    User(UserId),
    Chatroom(ChatroomId),
    Messages(ConnectionKey),
}

impl Question {
    fn of(job: &Job) -> Option<Self> {
        match job {
            Job::FindSession { session, .. } => Some(Self::Session(*session)),
            Job::LoadUser { user, .. } => Some(Self::User(*user)),
            Job::LoadChatroom { chatroom, .. } => Some(Self::Chatroom(*chatroom)),
            Job::ReadMessages { ticket, .. }
            | Job::ReadNews { ticket, .. }
            | Job::ReadNewest { ticket, .. } => Some(Self::Messages(ticket.connection)),
            _ => None,
        }
    }

    fn answered(completion: &Completion) -> Option<Self> {
        match completion {
            Completion::SessionFound { session, .. } => Some(Self::Session(*session)),
            Completion::UserLoaded { user, .. } => Some(Self::User(*user)),
            Completion::ChatroomLoaded { chatroom, .. } => Some(Self::Chatroom(*chatroom)),
            Completion::MessagesRead { ticket, .. }
            | Completion::NewsRead { ticket, .. }
            | Completion::NewestRead { ticket, .. } => Some(Self::Messages(ticket.connection)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
enum Letter {
    Completion(Completion),
    Notice(Notice),
}

/// What all engines hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) held: usize,
    pub(crate) logins: usize,
    pub(crate) sweeps: usize,
    pub(crate) sends: usize,
    pub(crate) reads: usize,
    /// Those that wait by places, and their places.
    pub(crate) followers: (usize, usize),
}

impl Loop {
    pub(crate) fn all(config: &Config) -> Vec<Self> {
        let numbers = 0..u16::try_from(config.loops).expect("few");
        numbers
            .map(|number| Self {
                engine: Engine::new(config, number),
                keys: Arena::default(),
                closing: Vec::new(),
                inbox: VecDeque::new(),
                awaited: HashMap::new(),
                told_by_store: HashSet::new(),
                saved_taken: 0,
                asleep: 0,
            })
            .collect()
    }

    /// Whether the store is yet to say.
    pub(crate) fn awaits(&self, question: &Question) -> bool {
        self.awaited.get(question).is_some_and(|&times| times > 0)
    }

    fn has_answer(&mut self, question: Question) {
        *self.awaited.get_mut(&question).expect("asked before") -= 1;
        self.told_by_store.insert(question);
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.inbox.is_empty() && !self.engine.has_work()
    }
}

impl World {
    /// Some of what the store has to tell is posted; all of it where it is `calm`.
    pub(crate) fn post_completions(&mut self, calm: bool) {
        while calm || self.rng.u8(..4) > 0 {
            let Some((completion, at)) = self.store.next_completion(&mut self.rng, calm) else {
                break;
            };
            at.into_iter().for_each(|at| self.ledger.note_told(at));
            self.note_own_ended(&completion, at);
            self.post(&completion);
            self.note_own(&completion);
        }
        self.step_listener(calm);
    }

    /// Posts it to the loops that it concerns.
    pub(crate) fn post(&mut self, completion: &Completion) {
        self.trace.note(format_args!("post {completion:?}"));
        self.ledger.tell(completion);
        self.note_answered_by_servers(completion);
        self.store.lanes.posted.note(completion);
        let audience = completion.audience();
        for (number, event_loop) in (0..).zip(&mut self.loops) {
            if audience == Audience::All || audience == Audience::One(number) {
                let letter = Letter::Completion(completion.clone());
                event_loop.inbox.push_back(letter);
            }
        }
    }

    /// What a loop tells others.
    pub(crate) fn tell(&mut self, at: usize, who: Audience, notice: Notice) {
        let others = self.loops.iter_mut().enumerate();
        let mut told = 0;
        for (number, event_loop) in others.filter(|(number, _)| *number != at) {
            if who == Audience::All || who == Audience::One(number as u16) {
                event_loop.inbox.push_back(Letter::Notice(notice.clone()));
                told += 1;
            }
        }
        self.demand(told > 0, "nobody is told");
    }

    /// A loop takes in all that has come for it.
    pub(crate) fn take_post(&mut self, at: usize) {
        while let Some(letter) = self.loops[at].inbox.pop_front() {
            self.trace.note(format_args!("loop {at} hears {letter:?}"));
            match letter {
                Letter::Completion(completion) => {
                    self.count_login(&completion);
                    self.note_answered(at, &completion);
                    self.loops[at].engine.complete(self.now, completion);
                }
                Letter::Notice(notice) => self.loops[at].engine.hear(self.now, notice),
            }
        }
    }

    fn note_answered(&mut self, at: usize, completion: &Completion) {
        let event_loop = &mut self.loops[at];
        let is_saved = matches!(completion, Completion::MessageSaved { saved: Ok(_), .. });
        event_loop.saved_taken += usize::from(is_saved);
        if let Some(question) = Question::answered(completion) {
            event_loop.has_answer(question);
        }
    }

    fn count_login(&mut self, completion: &Completion) {
        let (ticket, fault) = match completion {
            Completion::LoggedIn { ticket, login } => (ticket, login.as_ref().err()),
            Completion::PasswordChanged { ticket, done, .. } => (ticket, done.as_ref().err()),
            _ => return,
        };
        let name = self.ledger.logins.remove(ticket).flatten();
        let max = self.config.login_attempts;
        if let (Some(Fault::BadCredentials), Some(name), 1..) = (fault, name, max) {
            let failures = self.ledger.fail_login(name, self.now.monotonic_ms);
            self.demand(failures <= max, "more logins fail than may");
        }
    }

    pub(crate) fn submit(&mut self, at: usize, job: Job) {
        self.jobs += u32::from(!matches!(job, Job::Follow { .. }));
        self.touches += u32::from(matches!(job, Job::TouchSessions { .. }));
        match &job {
            Job::LoadChatroom {
                event_loop,
                chatroom,
                ..
            } => {
                let (event_loop, chatroom) = (*event_loop, *chatroom);
                self.demand(usize::from(event_loop) == at, "another loop's question");
                self.ledger.load(event_loop, chatroom);
                self.note_loading(at, chatroom.get() as usize);
            }
            Job::LogIn { ticket, folded, .. } => {
                let (ticket, folded) = (*ticket, folded.clone());
                self.demand(at == usize::from(LOGINS_LOOP), "logins are not counted");
                self.ledger.logins.insert(ticket, folded);
            }
            Job::ChangePassword { ticket, user, .. } => {
                let user = self.store.data.user(*user).expect("registered");
                let (ticket, folded) = (*ticket, fold(&user.name).into());
                self.demand(at == usize::from(LOGINS_LOOP), "logins are not counted");
                self.ledger.logins.insert(ticket, Some(folded));
            }
            _ => {}
        }
        let question = Question::of(&job);
        if let Some(question) = question {
            *self.loops[at].awaited.entry(question).or_default() += 1;
        }
        let submitted = self.store.submit(&mut self.rng, job);
        if self.cluster.is_some() {
            self.store.read_some(&mut self.rng, self.now);
        }
        if let Err(job) = submitted {
            if let Some(question) = question {
                self.loops[at].has_answer(question);
            }
            self.trace.note(format_args!("refused {job:?}"));
            self.ledger.refuse(&job);
            self.unanswered += u64::from(matches!(job, Job::AskServers { .. }));
            self.loops[at].engine.refused(self.now, &job);
        }
    }

    /// The load began earlier in this turn, perhaps before the requests that came in it.
    fn note_loading(&mut self, at: usize, chatroom: usize) {
        let lines = self.lines.values_mut().filter(|line| line.home == at);
        let asked = lines.flat_map(|line| &mut line.asked);
        for asked in asked.filter(|asked| asked.ask.chatroom() == Some(chatroom)) {
            if let Some(begun) = &mut asked.begun
                && begun.turn == self.trace.turns()
            {
                begun.of.is_loading = true;
            }
        }
    }

    /// All loops end, within the same turn.
    pub(crate) fn drain(&mut self) {
        self.trace.note(format_args!("drain"));
        self.ledger.is_draining = true;
        for event_loop in &mut self.loops {
            event_loop.engine.drain(self.now);
        }
        let lines = self.lines.values_mut();
        let unread = lines.filter_map(|line| line.note_drain().then_some(()));
        self.tally
            .add("requests unread at a drain", unread.count() as u64);
    }

    pub(crate) fn counts(&self) -> Held {
        let mut all = Held::default();
        for event_loop in &self.loops {
            let counts = event_loop.engine.counts();
            all.held += counts.held;
            all.logins += counts.logins;
            all.sweeps += counts.sweeps;
            all.sends += counts.sends;
            all.reads += counts.reads;
            all.followers.0 += counts.followers.0;
            all.followers.1 += counts.followers.1;
        }
        all
    }
}
