//! Requests hidden in requests (RFC 9112 section 11.2, and the advisories of other servers).
//!
//! Behind or within each attack stands a sendMessage with a good session. If any reading of the
//! bytes let it through, the chatroom would show it; and any answer to it would be seen.

use loiter_client::Method;

use crate::serving::{Serving, get, post};

/// One attack.
struct Attack {
    name: &'static str,
    status: u16,
    /// Whether an honest request may follow on the connection.
    goes_on: bool,
    bytes: String,
}

/// What is done with the hidden request: the beginning of a `POST /logout/`'s fields, and the rest.
fn refused(name: &'static str, status: u16, fields: &str, rest: &str) -> Attack {
    Attack {
        name,
        status,
        goes_on: false,
        bytes: format!("POST /logout/ HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{rest}"),
    }
}

/// Within the body of a good request, or behind one that ends the connection, it means nothing either.
fn harmless(name: &'static str, status: u16, goes_on: bool, bytes: String) -> Attack {
    Attack {
        name,
        status,
        goes_on,
        bytes,
    }
}

/// Two lengths, or a length said in two ways.
fn two_lengths(hidden: &str) -> Vec<Attack> {
    let length = hidden.len();
    let chunk = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let behind = format!("0\r\n\r\n{hidden}");
    vec![
        refused(
            "RFC 9112 6.3, CL.TE",
            400,
            &format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked",
                behind.len()
            ),
            &behind,
        ),
        refused(
            "RFC 9112 6.3, TE.CL",
            400,
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            &chunk,
        ),
        refused(
            "RUSTSEC-2021-0081 (actix-http), both in HTTP/1.1",
            400,
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            &behind,
        ),
        refused(
            "RFC 9112 6.3, two Content-Lengths",
            400,
            &format!("Content-Length: 0\r\nContent-Length: {length}"),
            hidden,
        ),
        refused(
            "RFC 9112 6.3, a list of Content-Lengths",
            400,
            &format!("Content-Length: 0, {length}"),
            hidden,
        ),
        refused(
            "RUSTSEC-2021-0078 (hyper), plus",
            400,
            "Content-Length: +0",
            hidden,
        ),
        refused(
            "RUSTSEC-2021-0078 (hyper), plus and the body",
            400,
            &format!("Content-Length: +{length}"),
            hidden,
        ),
        refused("a tab behind it", 400, "Content-Length: 0\t", hidden),
        refused("a minus", 400, "Content-Length: -0", hidden),
        refused("hexadecimal", 400, "Content-Length: 0x0", hidden),
        refused("two words", 400, "Content-Length: 0 0", hidden),
        refused(
            "a length that wraps 64 bits",
            413,
            "Content-Length: 18446744073709551616",
            hidden,
        ),
    ]
}

