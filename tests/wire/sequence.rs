//! One answer after the other: keep-alive, pipelining, HEAD, 100 Continue.

use loiter_client::Method;

use super::cases::HEALTHY;
use crate::serving::{Driven, Request, Serving, get, polling, post, saying};

#[test]
fn a_connection_serves_many_requests() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let mut client = serving.connect();
    for _ in 0..100 {
        let answer = client.ask(&get("/message/chatrooms/").of(&ann));
        assert_eq!(answer.ok(), serde_json::json!([]));
        assert_eq!(answer.field("connection"), None);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let mut client = serving.connect();
    // Fast ones behind slow ones: those answered from memory must wait for those that write.
    let requests: Vec<Request> = (0..50)
        .flat_map(|n| {
            [
                saying(&ann, chatroom, &n.to_string()),
                get("/message/chatrooms/").of(&ann),
                get("/nowhere"),
                post("/register/")
                    .with("username", format!("user{n}"))
                    .with("password", "x"),
            ]
        })
        .collect();
    let bytes: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
    client.send(bytes);
    for n in 0..50 {
        let list = client.answer().ok();
        let last = list.as_array().and_then(|list| list.last()).expect("sent");
        assert_eq!(last["message"], n.to_string());
        assert_eq!(client.answer().ok(), serde_json::json!([chatroom]));
        client.answer().assert_failed(404, "not_found");
        assert_eq!(client.answer().ok()["username"], format!("user{n}"));
    }
    client.assert_silent();
}

#[test]
fn what_is_pipelined_behind_a_parked_poll_waits_for_its_end() {
    let mut driven = Driven::start();
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    driven.warm(&ann);
    let mut client = driven.connect();
    let behind = [saying(&ann, chatroom, "behind"), get("/nowhere")];
    client.send(polling(&ann, chatroom).bytes());
    client.send(behind.map(|request| request.bytes()).concat());
    driven.warm(&ann);
    client.assert_silent();
    let list = driven.say(&ann, chatroom, "first");
    assert_eq!(
        list.as_array().expect("a list").len(),
        1,
        "what waits has no effect yet"
    );
    assert_eq!(driven.answer(&mut client).ok(), list);
    let list = driven.answer(&mut client).ok();
    assert_eq!(list[0]["message"], "first");
    assert_eq!(list[1]["message"], "behind");
    driven.answer(&mut client).assert_failed(404, "not_found");
}

#[test]
fn polls_pipelined_behind_polls_park_one_after_the_other() {
    let mut driven = Driven::start();
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    driven.warm(&ann);
    let mut client = driven.connect();
    client.send(
        [
            polling(&ann, chatroom).bytes(),
            polling(&ann, chatroom).bytes(),
        ]
        .concat(),
    );
    for n in 1..=2 {
        driven.warm(&ann);
        client.assert_silent();
        let list = driven.say(&ann, chatroom, "hi");
        assert_eq!(list.as_array().expect("a list").len(), n);
        assert_eq!(driven.answer(&mut client).ok(), list);
    }
}

#[test]
fn head_is_get_without_its_body() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let mut client = serving.connect();
    for (path, parameters) in [
        ("/message/chatrooms/", vec![]),
        ("/message/getUser/", vec![("name", "ann".to_owned())]),
        ("/message/getUser/", vec![("name", "nobody".to_owned())]),
        ("/message/getUser/", vec![("name", String::new())]),
        (
            "/message/chatroomParticipants/",
            vec![("chatroomid", chatroom.to_string())],
        ),
        (
            "/message/chatroomParticipants/",
            vec![("chatroomid", "99".to_owned())],
        ),
        ("/nowhere", vec![]),
    ] {
        let of_method = |method| {
            parameters.iter().fold(
                Request::new(method, path).of(&ann),
                |request, (name, value)| request.with(name, value),
            )
        };
        let whole = client.ask(&of_method("GET"));
        let head = client.ask(&of_method("HEAD"));
        assert_eq!(head.status, whole.status, "{path}");
        assert_eq!(head.length(), Some(whole.body.len()), "{path}");
        assert!(head.body.is_empty());
    }
    // The answers to pipelined HEADs follow each other without a gap.
    let head = Request::new("HEAD", "/message/chatrooms/").of(&ann).bytes();
    client.send([&head[..], &head, HEALTHY].concat());
    for _ in 0..2 {
        assert_eq!(
            client.answer_to(Method::Head).length(),
            Some(format!("[{chatroom}]").len())
        );
    }
    client.answer().assert_failed(401, "no_session");
}

