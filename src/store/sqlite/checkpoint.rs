//! Checkpoints: what the write-ahead log holds is moved into the database beside the writing lane, not in its way.
//!
//! SQLite's own checkpoint runs in the commit that finds the log long: some ten milliseconds for a thousand pages on a fast
//! disk, in which nobody's message is saved. Here a thread of its own moves them, while commits go on behind it. But the log
//! starts over, and so stops growing, only when a writer finds all of it moved; under load it never would, since something
//! is always committed meanwhile. So the last few pages are the writing lane's, between two batches.
//!
//! Nor does it start over while anybody reads from it, and where all reading lanes are busy somebody always does. So the lane pauses them
//! for a moment ([`Readers`]). Once all of the log is moved, who begins to read reads from the database alone. Without that the log grew by all
//! that was written, for as long as nobody paused by chance.
//!
//! ```text
//! Idle ── the lane finds the log long ──▶ Asked ── the thread has moved nearly all ──▶ Rest ── the lane moves it ──▶ Idle
//!                                           ▲────────── it was too much, a few times ───┘
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::database::BUSY_STEP;
use super::readers::Readers;
use super::sql;
use crate::store::job_error::JobError;
use crate::store::lane::outlive;
use crate::store::trouble::Trouble;

/// Pages of the log that are worth a checkpoint: 4 MB.
const PAGES_MIN: i64 = 1000;

/// Pages of the log that the writing lane moves at most, if it can help it: 64 MB. Somebody else's long read may leave more.
const PAGES_MAX: i64 = 16 * PAGES_MIN;

/// How often the thread is asked again where it has left more than that; then there is nothing for it: a log that grows faster than
/// it is moved must not grow for ever.
const ROUNDS_MAX: usize = 3;

/// Pages that are few enough for the lane.
const REST_MAX: i64 = 100;

/// How long the lane waits for reads under way, and then for those of other programs: longer than a read takes, and nothing that a sender
/// would notice. Whoever reads for longer, as a copy does, is not waited for again until the log has grown by [`PAGES_MIN`].
const READS_MAX: Duration = Duration::from_millis(20);

/// … and where the log is longer than [`PAGES_MAX`]: reads that take longer than all that overlap without end, as long lists may, and a
/// log that grows must not grow for ever. Then senders wait for once.
const READS_MAX_AT_LAST: Duration = Duration::from_secs(2);

/// Pages of a log that is no longer waited for in the hope that less will be left: the lane moves what there is, and waits for reads longer,
/// [`BUSY_STEP`], since several short waits were in vain: 16 MB.
const PAGES_MANY: i64 = 4 * PAGES_MIN;

/// How often the thread tries to leave so few. Each time moves what was committed during the time before.
const TRIES_MAX: usize = 4;

/// Writes between two looks at the log's length. Each adds a few pages at most.
const LOOK_EVERY: usize = 32;

/// What the writing lane and the checkpoints' thread tell each other.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// There is nothing to do.
    #[default]
    Idle,
    /// The thread is to move what it can.
    Asked,
    /// The lane is to move the rest.
    Rest,
    /// The thread is to end.
    Closed,
    /// The thread is to panic, for a test.
    #[cfg(debug_assertions)]
    Broken,
}

impl Checkpoints {
    /// Lets the thread end, after the checkpoint under way.
    pub(super) fn close(&self) {
        *self.lock() = Stage::Closed;
        self.changed.notify_all();
    }

    /// Has the thread panic, after the checkpoint under way: for tests of what comes then.
    #[cfg(debug_assertions)]
    pub(super) fn break_thread(&self) {
        *self.lock() = Stage::Broken;
        self.changed.notify_all();
    }

    fn stage(&self) -> Stage {
        *self.lock()
    }

    /// Goes on from one stage to the next; not from any other, such as the end.
    fn advance(&self, from: Stage, to: Stage) {
        let mut stage = self.lock();
        if *stage == from {
            *stage = to;
            drop(stage);
            self.changed.notify_all();
        }
    }

