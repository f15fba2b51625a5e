//! What signals do to a server: the end in good order, the end at once, and a signal that must end nothing.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use loiter_client::strict::{Client, Session, get, logging_in, polling, post, registering, saying};

use super::serving::{Serving, folder, lines, until_closed};
use super::{PATIENCE, assert_holds, loiter, signal};

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

/// The signals that end it, and what a shell makes of them. SIGHUP is one unless these tests run where it is ignored, as under nohup.
pub(crate) fn ending() -> Vec<(&'static str, i32)> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let mut ending = vec![("TERM", 143), ("INT", 130)];
    if ignored.is_some_and(|mask| mask & 1 == 0) {
        ending.push(("HUP", 129));
    }
    ending
}

#[test]
fn who_asks_for_the_end_gets_a_drain_with_status_0_and_is_told_of_both() {
    for (signal, _) in ending() {
        let folder = folder();
        let arguments = ["--drain-timeout", "2m"];
        let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
        // A connection without a request must not hold the end up for the idle timeout.
        let _idle = Client::connect(serving.addresses[0]);
        serving.signal(signal);
        let (status, _, log) = serving.end();
        assert_eq!(status.code(), Some(0), "{log:#?}");
        let drains = format!("SIG{signal}: draining; requests under way have 120 s at most");
        assert_holds(&log[log.len() - 2], &[&drains, "another signal"]);
        assert!(log[log.len() - 1].ends_with("] ended"), "{log:#?}");
    }
}

/// Whoever starts it by nohup wants it to outlive the terminal.
#[test]
fn a_hangup_that_is_ignored_from_the_start_on_stays_ignored() {
    let folder = folder();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command.arg(loiter().get_program());
    command.args(["--listen", "127.0.0.1:0", "--database"]);
    command.arg(folder.path().join("chat.db"));
    let serving = Serving::spawn(command, 1);
    // Had it been heard, it would have come before the other and have been told of first.
    serving.signals(&["HUP", "TERM"]);
    serving.log_line("SIGTERM: draining");
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    assert!(!log.join("\n").contains("SIGHUP"), "{log:#?}");
}

/// What is said to a terminal that is gone must not end a drain in the middle.
#[test]
fn a_log_that_nobody_reads_holds_no_drain_up() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = loiter()
        .args(["--listen", "127.0.0.1:0", "--log", "trace", "--database"])
        .arg(folder.path().join("chat.db"))
        .stdout(std::process::Stdio::piped())
        .stderr(writer)
        .spawn()
        .expect("the binary starts");
    let listening = lines(child.stdout.take().expect("a pipe"));
    listening.recv_timeout(PATIENCE).expect("it serves");
    drop(reader);
    signal(child.id(), &["TERM"]);
    until_closed(&listening);
    assert_eq!(child.wait().expect("our child").code(), Some(0));
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
fn a_signal_later_in_the_drain_stops_at_once_whatever_the_number_of_loops() {
    for loops in ["1", "3"] {
        stop_in_a_drain(loops);
    }
}

fn stop_in_a_drain(loops: &str) {
    let folder = folder();
    let arguments = ["--drain-timeout", "1h", "--loops", loops];
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
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
    assert_holds(&log.join("\n"), &["] ended at once"]);
}

/// Says one thing after the other until its connection ends; returns what was acknowledged, and whether the last answer said that it closes.
fn say_until_the_end(
    mut client: Client,
    session: &Session,
    chatroom: i64,
    who: usize,
) -> (Vec<String>, bool) {
    let mut acknowledged = Vec::new();
    loop {
        let text = format!("{who}-{}", acknowledged.len());
        // What is sent as the connection ends has no answer, and was not taken.
        if !client.try_send(&saying(session, chatroom, &text).bytes()) {
            return (acknowledged, false);
        }
        let Some(answer) = client.answer_or_end() else {
            return (acknowledged, false);
        };
        let told = answer.closes();
        answer.ok();
        acknowledged.push(text);
        if told {
            client.assert_ends();
            return (acknowledged, true);
        }
    }
}

/// Whoever waits is told, whoever speaks is finished with, and nobody new comes in.
#[test]
fn a_drain_under_load_keeps_what_it_acknowledged_and_tells_all_who_wait() {
    for loops in ["1", "3"] {
        // Those who are answered together speak together, and may all be between two requests.
        let is_load = (0..9).any(|_| drain_under_load(loops) > 0);
        assert!(is_load, "nobody was being answered: that was no load");
    }
}

