//! The store: one lane that writes, lanes that read, a lane that hashes passwords, on a database.
//!
//! It keeps the promises of [`crate::job`], and knows nothing of HTTP, sockets or event loops: jobs come in by
//! [`Store::submit`], completions go out by the function given to [`Store::open`].
//!
//! ```text
//!             ┌── writing queue ──▶ writing lane (1 thread, the only writing connection)
//! submit ─────┼── reading queue ──▶ reading lanes (threads, the pool)      ▲
//!             └── password queue ─▶ password lane (threads, the pool) ─────┘ after the hash
//! ```
//!
//! Each queue is bounded, and gives a job back when it is full. What a call that has begun depends on finds a place
//! beyond the reach of those that begin. The places of passwords, which cost most and which everybody may ask for, are shared out by address (`turns`).

mod clock;
mod error;
mod hashing;
mod job_error;
mod lane;
mod last_read;
#[cfg(feature = "postgres")]
mod migrate;
// Public for the simulator alone.
#[doc(hidden)]
pub mod others;
mod password;
#[cfg(feature = "postgres")]
mod postgres;
mod prefix;
mod reading;
mod reads;
mod sqlite;
mod trouble;
mod turns;
mod users;
mod write;
mod writing;

use std::any::Any;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

pub use error::{BackupError, OpenError};
#[cfg(feature = "postgres")]
pub use migrate::{MigrateError, Migration};
use ring::rand::SystemRandom;
pub use sqlite::Backup;
pub use users::{Account, Users, UsersError};

use crate::config::Config;
use crate::counters::StoreCounters;
use crate::job::{Completion, Fault, Job};
use crate::model::{ChatroomId, UserId};
use hashing::{HashingLane, Passwords, Whose};
use lane::{Outlet, Queue};
use reading::{Reader, ReadingLane};
use reads::Reads;
use write::Write;
use writing::{Writer, WritingLane};

/// Passwords that may wait for one hashing thread, shared out where more would. At a quarter of a second each, the last waits 8 s: as long
/// as a person might, and within the ten seconds of a drain.
const PASSWORDS_WAITING_MAX: usize = 32;

/// How many threads of each kind `config.workers` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Threads {
    reading: usize,
    hashing: usize,
}

impl Threads {
    /// Half of them each, one at least.
    fn of(config: &Config) -> Self {
        let hashing = (config.workers / 2).max(1);
        Self {
            reading: config.workers.saturating_sub(hashing).max(1),
            hashing,
        }
    }
}

/// A database that is open: what the lanes work with.
struct Backend<W> {
    writer: W,
    reader: Arc<dyn Reader>,
    /// Threads that look after the database beside the lanes.
    attendance: Attendance,
    /// Let go of when the last connection is closed.
    held: Box<dyn Any + Send + Sync>,
}

