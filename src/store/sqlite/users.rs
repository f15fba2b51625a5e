//! The users in a SQLite database.
//!
//! A server on it remembers who is logged in, for as long as it serves. So **a password is changed only while nobody serves**, which the
//! lock beside the database tells, and keeps so until it is done.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::database::{self, BUSY_TIMEOUT};
use super::writes::insert_user;
use super::{rows, schema, sql};
use crate::config::Config;
use crate::model::{User, UserId, Username};
use crate::store::clock::system_unix_ms;
use crate::store::error::OpenError;
use crate::store::job_error::JobError;
use crate::store::users::{Account, UserTable, UsersError};

/// A connection of its own, beside those of a server that may have others.
pub(in crate::store) struct SqliteUsers {
    connection: Connection,
    database: PathBuf,
}

impl SqliteUsers {
    pub(in crate::store) fn open(config: &Config) -> Result<Self, UsersError> {
        let located = database::locate_existing(&config.database).map_err(UsersError::Database)?;
        let database = located.map_err(UsersError::NoDatabase)?;
        let of_sqlite = |error| of_sqlite(&database, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&database, flags).map_err(of_sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(of_sqlite)?;
        let set_up = [
            sql::SET_UP_WRITER,
            database::synchronous(config.durability),
            sql::LOG_AHEAD,
        ];
        for statements in set_up {
            connection.execute_batch(statements).map_err(of_sqlite)?;
        }
        refuse_other_schemas(&connection, &database)?;
        Ok(Self {
            connection,
            database,
        })
    }
}

impl UserTable for SqliteUsers {
    fn find(&self, name: &Username) -> Result<Option<User>, UsersError> {
        self.connection
            .query_row(sql::CREDENTIALS, (&**name.folded(),), |row| {
                rows::user(row, 0)
            })
            .optional()
            .map_err(|error| of_sqlite(&self.database, error))
    }

    fn check_unserved(&self) -> Result<(), UsersError> {
        // Let go of at once: whoever is asked may take their time, and a server is not to wait for that.
        database::lock(&self.database).map(drop).map_err(of_lock)
    }

    fn add(&mut self, name: &Username, hash: &str) -> Result<User, UsersError> {
        let database = &self.database;
        let of_sqlite = |error| of_sqlite(database, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(of_sqlite)?;
        refuse_other_schemas(&transaction, database)?;
        let added = insert_user(&transaction, name, hash, system_unix_ms());
        let user = added.map_err(|error| match error {
            JobError::Sqlite(error) => of_sqlite(error),
            // Nothing else is refused to one who adds a user.
            _ => UsersError::NameTaken(name.shown().clone()),
        })?;
        transaction.commit().map_err(of_sqlite)?;
        Ok(user)
    }

    fn set_password(&mut self, user: UserId, hash: &str) -> Result<usize, UsersError> {
        // No server starts until all is done.
        let _lock = database::lock(&self.database).map_err(of_lock)?;
        let database = &self.database;
        let of_sqlite = |error| of_sqlite(database, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(of_sqlite)?;
        refuse_other_schemas(&transaction, database)?;
        let change = || {
            transaction.execute(sql::SET_PASSWORD, (user.get(), hash))?;
            transaction.execute(sql::REMOVE_SESSIONS_OF_USER, (user.get(),))
        };
        let ended = change().map_err(of_sqlite)?;
        transaction.commit().map_err(of_sqlite)?;
        Ok(ended)
    }

    fn list(&self, after: i64, count: u32) -> Result<Vec<Account>, UsersError> {
        let list = || -> rusqlite::Result<Vec<Account>> {
            let mut statement = self.connection.prepare_cached(sql::USERS_AFTER)?;
            let accounts = statement.query_map((after, count), |row| {
                Ok(Account {
                    user: rows::user(row, 0)?,
                    created_unix_ms: rows::unix_ms(row, 2)?,
                })
            })?;
            accounts.collect()
        };
        list().map_err(|error| of_sqlite(&self.database, error))
    }
}

/// What an older loiter has made is for a server to bring up to date, and what a newer one has made is not ours to change.
fn refuse_other_schemas(connection: &Connection, database: &Path) -> Result<(), UsersError> {
    schema::check(connection, database).map_err(UsersError::Database)?;
    match schema::is_newest(connection) {
        Ok(true) => Ok(()),
        Ok(false) => Err(UsersError::OlderSchema(database.to_owned())),
        Err(error) => Err(of_sqlite(database, error)),
    }
}

fn of_sqlite(database: &Path, source: rusqlite::Error) -> UsersError {
    UsersError::Database(OpenError::of_sqlite(database, source))
}

fn of_lock(error: OpenError) -> UsersError {
    match error {
        OpenError::Served(database) => UsersError::Served(database),
        other => UsersError::Database(other),
    }
}
