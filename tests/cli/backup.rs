//! `loiter backup`: a copy of what is served, whole, while it is written to; and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use loiter_client::Client;
use rusqlite::Connection;

use super::serving::{Serving, assert_fails_in_one_line, folder, lines, until_closed};
use super::signals::ending;
use super::stored::texts;
use super::{PATIENCE, assert_holds, loiter, run, signal, text};

fn backup(database: &Path, to: &Path) -> Output {
    let mut command = loiter();
    command.args(["--log", "error", "backup", "--database"]);
    run(command.arg(database).arg(to))
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
}

/// The files of a folder whose name begins so.
fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn a_copy_of_what_is_served_has_all_that_was_acknowledged_before() {
    let folder = folder();
    let served = Serving::start(folder.path(), &["127.0.0.1:0"], &["--log", "error"]);
    let mut ann = Client::new(served.addresses[0]);
    ann.register("ann", "correct horse").expect("registered");
    ann.log_in("ann", "correct horse").expect("logged in");
    assert_eq!(ann.new_chatroom().expect("created"), 1);
    let token = ann.session().expect("a session").to_owned();

    // Four send until the copies are made; what is acknowledged is counted by the test, in the order of the ids.
    let (told, acknowledged) = mpsc::channel();
    let enough = AtomicBool::new(false);
    let copies = thread::scope(|scope| {
        for sender in 0..4 {
            let (told, enough) = (told.clone(), &enough);
            let mut client = Client::new(served.addresses[0]).with_session(&token);
            scope.spawn(move || {
                for n in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let text = format!("{sender}-{n}-{}", "x".repeat(3000));
                    client.send(1, &text).expect("sent");
                    told.send(text).expect("the test listens");
                }
            });
        }
        drop(told);
        let mut before: Vec<String> = Vec::new();
        let mut copies = Vec::new();
        for number in 0..5 {
            before.extend(acknowledged.iter().take(200));
            before.extend(acknowledged.try_iter());
            let to = folder.path().join(format!("copy-{number}.db"));
            assert_done(&backup(&folder.path().join("chat.db"), &to));
            // Nobody had to wait for the copy's end.
            let during = acknowledged.try_iter().collect::<Vec<_>>();
            copies.push((to, before.len(), during.len()));
            before.extend(during);
        }
        enough.store(true, Ordering::Relaxed);
        before.extend(acknowledged.iter());
        // Some were acknowledged while a copy was made.
        assert!(copies.iter().any(|(_, _, during)| *during > 0));
        for (to, count, _) in copies {
            let copied = texts(&to);
            for text in &before[..count] {
                assert!(copied.contains(text), "{} lacks {text:.9}", to.display());
            }
            assert!(copied.len() <= before.len());
        }
        assert_eq!(
            names(folder.path(), "copy-").len(),
            5,
            "nothing beside them"
        );
        texts(&folder.path().join("copy-4.db"))
    });

    // It is a database like any other: somebody logs in, reads and goes on.
    let mode = fs::metadata(folder.path().join("copy-4.db")).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let restored = folder.path().join("restored");
    fs::create_dir(&restored).expect("a folder");
    fs::rename(folder.path().join("copy-4.db"), restored.join("chat.db")).expect("moved");
    let second = Serving::start(&restored, &["127.0.0.1:0"], &["--log", "error"]);
    let mut ann = Client::new(second.addresses[0]);
    ann.log_in("ann", "correct horse").expect("logged in");
    let sent = ann.send(1, "after").expect("sent");
    assert_eq!(sent, copies.len() as u64 + 1);
}

#[test]
fn nothing_is_written_over_and_nothing_is_left_of_a_copy_that_fails() {
    let folder = folder();
    let in_folder = |name: &str| folder.path().join(name);
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let database = in_folder("chat.db");
    fs::write(in_folder("novel.txt"), "It was a dark and stormy night.").expect("written");
    std::os::unix::fs::symlink("nowhere", in_folder("link")).expect("a link");
    for taken in ["novel.txt", "link", "chat.db"] {
        let output = backup(&database, &in_folder(taken));
        assert_fails_in_one_line(&output, "is there already");
    }
    for folder in [folder.path(), Path::new("/")] {
        let output = backup(&database, folder);
        assert_fails_in_one_line(&output, "is a folder: give the copy a name in it");
    }
    // What a database of this name has left would be taken for the copy's own.
    for stale in ["old.db-wal", "old.db-shm", "old.db-journal"] {
        fs::write(in_folder(stale), "").expect("written");
        let output = backup(&database, &in_folder("old.db"));
        assert_fails_in_one_line(&output, &format!("{stale} is there already"));
        fs::remove_file(in_folder(stale)).expect("removed");
    }
    // And a copy of such a name would be taken for a part of what is there.
    for part in ["novel.txt-wal", "novel.txt-shm", "novel.txt-journal"] {
        let output = backup(&database, &in_folder(part));
        let why = format!("{part} would be taken for what SQLite keeps beside");
        assert_fails_in_one_line(&output, &why);
        assert!(!in_folder(part).exists(), "{part}");
    }
    let novel = fs::read(in_folder("novel.txt")).expect("a file");
    assert!(novel.starts_with(b"It was a dark"));
    // It has a longer name until it is whole, which is not that of whoever asked for it.
    let long = in_folder(&"n".repeat(250));
    let output = backup(&database, &long);
    assert_fails_in_one_line(&output, &format!("cannot write {}: ", long.display()));
    let lost = in_folder("missing/copy.db");
    assert_fails_in_one_line(&backup(&database, &lost), "does not exist");

    let copy = in_folder("copy.db");
    fs::write(in_folder("empty.db"), "").expect("written");
    fs::write(in_folder("long.txt"), "night ".repeat(1000)).expect("written");
    let foreign = Connection::open(in_folder("foreign.db")).expect("a database");
    foreign
        .execute_batch("CREATE TABLE t (x)")
        .expect("a table");
    drop(foreign);
    for (not_ours, why) in [
        ("nowhere.db", "nowhere.db (--database says where it is)"),
        ("empty.db", "not a database"),
        ("novel.txt", "not a database"),
        ("long.txt", "not a database"),
        ("foreign.db", "another application"),
        (".", "is a folder"),
    ] {
        let output = backup(&in_folder(not_ours), &copy);
        assert_fails_in_one_line(&output, why);
    }
    assert!(!in_folder("nowhere.db").exists(), "nothing is created");
    assert_eq!(names(folder.path(), "copy").len(), 0);
    assert_done(&backup(&database, &copy));
    assert_done(&backup(&database, &in_folder("nobody-wal")));
    assert_fails_in_one_line(&backup(&database, &copy), "is there already");
}

