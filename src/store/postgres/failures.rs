//! Logins that have failed, at all servers of the database together, by name and by address.
//!
//! Each server limits its own as with one server (`chat/logins.rs`); what it lets through is looked up here, in the last minute. A failure is written
//! before it is told, so who goes on to another server takes it along. Only guesses that several servers are verifying at the same moment do
//! not know of each other.
//!
//! Names and addresses are stored as hashes: whoever sees the table learns neither, but by guessing.

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tokio_postgres::types::{ToSql, Type};

use super::client::Client;
use super::sql;
use crate::job::Fault;
use crate::model::Customer;
use crate::store::job_error::JobError;
use crate::store::write::Tried;

/// How long a failure counts, in milliseconds.
pub(super) const WINDOW_MS: i64 = 60_000;

/// Whose failures a login counts to.
fn whose(client: &mut Client, tried: &Tried, customer: Customer) -> Result<Vec<Vec<u8>>, JobError> {
    let hash = |text: String| digest(&SHA256, text.as_bytes()).as_ref().to_vec();
    let name = match tried {
        Tried::Name(folded) => folded.clone(),
        Tried::User(user) => {
            let user = [(&user.get() as &(dyn ToSql + Sync), Type::INT8)];
            let found = client.query_typed_opt(sql::NAME_OF_USER, &user)?;
            let name = found.map(|row| row.try_get::<_, &str>(0).map(Arc::from));
            name.transpose()?
        }
    };
    let mut whose = vec![hash(format!("address {}", customer.address()))];
    whose.extend(name.map(|name| hash(format!("name {name}"))));
    Ok(whose)
}

/// Refuses where so many have failed, for the name or from the address.
pub(super) fn check(
    client: &mut Client,
    tried: &Tried,
    customer: Customer,
    failures_max: u32,
) -> Result<(), JobError> {
    let whose = whose(client, tried, customer)?;
    let asked: &[(&(dyn ToSql + Sync), Type)] = &[
        (&whose, Type::BYTEA_ARRAY),
        (&i64::from(failures_max), Type::INT8),
        (&(WINDOW_MS as f64), Type::FLOAT8),
    ];
    let row = client.query_typed_one(sql::servers::SECONDS_TO_WAIT, asked)?;
    match row.try_get::<_, Option<i64>>(0)? {
        None => Ok(()),
        Some(seconds) => Err(JobError::Refused(Fault::TooManyAttempts {
            retry_after_s: u64::try_from(seconds).unwrap_or(0).max(1),
        })),
    }
}

/// Writes that one has failed.
pub(super) fn add(client: &mut Client, tried: &Tried, customer: Customer) -> Result<(), JobError> {
    let whose = whose(client, tried, customer)?;
    let failed: &[(&(dyn ToSql + Sync), Type)] = &[(&whose, Type::BYTEA_ARRAY)];
    client.execute_typed(sql::servers::ADD_FAILED_LOGINS, failed)?;
    Ok(())
}
