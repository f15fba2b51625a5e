//! A database that is read from its first row to its last, to be copied elsewhere. Nobody serves it meanwhile, and nobody writes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, OpenFlags, Row};

use super::database::{self, BUSY_TIMEOUT};
use super::lock::Lock;
use super::{schema, sql};
use crate::store::error::OpenError;
use crate::store::migrate::{Batch, Column, Key, MigrateError, Table};

/// Rows of a batch, at most …
const ROWS_MAX: i64 = 5000;
/// … and bytes of their texts, more or less: a message may have a megabyte.
const BYTES_MAX: usize = 8 << 20;

/// The database. Its lock is held, and so is SQLite's own, which keeps out those who write without serving.
pub(in crate::store) struct Source {
    connection: Connection,
    pub(in crate::store) path: PathBuf,
    _lock: Lock,
}

impl Source {
    pub(in crate::store) fn claim(given: &Path) -> Result<Self, MigrateError> {
        let located = database::locate_existing(given).map_err(MigrateError::Source)?;
        let path = located.map_err(MigrateError::NoDatabase)?;
        let lock = database::lock(&path).map_err(MigrateError::Source)?;
        let of_sqlite = |error| MigrateError::of_sqlite(&path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(of_sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(of_sqlite)?;
        (connection.execute_batch(sql::SET_UP_WRITER)).map_err(of_sqlite)?;
        schema::check(&connection, &path).map_err(MigrateError::Source)?;
        if schema::is_empty(&connection).map_err(of_sqlite)? {
            return Err(MigrateError::Source(OpenError::NotADatabase(path)));
        }
        if !schema::is_newest(&connection).map_err(of_sqlite)? {
            return Err(MigrateError::OlderSchema(path));
        }
        // So that all is in the file whose time tells whether it has changed.
        let empty_log = connection.query_row(sql::EMPTY_LOG, (), |_| Ok(()));
        empty_log.map_err(of_sqlite)?;
        connection.execute_batch(sql::BEGIN).map_err(of_sqlite)?;
        Ok(Self {
            connection,
            path,
            _lock: lock,
        })
    }

    /// What is another as soon as somebody has written to the database.
    pub(in crate::store) fn state(&self) -> Result<String, MigrateError> {
        let of_io = |error| MigrateError::Source(OpenError::of_io(&self.path, error));
        let file = fs::metadata(&self.path).map_err(of_io)?;
        let changed = file.modified().map_err(of_io)?;
        let changed = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{} {}", file.len(), changed.as_nanos()))
    }

    pub(in crate::store) fn count(&self, table: usize) -> Result<u64, MigrateError> {
        let count = self
            .connection
            .query_row(sql::COUNT_ROWS[table], (), |row| row.get::<_, i64>(0));
        Ok(count.map_err(|error| self.failed(error))?.unsigned_abs())
    }

    /// The last ids that were given to users and to chatrooms; 0 for none.
    pub(in crate::store) fn last_ids(&self) -> Result<(i64, i64), MigrateError> {
        self.connection
            .query_row(sql::LAST_IDS, (), |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| self.failed(error))
    }

    /// The rows of a table that come behind a key, as many as make a batch. None are the end.
    pub(in crate::store) fn rows_after(
        &self,
        number: usize,
        table: &Table,
        key: &Key,
    ) -> Result<Batch, MigrateError> {
        self.read(number, table, key)
            .map_err(|error| self.failed(error))
    }

    fn read(&self, number: usize, table: &Table, key: &Key) -> rusqlite::Result<Batch> {
        let mut statement = self.connection.prepare_cached(sql::ROWS_AFTER[number])?;
        let mut rows = statement.query(rusqlite::params![
            key.first, key.second, key.bytes, ROWS_MAX
        ])?;
        let mut batch = Batch::new(table);
        let mut bytes = 0;
        while bytes < BYTES_MAX
            && let Some(row) = rows.next()?
        {
            bytes += push(&mut batch, row)?;
        }
        Ok(batch)
    }

    fn failed(&self, error: rusqlite::Error) -> MigrateError {
        MigrateError::of_sqlite(&self.path, error)
    }
}

/// Takes a row, and returns how many bytes its texts have.
fn push(batch: &mut Batch, row: &Row<'_>) -> rusqlite::Result<usize> {
    let mut bytes = 0;
    for (at, column) in batch.columns.iter_mut().enumerate() {
        match column {
            Column::Numbers(numbers) => numbers.push(row.get(at)?),
            Column::Texts(texts) => {
                let text: Option<String> = row.get(at)?;
                bytes += text.as_ref().map_or(0, String::len);
                texts.push(text);
            }
            Column::Bytes(all) => {
                let own: Vec<u8> = row.get(at)?;
                bytes += own.len();
                all.push(own);
            }
        }
    }
    batch.rows += 1;
    Ok(bytes)
}
