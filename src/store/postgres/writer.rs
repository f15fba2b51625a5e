//! Writes a batch to PostgreSQL, in one transaction on the only connection of this server that writes.
//!
//! All chatrooms that a batch writes to are locked at its begin, in the order of their ids: so two servers never wait for each other. Messages that follow
//! one another are written together, in as many round trips as one. Anything else has a savepoint of its own: it is rare.
//!
//! A connection that is lost is made again with the next batch, but not at once where that has failed just now: nobody waits for a database that
//! is away. Where it is lost in a commit nobody knows what became of that. The batch is told that it has failed; whether it did, those who send it
//! again with a nonce find out.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Address;
use super::carrier::{News, Teller};
use super::changes::Changes;
use super::client::Client;
use super::error::Error;
use super::locks::Locks;
use super::messages::Newest;
use super::questions::{Asking, Member};
use super::sql;
use super::sweeping::Sweeper;
use crate::job::{Completion, Job};
use crate::model::ChatroomId;
use crate::store::clock::system_unix_ms;
use crate::store::job_error::JobError;
use crate::store::lane::{Outlet, outlive};
use crate::store::others::Followed;
use crate::store::trouble;
use crate::store::write::Write;
use crate::store::writing::{LOCK_PATIENCE, Outcome, Swept, Writer};
use log::Level;

/// How long after a failure it is tried again to connect, at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// … and at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a lock is waited for at most before all is given up and begun again. In between it is seen whether there is still time; and two servers that
/// wait for each other have let go, the one before the other.
const LOCK_TIMEOUT: Duration = Duration::from_millis(400);

/// How long a batch waits for chatrooms at least, before it does all else without them.
const CHATROOM_PATIENCE: Duration = Duration::from_millis(500);

/// What is committed is on disk, as far as the database is set up so.
const DURABLE: &str = "";

/// The connection that writes, when there is one.
pub(super) struct PostgresWriter {
    client: Option<Client>,
    address: Address,
    sweeper: Sweeper,
    pause: Duration,
    connect_at: Instant,
    /// Never zero.
    random: u64,
    /// The last wait for another program's lock was in vain.
    is_locked_out: bool,
    locks: Locks,
    /// The last commit was not answered: the database may wait for a standby, with the chatrooms locked. A commit more would be one more connection that it keeps.
    may_await_standby: bool,
    member: Member,
    teller: Arc<Teller>,
    followed: Arc<Followed>,
    outlet: Outlet,
    /// What this transaction has written to: of each chatroom the first message that is new, and the last.
    written: Vec<(ChatroomId, i64, i64)>,
}

impl Writer for PostgresWriter {
    fn transact(
        &mut self,
        batch: &mut [Write],
        outcomes: &mut Vec<Outcome>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), JobError> {
        self.written.clear();
        let member = self.member.clone();
        if member.hearing.is_deaf() {
            return Err(JobError::Deaf);
        }
        let (teller, followed) = (Arc::clone(&self.teller), Arc::clone(&self.followed));
        // Who keeps another lock for longer is waited for once, as with SQLite: from then on each batch waits only as long as it may for chatrooms, until one comes
        // through.
        let patience = match self.is_locked_out {
            true => 2 * CHATROOM_PATIENCE,
            false => LOCK_PATIENCE,
        };
        let begun = Instant::now();
        let is_fleeting = |write: &Write| {
            let (Write::Job(Job::AskServers { .. }) | Write::Job(Job::AnswerServer { .. })) = write
            else {
                return false;
            };
            true
        };
        let durability = match batch.iter().all(is_fleeting) {
            true => sql::FLEETING,
            false => DURABLE,
        };
        let chatrooms = batch.iter().filter_map(chatroom_of);
        let mut chatrooms: Vec<_> = chatrooms.map(ChatroomId::get).collect();
        chatrooms.sort_unstable();
        chatrooms.dedup();
        let mut locks = std::mem::take(&mut self.locks);
        locks.begin();
        let written = loop {
            outcomes.clear();
            let mut asking = member.begin();
            let written = self.in_transaction(durability, |client| {
                let has_waited_enough = begun.elapsed() >= CHATROOM_PATIENCE;
                let newest = locks.take(client, &chatrooms, has_waited_enough)?;
                // Nothing is told of it as of what follows those: it would be taken for what was told before.
                if followed.goes_back(newest.all()) {
                    return Err(JobError::GoneBack);
                }
                let asking_for = (member.number(), &mut asking);
                let locked = (newest, &locks);
                let newest = write_all(client, locked, (batch, outcomes), asking_for)?;
                let mut changes = Changes::default();
                let done = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
                done.flatten().for_each(|done| changes.note(done));
                let written: Vec<_> = newest.written().collect();
                let last_change = changes.write(client, member.number())?;
                let last_change = asking.asked().chain(last_change).max();
                let news = News {
                    written,
                    answered: asking.answered.clone(),
                    is_changed: !changes.is_empty() || asking.has_asked(),
                    last_change,
                };
                teller.tell_within(client, &news)?;
                Ok(news)
            });
            if written.is_ok() {
                asking.keep();
            }
            match written {
                Err(error) if error.is_busy() && begun.elapsed() < patience && !is_over() => {
                    self.roll_back();
                }
                written => break written,
            }
        };
        self.locks = locks;
        self.is_locked_out = written.as_ref().is_err_and(JobError::is_busy);
        if let Err(JobError::GoneBack) = written {
            // Before who has asked is told that it has failed, and asks again.
            self.outlet.post(vec![Completion::ChangesMissed]);
        }
        let news = written?;
        teller.tell_after(&news);
        self.written = news.written;
        Ok(())
    }

