//! The machine's power fails: whatever was not synced may be gone, and all that was shown to anybody is there.
//!
//! strace notes what the server writes, syncs and creates, and what it sends, in the order in which it does so. That record is
//! replayed on a made-up disk ([`disk`]) that keeps what was synced, and of everything else whatever a seed says: nothing, all,
//! some writes and not others, or parts of a write. At many moments of the record the power fails; what the
//! disk then has is opened by the store, which must find in it every message of which a byte had been sent to anybody.
//!
//! Once more without the syncs (`--durability normal`), where the same must find losses: or it could not find any.

mod disk;
mod trace;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use fastrand::Rng;
use loiter::Config;
use loiter::store::Store;
use loiter_client::Client;
use rusqlite::Connection;

use crate::server::{Killed, Traced};
use disk::Disk;
use trace::{Step, Trace};

const SENDERS: usize = 4;
/// Of each sender: enough for the log to be moved into the database a few times.
const MESSAGES: usize = 500;
/// How often the power fails in one record.
const FAILURES: usize = 300;
/// After each of these it fails, too.
const FIRST_STEPS: usize = 100;
/// What every text begins with, and no other bytes that are sent.
const MARK: &str = "power-";

/// What was found in a record's replay.
#[derive(Debug, Default)]
struct Found {
    steps: usize,
    syncs: usize,
    /// Messages that were sent to somebody.
    told: usize,
    failures: usize,
    /// Failures that dropped something.
    dropped: usize,
    /// The first loss of each failure.
    losses: Vec<String>,
}

impl Found {
    fn print(&self) {
        let (failures, dropped, losses) = (self.failures, self.dropped, self.losses.len());
        println!(
            "{} messages told by {} syncs; the power failed {failures} times, dropped something {dropped} times, lost what was told {losses} times",
            self.told, self.syncs
        );
    }
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn what_was_told_outlives_the_power() {
    let found = replay(&record("full"), FAILURES);
    found.print();
    assert_eq!(found.losses, [""; 0]);
    assert!(found.told >= SENDERS * MESSAGES, "{found:?}");
    assert!(found.dropped > FAILURES / 4, "{found:?}");
    // Each has one under way, so a sync is shared by all of them at most.
    assert!(found.syncs >= MESSAGES, "{found:?}");
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn without_syncs_the_same_replay_finds_losses() {
    let found = replay(&record("normal"), FAILURES);
    found.print();
    assert!(found.losses.len() > FAILURES / 10, "{found:?}");
    // Lost, but never damaged.
    let damaged = found.losses.iter().find(|loss| !loss.contains(" lacks "));
    assert_eq!(damaged, None);
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn a_copy_that_is_done_outlives_the_power() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    crate::server::prepare(&database, 1);
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).expect("a folder");
    let record = folder.path().join("record");
    let copying = traced(&record)
        .args(["backup", "--log", "error", "--database"])
        .arg(&database)
        .arg(copies.join("copy.db"))
        .status();
    assert!(copying.expect("strace runs").success());
    let trace = Trace::read(&record, &copies);
    let mut disk = Disk::default();
    let mut rng = Rng::with_seed(1);
    for step in trace.steps {
        disk.take(step);
        // Under its name it is whole, at whatever moment the power fails.
        for _ in 0..20 {
            let image = Image::of(&disk, &mut rng);
            let copy = image.folder.path().join("copy.db");
            if copy.exists() {
                assert_eq!(image.check("copy.db", &[]), Ok(()));
            }
        }
    }
    // And it is there.
    disk.forget();
    let image = Image::of(&disk, &mut rng);
    assert_eq!(image.names(), ["copy.db"]);
    assert_eq!(image.check("copy.db", &[]), Ok(()));
}

/// What is left on the disk, in a folder.
struct Image {
    folder: tempfile::TempDir,
    dropped: bool,
}

impl Image {
    fn of(disk: &Disk, rng: &mut Rng) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dropped = disk.fail(rng, folder.path());
        Self { folder, dropped }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    /// Opens it as a server does, and looks whether it is whole and has these texts, each once.
    fn check(&self, name: &str, told: &[String]) -> Result<(), String> {
        let database = self.folder.path().join(name);
        let config = Config {
            database: database.clone(),
            ..Config::default()
        };
        let store = Store::open(&config, |_| ()).map_err(|error| error.to_string())?;
        drop(store);
        let texts = texts(&database)?;
        // Each text has its number, so what is there twice is found among its neighbours.
        let mut sorted: Vec<&str> = texts.iter().map(|text| token(text)).collect();
        sorted.sort_unstable();
        if let Some(double) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{} is there twice", double[0]));
        }
        let lacks = |text: &&String| sorted.binary_search(&text.as_str()).is_err();
        match told.iter().find(lacks) {
            Some(lost) => Err(format!("the database lacks {lost}")),
            None => Ok(()),
        }
    }
}

