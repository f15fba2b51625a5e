//! What SQLite alone writes on this disk: rows like messages, WAL, synchronous FULL, in transactions of a given size. No server that keeps its messages
//! there can be faster.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::error::Error;
use crate::host;

const SCHEMA: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    CREATE TABLE messages (chatroom INTEGER, id INTEGER, user INTEGER, text TEXT, time INTEGER, \
    PRIMARY KEY (chatroom, id)) WITHOUT ROWID";
const INSERT: &str = "INSERT INTO messages VALUES (1, ?1, 1, ?2, ?3)";

/// Rows a second in transactions of `batch` rows, in a new database in `dir`; on the server's CPU where `pin`.
pub(crate) fn rows_per_second(
    dir: &Path,
    batch: u64,
    time: Duration,
    pin: bool,
) -> Result<f64, Error> {
    let file = dir.join(format!("bare-{batch}.db"));
    // In a thread of its own, which may be bound to a CPU and ends.
    let writer = thread::spawn(move || {
        if pin {
            host::run_as_server()?;
        }
        write(&file, batch, time).map_err(|e| Error::Host(format!("bare SQLite: {e}")))
    });
    let failed = || Error::Host("bare SQLite failed".into());
    writer.join().map_err(|_panic| failed())?
}

fn write(file: &Path, batch: u64, time: Duration) -> rusqlite::Result<f64> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch(SCHEMA)?;
    let text = "0123456789abcdef.1.1.1234.1234567890123";
    let began = Instant::now();
    let mut rows = 0;
    while began.elapsed() < time {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for _ in 0..batch {
                rows += 1;
                insert.execute(params![rows, text, 1_700_000_000_000_i64 + rows])?;
            }
        }
        transaction.commit()?;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let time = Duration::from_millis(20);
        assert!(rows_per_second(dir.path(), 8, time, false).unwrap() > 0.0);
        let connection = Connection::open(dir.path().join("bare-8.db")).unwrap();
        let count = "SELECT count(*), max(id) FROM messages";
        let rows = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (count, newest): (i64, i64) = connection.query_row(count, [], rows).unwrap();
        assert!(count >= 8 && count % 8 == 0 && count == newest);
    }
}
