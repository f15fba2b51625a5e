//! The connections that read, and a moment in which none of them does.
//!
//! In WAL mode readers and the writer do not wait for one another. But the write-ahead log starts over only when nobody reads from it, and where
//! all lanes are busy somebody always does. So whoever makes a checkpoint may ask for a [`Pause`]: reads that are under way end,
//! the next wait for as long as it is held. That is over as soon as the reads are that were under way, some hundred microseconds each; and where
//! one of them takes longer than the caller has patience for, there is none, and nobody waits any more.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::database::{BUSY_TIMEOUT, outwait};
use crate::store::job_error::JobError;

/// The reading connections: as many as there are threads that read.
pub(super) type Pool = r2d2::Pool<SqliteConnectionManager>;

/// What all lanes that read share.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Pool,
    pub(super) session_lifetime: Duration,
    now: Mutex<Now>,
    /// Somebody has ended, or the pause has.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    reading: usize,
    is_paused: bool,
}

/// While it is held nobody of ours reads.
#[must_use]
pub(super) struct Pause<'a>(&'a Readers);

/// One read under way.
struct Read<'a>(&'a Readers);

impl Readers {
    pub(super) fn new(pool: Pool, session_lifetime: Duration) -> Self {
        Self {
            pool,
            session_lifetime,
            now: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Reads on a connection of the pool's; again and again while another program has the database locked, for as long as we wait for that,
    /// or until `is_over`.
    ///
    /// # Errors
    /// Those of the query, and of a pool that has no connection.
    pub(super) fn read<T>(
        &self,
        is_over: impl Fn() -> bool,
        mut query: impl FnMut(&Connection) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let connection = self.pool.get().map_err(JobError::Pool)?;
        let _read = self.begin();
        // A statement that unwinding leaves is reset as it is dropped, so the connection stays of use.
        outwait(BUSY_TIMEOUT, is_over, || query(&connection))
    }

    /// Lets nobody begin to read, and waits for those who do; none where that takes longer than the `patience`.
    pub(super) fn pause(&self, patience: Duration) -> Option<Pause<'_>> {
        let mut now = self.lock();
        now.is_paused = true;
        // Dropped where it was in vain, so that all go on.
        let pause = Pause(self);
        let waited = (self.changed).wait_timeout_while(now, patience, |now| now.reading > 0);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_quiet = now.reading == 0;
        drop(now);
        is_quiet.then_some(pause)
    }

    fn begin(&self) -> Read<'_> {
        let now = self.lock();
        let waited = self.changed.wait_while(now, |now| now.is_paused);
        let mut now = waited.unwrap_or_else(PoisonError::into_inner);
        now.reading += 1;
        Read(self)
    }

    #[cfg(test)]
    pub(super) fn is_paused(&self) -> bool {
        self.lock().is_paused
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Read<'_> {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.reading -= 1;
        let is_awaited = now.is_paused && now.reading == 0;
        drop(now);
        if is_awaited {
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.lock().is_paused = false;
        self.0.changed.notify_all();
    }
}

/// As the lanes have them, with one connection to a database in memory.
#[cfg(test)]
pub(super) fn in_memory(set_up: impl FnOnce(&mut Connection)) -> Readers {
    let pool = Pool::builder().max_size(1);
    let pool = pool.build(SqliteConnectionManager::memory());
    let readers = Readers::new(pool.expect("memory"), Duration::MAX);
    set_up(&mut readers.pool.get().expect("a connection"));
    readers
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn one(connection: &Connection) -> Result<i64, JobError> {
        Ok(connection.query_row("SELECT 1", (), |row| row.get(0))?)
    }

    #[test]
    fn a_pause_waits_for_reads_and_reads_wait_for_a_pause() {
        let readers = in_memory(|_| ());
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let readers = &readers;
            scope.spawn(move || {
                let wait = |connection: &Connection| {
                    begun.send(()).expect("heard");
                    may_end.recv().expect("told");
                    one(connection)
                };
                readers.read(|| false, wait).expect("a read");
            });
            has_begun.recv().expect("it has begun");
            assert!(readers.pause(Duration::ZERO).is_none());
            assert!(!readers.is_paused(), "in vain, so nobody waits");
            let paused = scope.spawn(|| {
                let pause = readers.pause(LONG).expect("the read ends");
                assert_eq!(readers.lock().reading, 0);
                let next = scope.spawn(|| readers.read(|| false, one).expect("a read"));
                drop(pause);
                next.join().expect("it goes on")
            });
            while !readers.is_paused() {
                thread::yield_now();
            }
            end.send(()).expect("heard");
            assert_eq!(paused.join().expect("no panic"), 1);
        });
    }

    #[test]
    fn nobody_reads_while_a_pause_is_held() {
        let readers = in_memory(|_| ());
        let pause = readers.pause(LONG).expect("nobody reads");
        thread::scope(|scope| {
            let (read, was_read) = mpsc::channel();
            let readers = &readers;
            scope.spawn(move || read.send(readers.read(|| false, one).expect("a read")));
            // Seen to fail within a few tries where a read does not wait.
            for _ in 0..100 {
                thread::yield_now();
                assert_eq!(was_read.try_recv(), Err(mpsc::TryRecvError::Empty));
            }
            assert_eq!(readers.lock().reading, 0);
            drop(pause);
            assert_eq!(was_read.recv(), Ok(1));
        });
    }

    #[test]
    fn a_read_that_panics_has_ended() {
        let readers = in_memory(|_| ());
        let panics = || readers.read(|| false, |_| -> Result<(), JobError> { panic!("a defect") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(readers.pause(Duration::ZERO).is_some());
        assert_eq!(readers.read(|| false, one).expect("a read"), 1);
    }
}
