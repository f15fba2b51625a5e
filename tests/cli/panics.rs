//! How it ends when a part of it panics: all of it, at once, with the reason and a status that says so.
//!
//! A build with debug assertions, as that of the tests is, can be told to panic (`LOITER_TEST_BREAK`).

use super::serving::{Serving, folder};
use super::{assert_holds, loiter};

/// Starts one that is to break, and returns its log when it has ended.
fn broken(loops: &str, part: &str, format: &str) -> String {
    let folder = folder();
    let mut command = loiter();
    command
        .env("LOITER_TEST_BREAK", part)
        .args(["--listen", "127.0.0.1:0", "--loops", loops])
        .args(["--log-format", format, "--database"])
        .arg(folder.path().join("chat.db"));
    let (status, _, log) = Serving::spawn(command, 1).end();
    let log = log.join("\n");
    assert_eq!(status.code(), Some(101), "{log}");
    log
}

#[test]
fn a_panic_of_a_loop_is_the_end_of_all() {
    for (loops, number) in [("1", "0"), ("3", "0"), ("3", "2")] {
        for format in ["text", "json"] {
            let reason = format!("loiter: cannot go on: event loop {number} panicked: ");
            let log = broken(loops, number, format);
            assert_holds(&log, &[&reason, "broken by a test"]);
        }
    }
}

#[test]
fn a_panic_of_who_hears_signals_is_the_end_of_all() {
    assert_holds(
        &broken("3", "vital", "text"),
        &["loiter-vital", "broken by a test"],
    );
}

#[test]
fn a_panic_of_who_moves_the_write_ahead_log_is_the_end_of_all() {
    for loops in ["1", "3"] {
        let reason = "loiter: cannot go on: the thread loiter-checkpoint panicked: ";
        let log = broken(loops, "checkpoint", "text");
        assert_holds(&log, &[reason, "broken by a test"]);
    }
}
