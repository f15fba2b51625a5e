//! What is too large, too slow or too many.
//!
//! Time limits are set short and their answer is waited for. That something outlives a limit is shown by
//! another connection that met the same limit later.

use std::time::Duration;

use super::cases::HEALTHY;
use crate::serving::{Client, Driven, Serving, ending, get, polling};

const SHORT: Duration = Duration::from_millis(150);

/// A head of exactly this length: a good request.
fn head_of(length: usize) -> Vec<u8> {
    let start = "GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nA: ";
    let padding = "a".repeat(length - start.len() - 4);
    format!("{start}{padding}\r\n\r\n").into_bytes()
}

#[test]
fn a_head_is_at_most_so_long() {
    let serving = Serving::with(|config| config.max_head = 1024);
    let mut client = serving.connect();
    client.send(head_of(1024));
    client.answer().assert_failed(401, "no_session");
    for bytes in [
        head_of(1025),
        head_of(5000),
        head_of(1024).repeat(2)[..1100].to_vec(),
    ] {
        let mut client = serving.connect();
        client.send(&bytes);
        let mut answer = client.answer();
        if bytes.starts_with(&head_of(1024)) {
            answer.assert_failed(401, "no_session");
            client.send(vec![b'a'; 1024]);
            answer = client.answer();
        }
        answer.assert_failed(431, "head_too_large");
        client.assert_ends();
    }
}

#[test]
fn a_head_that_never_ends_is_refused_when_the_limit_is_reached() {
    let serving = Serving::with(|config| config.max_head = 1024);
    let endless_field = [
        b"GET / HTTP/1.1\r\nHost: h\r\nA: ".to_vec(),
        vec![b'a'; 1000],
    ]
    .concat();
    let endless_line = [b"GET /".to_vec(), vec![b'a'; 1019]].concat();
    for (bytes, status, code) in [
        (endless_field, 431, "head_too_large"),
        (endless_line, 414, "uri_too_long"),
    ] {
        let mut client = serving.connect();
        client.send(bytes);
        client.answer().assert_failed(status, code);
        client.assert_ends();
    }
}

