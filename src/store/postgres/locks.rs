//! A batch's chatrooms are locked before anything of it is done. One that another program keeps locked holds up nobody but itself. (A user's row that is locked
//! still holds up the batch that needs it.)
//!
//! A batch waits a little for what is locked, and each time that was in vain it looks which chatrooms that were. When it has waited for long enough it goes on
//! without those: what is to be written to them is put off. One that was locked at two looks, with nothing written to it in between, is kept by somebody: from then on
//! each batch tries it, without waiting. One that other servers write to is waited for by the next batch again: who never waited for those would never have a turn.

use std::collections::HashMap;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::client::Client;
use super::messages::Newest;
use super::{rows, sql};
use crate::model::ChatroomId;
use crate::store::job_error::JobError;

/// What others have locked, and what the batch at hand does without.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// Kept by somebody: each with its newest message.
    kept: HashMap<i64, i64>,
    /// Locked at the last look, with the newest messages; until a batch has got all that it wanted.
    suspects: HashMap<i64, i64>,
    /// The batch at hand waits for those no more.
    has_waited: bool,
    /// What its transaction does without.
    passed_over: Vec<i64>,
    /// It was a chatroom that was waited for in vain.
    is_waiting: bool,
}

/// A chatroom's newest message or 0, and its time.
type Last = (i64, i64);

/// What came of an attempt to lock a chatroom without waiting.
#[derive(Clone, Copy, Debug)]
struct Tried {
    chatroom: ChatroomId,
    /// Where it is locked now.
    locked: Option<Last>,
    /// Its newest message, as far as that is committed.
    newest: i64,
}

impl Locks {
    /// Whether the transaction at hand does without it.
    pub(super) fn is_passed_over(&self, chatroom: ChatroomId) -> bool {
        self.passed_over.contains(&chatroom.get())
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.has_waited = false;
        self.is_waiting = false;
    }

    /// Locks these within the transaction that is open, and says of each that is locked which message is its newest. They are waited for in
    /// the order of their ids: so two servers never wait for each other. Where that was in vain before, and for long enough, it goes on without those that are locked.
    pub(super) fn take(
        &mut self,
        client: &mut Client,
        chatrooms: &[i64],
        has_waited_enough: bool,
    ) -> Result<Newest, JobError> {
        if std::mem::take(&mut self.is_waiting) {
            client.batch_execute(sql::SAVEPOINT)?;
            let tried = try_all(client, chatrooms)?;
            client.batch_execute(sql::UNDO_TO_SAVEPOINT)?;
            // Where some are known to be kept there may be very many.
            self.has_waited |= has_waited_enough || !self.kept.is_empty();
            self.note_look(&tried);
        }
        let mut newest = Newest::default();
        let (hastily, patiently): (Vec<_>, Vec<_>) =
            (chatrooms.iter()).partition(|id| self.is_given_up(**id));
        if !patiently.is_empty() {
            self.is_waiting = true;
            for row in client.query_typed(sql::LOCK_CHATROOMS, &[(&patiently, Type::INT8_ARRAY)])? {
                let last = (row.try_get(1)?, row.try_get(2)?);
                newest.note(rows::chatroom_id(&row, 0)?, last);
            }
            self.is_waiting = false;
        }
        self.passed_over.clear();
        if hastily.is_empty() {
            self.suspects.clear();
            return Ok(newest);
        }
        let hastily: Vec<i64> = hastily.into_iter().copied().collect();
        let tried = try_all(client, &hastily)?;
        self.note_tried(&hastily, &tried);
        for tried in tried {
            if let Some(last) = tried.locked {
                newest.note(tried.chatroom, last);
            }
        }
        Ok(newest)
    }

    fn is_given_up(&self, id: i64) -> bool {
        self.kept.contains_key(&id) || self.has_waited && self.suspects.contains_key(&id)
    }

    /// All of a batch's were looked at, since one of them was waited for in vain.
    fn note_look(&mut self, tried: &[Tried]) {
        for tried in tried {
            let id = tried.chatroom.get();
            if tried.locked.is_some() {
                self.suspects.remove(&id);
            } else if self.suspects.insert(id, tried.newest) == Some(tried.newest) {
                self.kept.insert(id, tried.newest);
            }
        }
    }

    /// These were tried without waiting, and with this outcome where they are there at all.
    fn note_tried(&mut self, chatrooms: &[i64], tried: &[Tried]) {
        for id in chatrooms {
            let mut tried = tried.iter().filter(|tried| tried.locked.is_none());
            let locked = tried.find(|tried| tried.chatroom.get() == *id);
            match locked {
                Some(_) => self.passed_over.push(*id),
                None => _ = self.suspects.remove(id),
            }
            // Else others write there by now, or it is free, or gone.
            if locked.is_none_or(|tried| self.kept.get(id) != Some(&tried.newest)) {
                self.kept.remove(id);
            }
        }
    }
}

/// Locks those of these chatrooms that nobody has locked. Nothing is said of those that there are none of.
fn try_all(client: &mut Client, chatrooms: &[i64]) -> Result<Vec<Tried>, JobError> {
    let tried = client.query_typed(sql::LOCK_FREE_CHATROOMS, &[(&chatrooms, Type::INT8_ARRAY)])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(id: i64, newest: i64, is_locked: bool) -> Tried {
        Tried {
            chatroom: ChatroomId::new(id).expect("positive"),
            locked: is_locked.then_some((newest, 0)),
            newest,
        }
    }

    fn kept(locks: &Locks) -> Vec<i64> {
        let mut kept: Vec<i64> = locks.kept.keys().copied().collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn who_keeps_one_is_known_by_two_looks() {
        let mut locks = Locks::default();
        locks.note_look(&[tried(1, 5, false), tried(2, 5, true)]);
        assert!(kept(&locks).is_empty());
        // Also in another batch.
        locks.begin();
        locks.note_look(&[tried(1, 5, false), tried(2, 5, false)]);
        assert_eq!(kept(&locks), [1]);
        assert_eq!([1, 2].map(|id| locks.is_given_up(id)), [true, false]);
    }

    #[test]
    fn what_others_write_to_is_gone_on_without_for_a_batch_and_not_kept() {
        let mut locks = Locks::default();
        for newest in 5..9 {
            locks.note_look(&[tried(1, newest, false)]);
        }
        locks.has_waited = true;
        assert!(kept(&locks).is_empty() && locks.is_given_up(1));
        locks.begin();
        assert!(!locks.is_given_up(1));
    }

    #[test]
    fn what_is_kept_is_so_until_it_is_got_or_written_to_or_is_not_there() {
        let mut locks = Locks::default();
        let all = [1, 2, 3, 4, 5].map(|id| tried(id, 5, false));
        for _ in 0..2 {
            locks.note_look(&all);
        }
        assert_eq!(kept(&locks), [1, 2, 3, 4, 5]);
        let outcome = [tried(1, 5, true), tried(2, 6, false), tried(4, 5, false)];
        locks.note_tried(&[1, 2, 3, 4], &outcome);
        assert_eq!(kept(&locks), [4, 5]);
        let is_passed_over = |id| locks.is_passed_over(ChatroomId::new(id).expect("positive"));
        let passed_over = [1, 2, 3, 4, 5].map(is_passed_over);
        assert_eq!(passed_over, [false, true, false, true, false]);
    }
}
