//! The disk fails for a while: it is full or read-only, or gives errors, as it writes or as it syncs. Or another program keeps the database locked.
//!
//! strace's fault injection makes the built server's calls fail that write, or that sync, from one on to another, for each thread. Whoever sends is told
//! of each failure, and asks again with the same nonce; when the disk works again everything is there, once and in order.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use loiter_client::{Client, Error, get};
use rusqlite::Connection;

use crate::between::say;
use crate::server::{Killed, Traced, prepare};
use crate::stored::texts;

const MESSAGES: usize = 40;
/// Of one message. Nothing fails as often.
const TRIES_MAX: usize = 10_000;

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_disk_that_is_full_for_a_while_loses_and_doubles_nothing() {
    fails("pwrite64", "ENOSPC", "10..60");
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_disk_that_cannot_write_for_a_while_loses_and_doubles_nothing() {
    // Each second call: some fail with half of their commit written.
    fails("pwrite64", "EIO", "11..61+2");
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_disk_that_is_read_only_for_a_while_loses_and_doubles_nothing() {
    fails("pwrite64", "EROFS", "20..50");
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_disk_that_cannot_sync_for_a_while_loses_and_doubles_nothing() {
    fails("fsync,fdatasync", "EIO", "5..25");
}

fn fails(calls: &str, error: &str, when: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, record) = (
        folder.path().join("loiter.db"),
        folder.path().join("record"),
    );
    let token = prepare(&database, 1);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e"])
        .arg(format!("trace=execve,{calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:error={error}:when={when}"))
        .arg("-o")
        .arg(&record)
        .arg(env!("CARGO_BIN_EXE_loiter"));
    let mut server = Killed::start_by(command, &database, 1);
    let traced = Traced::of(&record);
    let mut client = Client::new(server.address).with_session(&token);
    let said: Vec<String> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
    let failures: usize = said.iter().map(|text| insist(&mut client, text)).sum();
    // It goes on as if nothing had been, and ends in good order.
    drop(traced);
    assert!(server.wait().success());
    println!("{error} {failures} times, {MESSAGES} messages there once");
    assert!(failures > 5, "{failures}");
    assert_eq!(texts(&database), said);
}

/// The first that is written is the memory that it shares with others; then the copy.
#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_copy_that_finds_the_disk_full_says_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    prepare(&database, 1);
    let (shared, copy) = (
        folder.path().join("loiter.db-shm"),
        folder.path().join("copy.db"),
    );
    for (path, when, told) in [
        (
            Some(&shared),
            "1+",
            format!("the disk of {} is full", database.display()),
        ),
        (
            None,
            "20+",
            format!("cannot write {}: the disk is full", copy.display()),
        ),
    ] {
        // Left by who served it, and made anew.
        fs::remove_file(&shared).expect("removed");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
        command.arg(format!("inject=pwrite64:error=ENOSPC:when={when}"));
        command.args(path.map(|path| format!("--trace-path={}", path.display())));
        command.arg(env!("CARGO_BIN_EXE_loiter"));
        command
            .args(["backup", "--database"])
            .args([&database, &copy]);
        let output = command.output().expect("strace");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            format!("loiter: {told}\n")
        );
        let files = fs::read_dir(folder.path()).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        let mut names = names.map(|name| name.to_string_lossy().into_owned());
        assert!(names.all(|name| !name.starts_with("copy.db")));
    }
}

#[test]
fn who_has_the_database_locked_for_a_second_is_waited_for() {
    assert_eq!(locked_for(Duration::from_secs(1)), 0);
}

#[test]
#[ignore = "takes a minute"]
fn who_has_the_database_locked_for_a_minute_stops_writes_and_nothing_else() {
    let failures = locked_for(Duration::from_secs(60));
    println!("{failures} tries failed in a minute");
    // It waits five seconds once, and then as long as anybody could wait who writes for a moment.
    assert!(failures > 10, "{failures}");
}

/// Has one say something meanwhile, and go on when the lock is gone. Returns how often that failed.
fn locked_for(time: Duration) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let token = prepare(&database, 1);
    let server = Killed::start(&database, 1);
    let mut speaker = Client::new(server.address).with_session(&token);
    say(&mut speaker, "before").expect("said");
    let other = Connection::open(&database).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let start = Instant::now();
    let speaking = thread::spawn(move || insist(&mut speaker, "meanwhile"));
    // Reads go on, and so do polls, which need no more than the clock to end here.
    let mut reader = Client::new(server.address).with_session(&token);
    while start.elapsed() < time {
        let poll = get("/message/longpoll/").with("chatroomid", 1);
        let poll = poll.with("since", 1).with("timeout", 1);
        let answer = reader.ask(poll).expect("a list").json();
        assert_eq!(answer.as_array().map(Vec::len), Some(0));
    }
    other.execute_batch("ROLLBACK").expect("unlocked");
    let failures = speaking.join().expect("said in the end");
    let mut speaker = Client::new(server.address).with_session(&token);
    say(&mut speaker, "after").expect("said at once");
    drop(server);
    assert_eq!(texts(&database), ["before", "meanwhile", "after"]);
    failures
}

/// Says it until it is said. Returns how often it was not.
fn insist(client: &mut Client, text: &str) -> usize {
    for failures in 0..TRIES_MAX {
        match say(client, text) {
            Ok(()) => return failures,
            Err(Error::Failed(failure)) => assert_eq!(failure.code, "storage_failed"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
    panic!("{text}: the disk works again, and it is not said");
}
