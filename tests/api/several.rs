//! Polls of several chatrooms on one socket.

use serde_json::{Value, json};

use crate::serving::{Client, Request, Serving, Session, ending, get, post};

/// `chatroom:id` of each message.
fn said(list: &Value) -> Vec<String> {
    let messages = list.as_array().expect("a list").iter();
    messages
        .map(|message| format!("{}:{}", message["chatroomid"], message["id"]))
        .collect()
}

fn several(session: &Session, chatrooms: &str) -> Request {
    get("/message/longpoll/")
        .of(session)
        .with("chatroomid", chatrooms)
}

/// A server with short lists, ann, and two chatrooms: 1 with four messages, 2 with two.
fn talked() -> (Serving, Session) {
    let serving = Serving::with(|config| config.recent = 3);
    let ann = serving.user("ann");
    for (id, messages) in [(1, 4), (2, 2)] {
        assert_eq!(serving.chatroom(&ann), id);
        (1..=messages).for_each(|n| drop(serving.say(&ann, id, &n.to_string())));
    }
    (serving, ann)
}

fn parked(serving: &Serving, session: &Session, poll: &Request) -> Client {
    let mut client = serving.connect();
    client.park(session, poll);
    client
}

#[test]
fn what_is_newer_in_any_comes_by_chatroom_and_id() {
    let (serving, ann) = talked();
    let newer = |chatrooms: &str, since: &str, limit: i64| {
        let poll = several(&ann, chatrooms)
            .with("since", since)
            .with("limit", limit);
        said(&serving.ask(&poll).ok())
    };
    assert_eq!(newer("2,1", "2:1,1:2", 200), ["1:3", "1:4", "2:2"]);
    assert_eq!(newer("1,2", "1:2,2:1", 2), ["1:3", "1:4"]);
    // Further back than what is remembered.
    let all = ["1:1", "1:2", "1:3", "1:4", "2:1", "2:2"];
    assert_eq!(newer("all", "1:0,2:0", 200), all);
    assert_eq!(newer("all", "2:0,1:0", 5), all[..5]);
    // One that is not among the pairs counts from now.
    assert_eq!(newer("all", "2:1", 200), ["2:2"]);
}

#[test]
fn one_socket_waits_in_all_of_them() {
    let (serving, ann) = talked();
    let mut exact = parked(
        &serving,
        &ann,
        &several(&ann, "1,2").with("since", "1:4,2:2"),
    );
    let mut listed = parked(&serving, &ann, &several(&ann, "all"));
    let mut from_now = parked(&serving, &ann, &several(&ann, "all").with("since", "1:4"));
    serving.say(&ann, 2, "3");
    assert_eq!(said(&exact.answer().ok()), ["2:3"]);
    assert_eq!(said(&listed.answer().ok()), ["2:1", "2:2", "2:3"]);
    assert_eq!(said(&from_now.answer().ok()), ["2:3"]);
    // Nothing is lost between two.
    serving.say(&ann, 1, "5");
    serving.say(&ann, 2, "4");
    let poll = several(&ann, "all").with("since", "1:4,2:3");
    assert_eq!(said(&exact.ask(&poll).ok()), ["1:5", "2:4"]);
    exact.park(&ann, &several(&ann, "all").with("since", "1:5,2:4"));
    exact.assert_silent();
}

