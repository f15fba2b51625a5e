//! What is in a database that nobody serves, for tests of the built binary.

use std::path::Path;

use rusqlite::Connection;

/// The texts of chatroom 1, in the order of their ids, which have no gap. The database is whole.
pub(crate) fn texts(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).expect("a database");
    let check = connection.pragma_query_value(None, "integrity_check", |row| row.get(0));
    assert_eq!(check, Ok("ok".to_owned()));
    let mut all = connection
        .prepare("SELECT id, text FROM messages WHERE chatroom = 1 ORDER BY id")
        .expect("prepared");
    let rows = all.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, String)> = rows.expect("read").map(|row| row.expect("a row")).collect();
    assert!(rows.iter().zip(1..).all(|((id, _), place)| *id == place));
    rows.into_iter().map(|(_, text)| text).collect()
}
