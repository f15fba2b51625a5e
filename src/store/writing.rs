//! The writing lane: one thread that owns the only writing connection, and commits for all who wait.
//!
//! It takes all writes that are waiting (bounded), does them in one transaction, commits once, and posts all
//! completions with one call. A sync to disk costs as much for 256 messages as for one, so the more wait, the less
//! each costs; nobody is delayed to fill a batch. With one writer a batch never waits for a lock of ours,
//! commits come in the order of the queue, and completions in the order of the commits.
//!
//! **All or nothing, for each write and for the batch.** A write that fails takes back its own part and leaves the
//! batch alone. Where the transaction itself is lost (no begin, no commit, or SQLite has rolled it back because the
//! disk is full) every write of the batch has failed and is told so; only what had been refused on its own account
//! keeps its refusal. The next batch begins anew, so the lane recovers when the disk does.
//!
//! What is old is removed here too, a few rows at a time between two batches (see [`super::sweeping`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use rusqlite::Connection;

use super::checkpoint::LogWatch;
use super::clock::system_unix_ms;
use super::database::{BUSY_TIMEOUT, outwait};
use super::error::JobError;
use super::lane::{Outlet, Queue, Taken, outlive};
use super::memory::Memory;
use super::sql;
use super::sweeping::Sweeper;
use super::trouble::{self, Trouble};
use super::writes::Write;
use crate::counters::StoreCounters;
use crate::job::{Completion, Fault};

/// Writes of one transaction. Its messages of 4 KiB are a megabyte: tens of milliseconds, and little to lose.
const BATCH_MAX: usize = 256;

/// From the end of one removal of what has expired to the next. Where there is nothing to remove it looks at
/// the end of two indexes, and writes nothing.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The lane's thread's all.
pub(super) struct WritingLane {
    connection: Connection,
    queue: Arc<Queue<Write>>,
    outlet: Outlet,
    log: LogWatch,
    sweeper: Sweeper,
    memory: Memory,
    trouble: Trouble,
    /// The last wait for another program's lock was in vain.
    is_locked_out: bool,
    sweep_at: Instant,
    counters: Arc<StoreCounters>,
}

/// What a write has come to before its commit: done, with the completion it wants, or not done.
type Outcome = Result<Option<Completion>, Fault>;

impl WritingLane {
    /// A lane on a connection that [`super::database`] has set up.
    pub(super) fn new(
        connection: Connection,
        queue: Arc<Queue<Write>>,
        outlet: Outlet,
        log: LogWatch,
        sweeper: Sweeper,
        counters: Arc<StoreCounters>,
    ) -> Self {
        Self {
            connection,
            queue,
            outlet,
            log,
            sweeper,
            memory: Memory::default(),
            trouble: Trouble::new("writing"),
            is_locked_out: false,
            sweep_at: Instant::now(),
            counters,
        }
    }

