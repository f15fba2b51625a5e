//! Polling without loss: `since`, `limit` and `timeout`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serving::{PATIENCE, Request, Serving, Session, ending, get, polling, saying};

fn ids(list: &Value) -> Vec<i64> {
    let messages = list.as_array().expect("a list").iter();
    messages
        .map(|message| message["id"].as_i64().expect("an id"))
        .collect()
}

fn since(session: &Session, chatroom: i64, id: i64) -> Request {
    polling(session, chatroom).with("since", id)
}

/// A server with short lists, ann, and a chatroom with nine messages.
pub(super) fn talked() -> (Serving, Session, i64) {
    let serving = Serving::with(|config| config.recent = 3);
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    (1..=9).for_each(|n| drop(serving.say(&ann, id, &n.to_string())));
    (serving, ann, id)
}

#[test]
fn what_is_newer_is_told_at_once_oldest_first() {
    let (serving, ann, id) = talked();
    let newer = |since_id, limit: i64| {
        let poll = since(&ann, id, since_id).with("limit", limit);
        ids(&serving.ask(&poll).ok())
    };
    assert_eq!(newer(8, 200), [9]);
    assert_eq!(newer(7, 1), [8]);
    // Further back than any list that everybody gets.
    assert_eq!(newer(0, 200), Vec::from_iter(1..=9));
    assert_eq!(newer(2, 4), [3, 4, 5, 6]);
    // Without a limit a list is as long as others.
    assert_eq!(ids(&serving.ask(&since(&ann, id, 0)).ok()), [1, 2, 3]);
}

#[test]
fn whoever_has_all_waits_for_the_next() {
    let (serving, ann, id) = talked();
    let mut poll = serving.connect();
    poll.park(&ann, &since(&ann, id, 9));
    let mut usual = serving.poll(&ann, id);
    serving.say(&ann, id, "10");
    assert_eq!(ids(&poll.answer().ok()), [10]);
    assert_eq!(ids(&usual.answer().ok()), [8, 9, 10]);
    // Nothing is lost in between, and nothing told twice.
    serving.say(&ann, id, "11");
    serving.say(&ann, id, "12");
    assert_eq!(ids(&poll.ask(&since(&ann, id, 10)).ok()), [11, 12]);
    poll.park(&ann, &since(&ann, id, 12));
    poll.assert_silent();
}

#[test]
fn in_an_empty_chatroom_zero_waits() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.connect();
    poll.park(&ann, &since(&ann, id, 0));
    serving.say(&ann, id, "first");
    assert_eq!(ids(&poll.answer().ok()), [1]);
}

#[test]
fn a_poll_that_is_ended_has_nothing_new() {
    let (serving, ann, id) = talked();
    let mut poll = serving.connect();
    poll.park(&ann, &since(&ann, id, 9));
    let ended = serving.ask(&ending(&ann, id).with("limit", 2)).ok();
    assert_eq!(ended["ended"], 1);
    assert_eq!(ids(&ended["messages"]), [8, 9], "the caller's own list");
    assert_eq!(poll.answer().ok(), json!([]));
}

#[test]
fn whoever_is_ahead_is_told() {
    let (serving, ann, id) = talked();
    for ahead in [10, i64::MAX] {
        let answer = serving.ask(&since(&ann, id, ahead));
        answer.assert_failed(409, "since_ahead");
        assert_eq!(answer.json()["last"], 9);
    }
    let empty = serving.chatroom(&ann);
    let answer = serving.ask(&since(&ann, empty, 1));
    answer.assert_failed(409, "since_ahead");
    assert_eq!(answer.json()["last"], 0);
}