#[test]
fn a_damaged_database_makes_no_copy() {
    let folder = folder();
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let database = folder.path().join("chat.db");
    let sqlite = Connection::open(&database).expect("a database");
    let damage = "
        INSERT INTO users VALUES (1, 'ann', 'ann', '', 0);
        PRAGMA wal_checkpoint(TRUNCATE);
        PRAGMA journal_mode = DELETE";
    sqlite.execute_batch(damage).expect("a row");
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_users_1'";
    let root: i64 = sqlite
        .query_row(root, (), |row| row.get(0))
        .expect("a page");
    drop(sqlite);
    let mut bytes = fs::read(&database).expect("a file");
    let page = usize::try_from(root - 1).expect("small") * 4096;
    bytes[page..page + 4096].fill(0);
    fs::write(&database, bytes).expect("written");
    let output = backup(&database, &folder.path().join("copy.db"));
    assert_fails_in_one_line(&output, "is damaged");
    assert_eq!(names(folder.path(), "copy").len(), 0);
}

#[test]
fn a_copy_that_finds_no_room_leaves_nothing() {
    let folder = folder();
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let (database, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
    let sqlite = Connection::open(&database).expect("a database");
    let million = "INSERT INTO messages VALUES (1, 1, 1, hex(zeroblob(500000)), 1)";
    sqlite.execute(million, ()).expect("a message");
    drop(sqlite);
    let mut limited = std::process::Command::new("sh");
    // Blocks of 512 bytes or of 1024, as the shell has it: less than the database in both cases.
    limited
        .args(["-c", "ulimit -f 128; exec \"$@\"", "sh"])
        .arg(loiter().get_program())
        .args(["backup", "--log", "off", "--database"])
        .args([&database, &copy]);
    let why = format!(
        "cannot write {}: a file may not be so large",
        copy.display()
    );
    assert_fails_in_one_line(&run(&mut limited), &why);
    assert_eq!(names(folder.path(), "copy").len(), 0);
}

/// While the database is locked it waits; so it has the signal before it begins.
#[test]
fn a_signal_ends_it_with_its_own_status_and_leaves_nothing() {
    let folder = folder();
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let (database, copy) = (folder.path().join("chat.db"), folder.path().join("copy.db"));
    let other = Connection::open(&database).expect("a database");
    let lock = "PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";
    for (name, status) in ending() {
        other.execute_batch(lock).expect("a lock");
        let mut command = loiter();
        command.args(["--log", "debug", "backup", "--database"]);
        command.args([&database, &copy]).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = lines(child.stderr.take().expect("a pipe"));
        let line = log.recv_timeout(PATIENCE).expect("a line");
        assert_holds(&line, &["copying", "copy.db"]);
        // Several are one, as of who signals a process and then its group.
        signal(child.id(), &[name, name]);
        other.execute_batch("ROLLBACK").expect("unlocked");
        let log = until_closed(&log).join("\n");
        let ended = child.wait().expect("our child");
        assert_eq!(ended.code(), Some(status), "{ended}: {log}");
        let told = format!("SIG{name}: the copy was stopped, and nothing is left of it");
        assert_holds(&log, &[&told]);
        assert_eq!(names(folder.path(), "copy").len(), 0);
    }
    assert_done(&backup(&database, &copy));
}

#[test]
fn a_bad_command_line_is_refused_with_status_2() {
    let refused = |arguments: &[&str], why: &str| {
        let output = run(loiter().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_holds(text(&output.stderr), &[why]);
        assert_eq!(text(&output.stdout), "");
    };
    refused(&["backup"], "<FILE>");
    refused(&["backup", "a", "b"], "'b'");
    refused(&["backup", ""], "<FILE>");
    refused(&["restore", "a"], "'restore'");
    refused(&["backup", "--queue", "3", "a"], "'--queue'");
    refused(&["--queue", "3", "backup", "a"], "'--queue' is for serving");
    refused(&["--log", "loud", "backup", "a"], "'loud'");
    // A variable is there for the server, and no slip.
    let folder = folder();
    let mut command = loiter();
    command.env("LOITER_QUEUE", "3").env("LOITER_LOG", "off");
    command.env("LOITER_DATABASE", folder.path().join("x.db"));
    let output = run(command.arg("backup").arg(folder.path().join("y.db")));
    assert_fails_in_one_line(&output, "there is no database");
}

#[test]
fn its_help_says_what_it_does() {
    let output = run(loiter().args(["backup", "--help"]));
    assert_eq!(output.status.code(), Some(0));
    assert_holds(
        text(&output.stdout),
        &["<FILE>", "--database", "password hashes"],
    );
    let output = run(loiter().arg("--help"));
    assert_holds(
        text(&output.stdout),
        &["Copy the database whole to FILE, also while it is served"],
    );
}
