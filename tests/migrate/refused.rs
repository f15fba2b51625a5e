//! What is no source, and what no target; each said in a line that names it, and never a password.

use std::fs;
use std::sync::atomic::AtomicBool;

use loiter::{Config, MigrateError, Migration, Server, Users};

use super::{Fixture, serve};

#[track_caller]
fn refused(migration: &Migration, why: &str) -> MigrateError {
    let error = migration.run(&false.into(), |_, _, _| ());
    let error = error.expect_err("refused");
    let line = error.to_string();
    assert!(line.contains(why), "{line}");
    assert!(!line.contains('\n'), "{line}");
    error
}

/// One that was begun, and has copied nothing yet.
fn begun() -> Fixture {
    let fixture = Fixture::new();
    fixture.fill();
    let stop = AtomicBool::new(true);
    assert!(fixture.migration().run(&stop, |_, _, _| ()).is_err());
    fixture
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn a_source_is_a_database_of_this_version_that_nobody_serves() {
    let fixture = Fixture::new();
    let of = |name: &str| Migration {
        from: fixture.folder.path().join(name),
        to: fixture.to.clone(),
    };
    refused(&of("missing.db"), "there is no database");
    for address in ["postgres://ann:hush@db/chat", "mysql://ann:hush@db/chat"] {
        let migration = Migration {
            from: address.into(),
            to: fixture.to.clone(),
        };
        let error = refused(&migration, "ann@db/chat is");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
    fs::write(fixture.folder.path().join("diary"), [b'x'; 4096]).expect("written");
    refused(&of("diary"), "is not a database");
    let older = rusqlite::Connection::open(fixture.folder.path().join("older.db"));
    let marks =
        "PRAGMA application_id = 0x6c6f6974; PRAGMA user_version = 1; CREATE TABLE users (id)";
    older.expect("a file").execute_batch(marks).expect("marked");
    refused(&of("older.db"), "is that of an older loiter");
    let serving = fixture.serve_file();
    let error = refused(&fixture.migration(), "a loiter serves the database");
    assert!(matches!(error, MigrateError::Source(_)), "{error:?}");
    drop(serving);
    fixture.migrate().expect("copied");
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn nobody_serves_or_writes_to_the_source_meanwhile() {
    let fixture = Fixture::new();
    fixture.fill();
    let config = Config {
        database: fixture.from.clone(),
        ..Config::default()
    };
    let done = fixture
        .migration()
        .run(&false.into(), |table, copied, rows| {
            if table == "users" && copied < rows {
                let served = Server::bind(config.clone()).map(drop);
                let served = served.expect_err("locked").to_string();
                assert!(served.contains("another loiter serves"), "{served}");
                let writer = fixture.source();
                writer.busy_timeout(std::time::Duration::ZERO).expect("set");
                writer
                    .execute("DELETE FROM nonces", ())
                    .expect_err("locked");
            }
        });
    done.expect("copied");
    fixture.assert_equal();
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn a_target_has_nothing_of_anybody_else() {
    let fixture = Fixture::new();
    drop(serve(&fixture.to));
    // Served, and nobody ever came.
    fixture.migrate().expect("copied");
    fixture
        .source()
        .execute("INSERT INTO users VALUES (1, 'a', 'a', 'hash', 1)", ())
        .expect("a user");
    fixture.migrate().expect("still nobody");
    let done = refused(&fixture.migration(), "all has been copied before");
    assert!(done.to_string().contains("empty it first"), "{done}");
    let foreign = Fixture::new();
    foreign
        .target()
        .batch_execute("CREATE TABLE users (x INT)")
        .expect("a table");
    refused(&foreign.migration(), "another application");
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn a_migration_that_was_begun_is_of_one_source_as_it_was() {
    let fixture = begun();
    let other = Fixture::new();
    let of_other = Migration {
        to: fixture.to.clone(),
        ..other.migration()
    };
    refused(&of_other, "is being filled from");
    fixture
        .source()
        .execute("DELETE FROM nonces WHERE user = 1", ())
        .expect("changed");
    refused(&fixture.migration(), "has changed since");
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn nobody_begins_with_half_of_it() {
    let fixture = begun();
    let config = Config {
        database: fixture.to.clone(),
        ..Config::default()
    };
    let why = "run loiter migrate again";
    let served = Server::bind(config.clone()).map(drop).expect_err("half");
    assert!(served.to_string().contains(why), "{served}");
    let users = Users::open(&config).map(drop).expect_err("half");
    assert!(users.to_string().contains(why), "{users}");
    fixture.migrate().expect("copied");
    Users::open(&config).map(drop).expect("whole");
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn what_has_not_as_many_rows_is_told() {
    let fixture = begun();
    let stray = "INSERT INTO nonces VALUES (77, 7, 'x', 7, 7)";
    fixture.target().execute(stray, &[]).expect("a row");
    let error = refused(
        &fixture.migration(),
        "of nonces there are 6000 rows, and 6001",
    );
    assert!(matches!(error, MigrateError::Differs { .. }), "{error:?}");
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn a_target_that_is_not_there_is_told_without_its_password() {
    let fixture = Fixture::new();
    let to = |address: &str| Migration {
        from: fixture.from.clone(),
        to: address.into(),
    };
    // Nobody listens there.
    let error = refused(
        &to("postgres://ann:hush@127.0.0.1:1/chat"),
        "postgres://ann@127.0.0.1:1/chat",
    );
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    refused(&to("copy.db"), "is not the address");
    let foreign = refused(&to("mysql://ann:hush@db/chat"), "postgres://ann@");
    assert!(
        !format!("{foreign} {foreign:?}").contains("hush"),
        "{foreign:?}"
    );
    let migration = to("postgres://ann:hush@127.0.0.1:1/chat");
    assert!(!format!("{migration:?}").contains("hush"));
}
