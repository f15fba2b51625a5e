//! Whose database a file is, and the upgrade of its schema.
//!
//! The version is in `user_version`, and `application_id` says that the database is loiter's, so that a slip of
//! `--database` does not put our tables into somebody else's file. An upgrade is one transaction: a start that is
//! killed in the middle of it leaves the old version whole.

use std::path::Path;

use rusqlite::Connection;

use super::sql;
use crate::store::error::OpenError;

/// "loit" in ASCII.
const APPLICATION_ID: i64 = 0x6c6f_6974;

/// Refuses what is not ours or newer than we are. Changes nothing.
///
/// # Errors
/// [`OpenError::NewerSchema`], [`OpenError::Foreign`], and what SQLite meets.
pub(super) fn check(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    check_for(connection, sql::MIGRATIONS, database)
}

/// Brings the schema to the newest version, of a database that [`check`] has let pass. Begins a writing transaction
/// also where there is nothing to do, which is how a database that cannot be written to is found out.
pub(super) fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    upgrade_by(connection, sql::MIGRATIONS)
}

/// Whether a database that [`check`] has let pass has the newest schema.
pub(super) fn is_newest(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == sql::MIGRATIONS.len() as i64)
}

/// Whether a database that [`check`] has let pass has no schema yet.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == 0)
}

fn check_for(
    connection: &Connection,
    migrations: &[&str],
    database: &Path,
) -> Result<(), OpenError> {
    let of_sqlite = |error| OpenError::of_sqlite(database, error);
    let application_id = pragma(connection, "application_id").map_err(of_sqlite)?;
    let found = version(connection).map_err(of_sqlite)?;
    let tables: i64 = connection
        .query_row(sql::COUNT_TABLES, (), |row| row.get(0))
        .map_err(of_sqlite)?;
    let known = migrations.len() as i64;
    let empty = application_id == 0 && found == 0 && tables == 0;
    if empty || (application_id == APPLICATION_ID && (1..=known).contains(&found)) {
        Ok(())
    } else if application_id == APPLICATION_ID && found > known {
        Err(OpenError::NewerSchema {
            database: database.to_owned(),
            found,
            known,
        })
    } else {
        Err(OpenError::Foreign(database.to_owned()))
    }
}

