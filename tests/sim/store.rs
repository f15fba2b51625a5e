//! The simulated store: lanes with jobs under way, faults, and a disk that survives a crash.
//!
//! As slow, as stale and as unreliable as `job` allows, and no more: writes are committed in groups
//! and told in the order of their commits; a read is done at any time after it was asked for and
//! told at any time after it was done.

use std::collections::{BTreeSet, VecDeque};

use fastrand::Rng;
use loiter::job::{Completion, Fault, Job, QuestionId, ServerAnswer, ServerQuestion};
use loiter::model::{Now, Ticket};
use loiter::store::others::Followed;

use crate::chronicle::Chronicle;
use crate::data::{Data, only_reads};
use crate::servers::Posted;
use crate::tally::Tally;

/// What goes wrong, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) read: u32,
    pub(crate) write: u32,
    /// A whole group cannot be committed.
    pub(crate) group: u32,
    /// A job is refused, beside those that the queue's bound refuses.
    pub(crate) refusal: u32,
    /// For a while nothing can be written.
    pub(crate) outage: u32,
    /// For a while nobody is told of what is written: other reads see it, the loops hear of it late.
    pub(crate) silence: u32,
}

pub(crate) struct Store {
    pub(crate) data: Data,
    pub(crate) chronicle: Chronicle,
    pub(crate) faults: Faults,
    queue_max: usize,
    /// Those of the server whose turn it is.
    pub(crate) lanes: Lanes,
    /// Several servers share it: what each transaction has come to, until the others have been told.
    pub(crate) transactions: Option<Vec<Transaction>>,
    /// What that under way has asked and answered.
    open: Transaction,
    /// Texts whose senders were told that they are not saved, though they may be.
    pub(crate) uncertain: BTreeSet<Box<str>>,
    tokens: u32,
    pub(crate) tally: Tally,
}

/// What has come of a write, and its place in the chronicle.
pub(crate) type Done = (Completion, Option<usize>);

/// What has come of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) done: Vec<Done>,
    /// What other servers are asked, and for whom; for nobody where that was told that it has failed.
    pub(crate) asked: Vec<(Option<Ticket>, ServerQuestion)>,
    /// What they are answered.
    pub(crate) answered: Vec<(QuestionId, ServerAnswer)>,
}

/// A server's own.
#[derive(Default)]
pub(crate) struct Lanes {
    hashing: Vec<Job>,
    reading: Vec<Job>,
    writing: VecDeque<Job>,
    /// Completions of writes, in the order of their commits.
    written: VecDeque<Done>,
    /// All others, which may be told in any order.
    others: Vec<Completion>,
    /// What was read, and is noted only when it is told: others may write meanwhile, and hints of that come first.
    unnoted: Vec<Completion>,
    outage_steps: u32,
    silence_steps: u32,
    /// Nothing can be read either.
    pub(crate) away_steps: u32,
    /// It hears of nothing that others write, and so does as if the database were away.
    pub(crate) is_deaf: bool,
    /// What its loops hold, where several servers share the store.
    pub(crate) followed: Option<Followed>,
    /// What its loops were told of chatrooms.
    pub(crate) posted: Posted,
}

/// Jobs of one commit.
const GROUP_MAX: usize = 8;

pub(crate) fn hits(rng: &mut Rng, percent: u32) -> bool {
    percent > 0 && rng.u32(..100) < percent
}

impl Store {
    pub(crate) fn new(data: Data, faults: Faults, queue_max: usize) -> Self {
        Self {
            chronicle: Chronicle::of(&data),
            data,
            faults,
            queue_max,
            lanes: Lanes::default(),
            transactions: None,
            open: Transaction::default(),
            uncertain: BTreeSet::new(),
            tokens: 0,
            tally: Tally::default(),
        }
    }

    /// Takes a job on, or gives it back where there is no room; where it is a password, another that waits may give way instead.
    pub(crate) fn submit(&mut self, rng: &mut Rng, job: Job) -> Result<(), Job> {
        let followed = self.lanes.followed.as_ref();
        match &job {
            Job::Follow {
                event_loop,
                chatrooms,
            } => {
                followed
                    .expect("it is shared")
                    .follow(*event_loop, chatrooms);
                return Ok(());
            }
            Job::LoadChatroom {
                event_loop,
                chatroom,
                ..
            } => {
                followed
                    .into_iter()
                    .for_each(|followed| followed.follow(*event_loop, &[(*chatroom, true)]));
            }
            _ => {}
        }
        if self.jobs() >= self.queue_max || hits(rng, self.faults.refusal) {
            match self.lanes.hashing.pop_if(|_| is_password(&job)) {
                Some(gone) => self.give_way(&gone),
                None => {
                    self.tally.one("jobs refused");
                    return Err(job);
                }
            }
        }
        match job {
            job if is_password(&job) => self.lanes.hashing.push(job),
            job if only_reads(&job) => self.lanes.reading.push(job),
            job => self.lanes.writing.push_back(job),
        }
        Ok(())
    }

