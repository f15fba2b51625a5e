//! Killed at one system call of its own: right before an answer is sent, or right before a sync.
//!
//! strace delivers the signal as the call begins, so it is not done. What was to be answered is committed by then: the client, who
//! cannot know, asks once more, and it is there once.

use std::process::Command;

use loiter_client::{Client, Error, post};

use crate::server::{Killed, prepare};
use crate::stored::texts;

/// As many syncs as one thread is killed at, one after the other.
const SYNCS: usize = 24;

/// The binary, killed as a thread of it begins its `when`th of these calls.
fn killed_at(calls: &str, when: usize) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:signal=KILL:when={when}"))
        .arg(env!("CARGO_BIN_EXE_loiter"));
    command
}

/// Sends once.
pub(crate) fn say(client: &mut Client, text: &str) -> Result<(), Error> {
    let sending = post("/message/sendMessage/").with("chatroomid", 1);
    let sending = sending.with("message", text).with("nonce", text);
    client.ask(sending).map(drop)
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn what_was_committed_and_not_answered_is_there_and_repeated_once() {
    for when in 1..=5 {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("loiter.db");
        let token = prepare(&database, 1);
        let mut server = Killed::start_by(killed_at("sendto", when), &database, 1);
        let mut client = Client::new(server.address).with_session(&token);
        let said: Vec<String> = (1..=when).map(|n| format!("message {n}")).collect();
        for (n, text) in said.iter().enumerate() {
            let answer = say(&mut client, text);
            assert_eq!(answer.is_ok(), n + 1 < when, "{text} of {when}: {answer:?}");
        }
        server.wait();
        assert_eq!(
            texts(&database),
            said,
            "the last was committed, and not answered"
        );
        // Its client asks again.
        let server = Killed::start(&database, 1);
        let mut client = Client::new(server.address).with_session(&token);
        let last = said.last().expect("one at least");
        let id = client.send_as(last, 1, last).expect("answered");
        assert_eq!(id, when as u64);
        client.send_as("another", 1, "another").expect("answered");
        drop(server);
        let mut all = said;
        all.push("another".to_owned());
        assert_eq!(texts(&database), all);
    }
}

/// As far as it gets: what was acknowledged.
fn live(server: &Killed) -> Result<Vec<String>, Error> {
    let mut ann = Client::new(server.address);
    let mut acknowledged = Vec::new();
    let ask = |ann: &mut Client, path: &str| {
        let ask = post(path).with("username", "ann").with("password", "x");
        ann.ask(ask).map(drop)
    };
    ask(&mut ann, "/register/")?;
    acknowledged.push("ann".to_owned());
    ann.log_in("ann", "x")?;
    ann.ask(post("/message/newChatroom/"))?;
    for n in 0..SYNCS {
        let text = format!("message {n}");
        if say(&mut ann, &text).is_err() {
            break;
        }
        acknowledged.push(text);
    }
    Ok(acknowledged)
}

#[test]
#[ignore = "needs strace, and to be allowed to trace a child"]
fn killed_at_any_of_its_first_syncs_it_starts_again() {
    let mut alive = 0;
    for when in 1..=SYNCS {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("loiter.db");
        let command = killed_at("fsync,fdatasync", when);
        let server = Killed::try_start_by(command, &database, 1);
        let acknowledged = server.as_ref().map_or(Vec::new(), |server| {
            alive += 1;
            live(server).unwrap_or_default()
        });
        if let Some(mut server) = server {
            assert!(acknowledged.len() <= SYNCS, "it was not killed at {when}");
            server.wait();
        }
        let server = Killed::start(&database, 1);
        let mut ann = Client::new(server.address);
        if !acknowledged.is_empty() {
            ann.log_in("ann", "x").expect("she is registered");
        }
        drop(server);
        let texts = texts(&database);
        let told = acknowledged.get(1..).unwrap_or_default();
        assert!(texts.starts_with(told), "{when}: {texts:?}, {told:?}");
        assert!(texts.len() <= told.len() + 1, "{when}: {texts:?}, {told:?}");
    }
    assert!(
        (10..SYNCS).contains(&alive),
        "some at the start, some later: {alive}"
    );
}