/// All texts; an error where the database is damaged or has a gap.
fn texts(database: &Path) -> Result<Vec<String>, String> {
    let read = || {
        let connection = Connection::open(database)?;
        let check: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
        let gaps = "SELECT coalesce(max(id), 0) - count(*) FROM messages";
        let gaps: i64 = connection.query_row(gaps, (), |row| row.get(0))?;
        let mut all = connection.prepare("SELECT text FROM messages")?;
        let texts = all.query_map((), |row| row.get(0))?;
        let texts: Vec<String> = texts.collect::<rusqlite::Result<_>>()?;
        Ok((check, gaps, texts))
    };
    let (check, gaps, texts) = read().map_err(|error: rusqlite::Error| error.to_string())?;
    match (check.as_str(), gaps) {
        ("ok", 0) => Ok(texts),
        _ => Err(format!("{check}, {gaps} gaps")),
    }
}

/// A text without what makes it long.
fn token(text: &str) -> &str {
    text.split('.').next().unwrap_or_default()
}

/// A server's record, and the folder that its database was in.
struct Record {
    trace: PathBuf,
    folder: tempfile::TempDir,
}

fn traced(record: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-xx", "-s", "20000", "--seccomp-bpf", "-e"])
        .arg(format!("trace={}", trace::CALLS))
        .arg("-o")
        .arg(record)
        .arg(env!("CARGO_BIN_EXE_loiter"));
    command
}

/// A server from its first start with a new database to its end in good order, under load.
fn record(durability: &str) -> Record {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let trace = folder.path().join("record");
    let mut command = traced(&trace);
    command.args(["--durability", durability]);
    let mut server = Killed::start_by(command, &data.join("loiter.db"), 1);
    let traced = Traced::of(&trace);
    let mut ann = Client::new(server.address);
    ann.register("ann", "x").expect("registered");
    ann.log_in("ann", "x").expect("logged in");
    assert_eq!(ann.new_chatroom().expect("created"), 1);
    let session = ann.session().expect("a session").to_owned();
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mut client = Client::new(server.address).with_session(&session);
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    let text = format!("{MARK}{sender}-{n}.{}", "x".repeat(2000));
                    client.send(1, &text).expect("sent");
                }
            });
        }
    });
    drop(traced);
    let ended = server.wait();
    assert!(ended.success(), "{ended}");
    Record { trace, folder }
}

fn replay(record: &Record, failures: usize) -> Found {
    let trace = Trace::read(&record.trace, &record.folder.path().join("data"));
    let (mut disk, mut rng) = (Disk::default(), Rng::with_seed(7));
    let mut told: Vec<String> = Vec::new();
    let mut found = Found {
        steps: trace.steps.len(),
        ..Found::default()
    };
    // Half of the failures come right behind a step that tells somebody something: the moment that is promised most.
    let (one_in, sends) = (found.steps / failures.max(1) * 2, trace.sends());
    let one_in_sends = (sends / failures.max(1) * 2).max(1);
    for (place, step) in trace.steps.into_iter().enumerate() {
        let chance = match &step {
            Step::Tell(texts) => {
                told.extend(texts.iter().cloned());
                told.sort_unstable();
                told.dedup();
                one_in_sends
            }
            // The database comes into being.
            _ if place < FIRST_STEPS => 1,
            _ => one_in.max(1),
        };
        found.syncs += usize::from(matches!(step, Step::SyncEnds(_)));
        disk.take(step);
        if rng.usize(..chance) > 0 {
            continue;
        }
        let image = Image::of(&disk, &mut rng);
        found.failures += 1;
        found.dropped += usize::from(image.dropped);
        if let Err(loss) = image.check("loiter.db", &told) {
            found.losses.push(loss);
        }
    }
    found.told = told.len();
    found
}
