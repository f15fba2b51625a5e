//! What may be said, and the list of most recent messages.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::serving::{Serving, Session, post, saying};

fn numbers(list: &Value) -> Vec<i64> {
    let messages = list.as_array().expect("a list");
    messages
        .iter()
        .map(|message| message["id"].as_i64().expect("an id"))
        .collect()
}

#[test]
fn a_message_is_exactly_this() {
    let serving = Serving::start();
    let ann = serving.user("Ann");
    let id = serving.chatroom(&ann);
    let answer = serving.ask(&saying(&ann, id, "hi"));
    let text = String::from_utf8(answer.body.clone()).expect("UTF-8");
    let (start, rest) = text.split_once(r#","time":""#).expect(&text);
    assert_eq!(
        start,
        r#"[{"id":1,"chatroomid":1,"userid":1,"username":"Ann","message":"hi""#
    );
    let time = rest.strip_suffix(r#""}]"#).expect(&text);
    assert_eq!(time.len(), "2026-11-23T08:00:00.000Z".len(), "{time}");
    assert!(time.ends_with('Z'));
    let time = humantime::parse_rfc3339(time).expect(time);
    let age = SystemTime::now().duration_since(time).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
}

#[test]
fn any_text_comes_back_as_it_was_said() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let longest = [
        "a".repeat(4096),
        "ö".repeat(2048),
        "😀".repeat(1024),
        "\n".repeat(4096),
        "\"\\".repeat(2048),
    ];
    for text in [
        "x",
        " ",
        " outer ",
        "\t\n",
        "</script><script>alert(1)</script>",
        "\"quotes\" 'and' \\backslashes\\ /",
        "😀👩‍👩‍👧‍👦🇩🇪",
        "e\u{301} stays decomposed",
        "\u{200b}\u{202e}\u{feff}\u{2028}\u{2029}",
        "\u{10ffff}\u{fffd}",
        "{\"id\":1}],[",
        "%41+&=",
        "' OR 1=1; --",
        "null",
    ]
    .into_iter()
    .chain(longest.iter().map(|text| &**text))
    {
        for request in [
            saying(&ann, id, text),
            post("/message/sendMessage")
                .form("chatroomid", id)
                .form("message", text)
                .of(&ann),
        ] {
            if request.bytes().len() > 15_000 && !text.is_ascii() {
                // In a query an escape is three bytes, and heads are bounded.
                continue;
            }
            let list = serving.ask(&request).ok();
            let last = list.as_array().and_then(|list| list.last()).expect("sent");
            assert_eq!(last["message"], text);
        }
    }
    // And from the database, when nothing of it is remembered.
    let serving = serving.restart(|_| {});
    let list = serving.say(&ann, id, "after");
    let before = list
        .as_array()
        .map(|list| &list[list.len() - 2])
        .expect("a list");
    assert_eq!(before["message"], longest[4]);
}

#[test]
fn line_ends_become_lf_and_control_characters_are_refused() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for (given, said) in [
        ("a\r\nb", "a\nb"),
        ("\r\n\r\n", "\n\n"),
        ("a\n\tb", "a\n\tb"),
    ] {
        let list = serving.say(&ann, id, given);
        assert_eq!(
            list.as_array().and_then(|list| list.last()).expect("sent")["message"],
            said
        );
    }
    // Its CRs do not count: it is as long as what is saved.
    let long = post("/message/sendMessage")
        .form("chatroomid", id)
        .form("message", "\r\n".repeat(4096));
    serving.ask(&long.of(&ann)).ok();
    for bad in [
        "",
        "\0",
        "a\rb",
        "\r",
        "a\n\r",
        "\u{1b}[31m",
        "\u{7}",
        "\u{7f}",
        "\u{80}",
        "\u{85}",
        "\u{9f}",
        "\u{b}",
    ] {
        let answer = serving.ask(
            &post("/message/sendMessage")
                .form("chatroomid", id)
                .form("message", bad)
                .of(&ann),
        );
        answer.assert_failed(400, "bad_parameter");
        assert!(answer.json()["message"].to_string().contains("message"));
    }
    for bad in ["a".repeat(4097), "ö".repeat(2048) + "a", "😀".repeat(2000)] {
        let request = post("/message/sendMessage")
            .form("chatroomid", id)
            .form("message", bad);
        serving
            .ask(&request.of(&ann))
            .assert_failed(400, "bad_parameter");
    }
    assert_eq!(numbers(&serving.say(&ann, id, "x")), [1, 2, 3, 4, 5]);
}

#[test]
fn the_longest_message_is_configured() {
    let serving = Serving::with(|config| config.max_message = 5);
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "12345");
    serving
        .ask(&saying(&ann, id, "123456"))
        .assert_failed(400, "bad_parameter");
    serving
        .ask(&saying(&ann, id, "ööö"))
        .assert_failed(400, "bad_parameter");
}

