//! Whether the server is there, and whether it is of use: what a supervisor or a balancer asks.

use serde_json::json;

use crate::serving::{Answer, Driven, Request, Serving, get};

#[track_caller]
fn assert_not_ready(answer: &Answer) {
    answer.assert_failed(503, "not_ready");
    let retry_after = answer.field("retry-after").expect("Retry-After");
    assert!(retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0));
}

#[test]
fn health_needs_no_session() {
    let serving = Serving::start();
    assert_eq!(serving.ask(&get("/healthz/")).ok(), json!({"status": "ok"}));
    assert_eq!(serving.ask(&get("/healthz")).ok(), json!({"status": "ok"}));
}

#[test]
fn a_server_that_can_write_is_ready() {
    let serving = Serving::start();
    for path in ["/readyz", "/readyz/"] {
        let answer = serving.ask(&get(path));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, br#"{"status":"ok"}"#);
        assert_eq!(serving.ask(&Request::new("HEAD", path)).status, 200);
    }
    let post = Request::new("POST", "/readyz");
    serving.ask(&post).assert_failed(405, "method_not_allowed");
}

#[test]
fn a_server_whose_database_is_locked_is_not_ready_until_it_can_write() {
    let serving = Serving::start();
    serving.ask(&get("/readyz")).ok();
    let mut other = serving.other_program();
    other.lock();
    let mut client = serving.connect();
    client.send(get("/readyz").bytes());
    // It is there all the same.
    serving.ask(&get("/healthz")).ok();
    assert_not_ready(&client.answer());
    other.unlock();
    client.ask(&get("/readyz")).ok();
}

#[test]
fn a_server_that_drains_is_not_ready() {
    let mut driven = Driven::start();
    driven.ask(&get("/readyz")).ok();
    let request = get("/readyz").bytes();
    let [mut asked, mut halved] = [(); 2].map(|()| driven.connect());
    halved.send(&request[..10]);
    driven.turn_until(|server| server.connections() == 2);
    // One has been asked before, and is answered after.
    asked.send(&request);
    driven.turn();
    driven.server.handle().drain();
    halved.send(&request[10..]);
    for client in [&mut asked, &mut halved] {
        let answer = driven.answer(client);
        assert_not_ready(&answer);
        assert!(answer.closes());
    }
    for mut client in [asked, halved] {
        driven.assert_ends(&mut client);
    }
    driven.turn_until(|server| server.is_done());
}
