//! What the API reads from a request.

use super::*;

fn with_request(bytes: &[u8], check: impl Fn(&Request<'_>)) {
    match Exchange::default().receive(&mut None, bytes, &LIMITS).event {
        Event::Request(request) => check(&request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fields_of_a_request() {
    let bytes = post("a: 1\r\nAb: 2\r\nA:\t3 \r\nA:\r\nB: a: 4", "");
    with_request(&bytes, |request| {
        let values = |name| request.fields(name).collect::<Vec<_>>();
        assert_eq!(values("A"), [&b"1"[..], b"3", b""]);
        assert_eq!(values("ab"), [b"2"]);
        assert_eq!(values("c"), [b""; 0]);
        assert_eq!(values(""), [b""; 0]);
    });
}

#[test]
fn a_body_is_no_field() {
    let bytes = post("Content-Length: 8", "A: b\r\n\r\n");
    with_request(&bytes, |request| assert_eq!(request.fields("a").count(), 0));
}

#[test]
fn cookies() {
    let cookies =
        "Cookie: a=1; session=x=y;b=\r\ncookie: session=z;c=3; asession=4\r\nCookie: d=\u{ff}";
    with_request(&post(cookies, ""), |request| {
        for (name, value) in [
            ("a", Some("1")),
            ("session", Some("x=y")),
            ("b", Some("")),
            ("c", Some("3")),
            ("d", Some("\u{ff}")),
            ("Session", None),
            ("sess", None),
        ] {
            assert_eq!(request.cookie(name), value, "{name}");
        }
    });
    with_request(
        b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=\xff\r\n\r\n",
        |request| {
            assert_eq!(request.cookie("a"), None);
        },
    );
}

#[test]
fn media_types() {
    for (fields, form, json) in [
        (
            "Content-Type: application/x-www-form-urlencoded",
            true,
            false,
        ),
        (
            "content-type: Application/X-WWW-Form-Urlencoded ; charset=utf-8",
            true,
            false,
        ),
        ("Content-Type: application/json;charset=utf-8", false, true),
        (
            "Content-Type: application/x-www-form-urlencoded2",
            false,
            false,
        ),
        (
            "Content-Type: application/json\r\nContent-Type: application/json",
            false,
            false,
        ),
        ("A: b", false, false),
    ] {
        with_request(&post(fields, ""), |request| {
            assert_eq!(
                (request.is_form(), request.is_json()),
                (form, json),
                "{fields}"
            );
        });
    }
}

#[test]
fn the_authority_wins_over_host() {
    let host = |bytes: &[u8], wanted: &str| {
        with_request(bytes, |request| assert_eq!(request.host(), wanted));
    };
    host(b"GET http://a:1/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "a:1");
    host(b"GET / HTTP/1.1\r\nHost: h:2\r\n\r\n", "h:2");
    host(b"GET / HTTP/1.0\r\n\r\n", "");
}

#[test]
fn the_answer_to_head_has_no_body_even_where_head_is_refused() {
    for (bytes, head_only) in [
        (&b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"[..], true),
        (b"HEAD / HTTP/1.1\r\n\r\n", true),
        (
            b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n",
            true,
        ),
        (b"HEADS / HTTP/1.1\r\n\r\n", false),
        (b"GET / HTTP/1.1\r\n\r\n", false),
    ] {
        let mut exchange = Exchange::default();
        exchange.receive(&mut None, bytes, &LIMITS);
        assert_eq!(
            exchange.framing().head_only,
            head_only,
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn debug_output_hides_what_came() {
    let bytes = b"POST /login/?password=hunter2 HTTP/1.1\r\nHost: h\r\nCookie: session=hunter2\r\nContent-Length: 7\r\n\r\nhunter2";
    with_request(bytes, |request| {
        let debug = format!("{request:?}");
        assert!(
            debug.contains("/login/") && !debug.contains("hunter2"),
            "{debug}"
        );
    });
}
