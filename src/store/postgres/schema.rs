//! The schema, step by step; all steps in one transaction, one server at a time.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::address::Address;
use super::client::Client;
use super::error::Error;
use super::sql;
use crate::store::error::OpenError;

/// Whether the database is ours and has the newest version. Changes nothing.
pub(super) fn is_newest(client: &mut Client, address: &Address) -> Result<bool, OpenError> {
    let of_postgres = |error| address.unreachable(error);
    let whose = client
        .query_typed_one(sql::WHOSE, &[])
        .map_err(of_postgres)?;
    let (is_used, is_ours): (Option<bool>, Option<bool>) = (whose.get(0), whose.get(1));
    match (is_ours.unwrap_or(false), is_used.unwrap_or(false)) {
        (true, _) => {}
        (false, true) => return Err(OpenError::Foreign(address.shown.clone().into())),
        (false, false) => return Err(address.unusable("no loiter has served it yet")),
    }
    let version = client
        .query_typed_one(sql::VERSION, &[])
        .map_err(of_postgres)?;
    let found = version.get::<_, Option<i64>>(0).unwrap_or(0);
    let known = sql::MIGRATIONS.len() as i64;
    match found > known {
        true => Err(OpenError::NewerSchema {
            database: address.shown.clone().into(),
            found,
            known,
        }),
        false => Ok(found == known),
    }
}

/// Refuses a database that is still being filled: who came before it is whole would find half of it.
pub(super) fn refuse_unfinished(client: &mut Client, address: &Address) -> Result<(), OpenError> {
    let found = client.query_typed_one(sql::IS_MIGRATING, &[]);
    match found.map_err(|error| address.unreachable(error))?.get(0) {
        true => Err(address
            .unusable("what was to be copied into it is not all there: run loiter migrate again")),
        false => Ok(()),
    }
}

/// By what a database is known, whatever address leads to it; nothing where no loiter has served it, or only an older one.
pub(super) fn identity(client: &mut Client) -> Result<Option<String>, Error> {
    let found = client.query_typed_opt(sql::IDENTITY, &[]);
    let is_missing = |error: &Error| matches!(error.code(), Some(code) if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN].contains(code));
    match found {
        Ok(row) => Ok(row.map(|row| row.try_get(0)).transpose()?),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings the database up to the newest version. Where several servers start at once, one does and the others wait for it.
pub(super) fn upgrade(client: &mut Client, address: &Address) -> Result<(), OpenError> {
    let of_postgres = |error| address.unreachable(error);
    let unfit = |why| OpenError::BadAddress {
        database: address.shown.clone(),
        why,
    };
    let place = client
        .query_typed_one(sql::CURRENT_SCHEMA, &[])
        .map_err(of_postgres)?;
    let (schema, encoding): (Option<String>, String) = (place.get(0), place.get(1));
    if schema.is_none() {
        return Err(unfit("there is no schema in its search path".to_owned()));
    }
    // In another, names would sort otherwise, and most of what people write would have no bytes.
    if encoding != "UTF8" {
        return Err(unfit(format!(
            "the encoding of that database is {encoding}, and must be UTF8"
        )));
    }
    if let Ok(true) = is_newest(client, address) {
        return Ok(());
    }
    // Others may be at it, and have much to do.
    client.be_patient(true);
    let upgraded = upgrade_alone(client, address);
    client.be_patient(false);
    upgraded
}

fn upgrade_alone(client: &mut Client, address: &Address) -> Result<(), OpenError> {
    let of_postgres = |error| address.unreachable(error);
    let mut upgrade = client.transaction().map_err(of_postgres)?;
    upgrade
        .query_typed(sql::LOCK_SCHEMA, &[])
        .map_err(of_postgres)?;
    let whose = upgrade
        .query_typed_one(sql::WHOSE, &[])
        .map_err(of_postgres)?;
    let (is_used, is_ours): (bool, bool) = (whose.get(0), whose.get(1));
    if is_used && !is_ours {
        return Err(OpenError::Foreign(address.shown.clone().into()));
    }
    if !is_ours {
        (upgrade.batch_execute(sql::ADD_VERSION_TABLE)).map_err(of_postgres)?;
    }
    let version: Option<i64> = upgrade
        .query_typed_one(sql::VERSION, &[])
        .map_err(of_postgres)?
        .get(0);
    let found = version.unwrap_or(0);
    let known = sql::MIGRATIONS.len() as i64;
    if found > known || found < 0 {
        return Err(OpenError::NewerSchema {
            database: address.shown.clone().into(),
            found,
            known,
        });
    }
    if found == known {
        return Ok(());
    }
    // Who waits for a table has all others wait that would use it.
    let in_use = "its tables are to be changed for this version, and another program (a dump?) has one of them in use: try again when that is over";
    let changing = |error: Error| match error.code() {
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => address.unusable(in_use),
        _ => of_postgres(error),
    };
    upgrade.batch_execute(sql::HASTILY).map_err(of_postgres)?;
    for step in &sql::MIGRATIONS[found as usize..] {
        upgrade.batch_execute(step).map_err(changing)?;
    }
    upgrade
        .execute_typed(sql::NOTE_VERSION, &[(&known, Type::INT8)])
        .map_err(of_postgres)?;
    upgrade.commit().map_err(of_postgres)
}