/// A thread that looks after the database beside the lanes: its name, and what it does.
type Attending = (&'static str, Box<dyn FnOnce() + Send>);

/// Those threads, all of them.
struct Attendance {
    threads: Vec<Attending>,
    /// Ends them.
    attendant: Arc<dyn Attendant>,
}

/// Whom the threads that look after a database listen to.
trait Attendant: Send + Sync {
    /// Has them end, after what is under way.
    fn end(&self);

    /// The lanes begin nothing after that, so that what is under way is waited for a little longer at most.
    fn finish_by(&self, _end: Instant) {}

    /// Whether those that are to hear of what other servers write do not.
    fn is_deaf(&self) -> bool {
        false
    }

    /// Has one panic, for a test.
    #[cfg(debug_assertions)]
    fn break_thread(&self);
}

/// An open database and the threads that work on it.
///
/// Its end is bounded: [`Store::close`] says until when the jobs that were taken are still begun, and dropping it
/// begins none. A job under way is finished and answered, unless it is waiting for another program's lock.
pub struct Store {
    writing: Arc<Queue<Write>>,
    reading: Arc<Queue<Job, Reads>>,
    passwords: Arc<Passwords>,
    attendant: Option<Arc<dyn Attendant>>,
    /// None as the end begins.
    reader: Option<Arc<dyn Reader>>,
    outlet: Outlet,
    counters: Arc<StoreCounters>,
    /// Those that give to the writing lane, or whose connections it wants closed before its own.
    givers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
    /// Held until the last connection is closed.
    _database: Box<dyn Any + Send + Sync>,
}

impl Store {
    /// Opens `config.database` (creates, upgrades and checks it) and starts the lanes.
    ///
    /// `post` gets completions, never none, from the lanes' threads (one call for all of one commit), and from those that submit. It should
    /// only hand them on, since a lane does nothing else while it runs. It may be called until the
    /// store is closed, and so must not wait for a thread that closes it.
    ///
    /// Every path is taken for that of a file, `:memory:` too.
    ///
    /// # Errors
    /// [`OpenError`], with nothing left running.
    pub fn open(
        config: &Config,
        post: impl Fn(Vec<Completion>) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_watched(config, post, |_, _| ())
    }

    /// As [`Store::open`]; `fell` is told which thread has died of a panic, or could not post what it had to, and the panic's payload.
    ///
    /// Jobs that it had taken are never answered then: the host should end. A panic in a job is none of these; it is answered
    /// with [`Fault::StorageFailed`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_watched(
        config: &Config,
        post: impl Fn(Vec<Completion>) + Send + Sync + 'static,
        fell: impl Fn(&str, &(dyn Any + Send)) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let outlet = Outlet::new(post, fell);
        let threads = Threads::of(config);
        if config.is_shared() {
            #[cfg(feature = "postgres")]
            return Self::start(
                config,
                threads,
                postgres::open(config, threads, &outlet)?,
                &outlet,
            );
            #[cfg(not(feature = "postgres"))]
            return Err(OpenError::NotBuilt(crate::config::shown(&config.database)));
        }
        Self::start(config, threads, sqlite::open(config, threads)?, &outlet)
    }

    /// Whether other servers share the database, and nothing has been heard of them for so long that nothing remembered need hold.
    pub fn is_deaf(&self) -> bool {
        let attendant = self.attendant.as_ref();
        attendant.is_some_and(|attendant| attendant.is_deaf())
    }

    /// What the writing lane counts, shared with whoever looks.
    pub fn counters(&self) -> &Arc<StoreCounters> {
        &self.counters
    }

    /// Tells how many jobs wait for a lane, by what it does; also when the store is closed.
    pub fn queues(&self) -> impl Fn() -> [(&'static str, usize); 3] + Send + Sync + 'static {
        let writing = Arc::clone(&self.writing);
        let reading = Arc::clone(&self.reading);
        let passwords = Arc::clone(&self.passwords);
        move || {
            [
                ("writing", writing.len()),
                ("reading", reading.len()),
                ("passwords", passwords.len()),
            ]
        }
    }

    fn start<W: Writer + Send + 'static>(
        config: &Config,
        threads: Threads,
        backend: Backend<W>,
        outlet: &Outlet,
    ) -> Result<Self, OpenError> {
        let passwords_max = threads.hashing.saturating_mul(PASSWORDS_WAITING_MAX);
        let mut store = Self {
            writing: Arc::new(Queue::new(config.queue, threads.hashing)),
            reading: Arc::new(Queue::of_reads(config.queue, config.queue)),
            passwords: Arc::new(Queue::by_turns(passwords_max)),
            attendant: None,
            reader: Some(Arc::clone(&backend.reader)),
            outlet: outlet.clone(),
            counters: Arc::default(),
            givers: Vec::new(),
            writer: None,
            _database: backend.held,
        };
        // Whatever fails from here on drops the store, which ends the threads that run.
        store.attendant = Some(backend.attendance.attendant);
        for (name, run) in backend.attendance.threads {
            store.givers.push(spawn(name.to_owned(), outlet, run)?);
        }
        let lane = WritingLane {
            writer: backend.writer,
            queue: Arc::clone(&store.writing),
            outlet: outlet.clone(),
            counters: Arc::clone(&store.counters),
            put_off: Vec::new(),
        };
        store.writer = Some(spawn("loiter-write".to_owned(), outlet, || lane.run())?);
        store.start_givers(config, threads, &backend.reader)?;
        Ok(store)
    }

    /// Starts the lanes that read and that hash.
    fn start_givers(
        &mut self,
        config: &Config,
        threads: Threads,
        reader: &Arc<dyn Reader>,
    ) -> Result<(), OpenError> {
        for number in 0..threads.reading {
            let lane = ReadingLane {
                queue: Arc::clone(&self.reading),
                reader: Arc::clone(reader),
                outlet: self.outlet.clone(),
            };
            let name = format!("loiter-read-{number}");
            let thread = spawn(name, &self.outlet, || lane.run())?;
            self.givers.push(thread);
        }
        for number in 0..threads.hashing {
            let lane = HashingLane {
                queue: Arc::clone(&self.passwords),
                reader: Arc::clone(reader),
                writing: Arc::clone(&self.writing),
                outlet: self.outlet.clone(),
                iterations: config.password_iterations,
                random: SystemRandom::new(),
            };
            let name = format!("loiter-hash-{number}");
            let thread = spawn(name, &self.outlet, || lane.run())?;
            self.givers.push(thread);
        }
        Ok(())
    }

    /// Hands a job to its lane. Never waits for one.
    ///
    /// # Errors
    /// Gives the job back, with nothing begun, when the lane's queue is full or the store is to end. For a password, or a read, another
    /// one's job that waits may give way instead, which is answered with [`Fault::Overloaded`].
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        if let Job::Follow {
            event_loop,
            chatrooms,
        } = &job
        {
            self.follow(*event_loop, chatrooms);
            return Ok(());
        }
        if let Job::LoadChatroom {
            event_loop,
            chatroom,
            ..
        } = job
        {
            self.follow(event_loop, &[(chatroom, true)]);
        }
        match job {
            Job::FindSession { .. } => self.reading.push_load(job, false),
            // Another call's own work depends on them, which may be done and only waits to be told.
            Job::LoadUser { .. } | Job::LoadChatroom { .. } => self.reading.push_load(job, true),
            Job::ReadMessages { user, .. }
            | Job::ReadNews { user, .. }
            | Job::ReadNewest { user, .. }
            | Job::FindUsers { user, .. }
            | Job::ListParticipants { user, .. }
            | Job::ListOverview { user, .. } => self.submit_read(user, job),
            Job::Register { customer, .. } => {
                self.submit_password(Whose::Registering(customer), job)
            }
            Job::LogIn { customer, .. } | Job::ChangePassword { customer, .. } => {
                self.submit_password(Whose::Verifying(customer), job)
            }
            write => self.writing.push(write),
        }
    }

    fn follow(&self, event_loop: u16, chatrooms: &[(ChatroomId, bool)]) {
        if let Some(reader) = &self.reader {
            reader.follow(event_loop, chatrooms);
        }
    }

    fn submit_read(&self, reader: UserId, job: Job) -> Result<(), Job> {
        let gone = self.reading.push_read(reader, job)?;
        self.tell_gone(gone);
        Ok(())
    }

    fn submit_password(&self, whose: Whose, job: Job) -> Result<(), Job> {
        let gone = self.passwords.push_by_turns(whose, job)?;
        self.tell_gone(gone);
        Ok(())
    }

    /// Answers a job that has given way to another; it may be another loop's.
    fn tell_gone(&self, gone: Option<Job>) {
        if let Some(gone) = gone {
            let told = gone.failed(Fault::Overloaded);
            self.outlet.post(Vec::from_iter(told));
        }
    }

    /// Hands all of a turn's jobs to their lanes, and returns those that found no place, in order.
    ///
    /// The writing lane is woken once for all of them, when they are all there: they become one commit.
    pub fn submit_all(&self, jobs: impl IntoIterator<Item = Job>) -> Vec<Job> {
        let mut writes = false;
        let mut submit = |job| match is_write(&job) {
            true => {
                writes = true;
                self.writing.push_unannounced(job)
            }
            false => self.submit(job),
        };
        let refused = jobs.into_iter().filter_map(|job| submit(job).err());
        let refused = refused.collect();
        if writes {
            self.writing.announce();
        }
        refused
    }

    /// Has the thread that looks after the database panic: for tests of what comes then. Not in a release build.
    #[cfg(debug_assertions)]
    pub(crate) fn break_checkpoints(&self) {
        if let Some(attendant) = &self.attendant {
            attendant.break_thread();
        }
    }

    /// Takes no more jobs, and lets the lanes begin what they have taken until `end`. Waits for nothing: that is
    /// for [`Store::close`], or for who drops the store. The first end holds.
    pub fn finish_by(&self, end: Instant) {
        // Before any queue is closed: the lanes wait for one another, and must all know how long.
        self.writing.finish_by(end);
        self.reading.finish_by(end);
        self.passwords.finish_by(end);
        if let Some(attendant) = &self.attendant {
            attendant.finish_by(end);
        }
    }

    /// Lets the lanes finish what was taken, closes the database, and joins the threads.
    ///
    /// What is not begun by `end` is thrown away, with no completion; what is under way then takes
    /// a password's hash or a commit longer at most. Dropping is as closing with an `end` that is now.
    pub fn close(self, end: Instant) {
        self.finish_by(end);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish_by(Instant::now());
        self.passwords.close();
        self.reading.close();
        if let Some(attendant) = &self.attendant {
            attendant.end();
        }
        for giver in self.givers.drain(..) {
            join(giver);
        }
        // With the connections that read: the one that writes is the last to be closed, and leaves one file.
        self.reader = None;
        // Last, since logins that are finished now are still to be written.
        self.writing.close();
        if let Some(writer) = self.writer.take() {
            join(writer);
        }
        let left = self.passwords.len() + self.reading.len() + self.writing.len();
        if left > 0 {
            log::warn!("{left} jobs were not begun before the store's end");
        }
    }
}

