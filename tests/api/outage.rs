//! When PostgreSQL is away, and when it is back. A file has no connection that could be lost: of it `storage` tells.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serving::database::{OtherProgram, is_file};
use crate::serving::proxy::Proxy;
use crate::serving::{PATIENCE, Request, Serving, Session, get, polling, saying};

/// A server whose database can be cut off.
fn behind_a_proxy() -> Option<(Serving, Proxy)> {
    if is_file() {
        eprintln!("not run: a file has no connection; tests/cluster.sh has PostgreSQL");
        return None;
    }
    let mut between = None;
    let serving = Serving::alone("it is one server's connections that are cut", |config| {
        let proxy = Proxy::before(&config.database);
        config.database.clone_from(&proxy.database);
        between = Some(proxy);
    });
    Some((serving, between.expect("set")))
}

fn ids(list: &Value) -> Vec<i64> {
    let messages = list.as_array().expect("a list").iter();
    messages
        .filter_map(|message| message["id"].as_i64())
        .collect()
}

fn find(session: &Session) -> Request {
    get("/message/getUser").with("name", "a").of(session)
}

/// Waits until a poll is parked.
#[track_caller]
fn assert_is_parked(serving: &Serving) {
    let begun = Instant::now();
    let is_one = |line: &str| line.starts_with("loiter_polls_parked{") && line.ends_with(" 1");
    let is_parked = |metrics: &loiter::Metrics| metrics.encode().lines().any(is_one);
    while !serving.all_metrics().any(is_parked) {
        assert!(begun.elapsed() < PATIENCE, "it is not parked");
        std::thread::yield_now();
    }
}

/// Asks until it is answered with 200, which takes a pause or two of those who connect anew.
#[track_caller]
fn comes_back(serving: &Serving, request: &Request) {
    let begun = Instant::now();
    while serving.ask(request).status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it is not back");
    }
}

#[test]
fn while_the_database_is_away_all_that_needs_it_is_told_and_who_waits_waits_on() {
    let Some((serving, proxy)) = behind_a_proxy() else {
        return;
    };
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    let mut poll = serving.poll(&ann, id);
    // What it needs is loaded by then, and it waits for nothing but a message.
    assert_is_parked(&serving);
    for _ in 0..2 {
        proxy.cut();
        let begun = Instant::now();
        for _ in 0..3 {
            let failed = serving.ask(&saying(&ann, id, "lost"));
            failed.assert_failed(500, "storage_failed");
            let failed = serving.ask(&find(&ann));
            failed.assert_failed(500, "storage_failed");
            let answer = serving.ask(&get("/readyz"));
            answer.assert_failed(503, "not_ready");
        }
        serving.ask(&get("/healthz")).ok();
        // Nobody waits for what is not there.
        assert!(begun.elapsed() < Duration::from_secs(10));
        poll.assert_silent();
        proxy.mend();
        comes_back(&serving, &get("/readyz"));
        comes_back(&serving, &find(&ann));
    }
    let list = serving.say(&ann, id, "after");
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&json!(1), &json!(2)));
    assert_eq!(poll.answer().ok(), list);
}

/// As a restart does in the night, when nobody asks for anything.
#[test]
fn connections_that_are_lost_while_nobody_uses_them_are_missed_by_nobody() {
    let Some((serving, proxy)) = behind_a_proxy() else {
        return;
    };
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for said in 1..=3 {
        proxy.cut();
        proxy.mend();
        let list = serving.say(&ann, id, "hi");
        assert_eq!(list.as_array().map(Vec::len), Some(said));
        assert_eq!(serving.ask(&find(&ann)).ok(), json!([ann.object()]));
    }
}

#[test]
fn a_connection_that_is_lost_in_the_middle_fails_that_and_nothing_after() {
    let Some((serving, _proxy)) = behind_a_proxy() else {
        return;
    };
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, id);
    let mut locking = serving.other_program();
    let mut ending = serving.other_program();
    locking.lock();
    let mut sender = serving.connect();
    sender.send(saying(&ann, id, "lost").bytes());
    end_who_waits_for_a_lock(&mut ending);
    sender.answer().assert_failed(500, "storage_failed");
    locking.unlock();
    poll.assert_silent();
    let list = sender.ask(&saying(&ann, id, "after")).ok();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["id"], 1);
    assert_eq!(poll.answer().ok(), list);
}

/// Of those who use this test's own tables.
fn end_who_waits_for_a_lock(other: &mut OtherProgram) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
        WHERE NOT granted AND relation = 'chatrooms'::regclass";
    let begun = Instant::now();
    while other.number(end) == 0 {
        assert!(begun.elapsed() < PATIENCE, "nobody waits");
    }
}

/// Nobody knows whether it was done, so it is told as failed; who sends it again with its nonce finds that it was.
#[test]
fn a_commit_whose_answer_is_lost_is_found_by_its_nonce() {
    let Some((serving, proxy)) = behind_a_proxy() else {
        return;
    };
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    let mut poll = serving.connect();
    poll.park(&ann, &polling(&ann, id).with("since", 1));
    let sending = saying(&ann, id, "once").with("nonce", "n");
    proxy.lose_answer_to_commit();
    let failed = serving.ask(&sending);
    failed.assert_failed(500, "storage_failed");
    let told = failed.json()["message"].clone();
    assert!(told.to_string().contains("not known"), "{told}");
    proxy.mend();
    comes_back(&serving, &get("/readyz"));
    comes_back(&serving, &find(&ann));
    let answer = serving.ask(&sending);
    assert_eq!(answer.field("loiter-message-id"), Some("2"));
    assert_eq!(ids(&answer.ok()), [1, 2]);
    // Nobody who follows has missed it.
    assert_eq!(ids(&serving.say(&ann, id, "after")), [1, 2, 3]);
    let mut seen = ids(&poll.answer().ok());
    if seen == [2] {
        seen.extend(ids(&serving.ask(&polling(&ann, id).with("since", 2)).ok()));
    }
    assert_eq!(seen, [2, 3]);
}

#[test]
fn a_name_that_no_text_of_the_database_can_be_is_nobodys() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let odd = "ann\0";
    let found = get("/message/getUser").with("name", odd).of(&ann);
    assert_eq!(serving.ask(&found).ok(), json!({}));
    let adding = crate::serving::post("/message/addToChatroom")
        .with("chatroomid", id)
        .with("usertoadd", odd)
        .of(&ann);
    serving.ask(&adding).assert_failed(404, "no_such_user");
    let nonce = saying(&ann, id, "hi").with("nonce", "a\0\u{1f511}'");
    for _ in 0..2 {
        let answer = serving.ask(&nonce);
        assert_eq!(answer.field("loiter-message-id"), Some("1"));
        answer.ok();
    }
}
