//! A database that is not what was written: refused in one line, or read as far as it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use loiter::store::OpenError;
use rusqlite::config::DbConfig;

use super::*;

const PAGE: usize = 4096;
/// Of the write-ahead log: its head, and what stands before each page.
const LOG_HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
const FRAME: usize = FRAME_HEAD + PAGE;

/// A database of some pages, closed, with nothing beside it.
fn whole() -> (Fixture, Vec<u8>) {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    // Short enough to stand in the tree itself: SQLite has no checksums, and of what stands beside it only the length is known.
    for _ in 0..100 {
        let text = "x".repeat(500);
        fixture.say(chatroom, &ann, &text).expect("saved");
    }
    fixture.close();
    let bytes = fs::read(&fixture.config.database).expect("a file");
    assert!(bytes.len() > 20 * PAGE, "{}", bytes.len());
    (fixture, bytes)
}

/// Why a start is refused that finds these bytes, which it leaves as they are.
#[track_caller]
fn refusal(fixture: &Fixture, bytes: &[u8]) -> OpenError {
    let database = &fixture.config.database;
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    fs::write(database, bytes).expect("written");
    let error = Store::open(&fixture.config, |_| ()).err();
    let error = error.expect("it is damaged");
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains(&*database.to_string_lossy()), "{line}");
    assert!(fs::read(database).expect("a file") == bytes, "{line}");
    error
}

#[test]
fn a_damaged_head_is_no_database_or_not_ours() {
    let (fixture, bytes) = whole();
    let with = |at: usize, bad: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + bad.len()].copy_from_slice(bad);
        refusal(&fixture, &bytes)
    };
    let nothing = with(0, &[0; 100]);
    assert!(matches!(nothing, OpenError::NotADatabase(_)), "{nothing}");
    let magic = with(0, b"sqlite");
    assert!(matches!(magic, OpenError::NotADatabase(_)), "{magic}");
    let page_size = with(16, &[0, 3]);
    assert!(
        matches!(page_size, OpenError::NotADatabase(_)),
        "{page_size}"
    );
    let application = with(68, b"mail");
    assert!(
        matches!(application, OpenError::Foreign(_)),
        "{application}"
    );
    let version = with(60, &99u32.to_be_bytes());
    assert!(
        matches!(version, OpenError::NewerSchema { found: 99, .. }),
        "{version}"
    );
    let schema = with(100, &[0xff; 8]);
    assert!(matches!(schema, OpenError::Damaged { .. }), "{schema}");
}

