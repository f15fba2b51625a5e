//! Whatever was acknowledged before a kill is in the database.
//!
//! Each round serves the same database, lets several clients send as fast as they are answered, and kills the process
//! (SIGKILL) after a number of answers that differs from round to round, as that of its event loops does, wherever it is then. The database is read
//! directly afterwards, so that no code of the server can hide a loss.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use loiter_client::{Client, Error, post};
use rusqlite::Connection;

use crate::server::{Killed, prepare};

/// Unless `LOITER_CRASH_ROUNDS` says how many.
const ROUNDS: usize = 10;
const SENDERS: usize = 8;
const CHATROOMS: i64 = 3;

/// A message that was acknowledged: chatroom, id, text.
type Acknowledged = (i64, i64, String);

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let cookie = prepare(&database, CHATROOMS as u64);
    let mut acknowledged: HashMap<(i64, i64), String> = HashMap::new();
    let rounds = std::env::var("LOITER_CRASH_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    for round in 0..rounds {
        let before = acknowledged.len();
        let wanted = 40 + round % ROUNDS * 37;
        for (chatroom, id, text) in send_until_killed(&database, &cookie, round, wanted) {
            let doubled = acknowledged.insert((chatroom, id), text);
            assert_eq!(doubled, None, "round {round}: id {id} was given twice");
        }
        assert!(acknowledged.len() >= before + wanted);
        verify(&database, &acknowledged, round);
    }
    let count = acknowledged.len();
    println!("{rounds} kills, {count} messages acknowledged, all of them there once");
}

/// Sends from several connections until `wanted` messages are acknowledged, and kills the server then. Returns all
/// that were acknowledged, those that came in between included.
fn send_until_killed(
    database: &Path,
    cookie: &str,
    round: usize,
    wanted: usize,
) -> Vec<Acknowledged> {
    let mut server = Killed::start(database, 1 + round % 3);
    let (answered, answers) = mpsc::channel();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let answered = answered.clone();
            let mut client = Client::new(server.address).with_session(cookie);
            thread::spawn(move || {
                for n in 0.. {
                    match send(&mut client, round, sender, n) {
                        // The test may have gone on after the kill.
                        Ok(message) => drop(answered.send(message)),
                        Err(Error::Io(..)) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    drop(answered);
    let mut acknowledged: Vec<Acknowledged> = answers.iter().take(wanted).collect();
    server.kill();
    acknowledged.extend(answers.iter());
    for sender in senders {
        sender.join().expect("no answer was wrong");
    }
    acknowledged
}

/// Asks once: what was not acknowledged does not count.
fn send(client: &mut Client, round: usize, sender: usize, n: usize) -> Result<Acknowledged, Error> {
    let chatroom = (sender + n) as i64 % CHATROOMS + 1;
    let text = format!("round-{round}-sender-{sender}-message-{n}");
    let sending = post("/message/sendMessage/").with("chatroomid", chatroom);
    let list = client.ask(sending.with("message", &text))?.json();
    let newest = list.as_array().and_then(|list| list.last());
    let newest = newest.expect("a list with the new message");
    assert_eq!(newest["message"], text.as_str());
    Ok((chatroom, newest["id"].as_i64().expect("an id"), text))
}

fn verify(database: &Path, acknowledged: &HashMap<(i64, i64), String>, round: usize) {
    let connection = Connection::open(database).expect("opened");
    let check: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("checked");
    assert_eq!(check, "ok", "round {round}");
    let mut all = connection
        .prepare("SELECT chatroom, id, text FROM messages ORDER BY chatroom, id")
        .expect("prepared");
    let rows = all.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let rows: Vec<Acknowledged> = rows.expect("read").map(|row| row.expect("a row")).collect();
    for chatroom in 1..=CHATROOMS {
        let ids = rows.iter().filter(|row| row.0 == chatroom).map(|row| row.1);
        assert!(
            ids.zip(1..).all(|(id, place)| id == place),
            "round {round}: a gap in {chatroom}"
        );
    }
    let saved: HashMap<(i64, i64), &str> =
        rows.iter().map(|row| ((row.0, row.1), &*row.2)).collect();
    for (place, text) in acknowledged {
        assert_eq!(
            saved.get(place),
            Some(&&**text),
            "round {round}: {place:?} is lost"
        );
    }
}
