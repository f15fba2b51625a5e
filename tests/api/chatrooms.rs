//! Chatrooms and who is in them.

use serde_json::{Value, json};

use crate::serving::{Request, Serving, Session, adding, get, post, registering};

fn participants(session: &Session, chatroom: i64) -> Request {
    get("/message/chatroomParticipants/")
        .with("chatroomid", chatroom)
        .of(session)
}

fn chatrooms(serving: &Serving, session: &Session) -> Value {
    serving.ask(&get("/message/chatrooms/").of(session)).ok()
}

#[test]
fn a_new_chatroom_has_its_creator() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    assert_eq!(serving.ask(&get("/message/chatrooms").of(&ann)).body, b"[]");
    let answer = serving.ask(&post("/message/newChatroom/").of(&ann));
    assert_eq!(
        (answer.status, &*answer.body),
        (200, &br#"{"chatroomid":1}"#[..])
    );
    let list = serving.ask(&participants(&ann, 1));
    assert_eq!(list.body, br#"[{"userid":1,"username":"ann"}]"#);
    assert_eq!(chatrooms(&serving, &ann), json!([1]));
}

#[test]
fn chatrooms_are_listed_ascending_for_every_session() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let other = serving.login("ann");
    // Both caches are warm, and told of every change.
    assert_eq!(
        [&ann, &other, &bob].map(|session| chatrooms(&serving, session)),
        [json!([]), json!([]), json!([])]
    );
    let of_bob = serving.chatroom(&bob);
    let of_ann = serving.chatroom(&ann);
    let second = serving.chatroom(&bob);
    serving.add(&bob, second, &ann);
    serving.add(&bob, of_bob, &ann);
    for session in [&ann, &other, &serving.login("ann")] {
        assert_eq!(
            chatrooms(&serving, session),
            json!([of_bob, of_ann, second])
        );
    }
    assert_eq!(chatrooms(&serving, &bob), json!([of_bob, second]));
}

#[test]
fn adding_answers_the_chatroom() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("Ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    let answer = serving.ask(&adding(&ann, id, bob.userid));
    assert_eq!(answer.status, 200);
    let wanted = r#"{"chatroomid":1,"admin":1,"participants":[{"userid":1,"username":"Ann"},{"userid":2,"username":"bob"}]}"#;
    assert_eq!(String::from_utf8_lossy(&answer.body), wanted);
    // Again, by any name, and the admin themselves: nothing changes.
    for whom in ["2", "bob", "BOB", "ｂｏｂ", "1", "ann"] {
        let again = post("/message/addToChatroom")
            .with("chatroomid", id)
            .with("usertoadd", whom)
            .of(&ann);
        assert_eq!(String::from_utf8_lossy(&serving.ask(&again).body), wanted);
    }
    assert_eq!(chatrooms(&serving, &bob), json!([id]));
}

#[test]
fn participants_are_listed_in_the_order_in_which_they_joined() {
    let serving = Serving::start();
    let users: Vec<Session> = ["d", "b", "a", "c", "e"]
        .map(|name| serving.user(name))
        .into();
    let id = serving.chatroom(&users[3]);
    let order = [3, 4, 0, 2, 1];
    for &at in &order[1..] {
        serving.add(&users[3], id, &users[at]);
    }
    let wanted: Vec<Value> = order.iter().map(|&at| users[at].object()).collect();
    for user in &users {
        assert_eq!(serving.ask(&participants(user, id)).ok(), json!(wanted));
    }
}

#[test]
fn digits_are_an_id_and_never_a_name() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let trap = serving.ask(&registering("3")).ok();
    let meant = serving.ask(&registering("meant")).ok();
    assert_eq!((&trap["userid"], &meant["userid"]), (&json!(2), &json!(3)));
    let chatroom = serving.ask(&adding(&ann, id, 3)).ok();
    assert_eq!(chatroom["participants"][1]["username"], "meant");
}

