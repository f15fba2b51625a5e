//! Whom a server waits for that has asked the others: each as long as it has said that it would be there, and nobody who has said that he is gone.
//!
//! One of those that are asked is made up: what it says and answers is written into the database by the test.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use loiter::Config;
use serde_json::Value;

use crate::serving::{Client, OtherProgram, PATIENCE, Serving, ending};
use crate::{asking, hinting, servers};

/// The number of the one that is made up.
const MADE_UP: i64 = 77;

struct Asked {
    _server: Serving,
    database: OtherProgram,
    asks: Client,
}

impl Asked {
    /// A server that has asked the made-up one, which has said so many seconds ago that it would be there for so many.
    fn with(server: Serving, said_s: i64, lease_s: i64) -> Self {
        let ann = server.user("ann");
        let id = server.chatroom(&ann);
        let mut database = server.other_program();
        database.execute(&format!(
            "INSERT INTO servers (server, seen, lease_ms)
             VALUES ({MADE_UP}, clock_timestamp() - {said_s} * interval '1 s', {lease_s} * 1000)"
        ));
        let mut asks = server.connect();
        asks.send(ending(&ann, id).bytes());
        let mut asked = Self {
            _server: server,
            database,
            asks,
        };
        asked.wait_for("SELECT count(*) FROM changes WHERE kind = 'end_polls'");
        asked
    }

    fn wait_for(&mut self, count: &str) {
        let begun = Instant::now();
        while self.database.number(count) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{count}");
        }
    }

    /// The made-up one has ended, without a word.
    fn go(&mut self) {
        let gone = format!("DELETE FROM servers WHERE server = {MADE_UP}");
        assert_eq!(self.database.execute(&gone), 1);
    }

    fn answer(&mut self) -> Value {
        self.asks.answer().ok()["ended"].take()
    }
}

fn seldom(config: &mut Config) {
    asking(config);
    config.ask_every = Duration::from_secs(60);
}

#[test]
fn each_says_for_how_long_it_is_there() {
    let [one, _other] = servers(asking);
    let _seldom = Serving::with(|config| {
        seldom(config);
        config.database = one.database();
    });
    let mut database = one.other_program();
    for (lease_ms, count) in [(5_000, 2), (180_000, 1)] {
        let count_of = format!("SELECT count(*) FROM servers WHERE lease_ms = {lease_ms}");
        assert_eq!(database.number(&count_of), count, "{lease_ms}");
    }
}

/// One that asks more seldom than this one is neither forgotten nor given up before it can have heard.
#[test]
fn who_asks_seldom_is_waited_for() {
    let mut asked = Asked::with(Serving::with(asking), 10, 600);
    asked.wait_for(
        "SELECT count(*) FROM changes WHERE kind = 'end_polls' AND time < clock_timestamp() - interval '6 s'",
    );
    asked.asks.assert_silent();
    asked.database.execute(&format!(
        "INSERT INTO answers (asker, question, server, users, ended, failed)
         SELECT server, id, {MADE_UP}, '{{}}', 5, false FROM changes WHERE kind = 'end_polls'"
    ));
    assert_eq!(asked.answer(), 5);
}

/// Nobody is asked where the made-up one has said, at this distance from now by the database's clock, that it would be there for so many milliseconds.
fn assert_not_asked(said: &str, lease_ms: u32) {
    let server = Serving::with(seldom);
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    let mut database = server.other_program();
    database.execute(&format!(
        "INSERT INTO servers (server, seen, lease_ms)
         VALUES ({MADE_UP}, clock_timestamp() {said}, {lease_ms})"
    ));
    assert_eq!(server.ask(&ending(&ann, id)).ok()["ended"], 0);
    assert_eq!(
        database.number("SELECT count(*) FROM changes WHERE kind = 'end_polls'"),
        0
    );
}

#[test]
fn who_has_not_said_for_its_own_time_that_it_is_there_is_not_asked() {
    assert_not_asked("- interval '10 s'", 3_000);
}

/// The clock was set back since.
#[test]
fn who_has_said_in_time_to_come_that_it_is_there_is_not_asked() {
    assert_not_asked("+ interval '1 h'", 5_000);
}

/// A poll that was to end when its server lost the connection by which it had heard so, before its loops were told; and its server, which hears again.
fn ended_while_cut_off(waits_ms: &[u64]) -> (Serving, Client) {
    let server = Serving::with(asking);
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    let poll = server.poll(&ann, id);
    let (mut database, mut locks) = (server.other_program(), server.other_program());
    locks.execute("BEGIN");
    assert_eq!(locks.execute("UPDATE servers SET seen = seen"), 1);
    let locked_by = locks.number("SELECT pg_backend_pid()::bigint");
    database.execute(&format!(
        "INSERT INTO changes (server, kind, chatroom, user_id, session, message)
         SELECT {MADE_UP}, 'end_polls', {id}, 0, token, waits_ms FROM sessions, unnest(ARRAY{waits_ms:?}) AS waits_ms"
    ));
    // What it says of itself waits for the lock, for as long as anything does, and once more on the next connection.
    let waiting = format!(
        "SELECT coalesce(max(pid), 0)::bigint FROM pg_stat_activity WHERE {locked_by} = ANY (pg_blocking_pids(pid))"
    );
    let begun = Instant::now();
    let mut waited = BTreeSet::new();
    while waited.len() < 2 {
        waited.insert(database.number(&waiting));
        waited.remove(&0);
        assert!(begun.elapsed() < 2 * PATIENCE, "it goes on");
    }
    locks.execute("ROLLBACK");
    // Twice: by then whatever it was asked is told.
    for _ in 0..2 {
        database.execute("UPDATE servers SET seen = '1970-01-01'");
        while database.number("SELECT count(*) FROM servers WHERE seen > '2000-01-01'") == 0 {
            assert!(begun.elapsed() < 2 * PATIENCE, "it says nothing");
        }
    }
    (server, poll)
}

/// … whoever has asked something else beside it, and waits no longer.
#[test]
fn what_was_asked_outlives_the_connection() {
    let (_server, mut poll) = ended_while_cut_off(&[0, 600_000]);
    assert_eq!(poll.answer().ok(), Value::Array(Vec::new()));
}

/// The client may have polled again since.
#[test]
fn what_nobody_waits_for_any_more_is_not_done() {
    let (_server, mut poll) = ended_while_cut_off(&[0]);
    poll.assert_silent();
}

#[test]
fn who_ends_while_it_is_asked_is_waited_for_no_longer() {
    let mut asked = Asked::with(Serving::with(asking), 0, 600);
    asked.go();
    assert_eq!(asked.answer(), 0);
}

/// Long before it would look by itself.
#[test]
fn a_server_that_ends_says_so_by_a_hint() {
    let [one, other] = servers(hinting);
    let mut asked = Asked::with(one, 0, 600);
    asked.go();
    asked.asks.assert_silent();
    other.handle().stop();
    other.wait_for_end();
    assert_eq!(asked.answer(), 0);
}
