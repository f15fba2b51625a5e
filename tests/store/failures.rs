//! A lock that is not given up, a disk that is full, a process that is killed.
//!
//! What would take the test's own process with it runs in a child: this test binary again, with one test to run
//! and [`CHILD`] set.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rlimit::{INFINITY, Resource};

use super::*;

/// Set in a child.
const CHILD: &str = "LOITER_STORE_TEST_CHILD";

/// The folder that the parent gives its child to work in; `None` in the parent.
fn folder_as_child() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

/// This binary with one test to run. SIGXFSZ is ignored, as a server's would be: the write fails, and no more.
fn child(test: &str, folder: &TempDir) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().expect("a test binary"))
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, folder.path())
        // A child that is killed removes nothing.
        .env("TMPDIR", folder.path());
    command
}

#[test]
fn a_lock_that_is_not_given_up_fails_the_write_and_no_later_one() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.say(chatroom, &ann, "before").expect("saved");
    assert_eq!(fixture.probe(), Ok(()));
    let mut other = fixture.other_program();
    other.lock();
    fixture.submit(say(chatroom, &ann, "meanwhile"));
    // Reads go on while the writing lane waits.
    assert_eq!(fixture.recent(chatroom, 50).messages.len(), 1);
    let message = new_message(fixture.next());
    assert_eq!(message, Err(Fault::StorageFailed));
    assert_eq!(fixture.probe(), Err(Fault::StorageFailed));
    other.unlock();
    assert_eq!(fixture.probe(), Ok(()));
    let message = fixture.say(chatroom, &ann, "after").expect("saved");
    assert_eq!(message.id.get(), 2);
    assert_eq!(fixture.recent(chatroom, 50).messages.len(), 2);
}

/// For longer than anybody waits: all of a full queue is told so without a wait for each batch.
#[test]
fn a_lock_that_is_kept_fails_a_full_queue_at_once_when_it_has_failed_one() {
    let mut fixture = Fixture::new();
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let mut other = fixture.other_program();
    other.lock();
    let start = Instant::now();
    let mut count = 0;
    while fixture.store().submit(say(chatroom, &ann, "x")).is_ok() {
        count += 1;
    }
    assert!(count > 4000, "16 batches");
    for _ in 0..count {
        assert_eq!(new_message(fixture.next()), Err(Fault::StorageFailed));
    }
    // Each batch alone would take five seconds.
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    // A short lock is waited for again, once there was none.
    other.unlock();
    assert_eq!(fixture.probe(), Ok(()));
    other.lock();
    fixture.submit(say(chatroom, &ann, "after"));
    for _ in 0..100 {
        assert_eq!(fixture.recent(chatroom, 50).messages.len(), 0);
    }
    other.unlock();
    assert_eq!(new_message(fixture.next()).expect("saved").id.get(), 1);
}

