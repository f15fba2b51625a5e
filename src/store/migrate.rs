//! A database moved from its file to PostgreSQL, with all that is in it: ids, sessions, times, places, nonces and passwords, so that a client
//! notices nothing but a restart.
//!
//! Table by table, those first that others refer to; within one in the order of its key, some thousand rows a transaction. The place where the
//! next row is stands in the target and is written with the rows before it. So it may be killed at whatever moment, and goes on from there when it is
//! run again; the source is read only, and what tells whether it has changed meanwhile stands in the target too.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::OpenError;
use super::postgres::Target;
use super::sqlite::Source;
use crate::config::{is_address, shown};

/// A database to be moved to PostgreSQL. Without [`Migration::run`] nothing happens.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use loiter::{MigrateError, Migration};
///
/// let migration = Migration {
///     from: folder.path().join("missing.db"),
///     to: "postgres://ann:secret@db.example/chat".into(),
/// };
/// let told = |table: &str, copied: u64, rows: u64| println!("{table}: {copied} of {rows}");
/// assert!(matches!(migration.run(&false.into(), told), Err(MigrateError::NoDatabase(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Migration {
    /// The database's file, which nobody serves.
    pub from: PathBuf,
    /// The address of a PostgreSQL database that has nothing in it yet, or what an earlier run has left in it.
    pub to: PathBuf,
}

/// Why a database was not moved. Its `Display` is one line for whoever asked for it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use loiter::{MigrateError, Migration};
///
/// let migration = Migration {
///     from: folder.path().join("chat.db"),
///     to: folder.path().join("copy.db"),
/// };
/// let refused = migration.run(&false.into(), |_, _, _| ()).unwrap_err();
/// assert!(matches!(refused, MigrateError::NotAnAddress(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum MigrateError {
    /// There is no database at this path.
    NoDatabase(PathBuf),
    /// The source has the schema of an older loiter.
    OlderSchema(PathBuf),
    /// The source cannot be opened or read, or is served.
    Source(OpenError),
    /// What the rows are to be copied from is an address, here without its password.
    NotAFile(PathBuf),
    /// What the rows are to be copied to, here without its password, is no address of PostgreSQL.
    NotAnAddress(PathBuf),
    /// The target cannot be reached, opened or written.
    Target(OpenError),
    /// The target, here without its password, has users, chatrooms or messages: those of an earlier run that has copied all, or somebody's own.
    NotEmpty(String),
    /// The target has been filled from another source until now.
    OtherSource {
        /// The target's address, without its password.
        database: String,
        /// The source's path.
        source: String,
    },
    /// The source has been written to since an earlier run began.
    Changed(PathBuf),
    /// Somebody else is filling the target, here without its password.
    Beside(String),
    /// A table of the target has not as many rows as the source's, when all are copied.
    Differs {
        /// The table.
        table: &'static str,
        /// Rows that it has in the source.
        source: u64,
        /// Rows that it has in the target.
        target: u64,
    },
    /// Whoever asked for it wanted it no more, for now.
    Stopped,
}

/// A table that is copied, and what its columns are.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static [Kind],
}

#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Bytes,
}

/// In the order in which they are copied. What a table's key has of numbers are the first of its numbers, what it has of bytes are its bytes.
pub(super) const TABLES: [Table; 6] = {
    use Kind::{Bytes, Number, Text};
    const fn table(name: &'static str, columns: &'static [Kind]) -> Table {
        Table { name, columns }
    }
    [
        table("users", &[Number, Text, Text, Text, Number]),
        table("sessions", &[Bytes, Number, Number, Number]),
        table(
            "chatrooms",
            &[Number, Number, Number, Text, Number, Number, Number, Number],
        ),
        table("participants", &[Number, Number, Number]),
        table("messages", &[Number, Number, Number, Text, Number]),
        table("nonces", &[Number, Number, Bytes, Number, Number]),
    ]
};

/// A column of a batch.
pub(super) enum Column {
    Numbers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Vec<u8>>),
}

/// Rows that follow one another in a table, column by column.
pub(super) struct Batch {
    pub(super) columns: Vec<Column>,
    pub(super) rows: u64,
}

/// The key of a row: as much of it as the table has.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) first: i64,
    pub(super) second: i64,
    pub(super) bytes: Vec<u8>,
}

/// How far it is: the table, how many of its rows are copied, and the key of the last of them.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) step: i64,
    pub(super) copied: i64,
    pub(super) key: Key,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            step: 0,
            copied: 0,
            // Before every other.
            key: Key {
                first: i64::MIN,
                second: i64::MIN,
                bytes: Vec::new(),
            },
        }
    }
}

impl Batch {
    pub(super) fn new(table: &Table) -> Self {
        let columns = table.columns.iter().map(|kind| match kind {
            Kind::Number => Column::Numbers(Vec::new()),
            Kind::Text => Column::Texts(Vec::new()),
            Kind::Bytes => Column::Bytes(Vec::new()),
        });
        Self {
            columns: columns.collect(),
            rows: 0,
        }
    }