#[test]
fn a_request_has_at_most_so_many_fields() {
    let serving = Serving::start();
    for (count, status, code) in [(99, 401, "no_session"), (100, 431, "head_too_large")] {
        let mut client = serving.connect();
        let fields = "A: b\r\n".repeat(count);
        client.send(format!("POST /logout HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        client.answer().assert_failed(status, code);
    }
}

#[test]
fn a_body_is_at_most_so_long() {
    let serving = Serving::with(|config| {
        config.max_message = 1;
        config.max_body = 2048;
    });
    let sized = |length: usize| {
        let body = "a".repeat(length);
        format!("POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let chunked = |lengths: [usize; 2]| {
        let chunks = lengths.map(|length| format!("{length:x}\r\n{}\r\n", "a".repeat(length)));
        let start = "POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{start}{}0\r\n\r\n", chunks.concat())
    };
    for bytes in [sized(2048), chunked([2047, 1])] {
        let mut client = serving.connect();
        client.send(bytes);
        client.answer().assert_failed(401, "no_session");
    }
    for bytes in [sized(2049), chunked([2048, 1]), chunked([1, 2048])] {
        let mut client = serving.connect();
        client.send(bytes);
        client.answer().assert_failed(413, "body_too_large");
        client.assert_ends();
    }
}

#[test]
fn a_client_that_is_still_sending_gets_its_refusal_whole() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let serving = Serving::start();
    let length = format!("Content-Length: {LENGTH}");
    for fields in [
        &*length,
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
    ] {
        let mut client = serving.connect();
        client.send(format!(
            "POST /logout HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"
        ));
        if fields.ends_with("chunked") {
            client.send(format!("{LENGTH:x}\r\n"));
        }
        // A reset would make a write fail, or the read of the answer.
        assert!(client.try_send(&vec![b'a'; LENGTH]), "{fields}");
        let answer = client.answer();
        match fields.ends_with("gzip") {
            true => answer.assert_failed(501, "not_implemented"),
            false => answer.assert_failed(413, "body_too_large"),
        }
        client.assert_ends();
    }
    assert_serves(&mut serving.connect());
}

fn assert_serves(client: &mut Client) {
    client.send(HEALTHY);
    client.answer().assert_failed(401, "no_session");
}

#[test]
fn half_a_request_is_answered_408_in_time() {
    let serving = Serving::with(|config| config.header_timeout = SHORT);
    for bytes in [
        "G",
        "GET / HTTP/1.1\r\n",
        "POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab",
        "POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "\r\nGET",
    ] {
        let mut client = serving.connect();
        client.send(bytes);
        let answer = client.answer();
        answer.assert_failed(408, "request_timeout");
        assert!(answer.closes());
        client.assert_ends();
        // Also behind a request that was answered, and then once only.
        let mut client = serving.connect();
        assert_serves(&mut client);
        client.send(bytes);
        client.answer().assert_failed(408, "request_timeout");
        client.send(&HEALTHY[bytes.len().min(HEALTHY.len())..]);
        client.assert_ends();
    }
}

#[test]
fn a_trickle_does_not_put_the_end_off() {
    let mut driven = Driven::with(|config| {
        config.header_timeout = SHORT;
        config.max_head = 1024 * 1024;
        config.max_body = 16 * 1024 * 1024;
    });
    for start in [
        "GET / HTTP/1.1\r\nHost: h\r\nA: ",
        "POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 16000000\r\n\r\n",
    ] {
        let mut client = driven.connect();
        client.send(start);
        let mut answer = None;
        driven.turn_until(|_| {
            client.send(b"a");
            client.read_at_once();
            answer = client.arrived();
            answer.is_some()
        });
        answer
            .expect("answered")
            .assert_failed(408, "request_timeout");
    }
}

#[test]
fn a_connection_without_a_request_is_closed_without_a_word() {
    let serving = Serving::with(|config| config.idle_timeout = SHORT);
    let mut silent = serving.connect();
    let mut served = serving.connect();
    assert_serves(&mut served);
    let mut empty = serving.connect();
    empty.send(b"\r\n");
    for client in [&mut silent, &mut served, &mut empty] {
        client.assert_ends();
    }
}

#[test]
fn a_parked_poll_outlives_every_limit() {
    let serving = Serving::with(|config| {
        config.idle_timeout = SHORT;
        config.header_timeout = SHORT;
        config.send_timeout = SHORT;
    });
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let mut poll = serving.poll(&ann, chatroom);
    // What waits behind the poll is not late either: nobody has looked at it.
    poll.send(get("/message/chatrooms/").of(&ann).bytes());
    let mut halved = serving.poll(&ann, chatroom);
    let request = get("/message/chatrooms/").of(&ann).bytes();
    halved.send(&request[..20]);
    for _ in 0..2 {
        serving.connect().assert_ends();
        let mut late = serving.connect();
        late.send(b"GET");
        late.answer().assert_failed(408, "request_timeout");
    }
    poll.assert_silent();
    halved.assert_silent();
    let list = serving.say(&ann, chatroom, "hi");
    assert_eq!(poll.answer().ok(), list);
    assert_eq!(poll.answer().ok(), serde_json::json!([chatroom]));
    assert_eq!(halved.answer().ok(), list);
    halved.send(&request[20..]);
    assert_eq!(halved.answer().ok(), serde_json::json!([chatroom]));
}

#[test]
fn a_client_that_takes_no_answers_is_dropped() {
    let mut driven = Driven::with(|config| config.send_timeout = SHORT);
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    for _ in 0..50 {
        driven.say(&ann, chatroom, &"a".repeat(4096));
    }
    driven.turn_until(|server| server.connections() == 0);
    let mut client = driven.connect();
    // 200 answers of 200 KB: no socket's buffers take that.
    client.send(ending(&ann, chatroom).bytes().repeat(200));
    driven.turn_until(|server| server.connections() == 1);
    driven.turn_until(|server| server.connections() == 0);
}

#[test]
fn beyond_the_connections_that_there_may_be_a_newcomer_is_told_so() {
    let mut driven = Driven::with(|config| config.max_connections = Some(3));
    let ann = driven.user("ann");
    let chatroom = driven.chatroom(&ann);
    driven.turn_until(|server| server.connections() == 0);
    let mut poll = driven.poll(&ann, chatroom);
    driven.turn_until(|server| server.connections() == 1);
    let mut idle = driven.connect();
    let mut served = driven.connect();
    driven.turn_until(|server| server.connections() == 3);
    for says in [&b""[..], HEALTHY, b"GET"] {
        let mut refused = driven.connect();
        refused.send(says);
        let answer = driven.answer(&mut refused);
        answer.assert_failed(503, "overloaded");
        assert!(answer.closes());
        let retry_after = answer.field("retry-after").expect("Retry-After");
        assert!(retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0));
        driven.assert_ends(&mut refused);
    }
    // Nobody else was touched.
    idle.assert_silent();
    poll.assert_silent();
    served.send(crate::serving::saying(&ann, chatroom, "hi").bytes());
    let list = driven.answer(&mut served).ok();
    assert_eq!(driven.answer(&mut poll).ok(), list);
    // And there is room again when one of them goes.
    drop(idle);
    driven.turn_until(|server| server.connections() == 2);
    let mut next = driven.connect();
    next.send(polling(&ann, 99).bytes());
    driven
        .answer(&mut next)
        .assert_failed(500, "not_a_participant");
}

/// A body of which this is all but the last byte.
fn half_body() -> Vec<u8> {
    let head = "POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 30001\r\n\r\n";
    [head.as_bytes(), &[b'a'; 30_000]].concat()
}

#[test]
fn what_is_not_whole_is_bounded_for_all_together_and_the_oldest_go_first() {
    const FITTING: usize = 34;
    const TOO_MANY: usize = 20;
    let serving = Serving::with(|config| {
        // Each has a part of it.
        config.loops = 1;
        config.max_unread = 1024 * 1024;
        config.header_timeout = Duration::from_secs(600);
    });
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let mut later = serving.connect();
    let mut clients: Vec<_> = (0..FITTING + TOO_MANY)
        .map(|_| {
            let mut client = serving.connect();
            assert_serves(&mut client);
            client.send(half_body());
            // What came before is read before.
            assert_serves(&mut later);
            client
        })
        .collect();
    for client in &mut clients[..TOO_MANY] {
        let answer = client.answer();
        answer.assert_failed(503, "overloaded");
        assert!(answer.closes() && answer.field("retry-after").is_some());
        client.assert_ends();
    }
    // A polite one's long message comes in pieces, and is taken.
    let saying = crate::serving::saying(&ann, chatroom, &"a".repeat(4096)).bytes();
    let mut polite = serving.connect();
    for piece in saying.chunks(3000) {
        polite.send(piece);
        assert_serves(&mut later);
    }
    polite.answer().ok();
    // So is who has been at it for the shortest time, and nobody is refused who has not kept the others from it.
    let (newest, others) = clients.split_last_mut().expect("many");
    newest.send(b"a");
    newest.answer().assert_failed(401, "no_session");
    let others = &mut others[TOO_MANY + 1..];
    others.iter_mut().for_each(Client::assert_silent);
}
