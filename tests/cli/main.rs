//! The command line from outside: the built binary, its exit status, and what it says where.
//!
//! - `addresses`: a database that is no file.
//! - `backup`, `check`, `users`: the commands.
//! - `health`: the command that asks how a server is.
//! - `kept`: the threads and the open files that it has.
//! - `options`: what it takes and refuses.
//! - `secrets`: what the log never holds.
//! - `serving`: how it starts, and the lines that tell of it.
//! - `signals`: how it ends, and what does not end it.
//! - `supervised`: sockets that it is handed, and what it tells its supervisor.
//! - `pages`: completions and the manual page.
//! - `panics`: how it ends when a part of it panics.
//!
//! No test waits for a time to pass: each waits for a line or for the end of a stream, and gives up
//! after [`PATIENCE`]. No port is fixed: the binary picks one and says which.

#[cfg(feature = "postgres")]
mod addresses;
mod backup;
mod check;
mod health;
#[cfg(target_os = "linux")]
mod kept;
mod options;
mod pages;
#[cfg(debug_assertions)]
mod panics;
mod secrets;
mod serving;
mod signals;
#[path = "../stored/mod.rs"]
mod stored;
mod supervised;
mod users;

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Far beyond what a busy machine needs; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of this process's environment.
fn loiter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loiter"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs what is to end by itself. What serves instead is killed, and the test has failed.
#[track_caller]
fn run(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        signal(id, &["KILL"]);
        panic!("it does not end: {command:?}");
    };
    output.expect("our child")
}

/// Sends signals by the shell's own `kill`, which every machine has.
fn signal(process: u32, names: &[&str]) {
    let kills: Vec<String> = names
        .iter()
        .map(|name| format!("kill -{name} {process}"))
        .collect();
    let status = Command::new("sh")
        .args(["-c", &kills.join(" && ")])
        .status();
    assert!(status.expect("a shell").success());
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[track_caller]
fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}
