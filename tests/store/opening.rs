//! What is refused at the start, and in which words.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use loiter::store::OpenError;

use super::*;

/// Opens what cannot be opened. The message has one line, and names the path; nothing is left that was not there.
fn refused(config: &Config) -> OpenError {
    let beside = || {
        let folder = config.database.parent().expect("a folder").read_dir();
        let files = folder.into_iter().flatten().flatten();
        let mut names: Vec<_> = files.map(|file| file.file_name()).collect();
        names.sort();
        names
    };
    let before = beside();
    let error = match Store::open(config, |_| ()) {
        Ok(_) => panic!("{} was opened", config.database.display()),
        Err(error) => error,
    };
    assert_eq!(beside(), before, "{error}");
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    let name = config
        .database
        .file_name()
        .expect("a name")
        .to_string_lossy();
    let folder = config
        .database
        .parent()
        .expect("a folder")
        .to_string_lossy();
    assert!(line.contains(&*name) || line.contains(&*folder), "{line}");
    error
}

fn at(path: &Path) -> Config {
    Config {
        database: path.to_owned(),
        ..Config::default()
    }
}

/// The lock beside a database is that of a name. Its file has one of its own.
#[test]
fn a_database_is_served_once_by_whatever_name() {
    let fixture = Fixture::new();
    let other = fixture.folder.path().join("other.db");
    fs::hard_link(&fixture.config.database, &other).expect("a link");
    assert!(matches!(refused(&at(&other)), OpenError::Served(_)));
    let mut lock = fixture.config.database.clone().into_os_string();
    lock.push(".lock");
    fs::remove_file(lock).expect("removed");
    assert!(matches!(refused(&fixture.config), OpenError::Served(_)));
}

/// Or its file by itself, copied or moved without its log, would be taken for a new one.
#[test]
fn a_new_databases_schema_is_in_its_file() {
    let fixture = Fixture::new();
    let copy = fixture.folder.path().join("copy.db");
    fs::copy(&fixture.config.database, &copy).expect("copied");
    let copy = Connection::open(copy).expect("a database");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'messages'";
    let found: i64 = copy.query_row(tables, (), |row| row.get(0)).expect("one");
    assert_eq!(found, 1);
}

#[test]
fn a_database_is_served_once() {
    let mut fixture = Fixture::new();
    assert!(matches!(refused(&fixture.config), OpenError::Served(_)));
    let link = fixture.folder.path().join("link.db");
    std::os::unix::fs::symlink(&fixture.config.database, &link).expect("a link");
    let error = Store::open(&at(&link), |_| ()).err().expect("served");
    assert!(matches!(error, OpenError::Served(_)), "by another path too");
    // The refused have taken no lock from the one who serves.
    fixture.user("ann");
    fixture.reopen();
    assert_eq!(fixture.find("ann", 1), ["ann"]);
}

#[test]
fn an_address_of_something_else_is_taken_for_no_folder() {
    for given in ["mysql://ann:hush@db/chat", "sqlite://chat.db"] {
        let error = Store::open(&at(given.as_ref()), |_| ()).err();
        let error = error.expect("refused");
        assert!(matches!(error, OpenError::ForeignAddress(_)), "{error:?}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("postgres://"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let mut fixture = Fixture::new();
    fixture.close();
    fixture
        .sqlite()
        .pragma_update(None, "user_version", 99)
        .expect("a version");
    let line = refused(&fixture.config).to_string();
    assert!(
        line.contains("version 99") && line.contains("up to 2"),
        "{line}"
    );
}

#[test]
fn what_is_not_a_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    // SQLite itself takes a file of one byte for an empty one.
    for length in [1, 5, 511, 512, 10_000] {
        let bytes = vec![b'x'; length];
        fs::write(&path, &bytes).expect("a file");
        assert!(matches!(refused(&at(&path)), OpenError::NotADatabase(_)));
        assert_eq!(fs::read(&path).expect("a file"), bytes);
    }
}

#[test]
fn another_applications_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("foreign.db");
    let foreign = Connection::open(&path).expect("a database");
    foreign
        .execute_batch("CREATE TABLE t (x)")
        .expect("a table");
    foreign.close().expect("closed");
    let bytes = fs::read(&path).expect("a file");
    assert!(matches!(refused(&at(&path)), OpenError::Foreign(_)));
    assert_eq!(fs::read(&path).expect("a file"), bytes);
}

