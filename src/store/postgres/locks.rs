//! A batch's chatrooms are locked before anything of it is done. One that another program keeps locked holds up nobody but itself.
//!
//! The first batch that meets it waits a little. Each time that was in vain it is looked which are locked. What was so every time, with nothing written to it in
//! between, is kept from then on: what is to be written to it is put off, and all else is done. Each batch tries it again, without waiting. One that other servers
//! write to is not kept, however often it is locked: who did not wait for those would never have a turn.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::client::Client;
use super::messages::Newest;
use super::{rows, sql};
use crate::model::ChatroomId;
use crate::store::job_error::JobError;

/// How often it is looked before any counts as kept.
const LOOKS_MIN: u32 = 2;

/// The chatrooms that others keep locked.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Each with its newest message.
    chatrooms: BTreeMap<i64, i64>,
    /// Those of the batch at hand that were locked each time that it was looked, with the same newest message.
    suspects: BTreeMap<i64, i64>,
    looks: u32,
    /// What the transaction at hand does without.
    passed_over: BTreeSet<ChatroomId>,
}

/// What came of an attempt to lock a chatroom without waiting.
struct Tried {
    chatroom: ChatroomId,
    /// Its newest message or 0, and its time, if it is locked now.
    locked: Option<(i64, i64)>,
    /// Its newest message, as far as that is committed.
    newest: i64,
}

impl Kept {
    /// Whether this is what the transaction at hand does without.
    pub(super) fn is_passed_over(&self, chatroom: ChatroomId) -> bool {
        self.passed_over.contains(&chatroom)
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.looks = 0;
    }

    /// Locks these within the transaction that is open, but for those that are kept, and says of each which message is its newest. They are waited for in
    /// the order of their ids: so two servers never wait for each other.
    pub(super) fn lock(
        &mut self,
        client: &mut Client,
        chatrooms: &BTreeSet<i64>,
    ) -> Result<Newest, JobError> {
        let mut newest = Newest::default();
        self.passed_over.clear();
        let (kept, free): (Vec<_>, Vec<_>) =
            (chatrooms.iter()).partition(|chatroom| self.chatrooms.contains_key(chatroom));
        if !free.is_empty() {
            for row in client.query_typed(sql::LOCK_CHATROOMS, &[(&free, Type::INT8_ARRAY)])? {
                let last = (row.try_get(1)?, row.try_get(2)?);
                newest.note(rows::chatroom_id(&row, 0)?, last);
            }
        }
        if !kept.is_empty() {
            let tried = lock_free(client, &kept)?;
            let mut before = std::mem::take(&mut self.chatrooms);
            for tried in tried {
                let id = tried.chatroom.get();
                let known = before.remove(&id);
                match tried.locked {
                    Some(last) => newest.note(tried.chatroom, last),
                    None => {
                        self.passed_over.insert(tried.chatroom);
                        // Else others write there by now, and the next batch waits for them.
                        if known == Some(tried.newest) {
                            self.chatrooms.insert(id, tried.newest);
                        }
                    }
                }
            }
            before.retain(|id, _| !chatrooms.contains(id));
            self.chatrooms.append(&mut before);
        }
        Ok(newest)
    }

    /// A lock was waited for in vain: which of these may it have been? Within the transaction that is open, in which none of them is locked thereby.
    pub(super) fn look(
        &mut self,
        client: &mut Client,
        chatrooms: &BTreeSet<i64>,
    ) -> Result<(), JobError> {
        let looked_at: Vec<_> = chatrooms.iter().collect();
        client.batch_execute(sql::SAVEPOINT)?;
        let tried = lock_free(client, &looked_at)?;
        client.batch_execute(sql::UNDO_TO_SAVEPOINT)?;
        let is_first = self.looks == 0;
        let locked = tried.iter().filter(|tried| tried.locked.is_none());
        let locked = locked.map(|tried| (tried.chatroom.get(), tried.newest));
        let before = std::mem::take(&mut self.suspects);
        self.suspects = locked
            .filter(|(id, newest)| is_first || before.get(id) == Some(newest))
            .collect();
        self.looks += 1;
        Ok(())
    }

    /// What was always locked is waited for no more. Whether there is any more of it than before.
    pub(super) fn give_up(&mut self) -> bool {
        if self.looks < LOOKS_MIN {
            return false;
        }
        let before = self.chatrooms.len();
        self.chatrooms.append(&mut self.suspects);
        self.chatrooms.len() > before
    }
}

/// Locks those of these chatrooms that nobody has locked. Nothing is said of those that there are none of.
fn lock_free(client: &mut Client, chatrooms: &[&i64]) -> Result<Vec<Tried>, JobError> {
    let which = &[(&chatrooms as _, Type::INT8_ARRAY)];
    let tried = client.query_typed(sql::LOCK_FREE_CHATROOMS, which)?;
    let one = |row: &Row| {
        let last: (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Tried {
            chatroom: rows::chatroom_id(row, 0)?,
            locked: last.0.zip(last.1),
            newest: row.try_get(3)?,
        })
    };
    tried.iter().map(one).collect()
}