#[test]
fn a_database_cut_short_is_damaged() {
    let (fixture, bytes) = whole();
    for length in [PAGE, PAGE + 1, bytes.len() / 2, bytes.len() - PAGE] {
        let error = refusal(&fixture, &bytes[..length]);
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn any_damaged_page_is_found() {
    let (mut fixture, bytes) = whole();
    for page in 1..bytes.len() / PAGE {
        let mut bytes = bytes.clone();
        // What a disk gives that has lost a page, or another's page.
        bytes[page * PAGE..(page + 1) * PAGE].fill(if page % 2 == 0 { 0 } else { 0xa5 });
        let error = refusal(&fixture, &bytes);
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{page}: {error}"
        );
    }
    // And nothing where there is nothing.
    fs::write(&fixture.config.database, &bytes).expect("written");
    fixture.reopen();
    assert_eq!(fixture.find("ann", 1), ["ann"]);
}

/// The files of a store that is killed with ten messages in the log.
struct Killed {
    database: Vec<u8>,
    log: Vec<u8>,
    folder: TempDir,
}

impl Killed {
    fn new() -> Self {
        let mut fixture = Fixture::with(|config| config.durability = Durability::Full);
        let ann = fixture.user("ann");
        let chatroom = fixture.chatroom(&ann);
        for n in 1..=10 {
            fixture
                .say(chatroom, &ann, &format!("message {n}"))
                .expect("saved");
        }
        let log = format!("{}-wal", fixture.config.database.display());
        Self {
            database: fs::read(&fixture.config.database).expect("a file"),
            log: fs::read(log).expect("a log"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Where each commit ends. The frame that ends one says how many pages the database has then.
    fn commits(&self) -> Vec<usize> {
        let frames = self.log[LOG_HEAD..].chunks_exact(FRAME).enumerate();
        let commits = frames.filter(|(_, frame)| frame[4..8] != [0; 4]);
        commits.map(|(at, _)| LOG_HEAD + (at + 1) * FRAME).collect()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("loiter.db")
    }

    fn put_log(&self, log: &[u8]) {
        let _ = fs::remove_file(self.folder.path().join("loiter.db-shm"));
        fs::write(self.folder.path().join("loiter.db-wal"), log).expect("written");
    }

    /// How many messages are there with this log, which have no gap. The log stays where it is, and the database as it was.
    fn messages_with(&self, log: &[u8]) -> i64 {
        self.put_log(log);
        let sqlite = Connection::open(self.path()).expect("a database");
        let stays = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        sqlite.set_db_config(stays, true).expect("set");
        let bounds = "SELECT count(*), coalesce(max(id), 0) FROM messages";
        let (count, last): (i64, i64) = sqlite
            .query_row(bounds, (), |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("whole");
        assert_eq!(count, last);
        count
    }

    /// The same, by a start.
    fn messages_at_start(&self, log: &[u8]) -> i64 {
        fs::write(self.path(), &self.database).expect("written");
        self.put_log(log);
        let config = Config {
            database: self.path(),
            ..Config::default()
        };
        drop(Store::open(&config, |_| ()).expect("it starts"));
        count_whole(&self.path())
    }
}

fn count_whole(path: &Path) -> i64 {
    let sqlite = Connection::open(path).expect("a database");
    let check = sqlite.pragma_query_value(None, "integrity_check", |row| row.get(0));
    assert_eq!(check, Ok("ok".to_owned()));
    let count = "SELECT count(*) FROM messages";
    sqlite
        .query_row(count, (), |row| row.get(0))
        .expect("a number")
}

#[test]
fn a_log_torn_at_any_byte_loses_only_what_was_torn() {
    let killed = Killed::new();
    let commits = killed.commits();
    let [.., before, end] = commits[..] else {
        panic!("{commits:?}");
    };
    let log = &killed.log[..end];
    fs::write(killed.path(), &killed.database).expect("written");
    assert_eq!(killed.messages_with(log), 10);
    // Each byte of the last commit, which was under way: cut short there, or damaged there.
    for at in before..end {
        assert_eq!(killed.messages_with(&log[..at]), 9, "cut at {at}");
        let mut damaged = log.to_vec();
        damaged[at] ^= 0x10;
        assert_eq!(killed.messages_with(&damaged), 9, "damaged at {at}");
    }
    // By a start, at any earlier commit's end and somewhat later: what was committed by then is there.
    let messages = commits.iter().rev().zip((0..=10).rev());
    for (end, count) in messages.take(8) {
        for beyond in [0, 1, FRAME_HEAD, FRAME_HEAD + 1, FRAME / 2, FRAME - 1] {
            let cut = (end + beyond).min(killed.log.len());
            assert_eq!(killed.messages_at_start(&killed.log[..cut]), count, "{cut}");
        }
    }
}

#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    let killed = Killed::new();
    let config = Config {
        database: killed.path(),
        ..Config::default()
    };
    for is_empty in [false, true] {
        let _ = fs::remove_file(killed.path());
        if is_empty {
            fs::write(killed.path(), "").expect("written");
        }
        killed.put_log(&killed.log);
        let error = Store::open(&config, |_| ()).err().expect("it lacks");
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert_eq!(killed.path().exists(), is_empty);
    }
    // Whoever finds the database again has everything.
    let log = fs::read(killed.folder.path().join("loiter.db-wal")).expect("a log");
    assert_eq!(killed.messages_at_start(&log), 10);
}