#[test]
fn the_list_is_the_newest_fifty_oldest_first() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for n in 1..=55 {
        let list = serving.say(&ann, id, &n.to_string());
        let oldest = 1.max(n - 49);
        assert_eq!(numbers(&list), (oldest..=n).collect::<Vec<i64>>());
        let said = list.as_array().and_then(|list| list.last()).expect("sent");
        assert_eq!(said["message"], n.to_string());
    }
    let ended = serving.end_polls(&ann, id);
    assert_eq!(numbers(&ended["messages"]), (6..=55).collect::<Vec<i64>>());
}

#[test]
fn the_lists_length_is_configured_and_survives_a_restart() {
    let serving = Serving::with(|config| config.recent = 3);
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    for n in 1..=5 {
        serving.say(&ann, id, &n.to_string());
    }
    assert_eq!(numbers(&serving.end_polls(&ann, id)["messages"]), [3, 4, 5]);
    let serving = serving.restart(|config| config.recent = 4);
    assert_eq!(
        numbers(&serving.end_polls(&ann, id)["messages"]),
        [2, 3, 4, 5]
    );
    assert_eq!(numbers(&serving.say(&ann, id, "6")), [3, 4, 5, 6]);
    let serving = serving.restart(|config| config.recent = 1);
    // Sent before anybody has asked for the list.
    assert_eq!(numbers(&serving.say(&ann, id, "7")), [7]);
}

#[test]
fn every_chatroom_counts_for_itself() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let [one, two] = [(); 2].map(|()| serving.chatroom(&ann));
    assert_eq!(numbers(&serving.say(&ann, one, "a")), [1]);
    assert_eq!(numbers(&serving.say(&ann, two, "b")), [1]);
    assert_eq!(numbers(&serving.say(&ann, one, "c")), [1, 2]);
    let list = serving.say(&ann, two, "d");
    assert_eq!(numbers(&list), [1, 2]);
    assert_eq!(
        (&list[0]["message"], &list[1]["chatroomid"]),
        (&"b".into(), &two.into())
    );
}

/// A small cache forgets and loads again, which nobody may notice.
#[test]
fn what_is_forgotten_is_loaded_again() {
    let serving = Serving::with(|config| {
        config.cache_messages = 0;
        config.cache_sessions = 1;
    });
    let users = ["ann", "bob", "carl"].map(|name| serving.user(name));
    let chatrooms = users.each_ref().map(|user| serving.chatroom(user));
    for n in 1..=5 {
        for (user, &chatroom) in users.iter().zip(&chatrooms) {
            let list = serving.say(user, chatroom, &n.to_string());
            assert_eq!(numbers(&list), (1..=n).collect::<Vec<i64>>());
            assert!(
                list.as_array()
                    .expect("a list")
                    .iter()
                    .all(|message| message["username"] == *user.username)
            );
        }
    }
}

#[test]
fn a_message_that_is_sent_again_with_its_nonce_is_saved_once() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let [id, other] = [(); 2].map(|()| serving.chatroom(&ann));
    serving.add(&ann, id, &bob);
    let send = |session: &Session, id, text: &str, nonce: &str| {
        let answer = serving.ask(&saying(session, id, text).with("nonce", nonce));
        let list = answer.ok();
        let told = answer.field("loiter-message-id").expect("told").to_owned();
        let last = list.as_array().and_then(|list| list.last()).cloned();
        (told, last.map(|last| last["id"].to_string()))
    };
    let sent = |id: &str, last: &str| (id.to_owned(), Some(last.to_owned()));
    assert_eq!(send(&ann, id, "one", "a"), sent("1", "1"));
    let answer = serving.ask(&saying(&ann, id, "two"));
    assert_eq!(answer.field("loiter-message-id"), Some("2"));
    let mut poll = serving.poll(&bob, id);
    assert_eq!(send(&ann, id, "one", "a"), sent("1", "2"), "as it is now");
    poll.assert_silent();
    // Another's is another, and so is one elsewhere.
    assert_eq!(send(&bob, id, "one", "a"), sent("3", "3"));
    assert_eq!(send(&ann, other, "one", "a"), sent("1", "1"));
    poll.answer().ok();
    // After a restart nothing is remembered but what is on disk.
    let serving = serving.restart(|_| {});
    let again = saying(&ann, id, "one").with("nonce", "a").with("limit", 1);
    let answer = serving.ask(&again);
    assert_eq!(answer.field("loiter-message-id"), Some("1"));
    let list = answer.ok();
    assert_eq!(list.as_array().expect("a list").len(), 1);
    assert_eq!(list[0]["id"], 3);
    for nonce in ["", &"x".repeat(65)] {
        let bad = saying(&ann, id, "x").with("nonce", nonce);
        serving.ask(&bad).assert_failed(400, "bad_parameter");
    }
}