#[test]
fn others_are_refused_as_ever() {
    let (serving, ann, id) = talked();
    let bob = serving.user("bob");
    let answer = serving.ask(&since(&bob, id, 0));
    answer.assert_failed(500, "not_a_participant");
    for (name, bad) in [
        ("since", "-1"),
        ("since", "+1"),
        ("since", "x"),
        ("since", ""),
        ("since", "9223372036854775808"),
        ("limit", "0"),
        ("limit", "201"),
        ("timeout", "0"),
        ("timeout", "3601"),
        ("timeout", "1.5"),
    ] {
        let answer = serving.ask(&polling(&ann, id).with(name, bad));
        answer.assert_failed(400, "bad_parameter");
        let message = answer.json()["message"].to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_limit_holds_for_each_list() {
    let (serving, ann, id) = talked();
    let said = serving.ask(&saying(&ann, id, "10").with("limit", 2)).ok();
    assert_eq!(ids(&said), [9, 10]);
    let mut poll = serving.connect();
    poll.park(&ann, &polling(&ann, id).with("limit", 1));
    serving.say(&ann, id, "11");
    assert_eq!(ids(&poll.answer().ok()), [11]);
    // More than the chatroom remembers.
    poll.park(&ann, &polling(&ann, id).with("limit", 200));
    serving.say(&ann, id, "12");
    assert_eq!(ids(&poll.answer().ok()), Vec::from_iter(1..=12));
}

#[test]
fn a_poll_ends_when_its_time_is_over() {
    let (serving, ann, id) = talked();
    let begun = Instant::now();
    let mut patient = serving.connect();
    patient.park(&ann, &polling(&ann, id).with("timeout", 3600));
    let mut hasty = serving.connect();
    let mut brief = |poll: Request| hasty.ask(&poll.with("timeout", 1)).ok();
    assert_eq!(brief(since(&ann, id, 9)), json!([]));
    assert_eq!(ids(&brief(polling(&ann, id))), [7, 8, 9]);
    assert_eq!(ids(&brief(polling(&ann, id).with("limit", 1))), [9]);
    assert!(begun.elapsed() >= Duration::from_secs(3), "not before");
    patient.assert_silent();
    // The next poll on the connection has no end again.
    hasty.park(&ann, &polling(&ann, id));
    brief_elsewhere(&serving, &ann, id);
    hasty.assert_silent();
}

/// A second passes, and a little more.
fn brief_elsewhere(serving: &Serving, ann: &Session, id: i64) {
    serving.ask(&since(ann, id, 9).with("timeout", 1)).ok();
}

#[test]
fn the_server_ends_polls_too() {
    let serving = Serving::with(|config| config.poll_timeout = Some(Duration::from_millis(300)));
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.connect();
    for _ in 0..2 {
        let begun = Instant::now();
        let asked = since(&ann, id, 0).with("timeout", 3600);
        assert_eq!(poll.ask(&asked).ok(), json!([]));
        assert!(
            begun.elapsed() >= Duration::from_millis(270),
            "less a tenth at most"
        );
    }
}

#[test]
fn whoever_has_missed_what_is_no_longer_kept_is_told() {
    let (serving, ann, id) = talked();
    let mut database = serving.other_program();
    for age in [
        "UPDATE messages SET time = time - 7200000 WHERE id <= 4",
        "UPDATE chatrooms SET oldest_time = oldest_time - 7200000",
    ] {
        assert!(database.execute(age) > 0);
    }
    drop(database);
    let serving = serving.restart(|config| config.retention = Some(Duration::from_secs(3600)));
    // They are removed soon after the start.
    let begun = Instant::now();
    let told = loop {
        let answer = serving.ask(&since(&ann, id, 2));
        if answer.status != 200 {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "they are kept");
    };
    told.assert_failed(410, "since_expired");
    assert_eq!(told.json()["first"], 5);
    let rest = since(&ann, id, 4).with("limit", 200);
    assert_eq!(ids(&serving.ask(&rest).ok()), [5, 6, 7, 8, 9]);
}

#[test]
fn history_goes_back_page_by_page() {
    let (serving, ann, id) = talked();
    let page = |before: Option<i64>, limit: i64| {
        let asked = get("/message/history/").with("chatroomid", id).of(&ann);
        let asked = asked.with("limit", limit);
        let asked = match before {
            Some(before) => asked.with("before", before),
            None => asked,
        };
        ids(&serving.ask(&asked).ok())
    };
    assert_eq!(page(None, 4), [6, 7, 8, 9]);
    assert_eq!(page(Some(6), 4), [2, 3, 4, 5]);
    assert_eq!(page(Some(2), 4), [1]);
    assert_eq!(page(Some(1), 4), [0; 0]);
    assert_eq!(page(Some(100), 2), [8, 9]);
    let bob = serving.user("bob");
    let history = |session: &Session| get("/message/history/").with("chatroomid", id).of(session);
    serving
        .ask(&history(&bob))
        .assert_failed(403, "not_a_participant");
    assert_eq!(ids(&serving.ask(&history(&ann)).ok()), [7, 8, 9]);
    let zero = history(&ann).with("before", 0);
    serving.ask(&zero).assert_failed(400, "bad_parameter");
}

#[test]
fn a_session_is_told_whose_it_is_and_given_anew() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let answer = serving.ask(&get("/whoami/").of(&ann));
    assert_eq!(answer.ok(), ann.object());
    assert_eq!(Session::of(&answer).token, ann.token);
    let cookie = answer.field("set-cookie").expect("a cookie");
    let begun = serving.ask(&crate::serving::logging_in("ann"));
    let new = Session::of(&begun).token;
    let wanted = begun.field("set-cookie").expect("a cookie");
    assert_eq!(cookie, wanted.replace(&new, &ann.token), "as a login's");
    serving
        .ask(&get("/whoami/"))
        .assert_failed(401, "no_session");
}

/// What is asked for behind it in one breath has begun before anybody knows that an answer is stuck.
#[test]
fn a_poll_behind_an_answer_that_is_stuck_has_its_own_end() {
    let serving = Serving::with(|config| config.recent = 200);
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut client = serving.connect();
    let text = "x".repeat(4096);
    for _ in 0..200 {
        client.ask(&saying(&ann, id, &text).with("limit", 1)).ok();
    }
    socket2::SockRef::from(client.socket())
        .set_recv_buffer_size(256 * 1024)
        .expect("a small one");
    // Eight megabytes are more than any socket's buffers take.
    let lists = since(&ann, id, 0).with("limit", 200).bytes().repeat(10);
    let poll = since(&ann, id, 200).with("timeout", 1).bytes();
    let begun = Instant::now();
    client.send([lists, poll].concat());
    for _ in 0..10 {
        assert_eq!(ids(&client.answer().ok()).len(), 200);
    }
    assert_eq!(client.answer().ok(), json!([]));
    assert!(begun.elapsed() >= Duration::from_secs(1), "not before");
}
