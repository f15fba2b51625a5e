//! A database that lacks messages which were acknowledged: one that leads since another is gone, and had not got them.

use std::time::Instant;

use serde_json::Value;

use crate::ids;
use crate::serving::{PATIENCE, Serving, Session, polling, saying};
use crate::unsteady::Unsteady;

/// The last two of three messages are gone, which a server remembers.
const LOSE_TWO: &str = "DELETE FROM messages WHERE id > 1; UPDATE chatrooms SET last_message = 1";

/// Somebody has said three things in a chatroom.
fn spoken_in(server: &Serving) -> (Session, i64) {
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    for text in ["one", "two", "three"] {
        server.say(&ann, id, text);
    }
    (ann, id)
}

/// What is said when the server has forgotten what it remembered.
fn said(server: &Serving, ann: &Session, id: i64, text: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = server.ask(&saying(ann, id, text));
        if answer.status == 200 {
            return answer.ok();
        }
        answer.assert_failed(500, "storage_failed");
        assert!(begun.elapsed() < PATIENCE, "it goes on refusing");
    }
}

#[test]
fn who_writes_finds_it_and_tells_nothing_under_the_id_of_something_else() {
    let server = Serving::alone("what it remembers is forgotten", |_| {});
    let (ann, id) = spoken_in(&server);
    let mut poll = server.poll(&ann, id);
    let mut database = server.other_program();
    for lose in LOSE_TWO.split("; ") {
        database.execute(lose);
    }
    let refused = server.ask(&saying(&ann, id, "other"));
    refused.assert_failed(500, "storage_failed");
    // It may have been waiting for what nobody will say.
    poll.answer().assert_failed(500, "storage_failed");
    let list = said(&server, &ann, id, "other");
    assert_eq!(ids(&list), [1, 2]);
    assert_eq!(list[1]["message"], "other");
    let ahead = server.ask(&polling(&ann, id).with("since", 3));
    ahead.assert_failed(409, "since_ahead");
}

#[test]
fn who_connects_anew_finds_it_though_nobody_writes() {
    let unsteady = Unsteady::take();
    let name = unsteady.new_database();
    let server = Serving::alone("it connects anew", |config| {
        config.database = format!("{}/{name}", unsteady.address()).into();
    });
    let (ann, id) = spoken_in(&server);
    let mut poll = server.poll(&ann, id);
    let mut database = unsteady.client(&name);
    database.batch_execute(LOSE_TWO).expect("gone");
    unsteady.terminate(&name, None);
    poll.answer().assert_failed(500, "storage_failed");
    let list = said(&server, &ann, id, "other");
    assert_eq!(ids(&list), [1, 2]);
}
