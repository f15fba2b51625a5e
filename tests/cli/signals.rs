//! What signals do to a server: the end in good order, the end at once, and a signal that must end nothing.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use loiter_client::strict::{Client, Session, get, logging_in, polling, post, registering, saying};

use super::assert_holds;
use super::serving::{Serving, folder};

/// A client with half a request sent, of which the server knows: it came in one piece with one that was answered.
fn halfway(serving: &Serving) -> Client {
    let mut client = Client::connect(serving.addresses[0]);
    let request = get("/message/chatrooms").bytes();
    client.send([&request, &request[..20]].concat());
    client.answer().assert_failed(401, "no_session");
    client
}

/// Somebody with a chatroom of their own.
fn ann(client: &mut Client) -> (Session, i64) {
    client.ask(&registering("ann")).ok();
    let ann = Session::of(&client.ask(&logging_in("ann")));
    let created = client.ask(&post("/message/newChatroom").of(&ann)).ok();
    (ann, created["chatroomid"].as_i64().expect("an id"))
}

/// A poll that is parked when this returns.
fn park(serving: &Serving, session: &Session, chatroom: i64) -> Client {
    let mut poll = Client::connect(serving.addresses[0]);
    poll.park(session, &polling(session, chatroom));
    poll.assert_silent();
    poll
}

#[test]
fn sigterm_and_sigint_drain_with_status_0() {
    for signal in ["TERM", "INT"] {
        let folder = folder();
        let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
        // A connection without a request must not hold the end up for the idle timeout.
        let _idle = Client::connect(serving.addresses[0]);
        serving.signal(signal);
        let (status, _, log) = serving.end();
        assert_eq!(status.code(), Some(0), "{log:#?}");
        assert_holds(&log.join("\n"), &[&format!("SIG{signal}: draining")]);
    }
}

#[test]
fn two_signals_at_once_are_one_wish_to_drain_whatever_the_number_of_loops() {
    for loops in ["1", "3"] {
        drain_by_two_signals(loops);
    }
}

fn drain_by_two_signals(loops: &str) {
    let folder = folder();
    let arguments = ["--drain-timeout", "1h", "--loops", loops];
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
    let mut asking = Client::connect(serving.addresses[0]);
    let (ann, chatroom) = ann(&mut asking);
    let list = asking.ask(&saying(&ann, chatroom, "hi")).ok();
    let mut poll = park(&serving, &ann, chatroom);
    let mut half = halfway(&serving);
    // Two of a kind might be delivered as one.
    serving.signals(&["TERM", "INT"]);
    serving.log_line("taken as one with the signal just before");
    let answer = poll.answer();
    assert!(answer.closes());
    assert_eq!(answer.ok(), list);
    half.send(&get("/message/chatrooms").bytes()[20..]);
    let answer = half.answer();
    assert!(answer.closes());
    answer.assert_failed(401, "no_session");
    drop((asking, poll, half));
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
}

#[test]
fn a_signal_later_in_the_drain_stops_at_once() {
    let folder = folder();
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &["--drain-timeout", "1h"]);
    let _half = halfway(&serving);
    serving.signal("TERM");
    serving.log_line("SIGTERM: draining");
    // However long "later" is, one of these comes then.
    let line = loop {
        serving.signal("INT");
        match serving.stderr.recv_timeout(Duration::from_millis(50)) {
            Ok(line) if line.contains("stopping at once") => break line,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without a word"),
        }
    };
    assert_holds(&line, &["SIGINT while draining"]);
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(128 + 2), "{log:#?}");
}

/// A limit on the size of files stands in for a full disk, and comes with a signal that ends whoever does not look.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_size_of_files_fails_a_write_and_ends_nothing() {
    use rlimit::{INFINITY, Resource, prlimit};

    let folder = folder();
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    let process = i32::try_from(serving.child.id()).expect("a process id");
    let limit = |bytes| {
        prlimit(process, Resource::FSIZE, Some((bytes, INFINITY)), None).expect("our child");
    };
    let mut asking = Client::connect(serving.addresses[0]);
    let (ann, chatroom) = ann(&mut asking);
    let mut poll = park(&serving, &ann, chatroom);
    limit(0);
    for _ in 0..2 {
        let answer = asking.ask(&saying(&ann, chatroom, "lost"));
        answer.assert_failed(500, "storage_failed");
    }
    // Reads go on, and the poll stays parked until writing goes on too.
    let mine = asking.ask(&get("/message/chatrooms").of(&ann)).ok();
    assert_eq!(mine, serde_json::json!([chatroom]));
    poll.assert_silent();
    limit(INFINITY);
    let list = asking.ask(&saying(&ann, chatroom, "kept")).ok();
    assert_eq!(list[0]["id"], 1);
    assert_eq!(poll.answer().ok(), list);
    drop((asking, poll));
    serving.signal("TERM");
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
}
