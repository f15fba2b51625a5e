//! Where parameters may stand and how they are written; ids.

use serde_json::json;

use crate::serving::{Request, Serving, Session, encoded, get, post};

const FORM: &str = "application/x-www-form-urlencoded";

fn sending(session: &Session) -> Request {
    post("/message/sendMessage/").of(session)
}

#[track_caller]
fn assert_said(serving: &Serving, request: &Request, text: &str) {
    let list = serving.ask(request).ok();
    let last = list.as_array().and_then(|list| list.last()).expect("sent");
    assert_eq!(last["message"], text);
}

#[test]
fn in_the_query_or_in_the_body_and_the_body_wins() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let query = sending(&ann).with("chatroomid", id);
    assert_said(&serving, &query.clone().with("message", "q"), "q");
    assert_said(&serving, &query.clone().form("message", "b"), "b");
    assert_said(
        &serving,
        &query.clone().with("message", "q").form("message", "b"),
        "b",
    );
    assert_said(
        &serving,
        &sending(&ann).form("chatroomid", id).form("message", "b"),
        "b",
    );
    let foreign = sending(&ann).with("chatroomid", 99).with("message", "q");
    assert_said(&serving, &foreign.clone().form("chatroomid", id), "q");
    // The body wins also where it is wrong.
    let wrong = query.clone().with("message", "q").form("message", "");
    serving.ask(&wrong).assert_failed(400, "bad_parameter");
}

#[test]
fn a_form_is_told_by_its_content_type() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let query = sending(&ann).with("chatroomid", id).with("message", "q");
    for form in [
        FORM,
        "Application/X-WWW-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;",
    ] {
        assert_said(&serving, &query.clone().content(form, b"message=b"), "b");
    }
    for other in [
        "text/plain",
        "multipart/form-data; boundary=a",
        "application/x-www-form-urlencoded2",
    ] {
        assert_said(
            &serving,
            &query.clone().content(other, b"message=b&message=c"),
            "q",
        );
    }
    let without = query.clone().field("Content-Length", "9").bytes();
    let mut client = serving.connect();
    client.send([&without[..], b"message=b"].concat());
    let list = client.answer().ok();
    assert_eq!(
        list.as_array().and_then(|list| list.last()).expect("sent")["message"],
        "q"
    );
}

#[test]
fn a_json_object_is_a_body_too() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let query = sending(&ann).with("chatroomid", id).with("message", "q");
    let of = |json: &str| query.clone().content("application/json", json.as_bytes());
    for (body, said) in [
        (json!({"message": "b"}).to_string(), "b"),
        (json!({"message": "b", "chatroomid": id}).to_string(), "b"),
        (
            json!({"message": "b", "chatroomid": id.to_string()}).to_string(),
            "b",
        ),
        (json!({"message": "a+b%41&c=d"}).to_string(), "a+b%41&c=d"),
        (json!({"message": 7}).to_string(), "7"),
        (
            r#" { "message" : "\u00f6\ud83d\ude00\n" } "#.to_owned(),
            "ö😀\n",
        ),
        (json!({"unknown": "x"}).to_string(), "q"),
        ("{}".to_owned(), "q"),
        (String::new(), "q"),
    ] {
        assert_said(&serving, &of(&body), said);
    }
    let charset = query
        .clone()
        .content("application/json; charset=utf-8", br#"{"message":"b"}"#);
    assert_said(&serving, &charset, "b");
    for bad in [
        "[]",
        "7",
        "\"message=b\"",
        "{",
        r#"{"message":"b"}x"#,
        r#"{"message":"b","message":"c"}"#,
        r#"{"message":"b","messag\u0065":"c"}"#,
        r#"{"message":["b"]}"#,
        r#"{"message":{"a":"b"}}"#,
        r#"{"message":null}"#,
        r#"{"message":true}"#,
        r#"{"message":"\ud83d"}"#,
        r#"{"chatroomid":1.0}"#,
        r#"{"chatroomid":-1}"#,
        r#"{"chatroomid":1e0}"#,
        r#"{"chatroomid":9223372036854775808}"#,
    ] {
        serving.ask(&of(bad)).assert_failed(400, "bad_parameter");
    }
    let not_utf8 = query
        .clone()
        .content("application/json", b"{\"message\":\"\xff\"}");
    serving.ask(&not_utf8).assert_failed(400, "bad_parameter");
    let login =
        post("/login").content("application/json", br#"{"username":"ann","password":"pw"}"#);
    assert_eq!(serving.ask(&login).ok(), ann.object());
}

#[test]
fn a_body_of_get_is_no_form() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let found = get("/message/getUser")
        .with("name", "ann")
        .form("name", "bob")
        .of(&ann);
    assert_eq!(serving.ask(&found).ok(), json!([ann.object()]));
    let missing = get("/message/getUser").form("name", "ann").of(&ann);
    serving.ask(&missing).assert_failed(400, "bad_parameter");
}

