//! Nobody misses or doubles a message, however often the server dies.
//!
//! Senders and followers are those of `tests/lossless`. Meanwhile the server is killed and started anew, somewhere else or on the same socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use loiter_client::Where;
use loiter_client::strict::{self, PATIENCE};

use crate::lossless::{Cast, Chatrooms, Follower, SENDERS, Stage};
use crate::server::{Killed, prepare};

/// Of each sender: 20,000 in all.
const MANY: usize = 5_000;
/// What is enough beside a run of many; unless `LOITER_CRASH_ROUNDS` asks for more of everything.
const SOME: usize = 1_000;
const KILLS: usize = 10;

/// How a server goes, and where the next one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restarts {
    /// Killed; the next is somewhere else.
    Elsewhere,
    /// Ended in good order and killed by turns, by a supervisor that keeps the socket.
    OnOneSocket,
}

fn some() -> usize {
    match std::env::var_os("LOITER_CRASH_ROUNDS") {
        Some(_) => MANY,
        None => SOME,
    }
}

/// How many messages are acknowledged from one restart to the next.
fn share(cast: &Cast) -> usize {
    SENDERS * cast.messages / (KILLS + 1)
}

/// Kills the server whenever another share of the messages has been acknowledged.
fn serve(database: &Path, cast: &Cast, loops: usize, stage: &Stage<'_>) -> Killed {
    let mut server = Killed::start(database, loops);
    stage.whereabouts.set(Where::At(server.address));
    for _ in 0..KILLS {
        stage.await_acknowledged(share(cast));
        stage.whereabouts.set(Where::Nowhere);
        server.kill();
        server = Killed::start(database, loops);
        stage.whereabouts.set(Where::At(server.address));
    }
    server
}

/// Restarts the server likewise, on a socket that is kept. Nobody may be refused, least of all while there is no server.
fn serve_on_one_socket(database: &Path, cast: &Cast, loops: usize, stage: &Stage<'_>) -> Killed {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    let mut server = Killed::on(&socket, database, loops);
    assert_eq!(server.address, address);
    stage.whereabouts.set(Where::At(address));
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let knocks = scope.spawn(|| knock(address, &has_ended));
        // Also when a test fails.
        let end = End(&has_ended);
        for restart in 0..KILLS {
            stage.await_acknowledged(share(cast));
            match restart % 2 {
                0 => server.end(),
                _ => server.kill(),
            }
            let mut between = strict::Client::connect(address);
            between.send(strict::get("/healthz").bytes());
            server = Killed::on(&socket, database, loops);
            between.answer().ok();
        }
        drop(end);
        let knocks = knocks.join().expect("nobody was refused");
        assert!(knocks > KILLS, "{knocks} only");
        server
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects again and again, and asks something; returns how often.
fn knock(address: SocketAddr, has_ended: &AtomicBool) -> usize {
    let mut knocks = 0;
    while !has_ended.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).expect("never refused");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        // The server may die with the request in hand; what counts is that the connection was to be had.
        let sent = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
        let _ = sent.and_then(|()| stream.read_to_end(&mut Vec::new()));
        knocks += 1;
    }
    knocks
}

fn nobody_misses_or_doubles_a_message(cast: &Cast, loops: usize, restarts: Restarts) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let token = prepare(&database, cast.chatrooms as u64);
    let serve = match restarts {
        Restarts::Elsewhere => serve,
        Restarts::OnOneSocket => serve_on_one_socket,
    };
    cast.lose_nothing(&token, |stage| serve(&database, cast, loops, stage));
}

/// Two chatrooms, each polled with different limits.
fn polls_of_one(messages: usize) -> Cast {
    let limits = [
        None,
        None,
        Some(1),
        Some(3),
        Some(17),
        Some(64),
        Some(200),
        Some(200),
    ];
    let chatrooms = [1, 2].into_iter().cycle();
    let followers = chatrooms.zip(limits);
    Cast {
        chatrooms: 2,
        messages,
        followers: followers
            .map(|(id, limit)| Follower::Polls(Chatrooms::One(id), limit))
            .collect(),
    }
}

/// Fifty chatrooms on one socket, all of them or some.
fn polls_of_fifty(messages: usize) -> Cast {
    let all = [None, Some(1), Some(7), Some(200)];
    let all = all.map(|limit| Follower::Polls(Chatrooms::All, limit));
    let some = Follower::Polls(Chatrooms::These((10..30).collect()), None);
    Cast {
        chatrooms: 50,
        messages,
        followers: all.into_iter().chain([some]).collect(),
    }
}

/// Two chatrooms, each heard by streams that are cut every few messages.
fn streams(messages: usize) -> Cast {
    let cuts = [
        (1, 1),
        (2, 3),
        (1, 7),
        (2, 40),
        (1, usize::MAX),
        (2, usize::MAX),
    ];
    Cast {
        chatrooms: 2,
        messages,
        followers: cuts.map(|(id, cut)| Follower::Streams(id, cut)).into(),
    }
}

#[test]
fn nobody_misses_or_doubles_a_message_with_one_loop() {
    nobody_misses_or_doubles_a_message(&polls_of_one(MANY), 1, Restarts::Elsewhere);
}

#[test]
fn nobody_misses_or_doubles_a_message_with_three_loops() {
    nobody_misses_or_doubles_a_message(&polls_of_one(some()), 3, Restarts::Elsewhere);
}

#[test]
fn nobody_misses_a_message_or_is_refused_on_one_socket_with_one_loop() {
    nobody_misses_or_doubles_a_message(&polls_of_one(some()), 1, Restarts::OnOneSocket);
}

#[test]
fn nobody_misses_a_message_or_is_refused_on_one_socket_with_three_loops() {
    nobody_misses_or_doubles_a_message(&polls_of_one(some()), 3, Restarts::OnOneSocket);
}

#[test]
fn nobody_misses_or_doubles_a_message_of_fifty_chatrooms_with_one_loop() {
    nobody_misses_or_doubles_a_message(&polls_of_fifty(some()), 1, Restarts::Elsewhere);
}

#[test]
fn nobody_misses_or_doubles_a_message_of_fifty_chatrooms_with_three_loops() {
    nobody_misses_or_doubles_a_message(&polls_of_fifty(some()), 3, Restarts::Elsewhere);
}

#[test]
fn nobody_misses_or_doubles_an_event_with_one_loop() {
    nobody_misses_or_doubles_a_message(&streams(some()), 1, Restarts::Elsewhere);
}

#[test]
fn nobody_misses_or_doubles_an_event_with_three_loops() {
    nobody_misses_or_doubles_a_message(&streams(some()), 3, Restarts::Elsewhere);
}