/// Transfer codings that one reader sees and another does not.
fn codings(hidden: &str) -> Vec<Attack> {
    let length = hidden.len();
    let behind = format!("0\r\n\r\n{hidden}");
    let two = |name, codings: [&str; 2]| {
        let [first, second] = codings;
        let fields = format!("Transfer-Encoding: {first}\r\nTransfer-Encoding: {second}");
        refused(name, 400, &fields, &behind)
    };
    vec![
        refused(
            "RUSTSEC-2020-0031 (tiny_http), white space before the colon",
            400,
            &format!(
                "Content-Length: {}\r\nTransfer-Encoding : chunked",
                behind.len()
            ),
            &behind,
        ),
        two(
            "RUSTSEC-2021-0020 (hyper), identity last",
            ["chunked", "identity"],
        ),
        two(
            "RUSTSEC-2021-0020 (hyper), identity first",
            ["identity", "chunked"],
        ),
        two("RUSTSEC-2021-0020 (hyper), twice", ["chunked", "chunked"]),
        refused(
            "chunked not last",
            400,
            "Transfer-Encoding: chunked, gzip",
            &behind,
        ),
        refused(
            "chunked twice",
            400,
            "Transfer-Encoding: chunked, chunked",
            &behind,
        ),
        refused(
            "an unknown coding",
            501,
            "Transfer-Encoding: xchunked",
            &behind,
        ),
        refused("identity", 501, "Transfer-Encoding: identity", hidden),
        refused(
            "a control character",
            400,
            "Transfer-Encoding: \u{b}chunked",
            &behind,
        ),
        refused(
            "a tab behind it",
            400,
            "Transfer-Encoding: chunked\t",
            &behind,
        ),
        refused("quotes", 400, "Transfer-Encoding: \"chunked\"", &behind),
        refused("obs-fold", 400, "Transfer-Encoding:\r\n chunked", &behind),
        refused(
            "CVE-2019-20444, obs-fold hides a coding",
            400,
            "A: b\r\n Transfer-Encoding: chunked",
            &behind,
        ),
        refused(
            "a bare CR hides a coding",
            400,
            "A: b\rTransfer-Encoding: chunked",
            &behind,
        ),
        refused(
            "a bare LF shows a coding",
            400,
            "A: b\nTransfer-Encoding: chunked",
            &behind,
        ),
        harmless(
            "RUSTSEC-2021-0081 (actix-http), chunked in HTTP/1.0",
            400,
            false,
            format!(
                "POST /logout/ HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n{behind}"
            ),
        ),
        harmless(
            "a Content-Length of HTTP/1.0 beside chunked",
            400,
            false,
            format!(
                "POST /logout/ HTTP/1.0\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}"
            ),
        ),
    ]
}

/// Chunks whose ends two readers could see in two places.
fn chunks(hidden: &str) -> Vec<Attack> {
    [
        (
            "RUSTSEC-2021-0079 (hyper), a size that wraps",
            "f0000000000000003\r\nabc\r\n0\r\n\r\n",
        ),
        ("seventeen digits", "00000000000000000\r\n\r\n"),
        ("a size with 0x", "0x0\r\n\r\n"),
        ("a size with a plus", "+0\r\n\r\n"),
        ("a size with a minus", "-0\r\n\r\n"),
        ("a size behind a space", " 0\r\n\r\n"),
        ("a size before a space", "0 \r\n\r\n"),
        ("no size", "\r\n\r\n"),
        ("a size line that ends in LF", "0\n\r\n"),
        ("a last line that ends in LF", "0\r\n\n"),
        ("CVE-2023-38697, LF in an extension", "0;\n\r\n\r\n"),
        ("data longer than its size", "1\r\nab\r\n0\r\n\r\n"),
        ("data that ends in LF", "1\r\na\n0\r\n\r\n"),
        ("data that ends in CR", "1\r\na\r0\r\n\r\n"),
        (
            "a trailer with white space before the colon",
            "0\r\nA : b\r\n\r\n",
        ),
        ("a trailer without a colon", "0\r\nA\r\n\r\n"),
    ]
    .map(|(name, chunks)| {
        let rest = format!("{chunks}{hidden}");
        refused(name, 400, "Transfer-Encoding: chunked", &rest)
    })
    .into()
}

