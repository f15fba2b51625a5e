//! The simulated store: lanes with jobs under way, faults, and a disk that survives a crash.
//!
//! As slow, as stale and as unreliable as `job` allows, and no more: writes are committed in groups
//! and told in the order of their commits; a read is done at any time after it was asked for and
//! told at any time after it was done.

use std::collections::VecDeque;

use fastrand::Rng;
use loiter::job::{Completion, Fault, Job};
use loiter::model::Now;

use crate::chronicle::Chronicle;
use crate::data::{Data, only_reads};
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
    hashing: Vec<Job>,
    reading: Vec<Job>,
    writing: VecDeque<Job>,
    /// Completions of writes, in the order of their commits.
    written: VecDeque<Completion>,
    /// All others, which may be told in any order.
    others: Vec<Completion>,
    outage_steps: u32,
    silence_steps: u32,
    tokens: u32,
    pub(crate) tally: Tally,
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
            hashing: Vec::new(),
            reading: Vec::new(),
            writing: VecDeque::new(),
            written: VecDeque::new(),
            others: Vec::new(),
            outage_steps: 0,
            silence_steps: 0,
            tokens: 0,
            tally: Tally::default(),
        }
    }

    /// Takes a job on, or gives it back where there is no room; where it is a password, another that waits may give way instead.
    pub(crate) fn submit(&mut self, rng: &mut Rng, job: Job) -> Result<(), Job> {
        if self.jobs() >= self.queue_max || hits(rng, self.faults.refusal) {
            match self.hashing.pop_if(|_| is_password(&job)) {
                Some(gone) => self.give_way(&gone),
                None => {
                    self.tally.one("jobs refused");
                    return Err(job);
                }
            }
        }
        match job {
            job if is_password(&job) => self.hashing.push(job),
            job if only_reads(&job) => self.reading.push(job),
            job => self.writing.push_back(job),
        }
        Ok(())
    }

    /// A password that waits gives its place up for another's.
    fn give_way(&mut self, gone: &Job) {
        let gone = gone.failed(Fault::Overloaded);
        self.others.push(gone.expect("it wants an answer"));
        self.tally.one("passwords that gave way");
    }

    /// Takes on a writing job of another event loop.
    pub(crate) fn write_elsewhere(&mut self, job: Job) {
        self.writing.push_back(job);
    }

    fn jobs(&self) -> usize {
        self.hashing.len() + self.reading.len() + self.writing.len()
    }

    /// Whether nothing is under way and nothing is left to be told.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs() == 0 && self.written.is_empty() && self.others.is_empty()
    }

    /// Gets some jobs done.
    pub(crate) fn work(&mut self, rng: &mut Rng, now: Now) {
        self.outage_steps = self.outage_steps.saturating_sub(1);
        if hits(rng, self.faults.outage) {
            self.outage_steps = rng.u32(5..60);
            self.tally.one("outages");
        }
        self.silence_steps = self.silence_steps.saturating_sub(1);
        if hits(rng, self.faults.silence) {
            self.silence_steps = rng.u32(5..60);
            self.tally.one("silences");
        }
        while !self.hashing.is_empty() && rng.u8(..3) == 0 {
            let job = self.hashing.swap_remove(rng.usize(..self.hashing.len()));
            self.hash(job);
        }
        while !self.reading.is_empty() && rng.bool() {
            let job = self.reading.swap_remove(rng.usize(..self.reading.len()));
            self.read(rng, now, job);
        }
        if rng.u8(..3) > 0 {
            self.commit(rng, now);
        }
    }

    fn hash(&mut self, job: Job) {
        if !self.data.has_right_password(&job) {
            let wrong = job.failed(Fault::BadCredentials);
            return self.others.push(wrong.expect("it wants an answer"));
        }
        self.writing.push_back(job);
    }

    fn read(&mut self, rng: &mut Rng, now: Now, job: Job) {
        let completion = match hits(rng, self.faults.read) {
            true => {
                self.tally.one("reads failed");
                (job.failed(Fault::StorageFailed)).expect("a read wants an answer")
            }
            false => self.data.read(now, job),
        };
        self.others.push(completion);
    }

    fn commit(&mut self, rng: &mut Rng, now: Now) {
        let size = rng.usize(..=GROUP_MAX).min(self.writing.len());
        let fails = self.outage_steps > 0 || hits(rng, self.faults.group);
        for job in self.writing.drain(..size) {
            let completion = if fails || hits(rng, self.faults.write) {
                self.tally.one("writes failed");
                job.failed(Fault::StorageFailed)
            } else {
                self.tokens += 1;
                let token = format!("token-{}-{:016x}", self.tokens, rng.u64(..));
                self.data.write(now, &token, job)
            };
            if let Some(completion) = &completion {
                self.chronicle.note(completion, &self.data);
            }
            self.written.extend(completion);
        }
        if !fails {
            let expired = self.data.expire(now);
            self.tally
                .add("times that messages expired", expired.len() as u64);
            self.written.extend(expired);
        }
    }

    /// The next thing to tell the engine; where it is `calm`, nothing is late.
    pub(crate) fn next_completion(&mut self, rng: &mut Rng, calm: bool) -> Option<Completion> {
        let tells_writes = !self.written.is_empty() && (calm || self.silence_steps == 0);
        let choices = self.others.len() + usize::from(tells_writes);
        if choices == 0 {
            return None;
        }
        match rng.usize(..choices) {
            pick if pick < self.others.len() => Some(self.others.swap_remove(pick)),
            _ => self.written.pop_front(),
        }
    }

    /// The process dies: of what was under way some is committed yet and the rest lost; what is committed stays, told or
    /// not.
    pub(crate) fn crash(&mut self, rng: &mut Rng, now: Now) {
        for _ in 0..rng.u8(..4) {
            self.commit(rng, now);
        }
        let untold = self.written.len() as u64;
        self.tally.add("commits that a crash left untold", untold);
        self.hashing.clear();
        self.reading.clear();
        self.writing.clear();
        self.written.clear();
        self.others.clear();
        self.outage_steps = 0;
        self.silence_steps = 0;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn mend(&mut self) {
        self.faults = Faults::default();
        self.outage_steps = 0;
        self.silence_steps = 0;
        self.queue_max = usize::MAX;
    }
}

fn is_password(job: &Job) -> bool {
    matches!(
        job,
        Job::Register { .. } | Job::LogIn { .. } | Job::ChangePassword { .. }
    )
}
