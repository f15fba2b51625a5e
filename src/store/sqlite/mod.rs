//! SQLite: one file, one connection that writes, connections that read.
//!
//! In WAL mode readers and the writer do not wait for one another, and with one writer a batch never waits for a lock of ours.

mod backup;
mod checkpoint;
mod database;
mod lock;
mod memory;
mod readers;
mod reading;
mod rows;
mod schema;
#[cfg(feature = "postgres")]
mod source;
mod sql;
mod sweeping;
mod users;
mod writer;
mod writes;

use std::sync::Arc;

pub use backup::Backup;
#[cfg(feature = "postgres")]
pub(super) use source::Source;
pub(super) use users::SqliteUsers;

use super::error::OpenError;
#[cfg(test)]
use super::reading::Reader;
use super::writing::Writer;
use super::{Attendance, Attendant, Backend, Threads};
use crate::config::Config;
use checkpoint::{Checkpointer, Checkpoints, LogWatch};
use database::Database;
use readers::Readers;
use sweeping::Sweeper;
use writer::SqliteWriter;

/// Opens the database at the path `config.database`; creates, upgrades and checks it.
pub(super) fn open(
    config: &Config,
    threads: Threads,
) -> Result<Backend<impl Writer + Send + use<>>, OpenError> {
    let mut database = Database::claim(&config.database)?;
    let connections = threads.reading.saturating_add(threads.hashing);
    database.check_descriptors(connections)?;
    let connection = database.writer(config.durability)?;
    let checkpoints: Arc<Checkpoints> = Arc::default();
    let checkpointer = Checkpointer {
        connection: database.checkpointer(config.durability)?,
        checkpoints: Arc::clone(&checkpoints),
    };
    let pool = database.readers(connections)?;
    let readers = Arc::new(Readers::new(pool, config.session_lifetime));
    let log = LogWatch::new(Arc::clone(&checkpoints), Arc::clone(&readers));
    let sweeper = Sweeper {
        session_lifetime: config.session_lifetime,
        retention: config.retention,
    };
    Ok(Backend {
        writer: SqliteWriter::new(connection, log, sweeper),
        reader: readers,
        attendance: Attendance {
            threads: vec![("loiter-checkpoint", Box::new(|| checkpointer.run()))],
            attendant: checkpoints,
        },
        held: Box::new(database),
    })
}

impl Attendant for Checkpoints {
    fn end(&self) {
        self.close();
    }

    #[cfg(debug_assertions)]
    fn break_thread(&self) {
        self.break_thread();
    }
}

/// A database in memory, of the newest schema, for tests of what reads from it.
#[cfg(test)]
pub(super) fn in_memory(set_up: impl FnOnce(&mut rusqlite::Connection)) -> impl Reader {
    readers::in_memory(|connection| {
        schema::upgrade(connection).expect("the schema");
        set_up(connection);
    })
}
