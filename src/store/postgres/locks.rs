//! A batch's chatrooms are locked before anything of it is done. One that another program keeps locked holds up nobody but itself.
//!
//! The first batch that meets it waits a little. Each time that was in vain it is looked which are locked, and what was so every time is kept from then on: what is
//! to be written to it is put off, and all else is done. Each batch tries it again, without waiting. Where it was another server's for a moment, that costs
//! no more than the moment.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::client::Client;
use super::messages::Newest;
use super::{rows, sql};
use crate::model::ChatroomId;
use crate::store::job_error::JobError;

/// The chatrooms that others keep locked.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chatrooms: BTreeSet<i64>,
    /// Those of the batch at hand that were locked each time that it was looked; `None` where it was not.
    suspects: Option<Vec<i64>>,
}

impl Kept {
    pub(super) fn has(&self, chatroom: ChatroomId) -> bool {
        self.chatrooms.contains(&chatroom.get())
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.suspects = None;
    }

    /// Locks these within the transaction that is open, but for those that are kept, and says of each which message is its newest. They are waited for in
    /// the order of their ids: so two servers never wait for each other.
    pub(super) fn lock(
        &mut self,
        client: &mut Client,
        chatrooms: &BTreeSet<i64>,
    ) -> Result<Newest, JobError> {
        let mut newest = Newest::default();
        let (kept, free): (Vec<_>, Vec<_>) =
            (chatrooms.iter()).partition(|chatroom| self.chatrooms.contains(chatroom));
        if !free.is_empty() {
            for row in client.query_typed(sql::LOCK_CHATROOMS, &[(&free, Type::INT8_ARRAY)])? {
                let last = (row.try_get(1)?, row.try_get(2)?);
                newest.note(rows::chatroom_id(&row, 0)?, last);
            }
        }
        if !kept.is_empty() {
            self.chatrooms.retain(|chatroom| !kept.contains(&chatroom));
            for (chatroom, last) in lock_free(client, &kept)? {
                match last {
                    Some(last) => newest.note(chatroom, last),
                    None => drop(self.chatrooms.insert(chatroom.get())),
                }
            }
        }
        Ok(newest)
    }

    /// A lock was waited for in vain: which of these may it have been? Within the transaction that is open, in which none of them is locked thereby.
    pub(super) fn look(
        &mut self,
        client: &mut Client,
        chatrooms: &BTreeSet<i64>,
    ) -> Result<(), JobError> {
        let suspects = self.suspects.take();
        let suspects = suspects.unwrap_or_else(|| chatrooms.iter().copied().collect());
        client.batch_execute(sql::SAVEPOINT)?;
        let looked_at = lock_free(client, &suspects.iter().collect::<Vec<_>>())?;
        client.batch_execute(sql::UNDO_TO_SAVEPOINT)?;
        let locked = looked_at.into_iter().filter(|(_, last)| last.is_none());
        self.suspects = Some(locked.map(|(chatroom, _)| chatroom.get()).collect());
        Ok(())
    }

    /// There is no time left: what was always locked is waited for no more. Whether there is any more of it than before.
    pub(super) fn give_up(&mut self) -> bool {
        let before = self.chatrooms.len();
        self.chatrooms
            .extend(self.suspects.take().unwrap_or_default());
        self.chatrooms.len() > before
    }
}

/// A chatroom's newest message or 0, and its time.
type Last = (i64, i64);

/// Locks those of these chatrooms that nobody has locked: each with its newest message; without where it is not locked.
fn lock_free(
    client: &mut Client,
    chatrooms: &[&i64],
) -> Result<Vec<(ChatroomId, Option<Last>)>, JobError> {
    let which = &[(&chatrooms as _, Type::INT8_ARRAY)];
    let locked = client.query_typed(sql::LOCK_FREE_CHATROOMS, which)?;
    let one = |row: &Row| {
        let last: (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        Ok((rows::chatroom_id(row, 0)?, last.0.zip(last.1)))
    };
    locked.into_iter().map(|row| one(&row)).collect()
}
