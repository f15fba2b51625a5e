//! A database that is filled with another's rows. How far that is stands in it, and is written with the rows, in one transaction: killed
//! at whatever moment, it goes on where it was.

use std::path::Path;

use tokio_postgres::types::{ToSql, Type};

use super::address::Address;
use super::client::{Client, Transaction};
use super::error::Error;
use super::{open_address, schema, sql};
use crate::store::migrate::{Batch, Column, Key, MigrateError, Place, TABLES};

/// The database, and where in the source its next row is.
pub(in crate::store) struct Target {
    client: Client,
    address: Address,
    pub(in crate::store) place: Place,
}

impl Target {
    /// Opens what is at the address, brings its schema up to date, and finds how far it was filled, or that it is empty.
    pub(in crate::store) fn open(
        given: &Path,
        source: &str,
        state: &str,
    ) -> Result<Self, MigrateError> {
        let address = open_address(given).map_err(MigrateError::Target)?;
        let client = address.connect();
        let client = client.map_err(|error| MigrateError::Target(address.unreachable(error)))?;
        let mut target = Self {
            client,
            address,
            place: Place::default(),
        };
        schema::upgrade(&mut target.client, &target.address).map_err(MigrateError::Target)?;
        target.client.be_patient(true);
        target.place = target.resume(source, state)?;
        Ok(target)
    }

    fn resume(&mut self, source: &str, state: &str) -> Result<Place, MigrateError> {
        let address = self.address.clone();
        let failed = |error| MigrateError::Target(address.unreachable(error));
        let mut begin = self.client.transaction().map_err(failed)?;
        begin.query_typed(sql::LOCK_SCHEMA, &[]).map_err(failed)?;
        let holds = |transaction: &mut Transaction<'_>, question| {
            let answer = transaction.query_typed_one(question, &[]).map_err(failed)?;
            (answer.try_get::<_, bool>(0)).map_err(|error| failed(error.into()))
        };
        if holds(&mut begin, sql::IS_MIGRATING)? {
            let row = begin.query_typed_one(sql::MIGRATION, &[]).map_err(failed)?;
            let (from, then): (&str, &str) = (row.get(0), row.get(1));
            return match (from == source, then == state) {
                (false, _) => Err(MigrateError::OtherSource {
                    database: address.shown.clone(),
                    source: from.to_owned(),
                }),
                (true, false) => Err(MigrateError::Changed(source.into())),
                (true, true) => place_of(&row).map_err(failed),
            };
        }
        if holds(&mut begin, sql::IS_USED)? {
            return Err(MigrateError::NotEmpty(address.shown.clone()));
        }
        begin
            .batch_execute(sql::ADD_MIGRATION_TABLE)
            .map_err(failed)?;
        let place = Place::default();
        let begun: &[(&(dyn ToSql + Sync), Type)] = &[
            (&source, Type::TEXT),
            (&state, Type::TEXT),
            (&place.step, Type::INT8),
            (&place.copied, Type::INT8),
            (&place.key.first, Type::INT8),
            (&place.key.second, Type::INT8),
            (&place.key.bytes, Type::BYTEA),
        ];
        begin
            .execute_typed(sql::BEGIN_MIGRATION, begun)
            .map_err(failed)?;
        begin.commit().map_err(failed)?;
        Ok(place)
    }

    /// Writes a batch of the table that the place is in, and notes with it where the next one is.
    pub(in crate::store) fn copy(
        &mut self,
        table: usize,
        batch: &Batch,
        next: Place,
    ) -> Result<(), MigrateError> {
        let columns = batch.columns.iter().map(|column| match column {
            Column::Numbers(all) => (all as &(dyn ToSql + Sync), Type::INT8_ARRAY),
            Column::Texts(all) => (all as &(dyn ToSql + Sync), Type::TEXT_ARRAY),
            Column::Bytes(all) => (all as &(dyn ToSql + Sync), Type::BYTEA_ARRAY),
        });
        let columns = Vec::from_iter(columns);
        self.move_on(next, |transaction| {
            transaction.execute_typed(sql::COPY_ROWS[table], &columns)
        })
    }

    /// Notes that a table is done.
    pub(in crate::store) fn pass(&mut self, next: Place) -> Result<(), MigrateError> {
        self.move_on(next, |_| Ok(0))
    }

    fn move_on(
        &mut self,
        next: Place,
        write: impl FnOnce(&mut Transaction<'_>) -> Result<u64, Error>,
    ) -> Result<(), MigrateError> {
        let before = &self.place;
        let noted: &[(&(dyn ToSql + Sync), Type)] = &[
            (&next.step, Type::INT8),
            (&next.copied, Type::INT8),
            (&next.key.first, Type::INT8),
            (&next.key.second, Type::INT8),
            (&next.key.bytes, Type::BYTEA),
            (&before.step, Type::INT8),
            (&before.copied, Type::INT8),
        ];
        let moved = || {
            let mut transaction = self.client.transaction()?;
            write(&mut transaction)?;
            let moved = transaction.execute_typed(sql::NOTE_COPIED, noted)?;
            if moved == 1 {
                transaction.commit()?;
            }
            Ok(moved == 1)
        };
        match moved().map_err(|error| self.failed(error))? {
            true => self.place = next,
            false => return Err(MigrateError::Beside(self.address.shown.clone())),
        }
        Ok(())
    }

    /// Has new users and chatrooms get ids beyond those that were ever given, and compares how many rows there are; then nothing is left of how it
    /// came to be.
    pub(in crate::store) fn finish(
        &mut self,
        (user, chatroom): (i64, i64),
        counts: &[u64],
    ) -> Result<(), MigrateError> {
        let address = self.address.clone();
        let failed = |error| MigrateError::Target(address.unreachable(error));
        let mut end = self.client.transaction().map_err(failed)?;
        for (table, &rows) in counts.iter().enumerate() {
            let found = end.query_typed_one(sql::COUNT_ROWS[table], &[]);
            let found = found.and_then(|row| Ok(row.try_get(0)?));
            let found: i64 = found.map_err(failed)?;
            if found.unsigned_abs() != rows {
                return Err(MigrateError::Differs {
                    table: TABLES[table].name,
                    source: rows,
                    target: found.unsigned_abs(),
                });
            }
        }
        for (statement, last) in [
            (sql::GO_ON_WITH_USERS, user),
            (sql::GO_ON_WITH_CHATROOMS, chatroom),
        ] {
            if last > 0 {
                end.query_typed(statement, &[(&last, Type::INT8)])
                    .map_err(failed)?;
            }
        }
        end.batch_execute(sql::LOOK_AT_ROWS).map_err(failed)?;
        (end.batch_execute(sql::DROP_MIGRATION_TABLE)).map_err(failed)?;
        end.commit().map_err(failed)
    }

    fn failed(&self, error: Error) -> MigrateError {
        MigrateError::Target(self.address.unreachable(error))
    }
}

fn place_of(row: &tokio_postgres::Row) -> Result<Place, Error> {
    Ok(Place {
        step: row.try_get(2)?,
        copied: row.try_get(3)?,
        key: Key {
            first: row.try_get(4)?,
            second: row.try_get(5)?,
            bytes: row.try_get(6)?,
        },
    })
}
