//! A standby that does not confirm what is committed: commits wait for it, for as long as it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use loiter::config::Hints;
use loiter::{Config, Server, Users, UsersError};

use crate::ids;
use crate::serving::{PATIENCE, Serving, get, post, saying};
use crate::unsteady::Unsteady;

/// Commits that wait for a standby.
const AWAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/// By which the only server is known.
const NUMBER: &str = "SELECT server FROM servers";
const OTHER_SERVERS: &str = "SELECT server FROM servers WHERE server <> $1";

/// Commits are to wait for a standby of this name, and no more when it is dropped.
struct Standby<'a>(&'a Unsteady);

impl<'a> Standby<'a> {
    /// One that is not there.
    fn awaited(unsteady: &'a Unsteady) -> Self {
        set_standby(unsteady, "SET synchronous_standby_names = 'nobody'");
        let standby = Self(unsteady);
        wait_until_awaited(unsteady);
        standby
    }
}

impl Drop for Standby<'_> {
    fn drop(&mut self) {
        set_standby(self.0, "RESET synchronous_standby_names");
    }
}

fn set_standby(unsteady: &Unsteady, how: &str) {
    let mut client = unsteady.client("postgres");
    let set = format!("ALTER SYSTEM {how}");
    client.batch_execute(&set).expect("set");
    client
        .batch_execute("SELECT pg_reload_conf()")
        .expect("read again");
}

/// It is read again when the database comes to it. Until then commits are made that wait for nobody, and the first that does is cancelled.
fn wait_until_awaited(unsteady: &Unsteady) {
    const CANCEL: &str =
        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let begun = Instant::now();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let commits = scope.spawn(|| {
            let mut client = unsteady.client("postgres");
            while !is_over.load(Ordering::Relaxed) {
                let commit = "SELECT pg_logical_emit_message(true, '', '')";
                client.batch_execute(commit).expect("committed");
            }
        });
        while !commits.is_finished() {
            if count(unsteady, CANCEL) > 0 || begun.elapsed() > PATIENCE {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    });
    assert!(begun.elapsed() < PATIENCE, "no commit waits");
}

fn count(unsteady: &Unsteady, count: &str) -> i64 {
    let mut client = unsteady.client("postgres");
    client.query_one(count, &[]).expect("a number").get(0)
}

#[test]
fn who_writes_is_told_so_and_no_commits_pile_up() {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let server = Serving::alone("its own commits are counted", |config| {
        config.database = format!("{}/{name}", unsteady.address()).into();
        // With NOTIFY each commit would wait for the one before.
        config.hints = Hints::None;
    });
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    server.say(&ann, id, "before");
    let mut database = unsteady.client(&name);
    let number: i64 = database.query_one(NUMBER, &[]).expect("one").get(0);
    let standby = Standby::awaited(&unsteady);
    let (sent, other) = (
        saying(&ann, id, "once").with("nonce", "1"),
        get("/message/history").of(&ann).with("chatroomid", id),
    );
    let mut sender = server.connect();
    sender.send(sent.bytes());
    let begun = Instant::now();
    while count(&unsteady, AWAITING) == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is committed");
    }
    // Nobody who reads notices it, and what waits is not there yet.
    assert_eq!(ids(&server.ask(&other).ok()), [1]);
    sender.answer().assert_failed(500, "storage_failed");
    // Nor does who listens, and says by which number the server is known now.
    let begun = Instant::now();
    let mut is_known = false;
    while !is_known {
        for refused in [&sent, &post("/message/newChatroom").of(&ann)] {
            let failed = server.ask(refused);
            failed.assert_failed(500, "storage_failed");
        }
        assert_eq!(ids(&server.ask(&other).ok()), [1]);
        assert_eq!(count(&unsteady, AWAITING), 1);
        let rows = database.query(OTHER_SERVERS, &[&number]);
        is_known = !rows.expect("numbers").is_empty();
        assert!(begun.elapsed() < PATIENCE, "it says nothing of itself");
    }
    assert_eq!(server.ask(&get("/readyz")).status, 503);
    drop(standby);
    let begun = Instant::now();
    let list = loop {
        let answer = server.ask(&sent);
        if answer.status == 200 {
            break answer.ok();
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on refusing");
    };
    assert_eq!(ids(&list), [1, 2]);
    assert_eq!(list[1]["message"], "once");
}

/// Nobody is there who is in the one database and not yet in the other.
#[test]
fn who_adds_a_user_is_told_that_it_may_have_been_done() {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let config = Config {
        database: format!("{}/{name}", unsteady.address()).into(),
        ..Config::default()
    };
    drop(Server::bind(config.clone()).expect("it has its tables"));
    let mut users = Users::open(&config).expect("there are users");
    let standby = Standby::awaited(&unsteady);
    match users.add("ann", "correct horse") {
        Err(UsersError::OutcomeUnknown(_)) => {}
        other => panic!("{other:?}"),
    }
    let users = Users::open(&config).expect("there are users");
    assert_eq!(users.list(0, 2).expect("a list"), []);
    drop(standby);
    let begun = Instant::now();
    while users.list(0, 2).expect("a list").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nobody was added");
    }
}

/// A commit that notifies waits for the one before it, which has a lock of the whole database server for as long as a standby is waited for: longer than
/// a locked row is.
#[test]
fn who_notifies_waits_for_its_turn_and_does_not_begin_again() {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
        WHERE NOT granted AND locktype = 'object' AND clock_timestamp() - xact_start > interval '0.8 s'";
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let server = Serving::alone("its own commits are counted", |config| {
        let local = "options=-csynchronous_commit%3Dlocal";
        config.database = format!("{}/{name}?{local}", unsteady.address()).into();
    });
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    let standby = Standby::awaited(&unsteady);
    let wait_for = |what: &str| {
        let begun = Instant::now();
        while count(&unsteady, what) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{what}");
        }
    };
    let said = thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = unsteady.client(&name);
            let done = other.batch_execute("CREATE TABLE other (); NOTIFY somebody");
            done.expect("the standby is waited for no more");
        });
        wait_for(AWAITING);
        let mut sender = server.connect();
        sender.send(saying(&ann, id, "hi").bytes());
        wait_for(WAITING);
        drop(standby);
        sender.answer().ok()
    });
    assert_eq!(ids(&said), [1]);
}