    /// Waits until a checkpoint is asked for; false when none will be.
    fn wait(&self) -> bool {
        let mut stage = self.lock();
        while !matches!(*stage, Stage::Asked | Stage::Closed) {
            #[cfg(debug_assertions)]
            assert_ne!(*stage, Stage::Broken, "broken by a test");
            let woken = self.changed.wait(stage);
            stage = woken.unwrap_or_else(PoisonError::into_inner);
        }
        *stage == Stage::Asked
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's all.
pub(super) struct Checkpointer {
    /// Not the one that writes: its checkpoints move what was committed before they began.
    pub(super) connection: Connection,
    pub(super) checkpoints: Arc<Checkpoints>,
}

impl Checkpointer {
    /// Moves pages whenever it is asked to.
    pub(super) fn run(self) {
        let mut trouble = Trouble::new("checkpoint");
        while self.checkpoints.wait() {
            match outlive(|| self.move_most()) {
                Ok(()) => trouble.over(),
                Err(error) => trouble.report(&error),
            }
            self.checkpoints.advance(Stage::Asked, Stage::Rest);
        }
    }

    fn move_most(&self) -> Result<(), JobError> {
        for _ in 0..TRIES_MAX {
            move_pages(&self.connection)?;
            let log = Log::look(&self.connection)?;
            if log.unmoved() <= REST_MAX || log.pages > PAGES_MANY {
                break;
            }
        }
        Ok(())
    }
}

/// The writing lane's part.
pub(super) struct LogWatch {
    checkpoints: Arc<Checkpoints>,
    readers: Arc<Readers>,
    /// Writes since the last look.
    unlooked: usize,
    /// How often the thread has left too much.
    rounds: usize,
}

impl LogWatch {
    pub(super) fn new(checkpoints: Arc<Checkpoints>, readers: Arc<Readers>) -> Self {
        Self {
            checkpoints,
            readers,
            unlooked: 0,
            rounds: 0,
        }
    }

    /// So many writes have been committed on this connection, which has no transaction open.
    pub(super) fn committed(
        &mut self,
        writes: usize,
        connection: &Connection,
    ) -> Result<(), JobError> {
        let stage = self.checkpoints.stage();
        if stage == Stage::Rest {
            self.move_rest(connection)?;
        }
        self.unlooked += writes;
        if self.unlooked < LOOK_EVERY {
            return Ok(());
        }
        self.unlooked = 0;
        if Log::look(connection)?.unmoved() > PAGES_MIN {
            self.checkpoints.advance(Stage::Idle, Stage::Asked);
        }
        Ok(())
    }

    fn move_rest(&mut self, connection: &Connection) -> Result<(), JobError> {
        let unmoved = Log::look(connection)?.unmoved();
        if unmoved > PAGES_MAX && self.rounds < ROUNDS_MAX {
            self.rounds += 1;
            self.checkpoints.advance(Stage::Rest, Stage::Asked);
            return Ok(());
        }
        self.rounds = 0;
        self.checkpoints.advance(Stage::Rest, Stage::Idle);
        move_pages(connection)?;
        let log = Log::look(connection)?;
        // More than that is held back by somebody's long read, and waited for at last.
        if log.unmoved() <= PAGES_MIN || log.pages > PAGES_MAX {
            self.leave_log(connection, patience_for(log))?;
        }
        Ok(())
    }

    /// Moves what is left and sees to it that nobody reads from the log any more, so that the next to be written starts it over. Not an
    /// error: that somebody reads for longer.
    fn leave_log(&self, connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
        let Some(pause) = self.readers.pause(patience) else {
            return Ok(());
        };
        let is_left = leave_log(connection, Duration::ZERO)?;
        drop(pause);
        // Another program reads, or a copy is made.
        if !is_left {
            leave_log(connection, patience.min(BUSY_STEP))?;
        }
        Ok(())
    }
}

/// How long the lane waits for reads, of a log that is so long.
fn patience_for(log: Log) -> Duration {
    if log.pages > PAGES_MAX {
        READS_MAX_AT_LAST
    } else if log.pages > PAGES_MANY {
        BUSY_STEP
    } else {
        READS_MAX
    }
}

/// The write-ahead log's state; all zero or less where there is none.
#[derive(Clone, Copy, Debug)]
struct Log {
    pages: i64,
    moved: i64,
}

impl Log {
    fn look(connection: &Connection) -> rusqlite::Result<Self> {
        checkpoint(connection, sql::LOOK_AT_LOG)
    }

    fn unmoved(self) -> i64 {
        self.pages - self.moved
    }
}

/// Moves what can be moved without making anybody wait, and syncs it. Not an error: that somebody else is at it.
fn move_pages(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, sql::MOVE_LOG).map(drop)
}

/// Moves what is left and waits for those who read from the log; false where some still do.
fn leave_log(connection: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(patience)?;
    let left = connection
        .prepare_cached(sql::LEAVE_LOG)
        .and_then(|mut statement| statement.query_row((), |row| row.get(0)));
    connection.busy_timeout(BUSY_STEP)?;
    left.map(|is_busy: bool| !is_busy)
}

fn checkpoint(connection: &Connection, statement: &str) -> rusqlite::Result<Log> {
    let mut statement = connection.prepare_cached(statement)?;
    statement.query_row((), |row| {
        Ok(Log {
            pages: row.get(1)?,
            moved: row.get(2)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use r2d2_sqlite::SqliteConnectionManager;

    use super::super::readers::Pool;
    use super::*;

    const TABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE t (id INTEGER PRIMARY KEY, page BLOB);";
    const FILL: &str =
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1100)
        INSERT INTO t (page) SELECT zeroblob(4000) FROM n";

    struct Writing {
        writer: Connection,
        watch: LogWatch,
        checkpointer: Checkpointer,
        readers: Arc<Readers>,
        folder: tempfile::TempDir,
    }

    impl Writing {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let open = || Connection::open(folder.path().join("x.db")).expect("a database");
            let writer = open();
            writer.execute_batch(TABLE).expect("a table");
            let checkpoints = Arc::new(Checkpoints::default());
            let pool = Pool::builder().max_size(1);
            let pool = pool.build(SqliteConnectionManager::file(folder.path().join("x.db")));
            let readers = Arc::new(Readers::new(pool.expect("a pool"), Duration::MAX));
            Self {
                writer,
                watch: LogWatch::new(Arc::clone(&checkpoints), Arc::clone(&readers)),
                readers,
                checkpointer: Checkpointer {
                    connection: open(),
                    checkpoints,
                },
                folder,
            }
        }

        /// More pages than are left to the log.
        fn fill(&mut self) {
            self.writer.execute(FILL, ()).expect("filled");
            let watched = self.watch.committed(LOOK_EVERY, &self.writer);
            watched.expect("looked");
        }

        fn commit(&mut self) {
            let insert = "INSERT INTO t (page) VALUES ('x')";
            self.writer.execute(insert, ()).expect("inserted");
            self.watch.committed(1, &self.writer).expect("looked");
        }

        /// As the thread does, however little it has moved.
        fn leave_rest(&self) {
            (self.checkpointer.checkpoints).advance(Stage::Asked, Stage::Rest);
        }

        fn log(&self) -> Log {
            Log::look(&self.writer).expect("a log")
        }

        fn stage(&self) -> Stage {
            self.checkpointer.checkpoints.stage()
        }

        fn bytes(&self, name: &str) -> u64 {
            fs::metadata(self.folder.path().join(name))
                .expect("there")
                .len()
        }
    }

    #[test]
    fn a_long_log_is_moved_beside_the_lane_and_starts_over() {
        let mut writing = Writing::new();
        writing.commit();
        assert_eq!(writing.stage(), Stage::Idle, "a short one is not");
        writing.fill();
        assert_eq!(writing.stage(), Stage::Asked);
        // While the thread is at it, something is committed; as if so: a read holds on to what was before.
        let reader = Connection::open(writing.folder.path().join("x.db")).expect("a database");
        reader
            .execute_batch("BEGIN; SELECT id FROM t LIMIT 1")
            .expect("begun");
        writing.commit();
        writing.checkpointer.move_most().expect("moved");
        reader.execute_batch("COMMIT").expect("ended");
        writing.leave_rest();
        let log = writing.log();
        assert!(log.moved > PAGES_MIN && log.unmoved() > 0, "{log:?}");
        writing.commit();
        assert_eq!(writing.stage(), Stage::Idle);
        assert_eq!(writing.log().unmoved(), 0);
        writing.commit();
        assert!(writing.log().pages < REST_MAX, "{:?}", writing.log());
        let moved = u64::try_from(4096 * PAGES_MIN).expect("positive");
        assert!(writing.bytes("x.db") > moved);
    }

    #[test]
    fn a_read_that_is_under_way_ends_and_none_begins_until_the_log_is_left() {
        let mut writing = Writing::new();
        writing.fill();
        writing.leave_rest();
        let readers = Arc::clone(&writing.readers);
        let is_over = Arc::new(AtomicBool::new(false));
        let (begun, has_begun) = mpsc::channel();
        let over = Arc::clone(&is_over);
        let reading = thread::spawn(move || {
            let hold_on = |connection: &Connection| {
                connection.execute_batch("BEGIN; SELECT id FROM t LIMIT 1")?;
                begun.send(()).expect("heard");
                while !readers.is_paused() && !over.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                Ok(connection.execute_batch("COMMIT")?)
            };
            // A lane that has nothing to read between two.
            (0..2).for_each(|_| readers.read(|| false, hold_on).expect("a read"));
        });
        has_begun.recv().expect("it has begun");
        writing.commit();
        assert_eq!(writing.log().unmoved(), 0);
        has_begun.recv().expect("the next");
        writing.commit();
        is_over.store(true, Ordering::Relaxed);
        assert!(writing.log().pages < REST_MAX, "{:?}", writing.log());
        reading.join().expect("no panic");
    }

    #[test]
    fn a_log_that_has_grown_long_waits_for_reads_at_last() {
        let log = |pages| Log { pages, moved: 0 };
        assert_eq!(patience_for(log(PAGES_MANY)), READS_MAX);
        assert_eq!(patience_for(log(PAGES_MAX)), BUSY_STEP);
        let mut writing = Writing::new();
        let (begun, has_begun) = mpsc::channel();
        let (_open, end) = mpsc::channel::<()>();
        let readers = Arc::clone(&writing.readers);
        let reading = thread::spawn(move || {
            let hold_on = |connection: &Connection| {
                connection.execute_batch("BEGIN; SELECT id FROM t LIMIT 1")?;
                begun.send(()).expect("heard");
                while !readers.is_paused() {
                    thread::yield_now();
                }
                // Nobody says so before it is over: longer than anybody waits for whose log is shorter.
                let _over = end.recv_timeout(3 * BUSY_STEP);
                Ok(connection.execute_batch("COMMIT")?)
            };
            readers.read(|| false, hold_on).expect("a read");
        });
        has_begun.recv().expect("it has begun");
        while writing.log().pages <= PAGES_MAX {
            writing.fill();
        }
        writing.leave_rest();
        writing.watch.rounds = ROUNDS_MAX;
        writing.commit();
        assert_eq!(writing.log().unmoved(), 0);
        reading.join().expect("no panic");
    }

    #[test]
    fn what_the_thread_does_not_move_the_lane_does() {
        let mut writing = Writing::new();
        for _ in 0..20 {
            writing.fill();
        }
        for _ in 0..ROUNDS_MAX {
            writing.leave_rest();
            writing.commit();
            assert_eq!(writing.stage(), Stage::Asked, "it is asked again");
            assert!(writing.log().unmoved() > PAGES_MAX);
        }
        writing.leave_rest();
        writing.commit();
        assert_eq!(writing.log().unmoved(), 0);
        assert_eq!(writing.stage(), Stage::Idle);
    }

    #[test]
    fn the_thread_works_until_it_is_told_to_end() {
        let mut writing = Writing::new();
        let checkpointer = Checkpointer {
            connection: Connection::open(writing.folder.path().join("x.db")).expect("a database"),
            checkpoints: Arc::clone(&writing.checkpointer.checkpoints),
        };
        let thread = thread::spawn(|| checkpointer.run());
        writing.fill();
        while writing.stage() != Stage::Rest {
            thread::yield_now();
        }
        assert!(writing.log().moved > PAGES_MIN);
        writing.checkpointer.checkpoints.close();
        thread.join().expect("it ends");
        writing.fill();
        assert_eq!(writing.stage(), Stage::Closed, "and stays ended");
    }

    #[test]
    fn a_database_without_a_log_has_nothing_to_move() {
        let connection = Connection::open_in_memory().expect("a database");
        assert!(Log::look(&connection).expect("an answer").unmoved() <= 0);
        move_pages(&connection).expect("nothing to do");
    }
}