    /// A password that waits gives its place up for another's.
    fn give_way(&mut self, gone: &Job) {
        let gone = gone.failed(Fault::Overloaded);
        self.lanes.others.push(gone.expect("it wants an answer"));
        self.tally.one("passwords that gave way");
    }

    /// Takes on a writing job of another event loop.
    pub(crate) fn write_elsewhere(&mut self, job: Job) {
        self.lanes.writing.push_back(job);
    }

    fn jobs(&self) -> usize {
        self.lanes.hashing.len() + self.lanes.reading.len() + self.lanes.writing.len()
    }

    /// Whether nothing is under way and nothing is left to be told.
    pub(crate) fn is_idle(&self) -> bool {
        let is_told = self.lanes.written.is_empty() && self.lanes.others.is_empty();
        self.jobs() == 0 && is_told && self.lanes.unnoted.is_empty()
    }

    /// Gets some jobs done.
    pub(crate) fn work(&mut self, rng: &mut Rng, now: Now) {
        self.lanes.outage_steps = self.lanes.outage_steps.saturating_sub(1);
        self.lanes.away_steps = self.lanes.away_steps.saturating_sub(1);
        if hits(rng, self.faults.outage) {
            self.lanes.outage_steps = rng.u32(5..60);
            self.tally.one("outages");
        }
        self.lanes.silence_steps = self.lanes.silence_steps.saturating_sub(1);
        if hits(rng, self.faults.silence) {
            self.lanes.silence_steps = rng.u32(5..60);
            self.tally.one("silences");
        }
        while !self.lanes.hashing.is_empty() && rng.u8(..3) == 0 {
            let job = self
                .lanes
                .hashing
                .swap_remove(rng.usize(..self.lanes.hashing.len()));
            self.hash(job);
        }
        self.read_some(rng, now);
        if rng.u8(..3) > 0 {
            self.commit(rng, now);
        }
    }

    /// A read may be done as soon as it is asked for.
    pub(crate) fn read_some(&mut self, rng: &mut Rng, now: Now) {
        while !self.lanes.reading.is_empty() && rng.bool() {
            let job = self
                .lanes
                .reading
                .swap_remove(rng.usize(..self.lanes.reading.len()));
            self.read(rng, now, job);
        }
    }

    fn hash(&mut self, job: Job) {
        if !self.data.has_right_password(&job) {
            let wrong = job.failed(Fault::BadCredentials);
            return self.lanes.others.push(wrong.expect("it wants an answer"));
        }
        self.lanes.writing.push_back(job);
    }

    fn read(&mut self, rng: &mut Rng, now: Now, job: Job) {
        let is_away = self.lanes.away_steps > 0 || self.lanes.is_deaf;
        let completion = match is_away || hits(rng, self.faults.read) {
            true => {
                self.tally.one("reads failed");
                (job.failed(Fault::StorageFailed)).expect("a read wants an answer")
            }
            false => self.data.read(now, job),
        };
        if self.lanes.followed.is_some() && rng.bool() {
            return self.lanes.unnoted.push(completion);
        }
        self.note_read(&completion);
        self.lanes.others.push(completion);
    }

    fn note_read(&mut self, completion: &Completion) {
        if let Some(followed) = &self.lanes.followed {
            followed.read(completion);
            self.lanes.posted.note_read(completion);
        }
    }

    fn commit(&mut self, rng: &mut Rng, now: Now) {
        let size = rng.usize(..=GROUP_MAX).min(self.lanes.writing.len());
        let is_away = self.lanes.outage_steps > 0 || self.lanes.away_steps > 0;
        let is_away = is_away || self.lanes.is_deaf;
        let fails = is_away || hits(rng, self.faults.group);
        let group: Vec<Job> = self.lanes.writing.drain(..size).collect();
        let mut done = Vec::new();
        for job in group {
            let completion = if fails || hits(rng, self.faults.write) {
                self.tally.one("writes failed");
                job.failed(Fault::StorageFailed)
            } else {
                self.write(rng, now, job)
            };
            done.extend(completion.map(|completion| self.note(completion)));
        }
        if !fails {
            let expired = self.data.expire(now);
            self.tally
                .add("times that messages expired", expired.len() as u64);
            done.extend(expired.into_iter().map(|expired| (expired, None)));
        }
        self.announce(&done);
        self.lanes.written.extend(done);
    }

