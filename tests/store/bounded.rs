//! The write-ahead log stays short, also where somebody always reads: a log starts over only when nobody reads from it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;

/// Of text: many times what a log holds that starts over.
const WRITTEN: u64 = 64 << 20;
const TEXT: usize = 2000;
/// As many are under way as make some batches, so that the writing lane never rests.
const UNDER_WAY: usize = 1000;
/// A checkpoint is asked for at 4 MB, and on a slow machine much is written while it is made.
const LOG_MAX: u64 = 64 << 20;
/// How often the log starts over, of about fifteen times that it could. By chance alone it does so a few times.
const STARTS_MIN: u32 = 6;

#[test]
fn the_log_stays_short_while_all_lanes_read_and_write() {
    let mut fixture = Fixture::with(|config| config.workers = 8);
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    fixture.close();
    let read = AtomicUsize::new(0);
    let (writes, written) = mpsc::channel();
    let (reads, done_reads) = mpsc::channel();
    let store = Store::open(&fixture.config, move |completions| {
        for completion in completions {
            let listener = match completion {
                Completion::MessageSaved { .. } => &writes,
                _ => &reads,
            };
            let _ = listener.send(completion);
        }
    });
    let store = store.expect("a store");
    let over = AtomicBool::new(false);
    let longest = thread::scope(|scope| {
        // More than there are lanes wait at any time: each lane begins its next read as it ends one.
        let (store, over, read) = (&store, &over, &read);
        scope.spawn(move || {
            let ask = || {
                let load = Job::LoadChatroom {
                    event_loop: 0,
                    chatroom,
                    recent: 50,
                };
                store.submit(load).expect("room");
            };
            (0..32).for_each(|_| ask());
            while !over.load(Ordering::Relaxed) {
                let loaded = done_reads.recv_timeout(PATIENCE).expect("a read");
                field!(loaded, ChatroomLoaded, loaded).expect("a read");
                read.fetch_add(1, Ordering::Relaxed);
                ask();
            }
        });
        let longest = write(store, &written, chatroom, &ann, &fixture.config);
        over.store(true, Ordering::Relaxed);
        longest
    });
    let (starts, read) = (starts_over(&fixture.config), read.into_inner());
    println!(
        "a log of {longest} bytes at most started over {starts} times, while {read} lists were read"
    );
    assert!(starts >= STARTS_MIN, "{starts}, {longest} bytes");
    assert!(longest < LOG_MAX, "{longest}");
    assert!(read > 1000, "{read}");
}

/// Returns how long the log was at most.
fn write(
    store: &Store,
    written: &Receiver<Completion>,
    chatroom: ChatroomId,
    ann: &User,
    config: &Config,
) -> u64 {
    let log = format!("{}-wal", config.database.display());
    let text = "x".repeat(TEXT);
    let ask = || store.submit(say(chatroom, ann, &text)).expect("room");
    (0..UNDER_WAY).for_each(|_| ask());
    let mut longest = 0;
    for _ in 0..WRITTEN / TEXT as u64 {
        let saved = written.recv_timeout(PATIENCE).expect("a completion");
        new_message(saved).expect("saved");
        ask();
        longest = longest.max(fs::metadata(&log).expect("a log").len());
    }
    longest
}

/// The log's head counts how often it was started over (bytes 12 to 16).
fn starts_over(config: &Config) -> u32 {
    let log = format!("{}-wal", config.database.display());
    let head = fs::read(log).expect("a log");
    u32::from_be_bytes(head[12..16].try_into().expect("four bytes"))
}
