//! The writing lane: one thread that has the only writing connection, and commits for all who wait.
//!
//! It takes all writes that are waiting (bounded), does them in one transaction, commits once, and posts all
//! completions with one call. A sync to disk costs as much for 256 messages as for one, so the more wait, the less
//! each costs; nobody is delayed to fill a batch. With one writer commits come in the order of the queue, and completions in
//! the order of the commits. How the batch gets into the database is a [`Writer`]'s affair.
//!
//! **All or nothing, for each write and for the batch.** A write that fails takes back its own part and leaves the
//! batch alone. Where the transaction itself is lost (no begin, no commit, or the database has rolled it back) every write of the batch
//! has failed and is told so; only what had been refused on its own account keeps its refusal. The next batch begins anew, so the lane
//! recovers when the database does.
//!
//! What is old is removed here too, a few rows at a time between two batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job_error::JobError;
use super::lane::{Outlet, Queue, Taken, outlive};
use super::trouble::Trouble;
use super::write::Write;
use crate::counters::StoreCounters;
use crate::job::{Completion, Fault};

/// Writes of one transaction. Its messages of 4 KiB are a megabyte: tens of milliseconds, and little to lose.
const BATCH_MAX: usize = 256;

/// From the end of one removal of what has expired to the next. Where there is nothing to remove it looks at
/// the end of two indexes, and writes nothing.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What a write has come to before its commit: done, with the completion it wants, or not done.
pub(super) type Outcome = Result<Option<Completion>, JobError>;

/// A database to write to. Its calls may take as long as the database does, but none longer than somebody waits for an answer; what waits for
/// another program's lock ends when `is_over` says so.
pub(super) trait Writer {
    /// Does the batch in one transaction, and tells of each write, in order, what it has come to; of fewer than the batch where the
    /// transaction was lost.
    fn transact(
        &mut self,
        batch: &mut [Write],
        outcomes: &mut Vec<Outcome>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), JobError>;

    /// Leaves no transaction open.
    fn roll_back(&mut self);

    /// Removes some of what is old, in a transaction of its own.
    fn sweep(&mut self, is_over: &dyn Fn() -> bool) -> Result<Swept, JobError>;

    /// So many writes have been committed, and those who wait for them were told: time for what nobody waits for.
    fn settle(&mut self, writes: usize) -> Result<(), JobError>;

    /// The last of all: nothing more is written.
    fn close(self);
}

/// What was removed in one transaction.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// What the loops are told, once it is committed.
    pub(super) told: Vec<Completion>,
    pub(super) rows: usize,
    /// There may be more to remove.
    pub(super) is_partial: bool,
}

/// The lane's thread's all.
pub(super) struct WritingLane<W> {
    pub(super) writer: W,
    pub(super) queue: Arc<Queue<Write>>,
    pub(super) outlet: Outlet,
    pub(super) counters: Arc<StoreCounters>,
}

impl<W: Writer> WritingLane<W> {
    /// Writes until the queue is closed and empty, or its time is over; then closes the database.
    pub(super) fn run(mut self) {
        let mut trouble = Trouble::new("writing");
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut sweep_at = Instant::now();
        loop {
            match self.queue.take(&mut batch, BATCH_MAX, sweep_at) {
                Taken::Items => {
                    let completions = self.write_or_give_up(&mut batch, &mut trouble);
                    self.outlet.post(completions);
                    // Behind the post: nobody waits for it.
                    let writes = batch.len();
                    if let Err(error) = outlive(|| self.writer.settle(writes)) {
                        trouble.report(&error);
                    }
                    batch.clear();
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if sweep_at <= Instant::now() {
                sweep_at = Instant::now() + SWEEP_EVERY;
                match outlive(|| self.sweep()) {
                    // What is written in between need not wait for the rest.
                    Ok(is_partial) if is_partial => sweep_at = Instant::now(),
                    Ok(_) => {}
                    Err(error) => {
                        trouble.report(&error);
                        self.writer.roll_back();
                    }
                }
            }
        }
        self.writer.close();
    }

    fn write_or_give_up(&mut self, batch: &mut [Write], trouble: &mut Trouble) -> Vec<Completion> {
        let written = outlive(|| Ok(self.write(batch, trouble)));
        written.unwrap_or_else(|error| {
            // A defect of ours has interrupted it.
            trouble.report(&error);
            self.writer.roll_back();
            let failed = batch.iter();
            failed
                .filter_map(|write| write.failed(Fault::StorageFailed))
                .collect()
        })
    }

    /// Writes a batch, and tells what became of each of it, in order.
    pub(super) fn write(&mut self, batch: &mut [Write], trouble: &mut Trouble) -> Vec<Completion> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let begun = Instant::now();
        let is_over = || self.queue.is_over();
        let committed = self.writer.transact(batch, &mut outcomes, &is_over);
        self.count(batch.len(), begun, committed.is_ok());
        let mut is_well = true;
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            if !matches!(error, JobError::Refused(_)) {
                is_well = false;
                trouble.report(error);
            }
        }
        match &committed {
            Ok(()) if is_well => trouble.over(),
            Ok(()) => {}
            Err(error) => {
                trouble.report(error);
                self.writer.roll_back();
            }
        }
        let mut outcomes = outcomes.into_iter();
        let uncommitted = match &committed {
            Err(error) => error.fault(),
            Ok(()) => Fault::StorageFailed,
        };
        let tell = |write: &Write| match outcomes.next() {
            Some(Ok(completion)) if committed.is_ok() => completion,
            Some(Err(error)) => write.failed(error.fault()),
            // Not committed, or not even begun.
            Some(Ok(_)) | None => write.failed(uncommitted),
        };
        batch.iter().filter_map(tell).collect()
    }

    fn count(&self, writes: usize, begun: Instant, is_committed: bool) {
        if !is_committed {
            return self.counters.failed.add(1);
        }
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.commit_writes.observe(writes as u64);
        self.counters.commit_us.observe(took);
    }

    /// Returns whether there may be more to remove.
    fn sweep(&mut self) -> Result<bool, JobError> {
        let is_over = || self.queue.is_over();
        let swept = self.writer.sweep(&is_over)?;
        self.outlet.post(swept.told);
        self.writer.settle(swept.rows)?;
        Ok(swept.is_partial)
    }
}
