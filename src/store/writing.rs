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
//! A write that waits for what another program has locked is put off, and begun again with each batch, for as long as anybody waits for a lock: it
//! holds up nobody else.
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

/// How long a lock is waited for that another program has.
pub(super) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How often what is put off is begun again, where there are no other batches.
const AGAIN_EVERY: Duration = Duration::from_millis(100);

/// Writes that are put off. More have failed at once.
const PUT_OFF_MAX: usize = 1024;

/// From the end of one removal of what has expired to the next. Where there is nothing to remove it looks at
/// the end of two indexes, and writes nothing.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What a write has come to before its commit: done, with the completion it wants, or not done; [`JobError::Locked`] puts it off.
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
    /// What waits for another program's lock, each with when it was begun first.
    pub(super) put_off: Vec<(Write, Instant)>,
}

impl<W: Writer> WritingLane<W> {
    /// Writes until the queue is closed and empty, or its time is over; then closes the database.
    pub(super) fn run(mut self) {
        let mut trouble = Trouble::new("writing");
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut sweep_at = Instant::now();
        loop {
            let until = match self.put_off.is_empty() {
                true => sweep_at,
                false => sweep_at.min(Instant::now() + AGAIN_EVERY),
            };
            let taken = self.queue.take(&mut batch, BATCH_MAX, until);
            self.write_and_tell(&mut batch, &mut trouble);
            if taken == Taken::Closed {
                if self.put_off.is_empty() || self.queue.is_over() {
                    break;
                }
                // Nothing more comes, and what is left has its time.
                self.queue.wait_for_end(Instant::now() + AGAIN_EVERY);
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
        let left = self.put_off.iter();
        let failed = left.filter_map(|(write, _)| write.failed(Fault::StorageFailed));
        self.outlet.post(failed.collect());
        self.writer.close();
    }

    /// Writes what was put off, which came before, and a batch; tells of it.
    fn write_and_tell(&mut self, batch: &mut Vec<Write>, trouble: &mut Trouble) {
        let (before, begun): (Vec<_>, Vec<_>) = self.put_off.drain(..).unzip();
        drop(batch.splice(..0, before));
        let writes = batch.len();
        if writes == 0 {
            return;
        }
        let written = outlive(|| Ok(self.write(batch, &begun, trouble)));
        let completions = written.unwrap_or_else(|error| {
            // A defect of ours has interrupted it.
            trouble.report(&error);
            self.writer.roll_back();
            let failed = batch.iter();
            failed
                .filter_map(|write| write.failed(Fault::StorageFailed))
                .collect()
        });
        batch.clear();
        self.outlet.post(completions);
        // Behind the post: nobody waits for it.
        if let Err(error) = outlive(|| self.writer.settle(writes)) {
            trouble.report(&error);
        }
    }

    /// Writes a batch, the first of which were begun before, and tells what became of each of it, in order; but for what is put off.
    pub(super) fn write(
        &mut self,
        batch: &mut Vec<Write>,
        begun_before: &[Instant],
        trouble: &mut Trouble,
    ) -> Vec<Completion> {
        let writes = batch.len();
        let mut outcomes = Vec::with_capacity(writes);
        let begun = Instant::now();
        let is_over = || self.queue.is_over();
        let committed = self.writer.transact(batch, &mut outcomes, &is_over);
        let took = begun.elapsed();
        let is_over = self.queue.is_over();
        let mut is_well = committed.is_ok();
        let uncommitted = match &committed {
            Ok(()) => Fault::StorageFailed,
            Err(error) => {
                trouble.report(error);
                self.writer.roll_back();
                error.fault()
            }
        };
        let mut outcomes = outcomes.into_iter();
        let mut begun_before = begun_before.iter().copied();
        let mut told = Vec::with_capacity(writes);
        for write in batch.drain(..) {
            let begun = begun_before.next().unwrap_or(begun);
            told.extend(match outcomes.next() {
                Some(Ok(completion)) if committed.is_ok() => completion,
                Some(Err(error))
                    if error.is_of_a_locked_row()
                        && !is_over
                        && begun.elapsed() < LOCK_PATIENCE
                        && self.put_off.len() < PUT_OFF_MAX =>
                {
                    is_well = false;
                    self.put_off.push((write, begun));
                    None
                }
                Some(Err(error)) => {
                    if !matches!(error, JobError::Refused(_)) {
                        is_well = false;
                        trouble.report(&error);
                    }
                    write.failed(error.fault())
                }
                // Not committed, or not even begun.
                Some(Ok(_)) | None => write.failed(uncommitted),
            });
        }
        if is_well {
            trouble.over();
        }
        match committed {
            Ok(()) => self.count(writes - self.put_off.len(), took),
            Err(_) => self.counters.failed.add(1),
        }
        told
    }

    fn count(&self, writes: usize, took: Duration) {
        if writes == 0 {
            return;
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
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

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::job::Job;
    use crate::model::{ChatroomId, ConnectionKey, Ticket};

    /// Finds locked what has an exchange with one of these numbers, and notes the batches.
    #[derive(Default)]
    struct Locking {
        locked: Vec<u32>,
        /// From this batch on nothing is.
        free_at: Option<usize>,
        batches: Vec<Vec<u32>>,
        cannot_commit: bool,
    }

    fn probe(exchange: u32) -> Write {
        let ticket = Ticket {
            connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
            exchange,
            event_loop: 0,
        };
        Write::Job(Job::Probe { ticket })
    }

    fn exchange(write: &Write) -> u32 {
        match write {
            Write::Job(Job::Probe { ticket }) => ticket.exchange,
            other => panic!("{other:?}"),
        }
    }

    impl Writer for Locking {
        fn transact(
            &mut self,
            batch: &mut [Write],
            outcomes: &mut Vec<Outcome>,
            _is_over: &dyn Fn() -> bool,
        ) -> Result<(), JobError> {
            if self.free_at == Some(self.batches.len()) {
                self.locked.clear();
            }
            self.batches.push(batch.iter().map(exchange).collect());
            outcomes.extend(batch.iter().map(
                |write| match self.locked.contains(&exchange(write)) {
                    true => Err(JobError::Locked(ChatroomId::new(7).expect("positive"))),
                    false => Ok(write.failed(Fault::Overloaded)),
                },
            ));
            match self.cannot_commit {
                true => Err(JobError::Unreachable),
                false => Ok(()),
            }
        }

        fn roll_back(&mut self) {}

        fn sweep(&mut self, _is_over: &dyn Fn() -> bool) -> Result<Swept, JobError> {
            Ok(Swept::default())
        }

        fn settle(&mut self, _writes: usize) -> Result<(), JobError> {
            Ok(())
        }

        fn close(self) {}
    }

    fn lane(locked: &[u32]) -> WritingLane<Locking> {
        WritingLane {
            writer: Locking {
                locked: locked.to_vec(),
                ..Locking::default()
            },
            queue: Arc::new(Queue::new(1, 0)),
            outlet: Outlet::new(|_| (), |_, _| ()),
            counters: Arc::default(),
            put_off: Vec::new(),
        }
    }

    fn write_and_tell(lane: &mut WritingLane<Locking>, exchanges: impl IntoIterator<Item = u32>) {
        let mut batch = exchanges.into_iter().map(probe).collect();
        lane.write_and_tell(&mut batch, &mut Trouble::new("writing"));
        assert!(batch.is_empty());
    }

    fn put_off(lane: &WritingLane<Locking>) -> Vec<u32> {
        lane.put_off
            .iter()
            .map(|(write, _)| exchange(write))
            .collect()
    }

    #[test]
    fn what_is_put_off_stays_before_what_comes_later() {
        let mut lane = lane(&[2, 4, 5]);
        write_and_tell(&mut lane, [1, 2, 3, 4]);
        let begun = lane.put_off[0].1;
        write_and_tell(&mut lane, [5, 6]);
        assert_eq!(put_off(&lane), [2, 4, 5]);
        // Since it came first, and not since it was tried last.
        assert_eq!(lane.put_off[0].1, begun);
        lane.writer.locked.clear();
        write_and_tell(&mut lane, [7]);
        assert!(lane.put_off.is_empty());
        assert_eq!(
            lane.writer.batches,
            [vec![1, 2, 3, 4], vec![2, 4, 5, 6], vec![2, 4, 5, 7]]
        );
    }

    #[test]
    fn what_is_put_off_when_nothing_more_comes_has_its_time() {
        let mut lane = lane(&[1]);
        lane.writer.free_at = Some(2);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let post = move |completions| tell.lock().expect("nobody panics").push(completions);
        lane.outlet = Outlet::new(post, |_, _| ());
        lane.queue.push(probe(1)).expect("a place");
        lane.queue.finish_by(Instant::now() + 60 * LOCK_PATIENCE);
        lane.queue.close();
        lane.run();
        let told = std::mem::take(&mut *told.lock().expect("nobody panics"));
        match &told.into_iter().flatten().collect::<Vec<_>>()[..] {
            [Completion::Probed { ticket, done }] => {
                assert_eq!((ticket.exchange, *done), (1, Err(Fault::Overloaded)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_done_is_put_off_also_where_the_rest_has_failed() {
        let mut lane = lane(&[2]);
        lane.writer.cannot_commit = true;
        write_and_tell(&mut lane, [1, 2]);
        assert_eq!(put_off(&lane), [2]);
    }

    #[test]
    fn what_is_put_off_is_bounded_in_number_and_in_time() {
        let locked = Vec::from_iter(0..PUT_OFF_MAX as u32 + 1);
        let mut lane = lane(&locked);
        write_and_tell(&mut lane, locked.iter().copied());
        assert_eq!(put_off(&lane), locked[..PUT_OFF_MAX]);
        let before = lane.put_off[0].1.checked_sub(LOCK_PATIENCE);
        lane.put_off[0].1 = before.expect("the machine runs for longer");
        write_and_tell(&mut lane, []);
        assert_eq!(put_off(&lane), locked[1..PUT_OFF_MAX]);
        // Nor is any, when the store is to end.
        lane.queue.finish_by(Instant::now());
        write_and_tell(&mut lane, []);
        assert!(lane.put_off.is_empty());
    }
}
