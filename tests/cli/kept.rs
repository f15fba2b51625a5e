//! What a server keeps of the machine while it has nothing to do, counted: threads, each with a name, and open files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::PATIENCE;
use super::serving::Serving;

/// The kernel keeps so much of a thread's name.
const NAME_MAX: usize = 15;

fn of_process(serving: &Serving, part: &str) -> Vec<fs::DirEntry> {
    let entries = fs::read_dir(format!("/proc/{}/{part}", serving.child.id()));
    let entries = entries.expect("the server's own folder");
    entries.map(|entry| entry.expect("an entry")).collect()
}

/// The names of all threads but the first, in order, once each has one: a new one is called as the process until it has run.
fn threads(serving: &Serving) -> Vec<String> {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        let names = names(serving);
        if !names.iter().any(|name| name == "loiter") || Instant::now() > give_up_at {
            return names;
        }
        thread::yield_now();
    }
}

fn names(serving: &Serving) -> Vec<String> {
    let first = serving.child.id().to_string();
    let others = of_process(serving, "task");
    let others = others.iter().filter(|task| *task.file_name() != *first);
    let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    let mut names: Vec<_> = others
        .map(|task| name(task).expect("a name").trim().to_owned())
        .collect();
    names.sort();
    names
}

/// How often each file of that folder is open, by its name in it.
///
/// # Panics
/// Where any other file is, but those that no disk has.
fn files(serving: &Serving, folder: &Path) -> BTreeMap<String, usize> {
    let folder = folder.canonicalize().expect("a folder");
    let mut files = BTreeMap::new();
    for descriptor in of_process(serving, "fd") {
        let Ok(file) = fs::read_link(descriptor.path()) else {
            // It has been closed since: the client's who has asked.
            continue;
        };
        if let Ok(name) = file.strip_prefix(&folder) {
            *files.entry(name.display().to_string()).or_insert(0) += 1;
        } else {
            let name = file.display().to_string();
            let is_none = ["socket:", "pipe:", "anon_inode:"].map(|kind| name.starts_with(kind));
            assert!(is_none.contains(&true) || name == "/dev/null", "{name}");
        }
    }
    files
}

/// A server at one address that has answered: by then all threads are started that are started with it.
fn serving(folder: &Path, arguments: &[&str]) -> Serving {
    let serving = Serving::start(folder, &["127.0.0.1:0"], arguments);
    let mut client = TcpStream::connect(serving.addresses[0]).expect("it listens");
    client
        .write_all(b"GET /healthz HTTP/1.0\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serving
}

#[test]
fn each_thread_has_a_name_and_their_number_follows_from_the_options() {
    let ours = [
        "loiter-checkpoint",
        "loiter-pool",
        "loiter-signals",
        "loiter-write",
    ];
    let cases: [(&[&str], &[&str]); 3] = [
        (&[], &["loiter-read-0", "loiter-hash-0"]),
        (&["--workers", "1"], &["loiter-read-0", "loiter-hash-0"]),
        (
            &["--workers", "5", "--loops", "3"],
            &[
                "loiter-read-0",
                "loiter-read-1",
                "loiter-read-2",
                "loiter-hash-0",
                "loiter-hash-1",
                "loiter-loop-1",
                "loiter-loop-2",
            ],
        ),
    ];
    for (arguments, more) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let mut expected: Vec<_> = ours.iter().chain(more).copied().collect();
        expected
            .iter_mut()
            .for_each(|name| *name = &name[..name.len().min(NAME_MAX)]);
        expected.sort_unstable();
        assert_eq!(
            threads(&serving(folder.path(), arguments)),
            expected,
            "{arguments:?}"
        );
    }
}

#[test]
fn no_file_is_open_but_the_database_and_what_stands_beside_it() {
    for (arguments, connections) in [(["--workers", "1"], 4), (["--workers", "6"], 8)] {
        let folder = tempfile::tempdir().expect("a folder");
        let serving = serving(folder.path(), &arguments);
        let expected = [
            // … and once for its own lock.
            ("chat.db", connections + 1),
            ("chat.db-shm", 1),
            ("chat.db-wal", connections),
            ("chat.db.lock", 1),
        ];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(files(&serving, folder.path()), BTreeMap::from(expected));
    }
}
