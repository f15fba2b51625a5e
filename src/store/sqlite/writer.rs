//! Writes a batch to SQLite, in one transaction on the only connection that writes.
//!
//! A write that consists of several statements has a savepoint, so that one that fails takes back its own part alone. Where SQLite has
//! rolled back the transaction by itself, because the disk is full, all of the batch is lost.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use log::Level;
use rusqlite::Connection;

use super::checkpoint::LogWatch;
use super::database::{BUSY_TIMEOUT, outwait};
use super::memory::Memory;
use super::sql;
use super::sweeping::Sweeper;
use crate::job::{Completion, Job};
use crate::store::clock::system_unix_ms;
use crate::store::job_error::JobError;
use crate::store::lane::outlive;
use crate::store::trouble;
use crate::store::write::Write;
use crate::store::writing::{Outcome, Swept, Writer};

/// The only connection that writes, and what it remembers.
pub(super) struct SqliteWriter {
    connection: Connection,
    log: LogWatch,
    sweeper: Sweeper,
    memory: Memory,
    /// The last wait for another program's lock was in vain.
    is_locked_out: bool,
    /// Where the database's file is, and which it is; nothing where it has none.
    file: Option<(PathBuf, FileNumber)>,
}

/// By what a file is known, whatever its name: that of its device, and its own there.
type FileNumber = (u64, u64);

impl Writer for SqliteWriter {
    fn transact(
        &mut self,
        batch: &mut [Write],
        outcomes: &mut Vec<Outcome>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), JobError> {
        self.execute_patiently(sql::BEGIN, is_over)?;
        self.memory.begin(&self.connection)?;
        let now_unix_ms = system_unix_ms();
        for write in batch {
            match self.apply(write, now_unix_ms) {
                Err(error) if self.connection.is_autocommit() => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        self.execute_patiently(sql::COMMIT, is_over)
    }

    /// SQLite has rolled back by itself after some failures, not after others.
    fn roll_back(&mut self) {
        self.memory.forget();
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute(sql::ROLLBACK)
        {
            let line = format_args!("the writing lane: cannot roll back: {error}");
            trouble::tell(Level::Error, line);
        }
    }

    fn sweep(&mut self, is_over: &dyn Fn() -> bool) -> Result<Swept, JobError> {
        self.memory.forget();
        self.execute_patiently(sql::BEGIN, is_over)?;
        let now_unix_ms = system_unix_ms();
        let swept = self.sweeper.sweep(&self.connection, now_unix_ms)?;
        self.execute_patiently(sql::COMMIT, is_over)?;
        Ok(swept)
    }

    fn settle(&mut self, writes: usize) -> Result<(), JobError> {
        self.log.committed(writes, &self.connection)
    }

    /// Leaves one file: the write-ahead log goes into the database, unless another program is using it just now.
    fn close(self) {
        let Self {
            connection, log, ..
        } = self;
        // With the connections that read, which it is the last to hold on to: SQLite removes the log with the last of all.
        drop(log);
        // The pragma answers with a row, which `execute` would refuse.
        let emptied = connection
            .busy_timeout(Duration::ZERO)
            .and_then(|()| connection.execute_batch(sql::EMPTY_LOG));
        let closed = connection.close().map_err(|(_, error)| error);
        if let Err(error) = emptied.and(closed) {
            let line = format_args!("the database is whole, but could not be closed well: {error}");
            trouble::tell(Level::Error, line);
        }
    }
}

impl SqliteWriter {
    /// On a connection that [`super::database`] has set up.
    pub(super) fn new(connection: Connection, log: LogWatch, sweeper: Sweeper) -> Self {
        let path = connection.path().map(PathBuf::from);
        let file = path.and_then(|path| number_of(&path).ok().map(|number| (path, number)));
        Self {
            connection,
            log,
            sweeper,
            memory: Memory::default(),
            is_locked_out: false,
            file,
        }
    }

    /// A file that was removed can be written to as before, as long as it is open, and all of it is gone with the server's end.
    fn refuse_removed(&self) -> Result<(), JobError> {
        let Some((path, number)) = &self.file else {
            return Ok(());
        };
        let is_there = match number_of(path) {
            Ok(found) => found == *number,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        match is_there {
            true => Ok(()),
            false => Err(JobError::Removed(path.clone())),
        }
    }

    /// Does one write. When it fails, nothing of it is left in the transaction, or there is no transaction left.
    fn apply(
        &mut self,
        write: &mut Write,
        now_unix_ms: i64,
    ) -> Result<Option<Completion>, JobError> {
        if matches!(write, Write::Job(Job::Probe { .. })) {
            self.refuse_removed()?;
        }
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

    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(())?;
        Ok(())
    }

    /// As [`Self::execute`], for what needs a lock. Without a write-ahead log COMMIT is of them too; it can
    /// be tried again as BEGIN can.
    ///
    /// Who keeps the lock longer than we wait is waited for once, not once more for each batch behind: the last of a full
    /// queue would be answered after minutes. From then on each batch tries once, until one comes through.
    fn execute_patiently(
        &mut self,
        statement: &str,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), JobError> {
        let patience = match self.is_locked_out {
            true => Duration::ZERO,
            false => BUSY_TIMEOUT,
        };
        let executed = outwait(patience, is_over, || Ok(self.execute(statement)?));
        self.is_locked_out = executed.as_ref().is_err_and(JobError::is_busy);
        executed
    }
}

fn number_of(path: &Path) -> io::Result<FileNumber> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