fn upgrade_by(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let behavior = rusqlite::TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior)?;
    let found = version(&transaction)?;
    // `check` has refused versions that are negative or beyond the list.
    let steps = &migrations[found as usize..];
    for step in steps {
        transaction.execute_batch(step)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    }
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    pragma(connection, "user_version")
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of which each but the first needs the one before.
    const STEPS: &[&str] = &[
        "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);",
        "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
        "ALTER TABLE a RENAME TO b; UPDATE b SET y = y * 10;",
    ];

    fn memory() -> Connection {
        Connection::open_in_memory().expect("memory")
    }

    fn tables(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema ORDER BY name")
            .expect("sqlite_schema");
        let rows = statement.query_map((), |row| {
            Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default())
        });
        rows.and_then(Iterator::collect).expect("the schema")
    }

    fn checked(connection: &Connection, migrations: &[&str]) -> Result<(), OpenError> {
        check_for(connection, migrations, Path::new("x.db"))
    }

    #[test]
    fn every_older_version_becomes_the_newest() {
        for older in 0..=STEPS.len() {
            let mut connection = memory();
            upgrade_by(&mut connection, &STEPS[..older]).expect("the older schema");
            checked(&connection, STEPS).expect("ours");
            upgrade_by(&mut connection, STEPS).expect("the newest");
            assert_eq!(version(&connection), Ok(3), "from {older}");
            let y = connection.query_row("SELECT y FROM b", (), |row| row.get::<_, i64>(0));
            assert_eq!(y, Ok(20), "from {older}");
        }
    }

    #[test]
    fn the_real_schema_is_the_same_from_every_older_version() {
        let mut fresh = memory();
        upgrade(&mut fresh).expect("from nothing");
        for older in 0..sql::MIGRATIONS.len() {
            let mut connection = memory();
            upgrade_by(&mut connection, &sql::MIGRATIONS[..older]).expect("the older schema");
            upgrade(&mut connection).expect("the newest");
            assert_eq!(tables(&connection), tables(&fresh), "from {older}");
        }
    }

    #[test]
    fn what_a_database_of_the_first_version_holds_is_still_there() {
        let mut connection = memory();
        upgrade_by(&mut connection, &sql::MIGRATIONS[..1]).expect("version 1");
        let rows = "
            INSERT INTO users VALUES (1, 'Ann', 'ann', 'hash', 5), (2, 'bob', 'bob', 'hash', 5);
            INSERT INTO chatrooms VALUES (1, 1, 6), (2, 2, 6);
            INSERT INTO participants VALUES (1, 1, 1), (1, 2, 2), (2, 1, 2);
            INSERT INTO messages VALUES (1, 1, 1, 'a', 7), (1, 2, 1, 'b', 8);";
        connection.execute_batch(rows).expect("rows");
        upgrade(&mut connection).expect("the newest");
        let chatrooms = "
            SELECT group_concat(concat_ws(',', id, admin, quote(name), participants, quote(oldest_time)), ';')
            FROM chatrooms";
        let chatrooms = connection.query_row(chatrooms, (), |row| row.get(0));
        let expected = "1,1,NULL,2,7;2,2,NULL,1,NULL";
        assert_eq!(chatrooms, Ok(expected.to_owned()));
        let texts = "SELECT group_concat(text) FROM messages";
        let texts = connection.query_row(texts, (), |row| row.get(0));
        assert_eq!(texts, Ok("a,b".to_owned()));
    }

    #[test]
    fn a_table_without_rowid_begins_with_its_key() {
        let mut connection = memory();
        upgrade(&mut connection).expect("the schema");
        let columns = "
            SELECT tables.name, columns.cid, columns.pk
            FROM pragma_table_list AS tables, pragma_table_info(tables.name) AS columns
            WHERE tables.wr AND columns.pk > 0";
        let mut statement = connection.prepare(columns).expect("pragmas");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let keys: rusqlite::Result<Vec<(String, i64, i64)>> =
            statement.query_map((), row).and_then(Iterator::collect);
        let keys = keys.expect("columns");
        assert_eq!(keys.len(), 8, "{keys:?}");
        for (table, column, place) in keys {
            assert_eq!(place, column + 1, "{table}");
        }
    }

    #[test]
    fn an_upgrade_that_fails_changes_nothing() {
        let mut connection = memory();
        upgrade_by(&mut connection, &STEPS[..1]).expect("version 1");
        let before = tables(&connection);
        let broken = [STEPS[0], STEPS[1], "CREATE TABLE c (z INTEGER); nonsense;"];
        upgrade_by(&mut connection, &broken).expect_err("nonsense");
        assert_eq!(version(&connection), Ok(1));
        assert_eq!(tables(&connection), before);
        assert!(connection.is_autocommit());
    }

    #[test]
    fn a_newer_version_is_told_with_both_versions() {
        let mut connection = memory();
        upgrade_by(&mut connection, STEPS).expect("version 3");
        let error = checked(&connection, &STEPS[..2]).expect_err("newer");
        let line = error.to_string();
        assert!(
            line.contains("version 3") && line.contains("up to 2"),
            "{line}"
        );
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for foreign in [
            "CREATE TABLE t (x)",
            "PRAGMA user_version = 1",
            "PRAGMA application_id = 7",
            "PRAGMA application_id = 0x6c6f6974",
            "PRAGMA application_id = 0x6c6f6974; PRAGMA user_version = -1",
        ] {
            let connection = memory();
            connection.execute_batch(foreign).expect(foreign);
            let refused = checked(&connection, STEPS);
            assert!(matches!(refused, Err(OpenError::Foreign(_))), "{foreign}");
        }
    }
}
