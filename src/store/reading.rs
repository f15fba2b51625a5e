//! The reading lanes: threads that answer from connections of their own, beside the one that writes.
//!
//! Each job sees one state of the database, and a read that is submitted after a write's completion sees that write.

use std::sync::Arc;

use super::job_error::JobError;
use super::lane::{Outlet, Queue, outlive};
use super::last_read::LastRead;
use super::reads::Reads;
use super::trouble::Trouble;
use super::write::Tried;
use crate::job::{Completion, Job};
use crate::model::{ChatroomId, Customer, User, UserId};

/// A database to read from, from several threads. What waits for another program's lock ends when `is_over` says so.
pub(super) trait Reader: Send + Sync {
    /// Answers a job that reads.
    fn answer(
        &self,
        job: &Job,
        last_read: &mut LastRead,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Completion, JobError>;

    /// A loop holds these chatrooms from now on, or no more.
    fn follow(&self, event_loop: u16, chatrooms: &[(ChatroomId, bool)]) {
        // Nobody else writes to a file, and what is written here the loops are told of anyway.
        let _ = (event_loop, chatrooms);
    }

    /// Whether wrong passwords are written, for all servers of the database together.
    fn counts_failures(&self) -> bool {
        false
    }

    /// Refuses where so many passwords were wrong, at all servers of the database together, that no more are tried.
    fn check_attempts(&self, tried: &Tried, customer: Customer) -> Result<(), JobError> {
        // One server knows by itself.
        let _ = (tried, customer);
        Ok(())
    }

    /// The user of a folded name, and the password's hash as it is stored.
    fn credentials(
        &self,
        folded: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<(User, String)>, JobError>;

    /// A user's password's hash as it is stored.
    fn password_of(
        &self,
        user: UserId,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<String>, JobError>;
}

/// One thread's part of reading.
pub(super) struct ReadingLane {
    pub(super) queue: Arc<Queue<Job, Reads>>,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) outlet: Outlet,
}

impl ReadingLane {
    /// Answers jobs until the queue is closed and empty, or its time is over.
    pub(super) fn run(self) {
        let mut trouble = Trouble::new("reading");
        let mut last_read = LastRead::default();
        let is_over = || self.queue.is_over();
        while let Some(job) = self.queue.take_one() {
            let completion = match outlive(|| self.reader.answer(&job, &mut last_read, &is_over)) {
                Ok(completion) => {
                    trouble.over();
                    Some(completion)
                }
                Err(error) => {
                    if !matches!(error, JobError::Refused(_)) {
                        trouble.report(&error);
                    }
                    job.failed(error.fault())
                }
            };
            self.outlet.post(Vec::from_iter(completion));
            if self.queue.len() == 0 {
                last_read.clear();
            }
        }
    }
}