    fn roll_back(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        // One that cannot even do that is of no use any more.
        if client.batch_execute(sql::ROLLBACK).is_err() {
            self.client = None;
        }
    }

    fn sweep(&mut self, _is_over: &dyn Fn() -> bool) -> Result<Swept, JobError> {
        let sweeper = self.sweeper;
        let server = self.member.number();
        let teller = Arc::clone(&self.teller);
        let (swept, news) = self.in_transaction(DURABLE, |client| {
            let swept = sweeper.sweep(client, system_unix_ms())?;
            let mut changes = Changes::default();
            swept.told.iter().for_each(|told| changes.note(told));
            let last_change = changes.write(client, server)?;
            let news = News {
                is_changed: !changes.is_empty(),
                last_change,
                ..News::default()
            };
            teller.tell_within(client, &news)?;
            Ok((swept, news))
        })?;
        teller.tell_after(&news);
        Ok(swept)
    }

    /// The loops have been told of the messages.
    fn settle(&mut self, _writes: usize) -> Result<(), JobError> {
        for (chatroom, first, last) in self.written.drain(..) {
            self.followed.told(chatroom, first, last);
        }
        Ok(())
    }

    /// What was asked of this server and is not answered by now will not be: nobody is to wait for it.
    fn close(mut self) {
        if self.client.is_some() {
            let (member, teller) = (self.member.clone(), Arc::clone(&self.teller));
            let told = self.in_transaction(sql::FLEETING, |client| {
                member.say_gone(client)?;
                teller.tell_gone_within(client)
            });
            if let Err(error) = told {
                let line =
                    format_args!("other servers could not be told of the end of this one: {error}");
                trouble::tell(Level::Warn, line);
            }
        }
    }
}

impl PostgresWriter {
    /// Of the server that is this member.
    pub(super) fn new(
        client: Client,
        address: Address,
        sweeper: Sweeper,
        (member, teller): (Member, Teller),
        (followed, outlet): (Arc<Followed>, Outlet),
    ) -> Self {
        Self {
            client: Some(client),
            address,
            sweeper,
            pause: PAUSE_MIN,
            connect_at: Instant::now(),
            // A process's id would be the same for all that run in containers.
            random: RandomState::new().build_hasher().finish() | 1,
            is_locked_out: false,
            locks: Locks::default(),
            may_await_standby: false,
            member,
            teller: Arc::new(teller),
            followed,
            outlet,
            written: Vec::new(),
        }
    }

    /// Does something and commits it. Where it fails a transaction may be left open, unless the connection is lost.
    fn in_transaction<T>(
        &mut self,
        durability: &str,
        work: impl FnOnce(&mut Client) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        self.begin(durability)?;
        let client = self.client.as_mut().expect("it has begun");
        let done = work(client).and_then(|done| {
            client.commit()?;
            Ok(done)
        });
        if let Err(JobError::Postgres(Error::LostInCommit(error))) = &done {
            // If it is there it is heard of, as others' writes are.
            self.member.number.renew();
            self.may_await_standby |= error.is_silence();
        }
        self.drop_if_lost(done)
    }

    fn begin(&mut self, durability: &str) -> Result<(), JobError> {
        self.begin_anyhow(durability)?;
        // What is worth no sync waits for no standby.
        if !self.may_await_standby || durability == sql::FLEETING {
            return Ok(());
        }
        let client = self.client.as_mut().expect("it has begun");
        let asked = client.query_typed_one(sql::IS_STANDBY_AWAITED, &[]);
        let asked = asked.and_then(|row| Ok(row.try_get(0)?));
        self.may_await_standby = self.drop_if_lost(asked.map_err(JobError::from))?;
        match self.may_await_standby {
            true => Err(JobError::StandbyAwaited),
            false => Ok(()),
        }
    }

