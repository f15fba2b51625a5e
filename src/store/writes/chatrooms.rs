//! Writes of chatrooms and of who is in them.

use super::{Open, or_refused};
use crate::job::{AddedRow, Fault, Whom};
use crate::model::{ChatroomId, UserId};
use crate::store::error::JobError;
use crate::store::{rows, sql};

impl Open<'_> {
    pub(super) fn add_participant(
        &self,
        chatroom: ChatroomId,
        admin: UserId,
        whom: &Whom,
    ) -> Result<AddedRow, JobError> {
        self.connection
            .prepare_cached(sql::IS_ADMIN)?
            .query_row((chatroom.get(), admin.get()), |_| Ok(()))
            .map_err(or_refused(Fault::NotAdmin))?;
        let joined = self.user(whom).map_err(or_refused(Fault::NoSuchUser))?;
        self.participate(chatroom, joined)?;
        let participants = self
            .connection
            .prepare_cached(sql::PARTICIPANTS)?
            .query_map((chatroom.get(),), |row| rows::user(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(AddedRow {
            joined,
            admin,
            participants,
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

    pub(super) fn add_chatroom(&self, admin: UserId) -> Result<ChatroomId, JobError> {
        self.connection
            .prepare_cached(sql::ADD_CHATROOM)?
            .execute((admin.get(), self.now_unix_ms))?;
        let chatroom = ChatroomId::new(self.connection.last_insert_rowid())
            .expect("SQLite counts rows from 1");
        self.participate(chatroom, admin)?;
        Ok(chatroom)
    }

    fn participate(&self, chatroom: ChatroomId, user: UserId) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql::ADD_PARTICIPANT)?
            .execute((chatroom.get(), user.get()))?;
        Ok(())
    }
}