    /// Writes until the queue is closed and empty, or its time is over; then closes the database.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            match self.queue.take(&mut batch, BATCH_MAX, self.sweep_at) {
                Taken::Items => {
                    let written = outlive(|| Ok(self.write(&mut batch)));
                    let completions = written.unwrap_or_else(|error| self.give_up(&batch, &error));
                    self.outlet.post(completions);
                    // Behind the post: nobody waits for it.
                    let writes = batch.len();
                    if let Err(error) = outlive(|| self.log.committed(writes, &self.connection)) {
                        self.trouble.report(&error);
                    }
                    batch.clear();
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if self.sweep_at <= Instant::now()
                && let Err(error) = outlive(|| self.sweep())
            {
                self.trouble.report(&error);
                self.roll_back();
            }
        }
        self.close();
    }

    /// Writes a batch, and tells what became of each of it, in order.
    fn write(&mut self, batch: &mut [Write]) -> Vec<Completion> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let begun = Instant::now();
        let committed = self.transact(batch, &mut outcomes);
        self.count(batch.len(), begun, committed.is_ok());
        match &committed {
            Ok(()) => {
                if !outcomes
                    .iter()
                    .any(|outcome| matches!(outcome, Err(Fault::StorageFailed)))
                {
                    self.trouble.over();
                }
            }
            Err(error) => {
                self.trouble.report(error);
                self.roll_back();
            }
        }
        let mut outcomes = outcomes.into_iter();
        let tell = |write: &Write| match outcomes.next() {
            Some(Ok(completion)) if committed.is_ok() => completion,
            Some(Err(fault)) => write.failed(fault),
            // Not committed, or not even begun.
            Some(Ok(_)) | None => write.failed(Fault::StorageFailed),
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

    /// Tells that nothing of a batch was done, which a defect of ours has interrupted.
    fn give_up(&mut self, batch: &[Write], error: &JobError) -> Vec<Completion> {
        self.trouble.report(error);
        self.roll_back();
        let failed = batch.iter();
        failed
            .filter_map(|write| write.failed(Fault::StorageFailed))
            .collect()
    }

    /// Does the batch in one transaction. `outcomes` has fewer than the batch where the transaction was lost.
    fn transact(
        &mut self,
        batch: &mut [Write],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), JobError> {
        self.execute_patiently(sql::BEGIN)?;
        self.memory.begin(&self.connection)?;
        let now_unix_ms = system_unix_ms();
        for write in batch {
            match self.apply(write, now_unix_ms) {
                Ok(completion) => outcomes.push(Ok(completion)),
                Err(error) if self.connection.is_autocommit() => return Err(error),
                Err(error) => {
                    if !matches!(error, JobError::Refused(_)) {
                        self.trouble.report(&error);
                    }
                    outcomes.push(Err(error.fault()));
                }
            }
        }
        self.execute_patiently(sql::COMMIT)
    }

    /// Does one write. When it fails, nothing of it is left in the transaction, or there is no transaction left.
    fn apply(
        &mut self,
        write: &mut Write,
        now_unix_ms: i64,
    ) -> Result<Option<Completion>, JobError> {
        let savepoint = write.needs_savepoint();
        if savepoint {
            self.execute(sql::SAVEPOINT)?;
        }
        let changes_before = self.connection.total_changes();
        let outcome = outlive(|| write.apply(&self.connection, &mut self.memory, now_unix_ms));
        if savepoint {
            self.end_savepoint(outcome.is_ok())?;
        } else if matches!(outcome, Err(JobError::Panicked))
            && self.connection.total_changes() != changes_before
        {
            // The statement is done, and cannot be taken back alone.
            self.roll_back();
        }
        outcome
    }

    fn end_savepoint(&mut self, keep: bool) -> rusqlite::Result<()> {
        let ended = if keep || self.connection.is_autocommit() {
            Ok(())
        } else {
            self.execute(sql::UNDO_TO_SAVEPOINT)
        };
        let ended = ended.and_then(|()| match self.connection.is_autocommit() {
            true => Ok(()),
            false => self.execute(sql::RELEASE),
        });
        // A part that can be neither kept nor taken back alone takes the batch with it.
        ended.inspect_err(|_| self.roll_back())
    }

    /// Leaves no transaction open. SQLite has rolled back by itself after some failures, not after others.
    fn roll_back(&mut self) {
        self.memory.forget();
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute(sql::ROLLBACK)
        {
            let line = format_args!("the writing lane: cannot roll back: {error}");
            trouble::tell(Level::Error, line);
        }
    }

    fn sweep(&mut self) -> Result<(), JobError> {
        self.sweep_at = Instant::now() + SWEEP_EVERY;
        self.memory.forget();
        self.execute_patiently(sql::BEGIN)?;
        let now_unix_ms = system_unix_ms();
        let swept = self.sweeper.sweep(&self.connection, now_unix_ms)?;
        self.execute_patiently(sql::COMMIT)?;
        self.outlet.post(swept.told);
        // What is written in between need not wait for the rest.
        if swept.is_partial {
            self.sweep_at = Instant::now();
        }
        self.log.committed(swept.rows, &self.connection)
    }

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(())?;
        Ok(())
    }

    /// As [`Self::execute`], for what needs a lock. Without a write-ahead log COMMIT is of them too; it can
    /// be tried again as BEGIN can.
    ///
    /// Who keeps the lock longer than we wait is waited for once, not once more for each batch behind: the last of a full
    /// queue would be answered after minutes. From then on each batch tries once, until one comes through.
    fn execute_patiently(&mut self, statement: &str) -> Result<(), JobError> {
        let patience = match self.is_locked_out {
            true => Duration::ZERO,
            false => BUSY_TIMEOUT,
        };
        let is_over = || self.queue.is_over();
        let executed = outwait(patience, is_over, || Ok(self.execute(statement)?));
        self.is_locked_out = executed.as_ref().is_err_and(JobError::is_busy);
        executed
    }

    /// Leaves one file: the write-ahead log goes into the database, unless another program is using it just now.
    fn close(self) {
        // The pragma answers with a row, which `execute` would refuse.
        let emptied = self
            .connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.connection.execute_batch(sql::EMPTY_LOG));
        let closed = self.connection.close().map_err(|(_, error)| error);
        if let Err(error) = emptied.and(closed) {
            let line = format_args!("the database is whole, but could not be closed well: {error}");
            trouble::tell(Level::Error, line);
        }
    }
}

#[cfg(test)]
mod tests;
