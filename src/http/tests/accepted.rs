//! What is taken in: framing, pipelining, persistence, expectations, and the limits' edges.

use super::*;

#[test]
fn requests() {
    accepts(&[
        (b"", &[]),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
        (
            b"\r\n\r\nGET /a?b HTTP/1.1\r\nHost:\r\n\r\n\r\n",
            &["Get /a?b [] KeepAlive"],
        ),
        (
            b"HEAD /a HTTP/1.1\r\nhost: h:1\r\n\r\n",
            &["Head /a? [] KeepAlive"],
        ),
        (
            b"OPTIONS * HTTP/1.1\r\nHOST: h\r\n\r\n",
            &["Options *? [] KeepAlive"],
        ),
        (
            b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
            &["Other /? [] KeepAlive"],
        ),
        (
            b"M-SEARCH / HTTP/1.1\r\nHost: h\r\n\r\n",
            &["Other /? [] KeepAlive"],
        ),
        (
            b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
            &["Other h:443? [] Close"],
        ),
        (
            b"GET http://o HTTP/1.1\r\nHost: h\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\r\nY:\t a \t\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
    ]);
}

#[test]
fn bodies() {
    accepts(&[
        // A length without a method that wants one is still a length.
        (
            b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /",
            &["Get /a? [GET /] KeepAlive"],
        ),
        (&post("Content-Length: 0", ""), &["Post /p? [] KeepAlive"]),
        (
            &post("content-length: 00020", "01234567890123456789"),
            &["Post /p? [01234567890123456789] KeepAlive"],
        ),
        (
            &post(
                "Transfer-Encoding: Chunked",
                "3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\n",
            ),
            &["Post /p? [abcde] KeepAlive"],
        ),
        (
            &post("Transfer-Encoding:chunked", "0\r\n\r\n"),
            &["Post /p? [] KeepAlive"],
        ),
    ]);
}

#[test]
fn what_follows_a_body_is_the_next_request() {
    let sized = post("Content-Length: 3", "abc");
    let chunked = post("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n");
    accepts(&[(
        &[&sized, HIDDEN, &chunked, b"\r\n", HIDDEN, &sized].concat(),
        &[
            "Post /p? [abc] KeepAlive",
            "Get /hidden? [] KeepAlive",
            "Post /p? [abc] KeepAlive",
            "Get /hidden? [] KeepAlive",
            "Post /p? [abc] KeepAlive",
        ],
    )]);
}

#[test]
fn nothing_follows_a_request_that_closes() {
    let table: &[(&[u8], &[&str])] = &[
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            &["Get /? [] Close"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: a, CLOSE ,b\r\n\r\n",
            &["Get /? [] Close"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            &["Get /? [] Close"],
        ),
        (b"GET / HTTP/1.0\r\n\r\n", &["Get /? [] Close"]),
        (
            b"GET / HTTP/1.0\r\nHost: h\r\nConnection: close, keep-alive\r\n\r\n",
            &["Get /? [] Close"],
        ),
        (
            b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
            &["Post /? [a] Close"],
        ),
    ];
    for (bytes, wanted) in table {
        accepts(&[(bytes, wanted), (&[bytes, HIDDEN].concat(), wanted)]);
    }
    accepts(&[
        (
            b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n",
            &["Get /? [] KeepAlive"],
        ),
    ]);
}

#[test]
fn expectations() {
    let expecting =
        |value: &str, rest| post(&format!("Expect: {value}\r\nContent-Length: 3"), rest);
    let head = expecting("100-Continue", "");
    let waiting = feed([&head[..]]);
    assert_eq!((waiting.continued, waiting.phase), (1, Phase::Receiving));
    assert_eq!(feed([&head[..], b"a", b"bc"]).continued, 1);
    assert_eq!(outcome(&expecting("100-continue", "ab")).continued, 1);
    let here = outcome(&expecting("100-continue", "abc"));
    assert_eq!(
        (here.continued, &*here.events[0]),
        (0, "Post /p? [abc] KeepAlive")
    );
    let chunked = "Expect: 100-continue\r\nTransfer-Encoding: chunked";
    assert_eq!(feed([&post(chunked, "")[..], b"0\r\n\r\n"]).continued, 1);
    assert_eq!(outcome(&post(chunked, "0\r\n\r\n")).continued, 0);
    assert_eq!(outcome(&post("Expect: 100-continue", "")).continued, 0);
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(outcome(old).continued, 0);
    accepts(&[(
        b"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n",
        &["Get /? [] Close"],
    )]);
    refuses_posts(
        Rejection::ExpectationFailed,
        &[
            "Expect:",
            "Expect: 200-ok",
            "Expect: 100-continue, tea",
            "Expect: 100-continue\r\nExpect: tea",
        ],
    );
}

#[test]
fn heads_are_bounded() {
    let head = |length: usize| {
        let mut head = b"GET / HTTP/1.1\r\nHost: h\r\nA: ".to_vec();
        head.resize(length - 4, b'a');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    let line = |length: usize| {
        let mut line = b"GET /".to_vec();
        line.resize(length, b'a');
        line
    };
    accepts(&[
        (&head(400), &["Get /? [] KeepAlive"]),
        (
            &[b"\r\n\r\n\r\n\r\n", &head(400)[..]].concat(),
            &["Get /? [] KeepAlive"],
        ),
    ]);
    refuses(
        Rejection::HeadTooLarge,
        &[&head(401), &head(402), &head(9000)[..400]],
    );
    refuses(Rejection::UriTooLong, &[&line(400), &line(401)]);
    assert_eq!(outcome(&line(399)).phase, Phase::Receiving);

    let fields = |n: usize| post(&vec!["A:"; n].join("\r\n"), "");
    let limits = Limits {
        head_max: 9000,
        ..LIMITS
    };
    let event = |bytes: &[u8]| {
        format!(
            "{:?}",
            Exchange::default().receive(&mut None, bytes, &limits).event
        )
    };
    assert!(event(&fields(FIELDS_MAX - 1)).starts_with("Request("));
    assert_eq!(event(&fields(FIELDS_MAX)), "Rejected(HeadTooLarge)");
}
