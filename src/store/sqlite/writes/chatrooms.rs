//! Writes of chatrooms and of who is in them.

use rusqlite::OptionalExtension;

use super::{Open, or_refused};
use crate::job::{AddedRow, ChatroomRow, Fault, RemovedRow, Whom};
use crate::model::{ChatroomId, ChatroomName, MessageId, UserId};
use crate::store::job_error::JobError;
use crate::store::sqlite::{rows, sql};

impl Open<'_> {
    pub(super) fn add_participant(
        &self,
        chatroom: ChatroomId,
        admin: UserId,
        whom: &Whom,
    ) -> Result<AddedRow, JobError> {
        self.check_admin(chatroom, admin)?;
        let joined = self.user(whom).map_err(or_refused(Fault::NoSuchUser))?;
        self.participate(chatroom, joined)?;
        let last = (self.connection.prepare_cached(sql::NEWEST_MESSAGE)?)
            .query_row((chatroom.get(),), |row| row.get::<_, Option<i64>>(0))?;
        Ok(AddedRow {
            joined,
            last: last.and_then(MessageId::new),
            chatroom: self.chatroom(chatroom)?,
        })
    }

    /// Who names themselves leaves; who names another must be the admin.
    pub(super) fn remove_participant(
        &self,
        chatroom: ChatroomId,
        by: UserId,
        whom: &Whom,
    ) -> Result<RemovedRow, JobError> {
        let whom = self.user(whom).optional()?;
        let user = if whom == Some(by) {
            self.check_leave(chatroom, by)?;
            by
        } else {
            self.check_admin(chatroom, by)?;
            whom.ok_or(JobError::Refused(Fault::NoSuchUser))?
        };
        let left = self
            .connection
            .prepare_cached(sql::REMOVE_PARTICIPANT)?
            .execute((chatroom.get(), user.get()))?;
        if left > 0 {
            self.count_participants(chatroom, -1)?;
        }
        Ok(RemovedRow {
            left: user,
            was_in_it: left > 0,
            chatroom: self.chatroom(chatroom)?,
        })
    }

    fn check_admin(&self, chatroom: ChatroomId, user: UserId) -> Result<(), JobError> {
        self.connection
            .prepare_cached(sql::IS_ADMIN)?
            .query_row((chatroom.get(), user.get()), |_| Ok(()))
            .map_err(or_refused(Fault::NotAdmin))
    }

    fn check_leave(&self, chatroom: ChatroomId, user: UserId) -> Result<(), JobError> {
        let (is_admin, participants): (bool, i64) = self
            .connection
            .prepare_cached(sql::STANDING_OF_PARTICIPANT)?
            .query_row((chatroom.get(), user.get()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(or_refused(Fault::NotAParticipant))?;
        match is_admin && participants > 1 {
            true => Err(JobError::Refused(Fault::AdminMustStay)),
            false => Ok(()),
        }
    }

    pub(super) fn rename_chatroom(
        &self,
        chatroom: ChatroomId,
        admin: UserId,
        name: &ChatroomName,
    ) -> Result<ChatroomRow, JobError> {
        let key = (chatroom.get(), admin.get(), &**name.shown());
        let mut rename = self.connection.prepare_cached(sql::RENAME_CHATROOM)?;
        match rename.execute(key)? {
            0 => Err(JobError::Refused(Fault::NotAdmin)),
            _ => Ok(self.chatroom(chatroom)?),
        }
    }

    /// A chatroom that exists, as it is now.
    fn chatroom(&self, chatroom: ChatroomId) -> rusqlite::Result<ChatroomRow> {
        let participants = self
            .connection
            .prepare_cached(sql::PARTICIPANTS)?
            .query_map((chatroom.get(),), |row| rows::user(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        self.connection
            .prepare_cached(sql::CHATROOM)?
            .query_row((chatroom.get(),), |row| {
                Ok(ChatroomRow {
                    admin: rows::user_id(row, 0)?,
                    name: row.get(1)?,
                    participants,
                })
            })
    }

    fn user(&self, whom: &Whom) -> rusqlite::Result<UserId> {
        let id = |row: &rusqlite::Row<'_>| rows::user_id(row, 0);
        match whom {
            Whom::Id(user) => {
                let mut find = self.connection.prepare_cached(sql::USER_BY_ID)?;
                find.query_row((user.get(),), id)
            }
            Whom::Name(folded) => {
                let mut find = self.connection.prepare_cached(sql::USER_BY_NAME)?;
                find.query_row((&**folded,), id)
            }
            Whom::Nobody => Err(rusqlite::Error::QueryReturnedNoRows),
        }
    }

    pub(super) fn add_chatroom(
        &self,
        admin: UserId,
        name: Option<&ChatroomName>,
    ) -> Result<ChatroomId, JobError> {
        let name = name.map(|name| &**name.shown());
        self.connection
            .prepare_cached(sql::ADD_CHATROOM)?
            .execute((admin.get(), name, self.now_unix_ms))?;
        let chatroom = ChatroomId::new(self.connection.last_insert_rowid())
            .expect("SQLite counts rows from 1");
        self.participate(chatroom, admin)?;
        Ok(chatroom)
    }

    fn participate(&self, chatroom: ChatroomId, user: UserId) -> rusqlite::Result<()> {
        let joined = self
            .connection
            .prepare_cached(sql::ADD_PARTICIPANT)?
            .execute((chatroom.get(), user.get()))?;
        if joined > 0 {
            self.count_participants(chatroom, 1)?;
        }
        Ok(())
    }

    fn count_participants(&self, chatroom: ChatroomId, joined: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql::COUNT_PARTICIPANTS)?
            .execute((chatroom.get(), joined))?;
        Ok(())
    }
}
