//! The store: jobs under way, done when the input says so, over the simulator's data.

use std::collections::VecDeque;

use loiter::job::{Completion, Fault, Job};
use loiter::model::Now;

use super::data::{Data, only_reads, user_id};

pub(crate) struct Store {
    data: Data,
    reading: Vec<Job>,
    /// Those that write are done in their order.
    writing: VecDeque<Job>,
    tokens: u32,
    /// Nothing more is taken on.
    pub(crate) is_full: bool,
}

impl Store {
    /// Two users with a session each, `ann` and `bob`; a chatroom of both, in which something has been said, and one of the first alone.
    pub(crate) fn new(now: Now) -> Self {
        let mut data = Data {
            session_lifetime_ms: 1_000_000,
            ..Data::default()
        };
        for name in ["ann", "bob"] {
            let user = data.add_user(name, "pw");
            data.add_session(user.id, now, name);
        }
        let both = data.add_chatroom(user_id(1));
        let chatroom = data.chatroom_mut(both).expect("just made");
        chatroom.participants.push(user_id(2));
        data.add_chatroom(user_id(1));
        Self {
            data,
            reading: Vec::new(),
            writing: VecDeque::new(),
            tokens: 0,
            is_full: false,
        }
    }

    /// Takes a job on, or gives it back where there is no room.
    pub(crate) fn submit(&mut self, job: Job) -> Result<(), Job> {
        if self.is_full {
            return Err(job);
        }
        match only_reads(&job) {
            true => self.reading.push(job),
            false => self.writing.push_back(job),
        }
        Ok(())
    }

    /// Gets one job done, or fails to; which one, if there are several that may be the next.
    pub(crate) fn work(&mut self, now: Now, which: usize, fails: bool) -> Option<Completion> {
        while self.reading.len() + self.writing.len() > 0 {
            let choices = self.reading.len() + usize::from(!self.writing.is_empty());
            let which = which % choices;
            let told = match which < self.reading.len() {
                true => self.read(now, which, fails),
                false => self.write(now, fails),
            };
            // A few jobs tell nothing.
            if told.is_some() {
                return told;
            }
        }
        None
    }

    fn read(&mut self, now: Now, which: usize, fails: bool) -> Option<Completion> {
        let job = self.reading.swap_remove(which);
        match fails {
            true => job.failed(Fault::StorageFailed),
            false => Some(self.data.read(now, job)),
        }
    }

    fn write(&mut self, now: Now, fails: bool) -> Option<Completion> {
        let job = self.writing.pop_front().expect("one waits");
        if fails {
            return job.failed(Fault::StorageFailed);
        }
        self.tokens += 1;
        let token = format!("token-{}", self.tokens);
        self.data.write(now, &token, job)
    }
}
