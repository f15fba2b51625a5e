//! No line of the log holds a query string, a cookie, a password or a message, whatever its level and whatever goes wrong.
//!
//! Whatever must not stand there has a marker in it, the requests say it in every place and in every wrong way that they can, and all
//! that the server has logged is searched.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::PATIENCE;
use super::serving::Serving;

const MARKER: &str = "hush";

/// Asks on a connection of its own; what comes until the server closes it.
fn ask(serving: &Serving, request: &str) -> String {
    let mut stream = TcpStream::connect(serving.addresses[0]).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer and its end");
    answer
}

fn get(serving: &Serving, target: &str, cookie: &str) -> String {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
    );
    ask(serving, &request)
}

fn post(serving: &Serving, target: &str, cookie: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\
        Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    ask(serving, &request)
}

fn form(serving: &Serving, target: &str, cookie: &str, body: &str) -> String {
    post(
        serving,
        target,
        cookie,
        "application/x-www-form-urlencoded",
        body,
    )
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
}

/// Registers, logs in, and says something, rightly and wrongly; returns the session's token.
fn use_all_ways(serving: &Serving) -> String {
    const JSON: &str = "application/json";
    let register = "/register/?username=hush-ann&password=hush-by-query";
    assert_status(&form(serving, register, "", ""), 200);
    let bob = r#"{"username":"hush-bob","password":"hush-by-json"}"#;
    assert_status(&post(serving, "/register", "", JSON, bob), 200);
    let cleo = "username=hush-cleo&password=hush-by-form";
    assert_status(&form(serving, "/register", "", cleo), 200);
    assert_status(&form(serving, "/register", "", cleo), 409);
    assert_status(&form(serving, register, "", ""), 409);
    for body in [
        "username=hush-ann&password=hush-wrong",
        "username=hush-nobody&password=hush-wrong",
        "username=hush%00&password=hush-wrong",
    ] {
        assert_status(&form(serving, "/login", "", body), 401);
    }
    for (kind, body) in [
        (JSON, r#"{"username":"hush-ann","password":"hush"#),
        (JSON, r#"{"username":"hush-ann","password":["hush"]}"#),
        (
            "application/x-www-form-urlencoded",
            "username=hush&password=hush%zz",
        ),
        (
            "application/x-www-form-urlencoded",
            "username=hush&username=hush",
        ),
    ] {
        assert_status(&post(serving, "/login?hush=hush", "", kind, body), 400);
    }
    let login = form(
        serving,
        "/login",
        "",
        "username=hush-ann&password=hush-by-query",
    );
    assert_status(&login, 200);
    let (_, cookie) = login.split_once("Set-Cookie: session=").expect(&login);
    let token = cookie.split(';').next().expect("a token").to_owned();
    let cookie = format!("session={token}; other=hush");
    assert_status(
        &form(serving, "/message/newChatroom?name=hush-room", &cookie, ""),
        200,
    );
    let send = "/message/sendMessage?chatroomid=1";
    let query = format!("{send}&message=hush-by-query&nonce=hush-nonce");
    assert_status(&form(serving, &query, &cookie, ""), 200);
    assert_status(&form(serving, &query, &cookie, ""), 200);
    assert_status(&form(serving, send, &cookie, "message=hush-by-form"), 200);
    assert_status(&form(serving, send, &cookie, "message=hush%01"), 400);
    assert_status(&form(serving, send, "session=hush", "message=hush"), 401);
    assert_status(
        &form(
            serving,
            "/message/sendMessage?chatroomid=9",
            &cookie,
            "message=hush",
        ),
        500,
    );
    assert_status(&get(serving, "/message/getUser?name=hush", &cookie), 200);
    assert_status(&get(serving, "/message/history?chatroomid=1", &cookie), 200);
    let change = "password=hush-by-query&newpassword=hush-new";
    assert_status(
        &form(
            serving,
            "/changePassword",
            &cookie,
            "password=hush&newpassword=hush",
        ),
        403,
    );
    assert_status(&form(serving, "/changePassword", &cookie, change), 200);
    token
}

/// What HTTP refuses, with a marker wherever that may be.
fn break_rules(serving: &Serving) {
    let long = "hush".repeat(6000);
    for (request, status) in [
        (format!("GET /?{long} HTTP/1.1\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {long}\r\n\r\n"), 431),
        ("GET /hush?hush HTTP/1.1\r\nHost: h\r\nCookie : session=hush\r\n\r\n".into(), 400),
        ("GET /?hush\x7f HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400),
        ("GET /?hush HTTP/1.1\r\nHost: hush hush\r\n\r\n".into(), 400),
        ("GET /?hush HTTP/3.0\r\nHost: h\r\n\r\n".into(), 505),
        ("POST /?hush HTTP/1.1\r\nHost: h\r\nContent-Length: hush\r\n\r\n".into(), 400),
        ("POST /?hush HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n".into(), 413),
        ("POST /?hush HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: hush\r\n\r\n".into(), 501),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nhush\r\n".into(), 400),
        ("POST /login?hush HTTP/1.1\r\nHost: h\r\nOrigin: https://hush\r\nConnection: close\r\n\r\n".into(), 403),
        ("GET /hush?hush HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: hush\r\nConnection: close\r\n\r\n".into(), 404),
    ] {
        assert_status(&ask(serving, &request), status);
    }
}

/// All that is said while the database fails, which the log tells of.
fn break_the_database(serving: &Serving, folder: &std::path::Path, token: &str) {
    let database = rusqlite::Connection::open(folder.join("chat.db")).expect("a database");
    database
        .execute_batch(
            "ALTER TABLE nonces RENAME TO gone; UPDATE users SET password = 'hush-damaged'",
        )
        .expect("damage");
    let cookie = format!("session={token}");
    let send = "/message/sendMessage?chatroomid=1&message=hush&nonce=hush-other";
    assert_status(&form(serving, send, &cookie, ""), 500);
    assert_status(
        &form(serving, "/login", "", "username=hush-ann&password=hush-new"),
        500,
    );
}

#[test]
fn no_line_of_the_log_holds_a_secret_at_any_level() {
    for options in [
        &["--log", "trace"][..],
        &["--log", "trace", "--log-format", "json"],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let own = ["--max-head", "16384", "--login-attempts", "8"];
        let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[options, &own].concat());
        let token = use_all_ways(&serving);
        break_rules(&serving);
        break_the_database(&serving, folder.path(), &token);
        for _ in 0..9 {
            form(
                &serving,
                "/login",
                "",
                "username=hush-else&password=hush-wrong",
            );
        }
        serving.signal("TERM");
        let (status, rest, log) = serving.end();
        assert!(status.success());
        assert_eq!(rest, [""; 0]);
        // It has told of what went wrong, and of nothing that was said.
        assert!(log.iter().any(|line| line.contains("nonces")), "{log:#?}");
        for secret in [MARKER, &*token, &token[..16]] {
            let lines: Vec<_> = log.iter().filter(|line| line.contains(secret)).collect();
            assert!(lines.is_empty(), "{secret}: {lines:#?}");
        }
    }
}