#[test]
fn escapes() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let query = |text: &str| sending(&ann).with("chatroomid", id).raw(text);
    let body = |text: &str| {
        sending(&ann)
            .with("chatroomid", id)
            .content(FORM, text.as_bytes())
    };
    for (raw, text) in [
        ("message=a+b", "a b"),
        ("message=a%20b%2Bc", "a b+c"),
        ("message=%c3%b6%C3%B6", "öö"),
        ("message=%26%3D%25%23%3F", "&=%#?"),
        ("message=a=b", "a=b"),
        ("message=%2541", "%41"),
        ("m%65ssage=x", "x"),
        ("&&message=x&", "x"),
        ("message=a;b", "a;b"),
        ("message=x&unknown=%20&=y&z", "x"),
    ] {
        assert_said(&serving, &query(raw), text);
        assert_said(&serving, &body(raw), text);
    }
    assert_said(&serving, &body("message=ö&é=ü"), "ö");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let good = sending(&ann).with("chatroomid", id).with("message", "x");
    for raw in [
        "message=y",
        "m%65ssage=y",
        "message",
        "unknown=1&unknown=2",
        "a=%",
        "a=%4",
        "a=%4g",
        "a=%zz",
        "%zz=a",
        "a=%ff",
        "a=%c3",
        "a=%c0%80",
        "a=%ed%a0%80",
        "%ff=a",
    ] {
        serving
            .ask(&good.clone().raw(raw))
            .assert_failed(400, "bad_parameter");
        if !raw.starts_with('m') {
            let body = good.clone().content(FORM, raw.as_bytes());
            serving.ask(&body).assert_failed(400, "bad_parameter");
        }
    }
    let twice = good.clone().content(FORM, b"message=y&message=y");
    serving.ask(&twice).assert_failed(400, "bad_parameter");
    serving
        .ask(&good.clone().content(FORM, b"a=\xff"))
        .assert_failed(400, "bad_parameter");
    let list = serving.say(&ann, id, "only");
    assert_eq!(list.as_array().expect("a list").len(), 1);
}

#[test]
fn ids() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let bad = [
        "",
        "0",
        "-1",
        "+1",
        "1.0",
        "1e0",
        "0x1",
        "a",
        "1a",
        "1 ",
        " 1",
        "1,1",
        "1,",
        "\u{661}",
        "\u{ff11}",
        "9223372036854775808",
        "18446744073709551617",
        "99999999999999999999999999",
        "1\n",
        "1\0",
    ];
    for path in ["longpoll", "endpoll", "chatroomParticipants", "presence"] {
        for given in bad {
            let request = get(&format!("/message/{path}"))
                .with("chatroomid", given)
                .of(&ann);
            serving.ask(&request).assert_failed(400, "bad_parameter");
        }
    }
    for path in ["sendMessage", "addToChatroom"] {
        for given in bad {
            let request = post(&format!("/message/{path}"))
                .with("chatroomid", given)
                .with("message", "x")
                .with("usertoadd", ann.userid)
                .of(&ann);
            serving.ask(&request).assert_failed(400, "bad_parameter");
        }
    }
    // The greatest is an id like any other, and leading zeros are digits.
    let greatest = sending(&ann)
        .with("chatroomid", i64::MAX)
        .with("message", "x");
    serving
        .ask(&greatest)
        .assert_failed(500, "not_a_participant");
    let padded = sending(&ann)
        .with("chatroomid", format!("00{id}"))
        .with("message", "x");
    assert_said(&serving, &padded, "x");
}

#[test]
fn parameters_are_bounded_in_number() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let padded = |count: usize| {
        let pairs: Vec<String> = (0..count)
            .map(|n| format!("p{n}={}", encoded("ö")))
            .collect();
        sending(&ann)
            .with("chatroomid", id)
            .with("message", "x")
            .raw(&pairs.join("&"))
    };
    // The contract names no bound: more than any call has, and fewer than a head has room for.
    assert_said(&serving, &padded(62), "x");
    serving
        .ask(&padded(1000))
        .assert_failed(400, "bad_parameter");
}