#[test]
fn all_of_them_are_those_of_the_moment() {
    let serving = Serving::start();
    let [ann, bob] = ["ann", "bob"].map(|name| serving.user(name));
    // In none yet.
    let mut poll = parked(&serving, &bob, &several(&bob, "all").with("since", ""));
    let mut listed = parked(&serving, &bob, &several(&bob, "all"));
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before bob");
    serving.add(&ann, id, &bob);
    poll.assert_silent();
    serving.say(&ann, id, "hello bob");
    assert_eq!(said(&poll.answer().ok()), ["1:2"]);
    assert_eq!(said(&listed.answer().ok()), ["1:1", "1:2"]);
    poll.park(&bob, &several(&bob, "all").with("since", "1:2"));
    listed.park(&bob, &several(&bob, "1,1".trim_end_matches(",1")));
    let mut listed_two = parked(&serving, &bob, &several(&bob, "all"));
    let own = serving.chatroom(&bob);
    let mut these = parked(&serving, &bob, &several(&bob, &format!("{id},{own}")));
    let leave = post("/message/leaveChatroom/")
        .of(&bob)
        .with("chatroomid", id);
    serving.ask(&leave).ok();
    these.answer().assert_failed(500, "not_a_participant");
    listed.answer().assert_failed(500, "not_a_participant");
    serving.say(&ann, id, "without bob");
    serving.say(&bob, own, "alone");
    assert_eq!(said(&poll.answer().ok()), ["2:1"]);
    assert_eq!(said(&listed_two.answer().ok()), ["2:1"]);
}

#[test]
fn one_that_is_ended_has_nothing_new() {
    let (serving, ann) = talked();
    let mut polls = [
        parked(&serving, &ann, &several(&ann, "all")),
        parked(
            &serving,
            &ann,
            &several(&ann, "1,2").with("since", "1:4,2:2"),
        ),
    ];
    let ended = serving.ask(&ending(&ann, 2)).ok();
    assert_eq!(
        (&ended["ended"], said(&ended["messages"])),
        (&json!(2), vec!["2:1".into(), "2:2".into()])
    );
    for poll in &mut polls {
        assert_eq!(poll.answer().ok(), json!([]));
    }
    let mut timed = serving.connect();
    timed.park(&ann, &several(&ann, "all").with("timeout", 1));
    assert_eq!(timed.answer().ok(), json!([]));
    let mut drained = parked(
        &serving,
        &ann,
        &several(&ann, "all").with("since", "1:4,2:2"),
    );
    let mut none = parked(&serving, &ann, &several(&ann, "all"));
    serving.drain();
    for poll in [&mut drained, &mut none] {
        let answer = poll.answer();
        assert_eq!(answer.ok(), json!([]));
        assert!(answer.closes());
    }
}

#[test]
fn a_history_that_is_not_the_servers_is_told() {
    let (serving, ann) = talked();
    let answer = serving.ask(&several(&ann, "1,2").with("since", "1:4,2:3"));
    answer.assert_failed(409, "since_ahead");
    assert_eq!(
        (&answer.json()["chatroomid"], &answer.json()["last"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn wrong_ones_are_refused() {
    let (serving, ann) = talked();
    let bob = serving.user("bob");
    serving
        .ask(&several(&bob, "1,2"))
        .assert_failed(500, "not_a_participant");
    for chatrooms in [
        "1,", ",1", "1,,2", "1, 2", "1,1", "1,x", "0,1", "1,-2", "All", "all,1", "",
    ] {
        let answer = serving.ask(&several(&ann, chatrooms));
        answer.assert_failed(400, "bad_parameter");
        let message = answer.json()["message"].to_string();
        assert!(message.contains("chatroomid"), "{chatrooms}: {message}");
    }
    for since in [
        "4", "1", "1:", ":4", "1:4,", "1:4,1:3", "1:4;2:2", "1:-1", "0:4", "1:4:5",
    ] {
        let answer = serving.ask(&several(&ann, "1,2").with("since", since));
        answer.assert_failed(400, "bad_parameter");
        let message = answer.json()["message"].to_string();
        assert!(message.contains("since"), "{since}: {message}");
    }
    let answer = serving.ask(&several(&ann, "1,2").with("since", "1:4,3:1"));
    assert!(answer.json()["message"].to_string().contains("chatroom 3"));
    // Of all there is no such thing: its user may just have left it.
    let since = several(&ann, "all").with("since", "1:3,3:1");
    assert_eq!(said(&serving.ask(&since).ok()), ["1:4"]);
}