#[test]
fn a_folder_and_a_missing_folder_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    let missing = refused(&at(&inner.join("x.db")));
    assert!(matches!(missing, OpenError::NoFolder(path) if path == inner.join("x.db")));
    fs::create_dir(&inner).expect("a folder");
    assert!(matches!(refused(&at(&inner)), OpenError::IsFolder(_)));
    fs::write(folder.path().join("file"), "").expect("a file");
    let error = refused(&at(&folder.path().join("file/x.db")));
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
fn what_is_no_file_is_refused_by_what_it_is() {
    let was_there = Path::new("/dev/null.lock").exists();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
    for (path, is) in [
        (socket, "is a socket: it must be a regular file"),
        (link, "/dev/null is a device: it must be a regular file"),
        ("/dev/null".into(), "is a device: it must be a regular file"),
        (folder.path().to_owned(), "is a folder: it must be a file"),
    ] {
        let error = Store::open(&at(&path), |_| ()).err().expect("refused");
        assert!(error.to_string().contains(is), "{error}");
        let error = loiter::Users::open(&at(&path)).err().expect("refused");
        assert!(error.to_string().contains(is), "{error}");
    }
    // One that is not there yet, and is meant to be.
    let meant = Store::open(&at(&folder.path().join("data/")), |_| ()).err();
    assert!(matches!(meant, Some(OpenError::IsFolder(_))), "{meant:?}");
    assert_eq!(Path::new("/dev/null.lock").exists(), was_there);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 2);
}

#[test]
fn what_is_read_only_is_refused() {
    let mut fixture = Fixture::new();
    fixture.close();
    let (file, folder) = (&fixture.config.database, fixture.folder.path());
    for (path, mode, good) in [(file.as_path(), 0o444, 0o600), (folder, 0o555, 0o700)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        let error = refused(&fixture.config);
        fs::set_permissions(path, Permissions::from_mode(good)).expect("ours");
        assert!(matches!(error, OpenError::NotWritable(_)), "{error}");
    }
    fixture.reopen();
    fixture.user("ann");
}

#[test]
fn a_new_database_is_its_owners_alone() {
    let fixture = Fixture::new();
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", fixture.config.database.display());
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("loiter.db"), "").expect("a file");
    let _open = open(&config(&folder));
}

#[test]
fn an_empty_path_is_refused() {
    let error = Store::open(&at(Path::new("")), |_| ())
        .err()
        .expect("nothing");
    assert_eq!(error.to_string(), "the path of the database is empty");
}

#[test]
fn a_link_to_nothing_yet_is_a_database_to_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_folder = |name: &str| folder.path().join(name);
    fs::create_dir(in_folder("inner")).expect("a folder");
    let link = std::os::unix::fs::symlink::<&str, _>;
    link("inner/second", in_folder("first")).expect("a link");
    link("../loiter.db", in_folder("inner/second")).expect("a link");
    let _open = open(&at(&in_folder("first")));
    assert!(in_folder("loiter.db").is_file());
    assert!(matches!(refused(&config(&folder)), OpenError::Served(_)));

    link("missing/loiter.db", in_folder("third")).expect("a link");
    let error = Store::open(&at(&in_folder("third")), |_| ()).err();
    assert!(
        matches!(error, Some(OpenError::NoFolder(path)) if path.ends_with("missing/loiter.db"))
    );
}

#[test]
fn a_database_that_another_program_keeps_locked_is_refused() {
    let mut fixture = Fixture::new();
    fixture.close();
    let other = fixture.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert!(matches!(refused(&fixture.config), OpenError::Locked(_)));
}

#[test]
fn the_database_is_set_up_as_promised() {
    let fixture = Fixture::new();
    let sqlite = fixture.sqlite();
    let mode = sqlite.pragma_query_value(None, "journal_mode", |row| row.get(0));
    assert_eq!(mode, Ok("wal".to_owned()));
    let id = sqlite.pragma_query_value(None, "application_id", |row| row.get(0));
    assert_eq!(id, Ok(i64::from(u32::from_be_bytes(*b"loit"))));
}
