//! The users in a PostgreSQL database.
//!
//! Servers may have it open, and a password may be changed all the same: they hear of it as of what another server has done.

use std::cell::RefCell;

use tokio_postgres::types::Type;

use super::address::Address;
use super::changes::Changes;
use super::client::Client;
use super::{open_address, rows, schema, sql};
use crate::config::Config;
use crate::job::Fault;
use crate::model::{User, UserId, Username};
use crate::store::clock::system_unix_ms;
use crate::store::job_error::JobError;
use crate::store::others::Change;
use crate::store::users::{Account, UserTable, UsersError};

/// The number of what has changed something and is no server; a server's is random.
const NO_SERVER: i64 = 0;

/// A connection of its own.
pub(in crate::store) struct PostgresUsers {
    client: RefCell<Client>,
    address: Address,
}

impl PostgresUsers {
    pub(in crate::store) fn open(config: &Config) -> Result<Self, UsersError> {
        let address = open_address(&config.database).map_err(UsersError::Database)?;
        let mut client = address
            .connect()
            .map_err(|error| UsersError::Database(address.unreachable(error)))?;
        schema::refuse_unfinished(&mut client, &address).map_err(UsersError::Database)?;
        match schema::is_newest(&mut client, &address).map_err(UsersError::Database)? {
            true => Ok(Self {
                client: client.into(),
                address,
            }),
            false => Err(UsersError::OlderSchema(address.shown.into())),
        }
    }

    /// What an error means for whoever asked.
    fn failed(&self, error: impl Into<JobError>) -> UsersError {
        let error = error.into();
        let is_known = error.fault() != Fault::OutcomeUnknown;
        let error = self.address.failed(error);
        match is_known {
            true => UsersError::Database(error),
            false => UsersError::OutcomeUnknown(error),
        }
    }
}

impl UserTable for PostgresUsers {
    fn find(&self, name: &Username) -> Result<Option<User>, UsersError> {
        let mut client = self.client.borrow_mut();
        let found = client.query_typed_opt(sql::CREDENTIALS, &[(&&**name.folded(), Type::TEXT)]);
        let found = found.map_err(|error| self.failed(error))?;
        let user = found.map(|row| rows::user(&row, 0)).transpose();
        user.map_err(|error| self.failed(error))
    }

    fn check_unserved(&self) -> Result<(), UsersError> {
        Ok(())
    }

    fn add(&mut self, name: &Username, hash: &str) -> Result<User, UsersError> {
        let mut client = self.client.borrow_mut();
        let mut add = || {
            let mut transaction = client.transaction()?;
            let added = transaction.query_typed_opt(
                sql::ADD_USER,
                &[
                    (&&**name.shown(), Type::TEXT),
                    (&&**name.folded(), Type::TEXT),
                    (&hash, Type::TEXT),
                    (&system_unix_ms(), Type::INT8),
                ],
            )?;
            transaction.commit()?;
            added.map(|row| rows::user_id(&row, 0)).transpose()
        };
        let added: Result<_, JobError> = add();
        let added = added.map_err(|error| self.failed(error))?;
        let id = added.ok_or_else(|| UsersError::NameTaken(name.shown().clone()))?;
        Ok(User {
            id,
            name: name.shown().clone(),
        })
    }

    fn set_password(&mut self, of: UserId, hash: &str) -> Result<usize, UsersError> {
        let mut client = self.client.borrow_mut();
        let mut change = || {
            let mut transaction = client.transaction()?;
            let user = of.get();
            // First the user's row, which whoever adds a session locks.
            transaction.execute_typed(
                sql::SET_PASSWORD,
                &[(&user, Type::INT8), (&hash, Type::TEXT)],
            )?;
            let ended =
                transaction.query_typed(sql::REMOVE_SESSIONS_OF_USER, &[(&user, Type::INT8)])?;
            let mut changes = Changes::default();
            for row in &ended {
                changes.push_change(Change::SessionEnded(rows::session(row, 0)?));
            }
            changes.write(&mut transaction, NO_SERVER)?;
            transaction.commit()?;
            Ok(ended.len())
        };
        let ended: Result<usize, JobError> = change();
        ended.map_err(|error| self.failed(error))
    }

    fn list(&self, after: i64, count: u32) -> Result<Vec<Account>, UsersError> {
        let mut client = self.client.borrow_mut();
        let page = client.query_typed(
            sql::USERS_AFTER,
            &[(&after, Type::INT8), (&i64::from(count), Type::INT8)],
        );
        let page = page.map_err(|error| self.failed(error))?;
        let account = |row| {
            Ok(Account {
                user: rows::user(row, 0)?,
                created_unix_ms: rows::natural(row, 2)?,
            })
        };
        let accounts: Result<Vec<Account>, JobError> = page.iter().map(account).collect();
        accounts.map_err(|error| self.failed(error))
    }
}