#[test]
fn writing_goes_on_when_the_disk_has_room_again() {
    if let Some(folder) = folder_as_child() {
        return fill_the_disk(folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "failures::writing_goes_on_when_the_disk_has_room_again";
    let child = child(test, &folder).output().expect("a child");
    let output = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}");
    let sqlite = Connection::open(folder.path().join("loiter.db")).expect("the database");
    assert_whole(&sqlite);
}

/// A limit on the size of files stands in for the disk.
fn fill_the_disk(folder: std::path::PathBuf) {
    let (mut fixture, ann, chatroom) = in_folder(folder);
    let log = format!("{}-wal", fixture.config.database.display());
    let size = std::fs::metadata(log).expect("a log").len();
    let limit = |bytes| rlimit::setrlimit(Resource::FSIZE, bytes, INFINITY).expect("a limit");
    limit(size + 100_000);

    let text = "x".repeat(4000);
    let mut saved = 0;
    let fault = loop {
        match fixture.say(chatroom, &ann, &text) {
            Ok(message) => assert_eq!(message.id.get(), saved + 1),
            Err(fault) => break fault,
        }
        saved += 1;
    };
    assert_eq!(fault, Fault::StorageFailed);
    assert!(saved > 0, "there was room at first");
    assert_eq!(
        fixture.recent(chatroom, 1).last.map(|id| id.get()),
        Some(saved)
    );

    // Many at once fail as one, and nothing of them is left.
    for _ in 0..100 {
        fixture.submit(say(chatroom, &ann, &text));
    }
    for _ in 0..100 {
        let message = new_message(fixture.next());
        assert_eq!(message, Err(Fault::StorageFailed));
    }
    assert_eq!(
        fixture.recent(chatroom, 1).last.map(|id| id.get()),
        Some(saved)
    );

    // What is small has no room either, where it is a page of the log.
    while fixture.probe().is_ok() {}
    assert_eq!(fixture.probe(), Err(Fault::StorageFailed));

    limit(INFINITY);
    assert_eq!(fixture.probe(), Ok(()));
    let message = fixture.say(chatroom, &ann, &text).expect("saved");
    assert_eq!(message.id.get(), saved + 1);
    fixture.close();
}

#[test]
fn a_start_that_runs_out_of_descriptors_says_so() {
    if let Some(folder) = folder_as_child() {
        return start_with_few_descriptors(folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "failures::a_start_that_runs_out_of_descriptors_says_so";
    let child = child(test, &folder).output().expect("a child");
    let output = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}");
}

/// Starts with one descriptor more each time, until there are enough.
fn start_with_few_descriptors(folder: std::path::PathBuf) {
    let config = Config {
        database: folder.join("loiter.db"),
        ..Config::default()
    };
    Resource::NOFILE.set(64, 64).expect("a limit");
    let taken = || std::fs::File::open("/dev/null").ok();
    let mut taken: Vec<_> = std::iter::from_fn(taken).collect();
    let mut refused = 0;
    while let Err(error) = Store::open(&config, |_| ()) {
        let line = error.to_string();
        assert!(line.contains("Too many open files"), "{line}");
        // What is made before it is refused goes with it.
        let bytes = |name: &str| std::fs::metadata(folder.join(name)).map(|of| of.len()).ok();
        assert_ne!(bytes("loiter.db"), Some(0), "{line}");
        if bytes("loiter.db").is_none() {
            assert_eq!(bytes("loiter.db.lock"), None, "{line}");
        }
        refused += 1;
        taken.pop().expect("there must be enough once");
    }
    assert!(refused > 3, "{refused}");
}

/// Panics at whatever is an error.
struct Brittle;

impl log::Log for Brittle {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        assert!(record.level() > log::Level::Error, "{}", record.args());
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_that_panics_leaves_nobody_without_an_answer() {
    if let Some(folder) = folder_as_child() {
        return fail_in_every_lane(folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "failures::a_logger_that_panics_leaves_nobody_without_an_answer";
    let child = child(test, &folder).output().expect("a child");
    let output = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}");
}

fn fail_in_every_lane(folder: std::path::PathBuf) {
    let (mut fixture, ann, chatroom) = in_folder(folder);
    log::set_logger(&Brittle).expect("the first logger");
    log::set_max_level(log::LevelFilter::Info);
    let other = fixture.sqlite();
    let setting = "
        UPDATE users SET password = 'plain';
        ALTER TABLE participants RENAME TO elsewhere";
    other.execute_batch(setting).expect("damage");
    for _ in 0..2 {
        let failed = Fault::StorageFailed;
        assert_eq!(fixture.log_in("ann", "password"), Err(failed));
        let message = fixture.say(chatroom, &ann, "x");
        assert_eq!(message.expect_err("no table"), failed);
        let read = fixture.ask(Job::LoadUser {
            event_loop: 0,
            user: ann.id,
        });
        let chatrooms = field!(read, UserLoaded, chatrooms);
        assert_eq!(chatrooms.expect_err("no table"), failed);
    }
    fixture.close();
}

#[test]
fn who_is_killed_in_mid_batch_has_lost_nothing_that_was_told() {
    if let Some(folder) = folder_as_child() {
        return talk_for_ever(folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let test = "failures::who_is_killed_in_mid_batch_has_lost_nothing_that_was_told";
    let mut child = child(test, &folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let told = BufReader::new(child.stderr.take().expect("piped"));
    let mut last = 0;
    for line in told.lines() {
        // The last line may be cut short, and is then no worse for it.
        let Some(id) = line
            .expect("text")
            .strip_prefix("saved ")
            .and_then(|id| id.parse().ok())
        else {
            continue;
        };
        last = last.max(id);
        if last >= 2000 {
            // A second time is harmless: what is in the pipe is still to be read.
            child.kill().expect("ours");
        }
    }
    child.wait().expect("dead");
    assert!(last >= 2000, "the child died early");

    let (mut fixture, ann, chatroom) = in_folder(folder.path().to_owned());
    let stored = fixture.recent(chatroom, 1).last.expect("messages").get();
    assert!(stored >= last, "{stored} stored, {last} told");
    assert_whole(&fixture.sqlite());
    let message = fixture.say(chatroom, &ann, "after").expect("saved");
    assert_eq!(message.id.get(), stored + 1);
}

/// Tells on standard error what is saved, with as many under way as a batch has.
fn talk_for_ever(folder: std::path::PathBuf) {
    let (mut fixture, ann, chatroom) = in_folder(folder);
    for _ in 0..256 {
        fixture.submit(say(chatroom, &ann, "x"));
    }
    loop {
        let message = new_message(fixture.next()).expect("saved");
        eprintln!("saved {}", message.id);
        fixture.submit(say(chatroom, &ann, "x"));
    }
}

/// A store in a folder that the parent removes, with ann in her chatroom.
fn in_folder(folder: std::path::PathBuf) -> (Fixture, User, ChatroomId) {
    let mut fixture = Fixture::with(|config| config.database = folder.join("loiter.db"));
    let ann = match fixture.log_in("ann", "password") {
        Ok((ann, _)) => ann,
        Err(_) => fixture.user("ann"),
    };
    let job = Job::LoadUser {
        event_loop: 0,
        user: ann.id,
    };
    let chatrooms = field!(fixture.ask(job), UserLoaded, chatrooms).expect("a read");
    let chatroom = match chatrooms.first() {
        Some(&chatroom) => chatroom,
        None => fixture.chatroom(&ann),
    };
    (fixture, ann, chatroom)
}

fn assert_whole(sqlite: &Connection) {
    let check = sqlite.pragma_query_value(None, "integrity_check", |row| row.get(0));
    assert_eq!(check, Ok("ok".to_owned()));
    let gaps = "SELECT max(id) - count(*) FROM messages";
    assert_eq!(sqlite.query_row(gaps, (), |row| row.get(0)), Ok(0));
}