#[test]
fn an_empty_line_behind_a_body_is_nobodys_request() {
    let serving = Serving::start();
    let mut client = serving.connect();
    for _ in 0..10 {
        client.send(b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\r\n");
        client.answer().assert_failed(401, "no_session");
    }
    client.assert_silent();
}

#[test]
fn http_1_0_is_told_what_becomes_of_the_connection() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let cookie = format!("Cookie: session={}", ann.token);
    let mut client = serving.connect();
    client.send(format!(
        "GET /message/chatrooms/ HTTP/1.0\r\nConnection: keep-alive\r\n{cookie}\r\n\r\n"
    ));
    let answer = client.answer();
    assert_eq!(answer.field("connection"), Some("keep-alive"));
    client.send(format!(
        "GET /message/chatrooms/ HTTP/1.0\r\n{cookie}\r\n\r\n"
    ));
    assert!(client.answer().closes());
    client.assert_ends();
}

#[test]
fn a_poll_of_http_1_0_is_answered_and_closed() {
    let mut driven = Driven::start();
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    driven.warm(&ann);
    let mut client = driven.connect();
    client.send(format!(
        "GET /message/longpoll?chatroomid={chatroom} HTTP/1.0\r\nCookie: session={}\r\n\r\n",
        ann.token
    ));
    driven.warm(&ann);
    client.assert_silent();
    let list = driven.say(&ann, chatroom, "hi");
    let answer = driven.answer(&mut client);
    assert!(answer.closes());
    assert_eq!(answer.ok(), list);
    driven.assert_ends(&mut client);
}

const EXPECTING: &str = "POST /logout HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let mut driven = Driven::start();
    for (fields, body) in [
        ("Content-Length: 3", "abc"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut client = driven.connect();
        for _ in 0..2 {
            client.send(format!("{EXPECTING}{fields}\r\n\r\n"));
            assert_eq!(driven.answer(&mut client).status, 100);
            driven.turn();
            client.assert_silent();
            client.send(body);
            driven.answer(&mut client).assert_failed(401, "no_session");
        }
        client.assert_silent();
    }
}

#[test]
fn a_client_that_need_not_wait_is_not_told_to_continue() {
    let mut driven = Driven::start();
    for rest in [
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "\r\n",
    ] {
        let mut client = driven.connect();
        client.send(format!("{EXPECTING}{rest}"));
        driven.answer(&mut client).assert_failed(401, "no_session");
        client.assert_silent();
    }
    // An HTTP/1.0 client would take 100 for the answer (RFC 9110 section 10.1.1).
    let mut client = driven.connect();
    client.send(b"POST /logout HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    driven.turn();
    driven.turn();
    client.assert_silent();
    client.send(b"abc");
    driven.answer(&mut client).assert_failed(401, "no_session");
}

#[test]
fn a_client_whose_body_is_not_wanted_is_not_told_to_continue() {
    let mut driven = Driven::start();
    for (fields, status, code) in [
        (
            "Expect: 100-continue\r\nContent-Length: 65537",
            413,
            "body_too_large",
        ),
        (
            "Expect: a-pony\r\nContent-Length: 3",
            417,
            "expectation_failed",
        ),
        (
            "Expect: 100-continue\r\nExpect: a-pony\r\nContent-Length: 3",
            417,
            "expectation_failed",
        ),
        (
            "Expect: 100-continue\r\nTransfer-Encoding: gzip",
            501,
            "not_implemented",
        ),
    ] {
        let mut client = driven.connect();
        client.send(format!(
            "POST /logout HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"
        ));
        let answer = driven.answer(&mut client);
        answer.assert_failed(status, code);
        assert!(answer.closes());
        // It may send the body all the same: that is no request.
        client.send(HEALTHY);
        driven.assert_ends(&mut client);
    }
}