/// Whether a job is for the writing lane as it is.
fn is_write(job: &Job) -> bool {
    matches!(
        job,
        Job::LogOut { .. }
            | Job::CreateChatroom { .. }
            | Job::RenameChatroom { .. }
            | Job::AddParticipant { .. }
            | Job::RemoveParticipant { .. }
            | Job::SaveMessage { .. }
            | Job::Probe { .. }
            | Job::AskServers { .. }
            | Job::AnswerServer { .. }
            | Job::TouchSessions { .. }
    )
}

fn spawn(
    name: String,
    outlet: &Outlet,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let outlet = outlet.clone();
    thread::Builder::new()
        .name(name)
        .spawn(move || outlet.watch(run))
        .map_err(OpenError::Thread)
}

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        log::error!("the thread {name} had panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::model::{Customer, Secret, Ticket};

    #[test]
    fn at_least_one_thread_does_each() {
        for (workers, reading, hashing) in [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 2, 1), (8, 4, 4)] {
            let config = Config {
                workers,
                ..Config::default()
            };
            assert_eq!(Threads::of(&config), Threads { reading, hashing });
        }
    }

    #[test]
    fn loops_may_share_the_store() {
        fn shared<T: Send + Sync>() {}
        shared::<Store>();
    }

    #[test]
    fn sqlite_is_new_enough() {
        // Before 3.51.3 a checkpoint beside a commit could damage the write-ahead log.
        assert!(
            rusqlite::version_number() >= 3_051_003,
            "{}",
            rusqlite::version()
        );
    }

    /// A job in the wrong lane is a defect, and so panics there. Its lane tells, and does the next.
    #[test]
    fn a_panic_in_any_lane_is_answered_and_the_lane_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            database: folder.path().join("chat.db"),
            workers: 1,
            ..Config::default()
        };
        let (answer, answers) = mpsc::channel();
        let (tell, fallen) = mpsc::channel::<String>();
        let store = Store::open_watched(
            &config,
            move |completions| answer.send(completions).expect("the test listens"),
            move |thread, _| tell.send(thread.to_owned()).expect("the test listens"),
        );
        let store = store.expect("a database");
        let faults = || {
            let completions = answers.recv_timeout(Duration::from_secs(60));
            let completions = completions.expect("an answer").into_iter();
            Vec::from_iter(completions.map(|completion| match completion {
                Completion::UsersFound { users, .. } => users.err(),
                Completion::Probed { done, .. } => done.err(),
                Completion::LoggedIn { login, .. } => login.err(),
                other => panic!("{other:?}"),
            }))
        };
        let ticket = Ticket {
            connection: crate::model::ConnectionKey::from_bits(1 << 32).expect("a key"),
            exchange: 1,
            event_loop: 0,
        };
        let search = || Job::FindUsers {
            ticket,
            user: UserId::new(1).expect("positive"),
            prefix: "a".into(),
            limit: 1,
        };
        let probe = || Job::Probe { ticket };
        let customer = Customer::from(IpAddr::from([127, 0, 0, 1]));
        let login = || Job::LogIn {
            ticket,
            customer,
            folded: None,
            password: Secret("x".into()),
        };
        let failed = [Some(Fault::StorageFailed)];
        for _ in 0..3 {
            assert!(store.writing.push(search()).is_ok());
            assert_eq!(faults(), failed, "the writing lane");
            assert!(store.submit(probe()).is_ok());
            assert_eq!(faults(), [None], "the writing lane");
            assert!(store.reading.push_load(probe(), false).is_ok());
            assert_eq!(faults(), failed, "the reading lane");
            assert!(store.submit(search()).is_ok());
            assert_eq!(faults(), [None], "the reading lane");
            let whose = Whose::Verifying(customer);
            assert!(store.passwords.push_by_turns(whose, probe()).is_ok());
            assert_eq!(faults(), failed, "the password lane");
            assert!(store.submit(login()).is_ok());
            assert_eq!(faults(), [Some(Fault::BadCredentials)], "the password lane");
        }
        drop(store);
        assert!(fallen.try_iter().next().is_none(), "all threads lived");
    }
    /// Without it the write-ahead log would grow for ever, and nobody would hear of it.
    #[cfg(debug_assertions)]
    #[test]
    fn a_panic_of_the_thread_that_moves_the_log_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            database: folder.path().join("chat.db"),
            ..Config::default()
        };
        let (tell, fallen) = mpsc::channel();
        let store = Store::open_watched(
            &config,
            |_| (),
            move |thread, _| tell.send(thread.to_owned()).expect("the test listens"),
        );
        let store = store.expect("a database");
        store.break_checkpoints();
        let thread = fallen.recv_timeout(Duration::from_secs(60));
        assert_eq!(thread.as_deref(), Ok("loiter-checkpoint"));
        drop(store);
        assert!(fallen.try_iter().next().is_none(), "the others lived");
    }
}
