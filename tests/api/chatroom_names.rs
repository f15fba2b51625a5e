//! Names of chatrooms: who gives them, what they may be, and where they are shown.

use serde_json::json;

use crate::serving::{Answer, Request, Serving, Session, adding, post};

fn creating(admin: &Session, name: &str) -> Request {
    post("/message/newChatroom/").with("name", name).of(admin)
}

fn renaming(admin: &Session, chatroom: i64, name: &str) -> Request {
    post("/message/renameChatroom/")
        .with("chatroomid", chatroom)
        .with("name", name)
        .of(admin)
}

fn text(answer: &Answer) -> &str {
    str::from_utf8(&answer.body).expect("UTF-8")
}

#[test]
fn a_chatroom_shows_the_name_that_it_has() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let created = serving.ask(&creating(&ann, "Tea"));
    assert_eq!(text(&created), r#"{"chatroomid":1}"#);
    let participants =
        r#""admin":1,"participants":[{"userid":1,"username":"ann"},{"userid":2,"username":"bob"}]"#;
    let added = serving.ask(&adding(&ann, 1, bob.userid));
    assert_eq!(
        text(&added),
        format!(r#"{{"chatroomid":1,"name":"Tea",{participants}}}"#)
    );
    let renamed = serving.ask(&renaming(&ann, 1, "\"Tea\" & Ö"));
    assert_eq!(renamed.status, 200);
    let wanted = format!(r#"{{"chatroomid":1,"name":"\"Tea\" & Ö",{participants}}}"#);
    assert_eq!(text(&renamed), wanted);
    assert_eq!(text(&serving.ask(&adding(&ann, 1, bob.userid))), wanted);
}

#[test]
fn a_chatroom_without_a_name_may_be_given_one() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let without = serving.ask(&adding(&ann, id, ann.userid)).ok();
    assert_eq!(without.get("name"), None);
    let form = post("/message/renameChatroom")
        .form("chatroomid", id)
        .form("name", "tea")
        .of(&ann);
    assert_eq!(serving.ask(&form).ok()["name"], "tea");
}

#[test]
fn names_keep_the_rules_of_usernames_and_need_not_be_unique() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let [first, second] = [(); 2].map(|()| {
        let created = serving.ask(&creating(&ann, "Ｔea\u{a0}time")).ok();
        created["chatroomid"].as_i64().expect("an id")
    });
    for id in [first, second] {
        let shown = serving.ask(&adding(&ann, id, ann.userid)).ok();
        assert_eq!(shown["name"], "Tea time", "after NFKC normalisation");
    }
    for bad in ["", " tea", "tea\n", "a\u{202e}b", &"x".repeat(65)] {
        for request in [creating(&ann, bad), renaming(&ann, first, bad)] {
            let answer = serving.ask(&request);
            answer.assert_failed(400, "bad_parameter");
            let message = answer.json()["message"].to_string();
            assert!(message.starts_with("\"name must "), "{message}");
        }
    }
    let without = post("/message/renameChatroom")
        .with("chatroomid", first)
        .of(&ann);
    serving.ask(&without).assert_failed(400, "bad_parameter");
    // Nothing of it was done.
    assert_eq!(serving.chatroom(&ann), second + 1);
    let shown = serving.ask(&adding(&ann, first, ann.userid)).ok();
    assert_eq!(shown["name"], "Tea time");
}

#[test]
fn only_the_admin_renames() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let id = serving.chatroom(&ann);
    serving.add(&ann, id, &bob);
    let refused = serving.ask(&renaming(&bob, id, "mine"));
    refused.assert_failed(403, "not_admin");
    assert_eq!(
        serving.ask(&renaming(&ann, 99, "none")).body,
        refused.body,
        "a chatroom that there is not is as one of others"
    );
    let nobody = post("/message/renameChatroom").with("chatroomid", id);
    serving.ask(&nobody).assert_failed(401, "no_session");
    let shown = serving.ask(&adding(&ann, id, bob.userid)).ok();
    assert_eq!(
        shown,
        json!({"chatroomid": id, "admin": 1, "participants": [ann.object(), bob.object()]})
    );
}