    fn write(&mut self, rng: &mut Rng, now: Now, job: Job) -> Option<Completion> {
        let job = match job {
            Job::AskServers { ticket, question } if self.transactions.is_some() => {
                self.open.asked.push((Some(ticket), question));
                return None;
            }
            Job::AnswerServer { question, answer } => {
                self.open.answered.push((question, answer));
                return None;
            }
            job => job,
        };
        self.tokens += 1;
        let token = format!("token-{}-{:016x}", self.tokens, rng.u64(..));
        self.data.write(now, &token, job)
    }

    fn note(&mut self, completion: Completion) -> Done {
        let before = self.chronicle.now();
        self.chronicle.note(&completion, &self.data);
        let is_noted = self.chronicle.now() > before;
        (completion, is_noted.then_some(before))
    }

    /// A transaction is committed.
    fn announce(&mut self, done: &[Done]) {
        if let Some(transactions) = &mut self.transactions {
            let transaction = std::mem::take(&mut self.open);
            transactions.push(Transaction {
                done: done.to_vec(),
                ..transaction
            });
        }
    }

    /// The database goes on elsewhere. What was being committed may be there or not; whoever wrote it is told that it is not.
    pub(crate) fn fail_over(&mut self, rng: &mut Rng, now: Now) {
        let size = rng.usize(..=GROUP_MAX).min(self.lanes.writing.len());
        let is_there = rng.bool();
        let group: Vec<Job> = self.lanes.writing.drain(..size).collect();
        let mut done = Vec::new();
        for job in group {
            let failed = job.failed(Fault::StorageFailed);
            self.lanes
                .written
                .extend(failed.map(|failed| (failed, None)));
            if let Job::SaveMessage { text, .. } = &job {
                self.uncertain.insert(text.clone());
            }
            if is_there {
                self.tally.one("writes kept that were told as failed");
                let completion = self.write(rng, now, job);
                done.extend(completion.map(|completion| self.note(completion)));
            }
        }
        (self.open.asked.iter_mut()).for_each(|(ticket, _)| *ticket = None);
        self.announce(&done);
        self.lanes.away_steps = rng.u32(1..30);
    }

    /// Nobody else was there to be asked.
    pub(crate) fn tell_alone(&mut self, ticket: Ticket) {
        let answer = Ok(ServerAnswer::default());
        let answered = Completion::ServersAnswered { ticket, answer };
        self.lanes.written.push_back((answered, None));
    }

    /// The next thing to tell the engine; where it is `calm`, nothing is late.
    pub(crate) fn next_completion(&mut self, rng: &mut Rng, calm: bool) -> Option<Done> {
        let tells_writes =
            !self.lanes.written.is_empty() && (calm || self.lanes.silence_steps == 0);
        let others = self.lanes.others.len();
        let unnoted = match self.lanes.unnoted.len() {
            // So that something may come between.
            1.. if !calm && rng.u8(..8) > 0 => 0,
            unnoted => unnoted,
        };
        let choices = others + unnoted + usize::from(tells_writes);
        if choices == 0 {
            return None;
        }
        match rng.usize(..choices) {
            pick if pick < others => Some((self.lanes.others.swap_remove(pick), None)),
            pick if pick < others + unnoted => {
                let read = self.lanes.unnoted.swap_remove(pick - others);
                self.note_read(&read);
                Some((read, None))
            }
            _ => self.lanes.written.pop_front(),
        }
    }

    /// The process dies: of what was under way some is committed yet, and the rest is to be lost.
    pub(crate) fn crash(&mut self, rng: &mut Rng, now: Now) {
        for _ in 0..rng.u8(..4) {
            self.commit(rng, now);
        }
    }

    /// What is committed stays, told or not.
    pub(crate) fn lose(&mut self) {
        let untold = self.lanes.written.len() as u64;
        self.tally.add("commits that a crash left untold", untold);
        self.lanes.hashing.clear();
        self.lanes.reading.clear();
        self.lanes.writing.clear();
        self.lanes.written.clear();
        self.lanes.others.clear();
        self.lanes.unnoted.clear();
        self.lanes.outage_steps = 0;
        self.lanes.silence_steps = 0;
        self.lanes.away_steps = 0;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn mend(&mut self) {
        self.faults = Faults::default();
        self.lanes.outage_steps = 0;
        self.lanes.silence_steps = 0;
        self.lanes.away_steps = 0;
        self.queue_max = usize::MAX;
    }
}

fn is_password(job: &Job) -> bool {
    matches!(
        job,
        Job::Register { .. } | Job::LogIn { .. } | Job::ChangePassword { .. }
    )
}
