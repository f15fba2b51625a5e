//! Writes a batch to PostgreSQL, in one transaction on the only connection of this server that writes.
//!
//! All chatrooms that a batch writes to are locked at its begin, in the order of their ids: so two servers never wait for each other. Messages that follow
//! one another are written together, in as many round trips as one. Anything else has a savepoint of its own: it is rare.
//!
//! A connection that is lost is made again with the next batch, but not at once where that has failed just now: nobody waits for a database that
//! is away. Where it is lost in a commit nobody knows what became of that. The batch is told that it has failed; whether it did, those who send it
//! again with a nonce find out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use postgres::Client;
use postgres::types::{ToSql, Type};

use super::address::Address;
use super::changes::Changes;
use super::followed::Followed;
use super::hints::hint;
use super::messages::Newest;
use super::sweeping::Sweeper;
use super::{rows, sql};
use crate::job::Job;
use crate::model::ChatroomId;
use crate::store::clock::system_unix_ms;
use crate::store::error::JobError;
use crate::store::lane::outlive;
use crate::store::trouble;
use crate::store::write::Write;
use crate::store::writing::{Outcome, Swept, Writer};

/// How long after a failure it is tried again to connect, at first; twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// … and at most.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The connection that writes, when there is one.
pub(super) struct PostgresWriter {
    client: Option<Client>,
    address: Address,
    sweeper: Sweeper,
    pause: Duration,
    connect_at: Instant,
    random: u32,
    /// The number that this server has.
    server: i64,
    /// The channel on which others are told, if they are.
    channel: Option<String>,
    followed: Arc<Followed>,
    /// What this transaction has written to: of each chatroom the first message that is new, and the last.
    written: Vec<(ChatroomId, i64, i64)>,
}

impl Writer for PostgresWriter {
    fn transact(
        &mut self,
        batch: &mut [Write],
        outcomes: &mut Vec<Outcome>,
        _is_over: &dyn Fn() -> bool,
    ) -> Result<(), JobError> {
        self.written.clear();
        let (server, channel) = (self.server, self.channel.clone());
        let client = self.connected()?;
        client.batch_execute(sql::BEGIN)?;
        let mut newest = lock_chatrooms(client, batch)?;
        let now_unix_ms = system_unix_ms();
        let mut rest = batch;
        while let Some(first) = rest.first() {
            let is_message = |write: &Write| matches!(write, Write::Job(Job::SaveMessage { .. }));
            let count = match is_message(first) {
                true => rest.iter().take_while(|write| is_message(write)).count(),
                false => 1,
            };
            let (now, behind) = rest.split_at_mut(count);
            match now {
                [write] if !is_message(write) => outcomes.push(apply(client, write, now_unix_ms)?),
                messages => newest.save(client, messages, now_unix_ms, outcomes)?,
            }
            rest = behind;
        }
        let mut changes = Changes::default();
        for completion in outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().ok()?.as_ref())
        {
            changes.note(completion);
        }
        let written: Vec<_> = newest.written().collect();
        changes.write(client, server)?;
        let lasts = written.iter().map(|&(chatroom, _, last)| (chatroom, last));
        let hint = hint(server, lasts, !changes.is_empty());
        tell(client, channel.as_deref(), hint)?;
        client.batch_execute(sql::COMMIT)?;
        self.written = written;
        Ok(())
    }

    fn roll_back(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        // One that cannot even do that is of no use any more.
        if client.is_closed() || client.batch_execute(sql::ROLLBACK).is_err() {
            self.client = None;
        }
    }

    fn sweep(&mut self, _is_over: &dyn Fn() -> bool) -> Result<Swept, JobError> {
        let sweeper = self.sweeper;
        let (server, channel) = (self.server, self.channel.clone());
        let client = self.connected()?;
        client.batch_execute(sql::BEGIN)?;
        let swept = sweeper.sweep(client, system_unix_ms())?;
        let mut changes = Changes::default();
        swept.told.iter().for_each(|told| changes.note(told));
        changes.write(client, server)?;
        tell(
            client,
            channel.as_deref(),
            hint(server, [].into_iter(), !changes.is_empty()),
        )?;
        client.batch_execute(sql::COMMIT)?;
        Ok(swept)
    }

    /// The loops have been told of the messages.
    fn settle(&mut self, _writes: usize) -> Result<(), JobError> {
        for (chatroom, first, last) in self.written.drain(..) {
            self.followed.told(chatroom, first, last);
        }
        Ok(())
    }

    fn close(self) {
        if let Some(client) = self.client
            && let Err(error) = client.close()
        {
            let line =
                format_args!("the connection to the database could not be closed well: {error}");
            trouble::tell(Level::Warn, line);
        }
    }
}

impl PostgresWriter {
    /// Of the server with this number, which tells the others on this channel, if at all.
    pub(super) fn new(
        client: Client,
        address: Address,
        sweeper: Sweeper,
        (server, channel): (i64, Option<String>),
        followed: Arc<Followed>,
    ) -> Self {
        Self {
            client: Some(client),
            address,
            sweeper,
            pause: PAUSE_MIN,
            connect_at: Instant::now(),
            random: std::process::id(),
            server,
            channel,
            followed,
            written: Vec::new(),
        }
    }

    /// The connection; another one where it is lost and it is time to try.
    fn connected(&mut self) -> Result<&mut Client, JobError> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
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
                    self.connect_at = Instant::now() + self.jittered();
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                    return Err(error.into());
                }
            }
        }
        Ok(self.client.as_mut().expect("just made"))
    }

    /// The pause, less up to a half: servers that have lost the database together do not all come back together.
    fn jittered(&mut self) -> Duration {
        // Xorshift: what is wanted is only that it differs.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.pause
            .mul_f32(1.0 - (self.random % 512) as f32 / 1024.0)
    }
}

/// Tells other servers, once the transaction is committed.
fn tell(client: &mut Client, channel: Option<&str>, hint: Option<String>) -> Result<(), JobError> {
    if let (Some(channel), Some(hint)) = (channel, hint) {
        let told: &[(&(dyn ToSql + Sync), Type)] = &[(&channel, Type::TEXT), (&hint, Type::TEXT)];
        client.query_typed(sql::NOTIFY, told)?;
    }
    Ok(())
}

/// Locks all that the batch will write to, and says of each which message is its newest.
fn lock_chatrooms(client: &mut Client, batch: &[Write]) -> Result<Newest, JobError> {
    let mut chatrooms: Vec<i64> = batch
        .iter()
        .filter_map(chatroom_of)
        .map(ChatroomId::get)
        .collect();
    chatrooms.sort_unstable();
    chatrooms.dedup();
    let mut newest = Newest::default();
    if !chatrooms.is_empty() {
        for row in client.query_typed(sql::LOCK_CHATROOMS, &[(&chatrooms, Type::INT8_ARRAY)])? {
            newest.note(
                rows::chatroom_id(&row, 0)?,
                row.try_get(1)?,
                row.try_get(2)?,
            );
        }
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
fn apply(client: &mut Client, write: &mut Write, now_unix_ms: i64) -> Result<Outcome, JobError> {
    client.batch_execute(sql::SAVEPOINT)?;
    let outcome = outlive(|| write.apply_to(client, now_unix_ms));
    let end = match outcome {
        Ok(_) => sql::RELEASE,
        Err(_) => sql::UNDO_TO_SAVEPOINT,
    };
    client.batch_execute(end)?;
    Ok(outcome)
}