#[test]
fn only_the_admin_adds_and_only_those_there_are() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let carl = serving.user("carl");
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    // A participant, a stranger, and a chatroom that there is not: one and the same answer.
    let refused = serving.ask(&adding(&bob, id, carl.userid));
    refused.assert_failed(403, "not_admin");
    for request in [
        adding(&carl, id, carl.userid),
        adding(&ann, 99, carl.userid),
        adding(&ann, i64::MAX, 1),
    ] {
        assert_eq!(serving.ask(&request).body, refused.body);
    }
    // Who asks may not learn who there is.
    assert_eq!(serving.ask(&adding(&bob, id, 99)).body, refused.body);
    for whom in [
        "99",
        "9223372036854775807",
        "nobody",
        "0",
        "-1",
        "+2",
        "",
        " bob",
        "a\nb",
        "9223372036854775808",
    ] {
        let request = post("/message/addToChatroom")
            .with("chatroomid", id)
            .with("usertoadd", whom)
            .of(&ann);
        serving.ask(&request).assert_failed(404, "no_such_user");
    }
    assert_eq!(
        serving.ask(&participants(&ann, id)).ok(),
        json!([ann.object(), bob.object()])
    );
    assert_eq!(chatrooms(&serving, &carl), json!([]));
}

/// A chatroom that does not exist answers exactly as one that the caller is not in.
#[test]
fn a_foreign_chatroom_and_none_are_the_same() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let foreign = serving.chatroom(&bob);
    serving.say(&bob, foreign, "secret");
    const STRANGER: &str = "not_a_participant";
    for (call, status, code) in [
        ("GET longpoll", 500, STRANGER),
        ("GET longpoll?since=0", 500, STRANGER),
        ("GET longpoll?since=1000", 500, STRANGER),
        ("GET longpoll?timeout=1", 500, STRANGER),
        ("GET endpoll", 500, STRANGER),
        ("POST sendMessage?message=hi", 500, STRANGER),
        ("POST sendMessage?message=hi&nonce=n", 500, STRANGER),
        ("GET history", 403, STRANGER),
        ("GET history?before=1", 403, STRANGER),
        ("GET stream", 403, STRANGER),
        ("GET stream?since=1000", 403, STRANGER),
        ("GET chatroomParticipants", 403, STRANGER),
        ("GET presence", 403, STRANGER),
        ("POST leaveChatroom", 403, STRANGER),
        ("POST renameChatroom?name=tea", 403, "not_admin"),
        ("POST addToChatroom?usertoadd=ann", 403, "not_admin"),
        ("POST addToChatroom?usertoadd=nobody", 403, "not_admin"),
        ("POST addToChatroom?usertoadd=bob", 403, "not_admin"),
        ("POST removeFromChatroom?usertoremove=bob", 403, "not_admin"),
        (
            "POST removeFromChatroom?usertoremove=nobody",
            403,
            "not_admin",
        ),
    ] {
        let (method, path) = call.split_once(' ').expect(call);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let answers = [foreign, 99, i64::MAX].map(|id| {
            let path = format!("/message/{path}/");
            let pairs = query.split('&').filter(|pair| !pair.is_empty());
            let request = pairs.fold(
                Request::new(method, &path).with("chatroomid", id),
                |request, pair| request.raw(pair),
            );
            serving.ask(&request.of(&ann))
        });
        for answer in &answers {
            answer.assert_failed(status, code);
            let without_date = |answer: &crate::serving::Answer| {
                let fields = answer.fields.iter().filter(|(name, _)| name != "date");
                fields.cloned().collect::<Vec<_>>()
            };
            assert_eq!(without_date(answer), without_date(&answers[0]), "{call}");
            assert_eq!(answer.body, answers[0].body, "{call}");
        }
    }
    // Of several none is told which it is.
    let own = serving.chatroom(&ann);
    let several = [foreign, 99].map(|id| {
        let ids = format!("{own},{id}");
        serving.ask(&get("/message/longpoll").with("chatroomid", ids).of(&ann))
    });
    several[0].assert_failed(500, STRANGER);
    assert_eq!(several[0].body, several[1].body);
    let list = serving.say(&bob, foreign, "still alone");
    assert_eq!(list.as_array().expect("a list").len(), 2);
}

#[test]
fn who_was_added_takes_part_at_once() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.say(&ann, id, "before");
    serving.warm(&bob);
    let poll = crate::serving::polling(&bob, id);
    serving.ask(&poll).assert_failed(500, "not_a_participant");
    serving.add(&ann, id, &bob);
    let mut poll = serving.poll(&bob, id);
    let list = serving.say(&bob, id, "hi");
    assert_eq!(list[0]["message"], "before");
    assert_eq!(list[1]["username"], "bob");
    assert_eq!(poll.answer().ok(), list);
}