/// Returns how many were being answered when it began.
fn drain_under_load(loops: &str) -> usize {
    const SPEAKERS: usize = 12;
    let folder = folder();
    let arguments = ["--drain-timeout", "1h", "--loops", loops, "--recent", "200"];
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
    let address = serving.addresses[0];
    let mut asking = Client::connect(address);
    let (ann, chatroom) = ann(&mut asking);
    let created = asking.ask(&post("/message/newChatroom").of(&ann)).ok();
    let silent = created["chatroomid"].as_i64().expect("an id");
    let mut polls: Vec<Client> = (0..12).map(|_| park(&serving, &ann, silent)).collect();
    let mut streams: Vec<Client> = (0..6).map(|_| Client::connect(address)).collect();
    for stream in &mut streams {
        stream.send(
            get("/message/stream/")
                .of(&ann)
                .with("chatroomid", silent)
                .bytes(),
        );
        let mut head = [0; 15];
        stream.socket().read_exact(&mut head).expect("it begins");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    let spoken = thread::scope(|scope| {
        let speaker = |who| {
            let (client, ann) = (Client::connect(address), &ann);
            scope.spawn(move || say_until_the_end(client, ann, chatroom, who))
        };
        let speakers: Vec<_> = (0..SPEAKERS).map(speaker).collect();
        // They are at it.
        let says = |asking: &mut Client| {
            let list = asking.ask(&saying(&ann, chatroom, "still")).ok();
            list.as_array().expect("a list").len()
        };
        while says(&mut asking) < 100 {}
        serving.signal("TERM");
        let ended = speakers
            .into_iter()
            .map(|speaker| speaker.join().expect("sound answers"));
        Vec::from_iter(ended)
    });
    for poll in &mut polls {
        let answer = poll.answer();
        assert!(answer.closes());
        assert_eq!(answer.ok(), serde_json::json!([]));
        poll.assert_ends();
    }
    for stream in &mut streams {
        let mut rest = String::new();
        stream.socket().read_to_string(&mut rest).expect("it ends");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    }
    let newcomer = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(newcomer.kind(), ErrorKind::ConnectionRefused);
    drop((asking, polls, streams));
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    let database = rusqlite::Connection::open(folder.path().join("chat.db")).expect("whole");
    let mut texts = database
        .prepare("SELECT text FROM messages")
        .expect("a table");
    let texts = texts.query_map((), |row| row.get(0)).expect("rows");
    let texts: Vec<String> = texts.map(|text| text.expect("text")).collect();
    let mut told = 0;
    for (acknowledged, was_told) in spoken {
        told += usize::from(was_told);
        for text in acknowledged {
            assert_eq!(
                texts.iter().filter(|saved| **saved == text).count(),
                1,
                "{text}"
            );
        }
    }
    told
}

/// What has come is answered, though the server has not read it: here it was stopped as it came, all at once.
#[test]
fn a_drain_answers_every_request_that_had_come_whatever_the_number_of_loops() {
    for loops in ["1", "3"] {
        drain_with_unread_requests(loops);
    }
}

fn drain_with_unread_requests(loops: &str) {
    // Far more than a loop reads in the few turns that it may make between the end of the stop and the drain.
    const SENDERS: usize = 1300;
    const NEWCOMERS: usize = 100;
    rlimit::increase_nofile_limit(4 * SENDERS as u64).expect("a limit");
    let folder = folder();
    let arguments = ["--drain-timeout", "1h", "--loops", loops, "--recent", "1"];
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
    let mut asking = Client::connect(serving.addresses[0]);
    let (ann, chatroom) = ann(&mut asking);
    let mut idle: Vec<Client> = (NEWCOMERS..SENDERS)
        .map(|_| {
            let mut client = Client::connect(serving.addresses[0]);
            let answer = client.ask(&get("/message/chatrooms"));
            answer.assert_failed(401, "no_session");
            client
        })
        .collect();
    serving.signal("STOP");
    // Newcomers too: the kernel has let them in.
    let newcomers = (0..NEWCOMERS).map(|_| Client::connect(serving.addresses[0]));
    idle.extend(newcomers);
    // Whom the drain comes to first is read last.
    for (n, client) in idle.iter_mut().enumerate().rev() {
        client.send(saying(&ann, chatroom, &n.to_string()).bytes());
    }
    serving.signals(&["TERM", "CONT"]);
    let mut ids = Vec::with_capacity(SENDERS);
    for (n, client) in idle.iter_mut().enumerate() {
        let answer = client.answer_or_end();
        let answer = answer.unwrap_or_else(|| panic!("{n} of {SENDERS} answers, {loops} loops"));
        // Who is answered before the server has heard of the signal is not told that this was the last.
        let list = answer.ok();
        assert_eq!(list[0]["message"], n.to_string());
        ids.push(list[0]["id"].as_u64().expect("an id"));
        client.assert_ends();
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=SENDERS as u64));
    asking.assert_ends();
    drop((asking, idle));
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
}

/// Who takes nothing, who sends half of something, and who does not hang up have until the drain's end and no longer.
#[test]
fn a_drain_ends_in_good_order_whoever_holds_it_up() {
    for loops in ["1", "3"] {
        let folder = folder();
        let patient = [
            "--durability",
            "normal",
            "--header-timeout",
            "1h",
            "--idle-timeout",
            "1d",
            "--send-timeout",
            "1h",
        ];
        let arguments = [
            &["--drain-timeout", "2s", "--loops", loops, "--recent", "1"],
            &patient[..],
        ]
        .concat();
        let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
        let mut asking = Client::connect(serving.addresses[0]);
        let (ann, chatroom) = ann(&mut asking);
        for _ in 0..60 {
            asking.ask(&saying(&ann, chatroom, &"x".repeat(4096))).ok();
        }
        let list = get("/message/history/")
            .of(&ann)
            .with("chatroomid", chatroom);
        let list = list.with("limit", 60).bytes();
        let mut slow: Vec<Client> = (0..6)
            .map(|_| Client::connect(serving.addresses[0]))
            .collect();
        for client in &mut slow {
            client.send(list.repeat(50));
            let mut head = [0; 15];
            client.socket().read_exact(&mut head).expect("it begins");
            assert_eq!(&head, b"HTTP/1.1 200 OK");
        }
        let _half: Vec<Client> = (0..6).map(|_| halfway(&serving)).collect();
        serving.signal("TERM");
        let (status, _, log) = serving.end();
        assert_eq!(status.code(), Some(0), "{log:#?}");
    }
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