    /// The key of its last row.
    fn last_key(&self) -> Key {
        let mut numbers = self.columns.iter().filter_map(|column| match column {
            Column::Numbers(all) => all.last().copied().flatten(),
            _ => None,
        });
        let bytes = self.columns.iter().find_map(|column| match column {
            Column::Bytes(all) => all.last().cloned(),
            _ => None,
        });
        let mut number = || numbers.next().unwrap_or(i64::MIN);
        Key {
            first: number(),
            second: number(),
            bytes: bytes.unwrap_or_default(),
        }
    }
}

impl Migration {
    /// Copies all rows, or those that an earlier run has left, and returns the name and the rows of each table.
    ///
    /// Until `stop` becomes true; it is looked at between two batches. `told` hears of each batch: the table, how many of its rows are copied, and how many it has.
    /// The source's lock is held all the while.
    ///
    /// # Errors
    /// [`MigrateError`]. Unless it says otherwise, what is copied stays, and the next run goes on behind it.
    pub fn run(
        &self,
        stop: &AtomicBool,
        mut told: impl FnMut(&str, u64, u64),
    ) -> Result<Vec<(&'static str, u64)>, MigrateError> {
        if !is_address(&self.to) {
            return Err(MigrateError::NotAnAddress(shown(&self.to)));
        }
        if is_address(&self.from) {
            return Err(MigrateError::NotAFile(shown(&self.from)));
        }
        let source = Source::claim(&self.from)?;
        let counts = (0..TABLES.len()).map(|table| source.count(table));
        let counts = counts.collect::<Result<Vec<_>, _>>()?;
        let name = source.path.to_string_lossy();
        let mut target = Target::open(&self.to, &name, &source.state()?)?;
        while let Some((number, table)) = table_at(&target.place) {
            if stop.load(Ordering::Relaxed) {
                return Err(MigrateError::Stopped);
            }
            copy_some(&source, &mut target, number, table)?;
            let copied = match target.place.step == number as i64 {
                true => target.place.copied.unsigned_abs(),
                false => counts[number],
            };
            told(table.name, copied, counts[number]);
        }
        target.finish(source.last_ids()?, &counts)?;
        let names = TABLES.iter().map(|table| table.name);
        Ok(names.zip(counts).collect())
    }
}

/// The table that a place is in; none behind the last.
fn table_at(place: &Place) -> Option<(usize, &'static Table)> {
    static ALL: [Table; 6] = TABLES;
    let number = usize::try_from(place.step).ok()?;
    Some((number, ALL.get(number)?))
}

/// Copies the next batch of a table, or finds that there is none.
fn copy_some(
    source: &Source,
    target: &mut Target,
    number: usize,
    table: &Table,
) -> Result<(), MigrateError> {
    let before = target.place.clone();
    let batch = source.rows_after(number, table, &before.key)?;
    if batch.rows == 0 {
        return target.pass(Place {
            step: before.step + 1,
            ..Place::default()
        });
    }
    let next = Place {
        step: before.step,
        copied: before.copied.saturating_add_unsigned(batch.rows),
        key: batch.last_key(),
    };
    target.copy(number, &batch, next)
}

impl MigrateError {
    pub(super) fn of_sqlite(database: &Path, source: rusqlite::Error) -> Self {
        Self::Source(OpenError::of_sqlite(database, source))
    }
}

/// Of the target's address it has what may be shown.
impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("from", &self.from)
            .field("to", &shown(&self.to))
            .finish()
    }
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatabase(path) => write!(f, "there is no database {}", path.display()),
            Self::OlderSchema(path) => write!(
                f,
                "the database {} is that of an older loiter: start this one once, which brings it up to date",
                path.display()
            ),
            Self::Source(OpenError::Served(path)) => write!(
                f,
                "a loiter serves the database {}, and would go on writing to it: stop it first",
                path.display()
            ),
            Self::Source(error) | Self::Target(error) => error.fmt(f),
            Self::NotAFile(address) => write!(
                f,
                "{} is an address, and a database is copied from its file",
                address.display()
            ),
            Self::NotAnAddress(path) => write!(
                f,
                "{} is not the address of a PostgreSQL database, such as postgres://ann@db.example/chat",
                path.display()
            ),
            Self::NotEmpty(database) => write!(
                f,
                "there are users, chatrooms or messages in the database {database}, and no copying into it is under way: either all has been copied \
                 before, and a server may be started on it, or it is somebody's own; to copy into it anew, empty it first"
            ),
            Self::OtherSource { database, source } => write!(
                f,
                "the database {database} is being filled from {source}: go on with that, or begin with an empty database"
            ),
            Self::Changed(path) => write!(
                f,
                "the database {} has changed since the copy was begun: begin again with an empty database",
                path.display()
            ),
            Self::Beside(database) => {
                write!(f, "somebody else is filling the database {database}")
            }
            Self::Differs {
                table,
                source,
                target,
            } => write!(
                f,
                "of {table} there are {source} rows, and {target} in the copy, which somebody else must have written to: begin again with an empty database"
            ),
            Self::Stopped => f.write_str("stopped: the same command goes on from here"),
        }
    }
}

impl std::error::Error for MigrateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) | Self::Target(error) => Some(error),
            _ => None,
        }
    }
}
