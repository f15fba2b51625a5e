//! How often: `--send-rate` and `--register-rate`.

use serde_json::{Value, json};

use crate::serving::{Answer, Request, Serving, Session, get, post, registering, saying};

#[track_caller]
fn assert_held(answer: &Answer) {
    answer.assert_failed(429, "too_many_attempts");
    let retry_after = answer.field("retry-after").expect("Retry-After");
    let seconds: u64 = retry_after.parse().expect(retry_after);
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.field("loiter-message-id"), None);
}

/// The texts of all that was said.
fn said(serving: &Serving, session: &Session, id: i64) -> Vec<String> {
    let request = get("/message/history").of(session).with("chatroomid", id);
    let Value::Array(list) = serving.ask(&request).ok() else {
        panic!("no list");
    };
    let text = |message: &Value| message["message"].as_str().expect("text").to_owned();
    list.iter().map(text).collect()
}

/// Each on a connection of its own, and so at whichever loop.
#[test]
fn a_user_sends_so_many_a_minute_from_all_sessions_to_all_chatrooms() {
    let serving = Serving::alone("each server counts for itself", |config| {
        config.send_rate = 4
    });
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    let other = serving.chatroom(&ann);
    let again = serving.login("ann");
    for (session, id, text) in [
        (&ann, id, "1"),
        (&again, other, "x"),
        (&again, id, "2"),
        (&ann, id, "3"),
    ] {
        serving.say(session, id, text);
    }
    let mut poll = serving.poll(&bob, id);
    for _ in 0..3 {
        for session in [&ann, &again] {
            for id in [id, other, 99] {
                assert_held(&serving.ask(&saying(session, id, "no")));
            }
        }
    }
    // Nothing was done, and nobody else is held.
    poll.assert_silent();
    let list = serving.say(&bob, id, "4");
    assert_eq!(poll.answer().ok(), list);
    assert_eq!(said(&serving, &ann, id), ["1", "2", "3", "4"]);
    serving.ask(&post("/message/newChatroom").of(&ann)).ok();
}

fn with_nonce(session: &Session, id: i64, nonce: &str) -> Request {
    saying(session, id, nonce).with("nonce", nonce)
}

#[test]
fn what_saves_nothing_does_not_count() {
    let serving = Serving::alone("each server counts for itself", |config| {
        config.send_rate = 2
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.ask(&with_nonce(&ann, id, "a")).ok();
    for _ in 0..3 {
        // A repetition, strangers' chatrooms, and what is no call.
        let repeated = serving.ask(&with_nonce(&ann, id, "a"));
        repeated.ok();
        assert_eq!(repeated.field("loiter-message-id"), Some("1"));
        serving
            .ask(&saying(&ann, 99, "x"))
            .assert_failed(500, "not_a_participant");
        serving
            .ask(&saying(&ann, id, ""))
            .assert_failed(400, "bad_parameter");
    }
    serving.ask(&with_nonce(&ann, id, "b")).ok();
    assert_held(&serving.ask(&with_nonce(&ann, id, "c")));
    assert_eq!(said(&serving, &ann, id), ["a", "b"]);
}

#[test]
fn a_refused_nonce_is_as_good_as_new() {
    let serving = Serving::alone("each server counts for itself", |config| {
        config.send_rate = 1
    });
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.ask(&with_nonce(&ann, id, "a")).ok();
    assert_held(&serving.ask(&with_nonce(&ann, id, "b")));
    // The minute is over when the server has forgotten it.
    let serving = serving.restart(|config| config.send_rate = 1);
    let sent = serving.ask(&with_nonce(&ann, id, "b"));
    sent.ok();
    assert_eq!(sent.field("loiter-message-id"), Some("2"));
    assert_held(&serving.ask(&with_nonce(&ann, id, "b")));
    assert_eq!(said(&serving, &ann, id), ["a", "b"]);
}

#[test]
fn so_many_register_from_an_address_in_a_minute() {
    let serving = Serving::alone("each server counts for itself", |config| {
        config.register_rate = 3;
        config.trusted_proxies = vec!["127.0.0.9".parse().expect("an address")];
    });
    serving.ask(&registering("ann")).ok();
    serving
        .ask(&registering("ann"))
        .assert_failed(409, "username_taken");
    // What could not be registered anyway is no attempt.
    for _ in 0..3 {
        serving
            .ask(&registering(""))
            .assert_failed(400, "bad_parameter");
    }
    serving.ask(&registering("bob")).ok();
    for name in ["cleo", "ann", "dan"] {
        assert_held(&serving.ask(&registering(name)));
    }
    // From elsewhere they may, and who is registered may log in.
    let mut elsewhere = serving.connect_from([127, 0, 0, 2]);
    elsewhere.ask(&registering("cleo")).ok();
    let mut proxy = serving.connect_from([127, 0, 0, 9]);
    for client in ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"] {
        let request = registering(client).field("X-Forwarded-For", client);
        proxy.ask(&request).ok();
    }
    serving.login("ann");
    let gone = post("/login")
        .form("username", "dan")
        .form("password", "pw");
    serving.ask(&gone).assert_failed(401, "bad_credentials");
}

#[test]
fn without_limits_there_are_none() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for n in 0..30 {
        serving.say(&ann, id, "x");
        serving.ask(&registering(&format!("user{n}"))).ok();
    }
    assert_eq!(
        serving.ask(&get("/whoami").of(&ann)).ok(),
        json!(ann.object())
    );
}
