//! Bytes → status, code, and whether the connection goes on.
//!
//! Each case is one request. Nobody is logged in, so what is read as a good request to the API is answered
//! 401 `no_session`, and 404 or 405 show that a path and a method were read.

use loiter_client::Method;

use crate::serving::{Client, Driven, Serving};

/// What one request must come to.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    pub(crate) status: u16,
    /// Empty for an answer that is no failure.
    pub(crate) code: &'static str,
    pub(crate) goes_on: bool,
}

/// Who is asked whether the connection goes on.
pub(crate) const HEALTHY: &[u8] = b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n";

impl Case {
    pub(crate) fn method(&self) -> Method {
        Method::of(&self.bytes)
    }

    /// Asserts what an answer to this case says.
    #[track_caller]
    pub(crate) fn assert_answered(&self, answer: &crate::serving::Answer) {
        let shown = self.bytes.escape_ascii();
        assert_eq!(answer.status, self.status, "{shown}: {answer:?}");
        if self.method() == Method::Other && !self.code.is_empty() {
            assert_eq!(answer.code(), self.code, "{shown}");
        }
        assert_eq!(answer.closes(), !self.goes_on, "{shown}: {answer:?}");
    }
}

fn kept(status: u16, code: &'static str, requests: &[&[u8]]) -> Vec<Case> {
    cases(status, code, true, requests)
}

fn closed(status: u16, code: &'static str, requests: &[&[u8]]) -> Vec<Case> {
    cases(status, code, false, requests)
}

fn cases(status: u16, code: &'static str, goes_on: bool, requests: &[&[u8]]) -> Vec<Case> {
    requests
        .iter()
        .map(|bytes| Case {
            bytes: bytes.to_vec(),
            status,
            code,
            goes_on,
        })
        .collect()
}

/// Requests that are taken in.
pub(crate) fn accepted() -> Vec<Case> {
    let no_session = kept(401, "no_session", &[
        b"GET /message/chatrooms HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nhOsT:h:8000\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost:\r\n\r\n",
        // Empty lines before a request (RFC 9112 section 2.2).
        b"\r\nGET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\n\r\nGET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n",
        // Absolute form (section 3.2.2).
        b"GET http://h/message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET HTTP://other:1/message/chatrooms?x=y HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nX: \xff\t \r\n\r\n",
        b"HEAD /message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HEAD /message/getUser?name=a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /message/longpoll/?chatroomid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /message/newChatroom/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 00003\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: t\r\n\r\n",
        // A body with GET is read, and means nothing.
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ]);
    let no_session_closes = closed(401, "no_session", &[
        b"GET /message/chatrooms/ HTTP/1.0\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.0\r\nHost: h\r\n\r\n",
        b"POST /logout/ HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE ,y\r\n\r\n",
        b"GET /message/chatrooms/ HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        b"HEAD /message/chatrooms/ HTTP/1.0\r\n\r\n",
    ]);
    let options = kept(
        204,
        "",
        &[
            b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            b"OPTIONS /login HTTP/1.1\r\nHost: h\r\n\r\n",
            b"OPTIONS /message/longpoll/ HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
    let nowhere = kept(
        404,
        "not_found",
        &[
            b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET //login HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST /login/.. HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST /%6cogin HTTP/1.1\r\nHost: h\r\n\r\n",
            b"HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
    // What is behind it could be for somebody else.
    let connect = closed(
        404,
        "not_found",
        &[b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"],
    );
    let wrong_method = kept(
        405,
        "method_not_allowed",
        &[
            b"GET /login HTTP/1.1\r\nHost: h\r\n\r\n",
            b"post /login HTTP/1.1\r\nHost: h\r\n\r\n",
            b"DELETE /message/chatrooms/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"HEAD /message/longpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"HEAD /message/endpoll?chatroomid=1 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"TRACE /login HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
    [
        no_session,
        no_session_closes,
        options,
        nowhere,
        connect,
        wrong_method,
    ]
    .concat()
}

/// Requests that break a rule of HTTP.
pub(crate) fn refused() -> Vec<Case> {
    let bad = closed(400, "bad_request", &[
        // Request lines.
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        b"GET / http/1.1\r\nHost: h\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xc3\xb6 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET login HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\n\r\n\r\n\r\n\r\n",
        // Line ends.
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
        // Fields: white space before the colon, obs-fold, control characters.
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA\t: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
        // No or several Host.
        b"GET /message/chatrooms/ HTTP/1.1\r\n\r\n",
        b"GET http://h/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        // Lengths and codings.
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3\t\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length:\t3\r\n\r\nabc",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /logout HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n",
    ]);
    let others = [
        closed(413, "body_too_large", &[
            b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n",
            b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
        ]),
        closed(417, "expectation_failed", &[
            b"POST /logout HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 3\r\n\r\nabc",
        ]),
        closed(501, "not_implemented", &[
            b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HEAD /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        ]),
        closed(505, "version_not_supported", &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.2\r\nHost: h\r\n\r\n",
            b"GET / HTTP/0.9\r\n\r\n",
        ]),
    ];
    [bad, others.concat()].concat()
}

/// After the answer to `case`, the connection goes on or ends, as it should.
fn assert_goes_on_or_ends(case: &Case, client: &mut Client) {
    if case.goes_on {
        client.send(HEALTHY);
        client.answer().assert_failed(401, "no_session");
        client.assert_silent();
    } else {
        client.assert_ends();
    }
}

#[test]
fn whole() {
    let serving = Serving::start();
    for case in [accepted(), refused()].concat() {
        let mut client = serving.connect();
        client.send(&case.bytes);
        let answer = client.answer_to(case.method());
        case.assert_answered(&answer);
        assert_goes_on_or_ends(&case, &mut client);
        // A bad request is nobody else's trouble, and leaves nothing behind.
        let mut other = serving.connect();
        other.send(HEALTHY);
        other.answer().assert_failed(401, "no_session");
    }
}

#[test]
fn a_hidden_request_behind_a_refused_one_is_never_answered() {
    let mut driven = Driven::start();
    for case in refused() {
        let mut client = driven.connect();
        client.send([&case.bytes, HEALTHY].concat());
        let answer = driven.next(&mut client, case.method());
        case.assert_answered(&answer);
        driven.assert_ends(&mut client);
        client.reset();
    }
}

#[test]
fn bytes_behind_the_answer_to_a_refused_request_are_thrown_away() {
    let mut driven = Driven::start();
    for case in refused() {
        let mut client = driven.connect();
        client.send(&case.bytes);
        let answer = driven.next(&mut client, case.method());
        case.assert_answered(&answer);
        client.send(HEALTHY);
        driven.turn();
        driven.assert_ends(&mut client);
        client.reset();
    }
}

#[test]
fn allow_names_the_methods() {
    let serving = Serving::start();
    for (path, allow) in [
        ("*", "GET, HEAD, POST, OPTIONS"),
        ("/login", "POST, OPTIONS"),
        ("/message/chatrooms/", "GET, HEAD, OPTIONS"),
        ("/message/longpoll/", "GET, OPTIONS"),
        ("/message/endpoll", "GET, OPTIONS"),
    ] {
        for method in ["OPTIONS", "PUT"] {
            let mut client = serving.connect();
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            let answer = client.answer();
            match (method, path) {
                ("PUT", "*") => answer.assert_failed(400, "bad_request"),
                _ => assert_eq!(answer.field("allow"), Some(allow), "{method} {path}"),
            }
        }
    }
}
