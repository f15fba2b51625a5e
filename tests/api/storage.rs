//! When the database cannot be written, read, or written fast enough.
//!
//! Another program on the same database makes it fail: by triggers that refuse every write, by a table that is
//! not there, by a lock that it keeps.

use serde_json::json;

use crate::serving::{
    Client, Request, Serving, Session, adding, get, logging_in, polling, post, registering, saying,
};

fn participants(session: &Session, chatroom: i64) -> Request {
    about("chatroomParticipants", session, chatroom)
}

fn about(what: &str, session: &Session, chatroom: i64) -> Request {
    get(&format!("/message/{what}"))
        .with("chatroomid", chatroom)
        .of(session)
}

#[test]
fn a_write_that_fails_is_told_on_every_call_that_writes() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    let before = serving.say(&ann, id, "before");
    let mut poll = serving.poll(&ann, id);
    let mut database = serving.other_program();
    database.refuse_writes(&["INSERT", "DELETE"]);
    for request in [
        registering("carl"),
        logging_in("ann"),
        post("/logout").of(&bob),
        post("/message/newChatroom").of(&ann),
        adding(&ann, id, bob.userid),
        saying(&ann, id, "lost"),
    ] {
        let answer = serving.ask(&request);
        answer.assert_failed(500, "storage_failed");
        assert_eq!(answer.field("set-cookie"), None);
    }
    // Reads go on, nothing has happened, and the poll stays parked.
    let found = get("/message/getUser").with("name", "carl").of(&bob);
    assert_eq!(serving.ask(&found).ok(), json!({}));
    assert_eq!(
        serving.ask(&get("/message/chatrooms").of(&ann)).ok(),
        json!([id])
    );
    assert_eq!(
        serving.ask(&participants(&ann, id)).ok(),
        json!([ann.object()])
    );
    poll.assert_silent();
    // And writing goes on when it can, with no id lost.
    database.let_writes_pass(&["INSERT", "DELETE"]);
    let list = serving.say(&ann, id, "after");
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!((&list[0], &list[1]["id"]), (&before[0], &json!(2)));
    assert_eq!(poll.answer().ok(), list);
    serving.add(&ann, id, &bob);
    serving.ask(&post("/logout").of(&bob)).ok();
    let carl = serving.ask(&registering("carl")).ok();
    assert!(carl["userid"].as_i64() > Some(bob.userid));
}

#[test]
fn a_read_that_fails_is_told() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "hi");
    let stranger = serving.login("ann");
    let mut poll = serving.poll(&ann, id);
    let mut database = serving.other_program();
    database.execute("ALTER TABLE users RENAME TO elsewhere");
    let find = get("/message/getUser").with("name", "ann").of(&ann);
    for request in [
        find.clone(),
        participants(&ann, id),
        about("presence", &ann, id),
        logging_in("ann"),
        registering("bob"),
        // Its session is not remembered yet: even a poll must say that it cannot be parked.
        polling(&stranger, id),
        saying(&stranger, id, "x"),
    ] {
        serving.ask(&request).assert_failed(500, "storage_failed");
    }
    poll.assert_silent();
    database.execute("ALTER TABLE elsewhere RENAME TO users");
    assert_eq!(serving.ask(&find).ok(), json!([ann.object()]));
    let present = serving.ask(&about("presence", &ann, id)).ok();
    assert_eq!(present, json!([ann.object()]));
    serving.warm(&stranger);
    assert_eq!(serving.end_polls(&ann, id)["ended"], 1);
    assert_eq!(poll.answer().ok()[0]["message"], "hi");
}

#[test]
fn a_lock_that_is_kept_too_long_fails_what_waits_for_it() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    let mut database = serving.other_program();
    database.lock();
    let mut sender = serving.connect();
    sender.send(saying(&ann, id, "lost").bytes());
    // Meanwhile reads go on.
    let found = get("/message/getUser").with("name", "a").of(&ann);
    assert_eq!(serving.ask(&found).ok(), json!([ann.object()]));
    sender.assert_silent();
    sender.answer().assert_failed(500, "storage_failed");
    poll.assert_silent();
    database.unlock();
    let list = sender.ask(&saying(&ann, id, "after")).ok();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["id"], 1);
    assert_eq!(poll.answer().ok(), list);
}

#[test]
fn what_finds_no_place_to_wait_is_refused_before_it_is_begun() {
    let serving = Serving::alone("the queue is of each server", |config| {
        config.queue = 1;
        // It has taken what was sent before it answers what was asked then.
        config.loops = 1;
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    let mut poll = serving.poll(&ann, id);
    let mut database = serving.other_program();
    database.lock();
    // One is with the lane and one waits, or the lane has not come to the first yet.
    let mut senders: Vec<Client> = (0..8).map(|_| serving.connect()).collect();
    for sender in &mut senders {
        sender.send(saying(&ann, id, "hi").bytes());
    }
    serving.warm(&ann);
    let mut taken = Vec::new();
    for mut sender in senders {
        sender.read_at_once();
        let Some(answer) = sender.arrived() else {
            taken.push(sender);
            continue;
        };
        answer.assert_failed(503, "overloaded");
        let retry_after = answer.field("retry-after").expect("Retry-After");
        assert!(retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0));
        assert!(!answer.closes());
    }
    assert!((1..=2).contains(&taken.len()), "{}", taken.len());
    poll.assert_silent();
    database.unlock();
    for (at, sender) in taken.iter_mut().enumerate() {
        let list = sender.answer().ok();
        assert_eq!(list.as_array().map(Vec::len), Some(at + 2));
    }
    // Nothing of the others was done.
    let list = serving.say(&ann, id, "after");
    assert_eq!(list.as_array().map(Vec::len), Some(taken.len() + 2));
    assert_eq!(poll.answer().ok()[1]["message"], "hi");
}