    /// A connection that was lost while it had nothing to do tells so only now, when nothing is done yet: so another one is as good.
    fn begin_anyhow(&mut self, durability: &str) -> Result<(), JobError> {
        let lock_timeout = self.jittered(LOCK_TIMEOUT);
        let begin = format!("{}{}{durability}", sql::BEGIN, lock_timeout.as_millis());
        let begun = self.connected()?.batch_execute(&begin);
        let begun = self.drop_if_lost(begun.map_err(JobError::from));
        match &begun {
            // It is there, but does not answer: nor would it another connection.
            Err(error) if error.is_silence() => {
                self.connect_at = Instant::now() + self.jittered(PAUSE_MAX);
                return begun;
            }
            Err(_) if self.client.is_none() => {}
            _ => return begun,
        }
        let begun = self.connected()?.batch_execute(&begin);
        self.drop_if_lost(begun.map_err(JobError::from))
    }

    fn drop_if_lost<T>(&mut self, done: Result<T, JobError>) -> Result<T, JobError> {
        if done.as_ref().is_err_and(JobError::is_of_a_lost_connection) {
            self.client = None;
        }
        done
    }

    /// The connection; another one where it is lost and it is time to try, or where it is to another place than those that were made since.
    fn connected(&mut self) -> Result<&mut Client, JobError> {
        self.client.take_if(|client| !self.address.leads_to(client));
        if self.client.is_none() {
            if Instant::now() < self.connect_at {
                return Err(JobError::Unreachable);
            }
            match self.address.connect() {
                Ok(client) => {
                    self.client = Some(client);
                    self.pause = PAUSE_MIN;
                }
                Err(error) => {
                    self.connect_at = Instant::now() + self.jittered(self.pause);
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                    return Err(error.into());
                }
            }
        }
        Ok(self.client.as_mut().expect("just made"))
    }

    /// A time, less up to three quarters: servers that have lost the database together do not all come back together, and of two that wait for each
    /// other one gives up first.
    fn jittered(&mut self, time: Duration) -> Duration {
        // Xorshift: what is wanted is only that it differs.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        time.mul_f32(1.0 - (self.random % 768) as f32 / 1024.0)
    }
}

/// Does all of a batch, whose chatrooms are locked, within the transaction that is open, and tells of each what it has come to.
fn write_all(
    client: &mut Client,
    (mut newest, locks): (Newest, &Locks),
    (batch, outcomes): (&mut [Write], &mut Vec<Outcome>),
    (server, asking): (i64, &mut Asking<'_>),
) -> Result<Newest, JobError> {
    let now_unix_ms = system_unix_ms();
    let is_message = |write: &Write| matches!(write, Write::Job(Job::SaveMessage { .. }));
    let passed_over =
        |write: &Write| chatroom_of(write).filter(|&chatroom| locks.is_passed_over(chatroom));
    let mut rest = batch;
    while let Some(first) = rest.first() {
        if let Some(chatroom) = passed_over(first) {
            outcomes.push(Err(JobError::Locked(chatroom)));
            rest = &mut rest[1..];
            continue;
        }
        let is_of_run = |write: &&Write| is_message(write) && passed_over(write).is_none();
        let count = rest.iter().take_while(is_of_run).count().max(1);
        let (now, behind) = rest.split_at_mut(count);
        match now {
            [write] if !is_message(write) => {
                let outcome = apply(client, write, now_unix_ms, asking)?;
                newest.note_new(&outcome);
                outcomes.push(outcome);
            }
            messages => newest.save(client, messages, (server, now_unix_ms), outcomes)?,
        }
        rest = behind;
    }
    Ok(newest)
}

fn chatroom_of(write: &Write) -> Option<ChatroomId> {
    match write {
        Write::Job(
            Job::SaveMessage { chatroom, .. }
            | Job::AddParticipant { chatroom, .. }
            | Job::RemoveParticipant { chatroom, .. }
            | Job::RenameChatroom { chatroom, .. },
        ) => Some(*chatroom),
        _ => None,
    }
}

/// Does one write. When it fails nothing of it is left; the error is of the whole transaction where that is lost.
fn apply(
    client: &mut Client,
    write: &mut Write,
    now_unix_ms: i64,
    asking: &mut Asking<'_>,
) -> Result<Outcome, JobError> {
    client.batch_execute(sql::SAVEPOINT)?;
    let outcome = outlive(|| write.apply_to(client, now_unix_ms, asking));
    if let Err(error) = &outcome
        && (error.is_busy() || error.is_of_a_lost_connection())
    {
        return outcome.map(Ok);
    }
    let end = match outcome {
        Ok(_) => sql::RELEASE,
        Err(_) => sql::UNDO_TO_SAVEPOINT,
    };
    client.batch_execute(end)?;
    Ok(outcome)
}
