//! Writes of messages: the hot ones, which most commits are made of.

use rusqlite::OptionalExtension;

use super::{Open, or_refused};
use crate::job::{Fault, NONCE_LIFETIME, Saved, SavedBefore};
use crate::model::{ChatroomId, Message, MessageId, User, UserId};
use crate::store::clock::expiry_unix_ms;
use crate::store::error::JobError;
use crate::store::memory::Memory;
use crate::store::{rows, sql};

impl Open<'_> {
    pub(super) fn save_message(
        &self,
        memory: &mut Memory,
        chatroom: ChatroomId,
        author: &User,
        text: &mut Box<str>,
        nonce: Option<&str>,
    ) -> Result<Saved, JobError> {
        let id = match memory.newest_for(chatroom, author.id) {
            Some(newest) => newest.next(),
            None => self.next_message(chatroom, author.id)?,
        };
        let Some(nonce) = nonce else {
            let message = self.add_message(id, chatroom, author, text)?;
            memory.note(chatroom, author.id, id);
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
        let message = self.add_message(id, chatroom, author, text)?;
        self.connection.prepare_cached(sql::ADD_NONCE)?.execute((
            of,
            by,
            nonce,
            id.get(),
            self.now_unix_ms,
        ))?;
        memory.note(chatroom, author.id, id);
        Ok(Saved::New(message))
    }

    /// One statement finds the next id and whether the author may, one writes: cheaper than one that does both,
    /// which SQLite runs through a temporary table.
    fn next_message(&self, chatroom: ChatroomId, author: UserId) -> Result<MessageId, JobError> {
        let newest = self
            .connection
            .prepare_cached(sql::NEWEST_MESSAGE_FOR)?
            .query_row((chatroom.get(), author.get()), |row| {
                rows::message_id_if_any(row, 0)
            })
            .map_err(or_refused(Fault::NotAParticipant))?;
        match newest {
            Some(newest) => Ok(newest.next()),
            None => Ok(self.begin_messages(chatroom)?),
        }
    }

    /// The next id of a chatroom that has no messages, whose oldest will be this one.
    fn begin_messages(&self, chatroom: ChatroomId) -> rusqlite::Result<MessageId> {
        self.connection
            .prepare_cached(sql::BEGIN_MESSAGES)?
            .query_row((chatroom.get(), self.now_unix_ms), |row| {
                rows::message_id(row, 0)
            })
    }

    fn add_message(
        &self,
        id: MessageId,
        chatroom: ChatroomId,
        author: &User,
        text: &mut Box<str>,
    ) -> rusqlite::Result<Message> {
        self.connection.prepare_cached(sql::ADD_MESSAGE)?.execute((
            chatroom.get(),
            id.get(),
            author.id.get(),
            &**text,
            self.now_unix_ms,
        ))?;
        Ok(Message {
            id,
            chatroom,
            user: author.clone(),
            text: std::mem::take(text),
            // The clock has no time before 1970.
            time_unix_ms: self.now_unix_ms.unsigned_abs(),
        })
    }
}
