//! Writes of messages: the hot ones, which most commits are made of.

use rusqlite::OptionalExtension;

use super::{Open, or_refused};
use crate::job::{Fault, NONCE_LIFETIME, Saved, SavedBefore};
use crate::model::{ChatroomId, Message, User, UserId};
use crate::store::clock::{expiry_unix_ms, not_before};
use crate::store::job_error::JobError;
use crate::store::sqlite::memory::{Memory, Newest};
use crate::store::sqlite::{rows, sql};

impl Open<'_> {
    pub(super) fn save_message(
        &self,
        memory: &mut Memory,
        chatroom: ChatroomId,
        author: &User,
        text: &mut Box<str>,
        nonce: Option<&str>,
    ) -> Result<Saved, JobError> {
        let next = match memory.newest_for(chatroom, author.id) {
            Some(newest) => self.behind(newest),
            None => self.next_message(chatroom, author.id)?,
        };
        let Some(nonce) = nonce else {
            let message = self.add_message(next, chatroom, author, text)?;
            memory.note(chatroom, author.id, next);
            return Ok(Saved::New(message));
        };
        let (of, by) = (chatroom.get(), author.id.get());
        let oldest_unix_ms = expiry_unix_ms(self.now_unix_ms, NONCE_LIFETIME);
        let before = self
            .connection
            .prepare_cached(sql::MESSAGE_OF_NONCE)?
            .query_row((of, by, nonce, oldest_unix_ms), |row| {
                rows::message_id(row, 0)
            })
            .optional()?;
        if let Some(before) = before {
            return Ok(Saved::Before(SavedBefore {
                id: before,
                author: author.id,
            }));
        }
        let message = self.add_message(next, chatroom, author, text)?;
        self.connection.prepare_cached(sql::ADD_NONCE)?.execute((
            of,
            by,
            nonce,
            next.id.get(),
            self.now_unix_ms,
        ))?;
        memory.note(chatroom, author.id, next);
        Ok(Saved::New(message))
    }

    /// The next message of a chatroom that has some.
    fn behind(&self, newest: Newest) -> Newest {
        Newest {
            id: newest.id.next(),
            time_unix_ms: not_before(newest.time_unix_ms, self.now_unix_ms),
        }
    }

    /// One statement finds the next id and whether the author may, one writes: cheaper than one that does both,
    /// which SQLite runs through a temporary table.
    fn next_message(&self, chatroom: ChatroomId, author: UserId) -> Result<Newest, JobError> {
        let newest = self
            .connection
            .prepare_cached(sql::NEWEST_MESSAGE_FOR)?
            .query_row((chatroom.get(), author.get()), |row| {
                let Some(id) = rows::message_id_if_any(row, 0)? else {
                    return Ok(None);
                };
                let time_unix_ms = row.get(1)?;
                Ok(Some(Newest { id, time_unix_ms }))
            })
            .map_err(or_refused(Fault::NotAParticipant))?;
        match newest {
            Some(newest) => Ok(self.behind(newest)),
            None => Ok(self.begin_messages(chatroom)?),
        }
    }

    /// The next message of a chatroom that has none, whose oldest it will be.
    fn begin_messages(&self, chatroom: ChatroomId) -> rusqlite::Result<Newest> {
        self.connection
            .prepare_cached(sql::BEGIN_MESSAGES)?
            .query_row((chatroom.get(), self.now_unix_ms), |row| {
                Ok(Newest {
                    id: rows::message_id(row, 0)?,
                    time_unix_ms: row.get(1)?,
                })
            })
    }

    fn add_message(
        &self,
        next: Newest,
        chatroom: ChatroomId,
        author: &User,
        text: &mut Box<str>,
    ) -> rusqlite::Result<Message> {
        self.connection.prepare_cached(sql::ADD_MESSAGE)?.execute((
            chatroom.get(),
            next.id.get(),
            author.id.get(),
            &**text,
            next.time_unix_ms,
        ))?;
        Ok(Message {
            id: next.id,
            chatroom,
            user: author.clone(),
            text: std::mem::take(text),
            // The clock has no time before 1970.
            time_unix_ms: next.time_unix_ms.unsigned_abs(),
        })
    }
}