/// Requests that are answered without a look at their bodies, or that are the last of their connection.
fn unread(hidden: &str) -> Vec<Attack> {
    let length = hidden.len();
    let with_body =
        |start: &str| format!("{start}\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{hidden}");
    vec![
        harmless(
            "the body of GET",
            401,
            true,
            with_body("GET /message/chatrooms/ HTTP/1.1"),
        ),
        harmless(
            "the body of HEAD",
            401,
            true,
            with_body("HEAD /message/chatrooms/ HTTP/1.1"),
        ),
        harmless(
            "the body of OPTIONS",
            204,
            true,
            with_body("OPTIONS /login HTTP/1.1"),
        ),
        harmless(
            "the body of what is not found",
            404,
            true,
            with_body("POST /nowhere HTTP/1.1"),
        ),
        harmless(
            "the body of a wrong method",
            405,
            true,
            with_body("PUT /login HTTP/1.1"),
        ),
        harmless(
            "a chunk",
            401,
            true,
            format!(
                "POST /logout HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
            ),
        ),
        harmless(
            "a body that was not waited for",
            401,
            true,
            with_body("POST /logout HTTP/1.1\r\nExpect: 100-continue"),
        ),
        refused("a body too large", 413, "Content-Length: 65537", hidden),
        refused(
            "a chunk too large",
            413,
            "Transfer-Encoding: chunked",
            &format!("fffffff\r\n{hidden}"),
        ),
        refused(
            "an unmet expectation",
            417,
            &format!("Expect: x\r\nContent-Length: {length}"),
            hidden,
        ),
        refused(
            "a head too large",
            431,
            &format!("A: {}", "b".repeat(20_000)),
            hidden,
        ),
        refused("two Hosts", 400, "Host: i", hidden),
        harmless(
            "behind Connection: close",
            401,
            false,
            format!("POST /logout HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{hidden}"),
        ),
        harmless(
            "behind HTTP/1.0",
            401,
            false,
            format!("POST /logout HTTP/1.0\r\n\r\n{hidden}"),
        ),
        harmless(
            "behind CONNECT, as if it had been granted",
            404,
            false,
            format!("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n{hidden}"),
        ),
        harmless(
            "behind HTTP/2's preface",
            505,
            false,
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"),
        ),
    ]
}

#[test]
fn nothing_hidden_has_an_effect() {
    let serving = Serving::with(|config| config.recent = 200);
    let ann = serving.user("ann");
    let chatroom = serving.chatroom(&ann);
    let hidden = post("/message/sendMessage/")
        .with("chatroomid", chatroom)
        .with("message", "smuggled")
        .of(&ann)
        .bytes();
    let hidden = String::from_utf8(hidden).expect("ASCII");
    let attacks = [two_lengths, codings, chunks, unread].map(|attacks| attacks(&hidden));
    for (at, attack) in attacks.iter().flatten().enumerate() {
        let name = attack.name;
        let mut client = serving.connect();
        client.send(&attack.bytes);
        let answer = client.answer_to(Method::of(attack.bytes.as_bytes()));
        assert_eq!(answer.status, attack.status, "{name}: {answer:?}");
        assert_eq!(answer.closes(), !attack.goes_on, "{name}: {answer:?}");
        if attack.goes_on {
            // The next answer is to the next honest request, not to the hidden one.
            let next = client.ask(&get("/message/chatrooms/").of(&ann));
            assert_eq!(next.body, format!("[{chatroom}]").into_bytes(), "{name}");
        } else {
            // Nor does it have one afterwards.
            client.send(&hidden);
            client.assert_ends();
        }
        let list = serving.say(&ann, chatroom, "honest");
        let list = list.as_array().expect("a list");
        assert_eq!(list.len(), at + 1, "{name}");
        assert!(
            list.iter().all(|message| message["message"] == "honest"),
            "{name}"
        );
    }
    // The hidden request is a good one by itself: else all this would prove nothing.
    let mut client = serving.connect();
    client.send(&hidden);
    let list = client.answer().ok();
    assert_eq!(
        list.as_array().and_then(|list| list.last()).expect("sent")["message"],
        "smuggled"
    );
}

/// RFC 9112 section 11.1: what a client says must not become a field of an answer, or another answer.
#[test]
fn answers_cannot_be_split() {
    let serving = Serving::start();
    for query in [
        "username=a%0d%0aSet-Cookie:%20session=x&password=pw",
        "%0d%0aSet-Cookie:%20a=b=1&%0d%0aSet-Cookie:%20a=b=1",
        "username=ann&password=pw&%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0a=%zz",
    ] {
        let answer = serving.ask(&post("/register/").raw(query));
        answer.assert_failed(400, "bad_parameter");
        assert_eq!(answer.field("set-cookie"), None);
    }
}
