//! A user's chatrooms at a glance.

use serde_json::{Value, json};

use crate::serving::{Request, Serving, Session, get, post};

fn overview(session: &Session) -> Request {
    get("/message/overview/").of(session)
}

/// Which chatrooms stand there, in order.
fn chatrooms(overview: &Value) -> Vec<i64> {
    let rows = overview.as_array().expect("an array").iter();
    rows.map(|row| row["chatroomid"].as_i64().expect("an id"))
        .collect()
}

#[test]
fn each_chatroom_is_told_in_one_line() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    assert_eq!(serving.ask(&overview(&ann)).body, b"[]");
    let named = post("/message/newChatroom").with("name", "\"Tea\"");
    serving.ask(&named.of(&bob)).ok();
    let silent = serving.chatroom(&ann);
    serving.add(&bob, 1, &ann);
    serving.say(&ann, 1, "one");
    serving.say(&bob, 1, "two");
    let answer = serving.ask(&overview(&ann));
    let wanted = concat!(
        r#"[{"chatroomid":1,"name":"\"Tea\"","admin":2,"participants":2,"last":2},"#,
        r#"{"chatroomid":2,"admin":1,"participants":1,"last":0}]"#
    );
    assert_eq!(answer.status, 200);
    assert_eq!(String::from_utf8_lossy(&answer.body), wanted);
    // The other one sees their own.
    assert_eq!(chatrooms(&serving.ask(&overview(&bob)).ok()), [1]);
    serving.add(&ann, silent, &bob);
    let of_bob = serving.ask(&overview(&bob)).ok();
    assert_eq!(of_bob[1]["participants"], 2);
    serving
        .ask(&get("/message/overview"))
        .assert_failed(401, "no_session");
}

#[test]
fn the_most_recently_spoken_in_is_first() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let [a, b, c] = [(); 3].map(|()| serving.chatroom(&ann));
    let spoken_in = |id: i64| {
        // Another millisecond than the message before it.
        let before = std::time::Instant::now();
        while before.elapsed() < std::time::Duration::from_millis(2) {
            serving.warm(&ann);
        }
        serving.say(&ann, id, "hi");
        chatrooms(&serving.ask(&overview(&ann)).ok())
    };
    assert_eq!(spoken_in(b), [b, c, a]);
    assert_eq!(spoken_in(a), [a, b, c]);
    assert_eq!(spoken_in(b), [b, a, c]);
    assert_eq!(spoken_in(c), [c, b, a]);
    assert_eq!(serving.ask(&overview(&ann)).ok()[1]["last"], json!(2));
}
