//! How long a session lasts, and what the database knows of it.

use std::time::Duration;

use serde_json::json;

use crate::serving::database::is_file;
use crate::serving::{Driven, Serving, Session, get, polling, post};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Makes all sessions this much older than they are.
fn age(serving: &Serving, ms: i64) {
    let age = format!("UPDATE sessions SET last_used = last_used - {ms}");
    assert!(serving.other_program().execute(&age) > 0);
}

fn asking(session: &Session) -> crate::serving::Request {
    get("/message/chatrooms").of(session)
}

#[test]
fn a_session_outlives_a_restart() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let list = serving.say(&ann, id, "before");
    let ended = serving.login("ann");
    serving.ask(&post("/logout").of(&ended)).ok();
    let serving = serving.restart(|_| {});
    assert_eq!(serving.ask(&asking(&ann)).ok(), json!([id]));
    assert_eq!(serving.end_polls(&ann, id)["messages"], list);
    serving
        .ask(&asking(&ended))
        .assert_failed(401, "no_session");
    let serving = serving.restart(|_| {});
    let mut poll = serving.poll(&ann, id);
    serving.ask(&post("/logout").of(&ann)).ok();
    poll.answer().assert_failed(401, "no_session");
    let serving = serving.restart(|_| {});
    serving.ask(&asking(&ann)).assert_failed(401, "no_session");
}

#[test]
fn a_session_ends_so_long_after_its_last_use() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    age(&serving, 29 * DAY_MS);
    let serving = serving.restart(|_| {});
    serving.ask(&asking(&ann)).ok();
    // What was noted of that use has been written when a later write is answered.
    serving.chatroom(&ann);
    age(&serving, 2 * DAY_MS);
    let serving = serving.restart(|_| {});
    serving.ask(&asking(&ann)).ok();
    for request in [
        asking(&bob),
        polling(&bob, id),
        post("/logout").of(&bob),
        get("/message/getUser").of(&bob),
    ] {
        serving.ask(&request).assert_failed(401, "no_session");
    }
}

/// What the server remembers ends in time too, not only what it reads. Its idle timeout, which is longer, is the clock.
#[test]
fn a_remembered_session_ends_so_long_after_its_last_use() {
    let mut driven = Driven::with(|config| {
        config.session_lifetime = Duration::from_secs(1);
        config.idle_timeout = Duration::from_millis(1500);
    });
    let ann = driven.user("ann");
    driven.warm(&ann);
    let mut idle = driven.connect();
    driven.assert_ends(&mut idle);
    driven.ask(&asking(&ann)).assert_failed(401, "no_session");
}

#[test]
fn the_database_knows_neither_tokens_nor_passwords() {
    let serving = Serving::start();
    let registering = post("/register")
        .form("username", "ann")
        .form("password", "hunter2hunter2");
    serving.ask(&registering).ok();
    let login = post("/login")
        .form("username", "ann")
        .form("password", "hunter2hunter2");
    let ann = Session::of(&serving.ask(&login));
    let digest = ring::digest::digest(&ring::digest::SHA256, ann.token.as_bytes());
    let mut database = serving.other_program();
    assert_eq!(
        database.bytes("SELECT token FROM sessions"),
        digest.as_ref()
    );
    // What PostgreSQL writes where is its own affair; that no secret is given to it, the columns tell.
    if !is_file() {
        let stored = database.texts("SELECT password FROM users");
        assert!(stored.len() == 1 && !stored[0].contains("hunter2"));
        return;
    }
    let folder = serving.database();
    let folder = folder.parent().expect("a folder");
    for file in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        for secret in [ann.token.as_bytes(), b"hunter2hunter2"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    }
}
