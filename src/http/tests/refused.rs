//! What is refused, and by which rule; the advisories that this layer was written against are named.

use super::*;

#[test]
fn request_lines() {
    refuses(
        bad("the request line is malformed"),
        &[
            b"\x16\x03\x01",
            b" GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"\n",
            b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.10\r\nHost: h\r\n\r\n",
            b"GET / http/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1,1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/2.0 x\r\nHost: h\r\n\r\n",
            b"GET / x HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /\r HTTP/1.1\r\nHost: h\r\n\r\n",
            b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
    refuses(
        Rejection::VersionNotSupported,
        &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.2\r\nHost: h\r\n\r\n",
            b"GET / HTTP/0.9\r\n\r\n",
            b"GET / HTTP/3.0\r\n: bad\r\n\r\n",
        ],
    );
    refuses(
        bad("there are too many empty lines before it"),
        &[b"\r\n\r\n\r\n\r\n\r\n"],
    );
}

#[test]
fn targets() {
    refuses(
        bad("the request target is malformed"),
        &[
            b"GET * HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET a HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
            b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
    refuses(
        bad("the request target holds a character that must be percent-encoded"),
        &[
            b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /\xc3\xb6 HTTP/1.1\r\nHost: h\r\n\r\n",
        ],
    );
}

#[test]
fn line_ends_and_field_lines() {
    refuses(
        bad("a line does not end in CR LF"),
        &[
            b"GET / HTTP/1.1\nHost: h\n\n",
            b"GET / HTTP/1.1\r\nHost: h\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\n",
            b"GET / HTTP/1.1\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    );
    refuses(
        bad("a field name is malformed"),
        &[
            b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc: d\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost\t: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA\0: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA\x85: b\r\n\r\n",
        ],
    );
    refuses(
        bad("a field value holds a control character"),
        &[
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: \x0bb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n",
        ],
    );
}

#[test]
fn hosts() {
    refuses(
        bad("the Host is missing"),
        &[
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET http://h/ HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHosts: h\r\n\r\n",
        ],
    );
    refuses(
        bad("there are several Host fields"),
        &[
            b"GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n",
        ],
    );
    refuses(
        bad("the Host is malformed"),
        &[
            b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h/p\r\n\r\n",
            b"GET / HTTP/1.0\r\nHost: h:x\r\n\r\n",
            b"GET http://h/ HTTP/1.1\r\nHost: \xff\r\n\r\n",
        ],
    );
}

#[test]
fn tabs_around_what_frames_the_body() {
    refuses_posts(
        bad("there is a tab in a field that says how the body is framed"),
        &[
            "Content-Length:\t0",
            "Content-Length: \t 0",
            "Content-Length: 0\t",
            "Transfer-Encoding: chunked\t",
            "Transfer-Encoding:\tchunked",
        ],
    );
}

#[test]
fn lengths() {
    refuses_posts(
        bad("the Content-Length is no number"),
        &[
            "Content-Length:",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length: 5, 5",
            "Content-Length: 1,",
            "Content-Length: 1.0",
            "Content-Length: \"1\"",
        ],
    );
    refuses_posts(
        bad("there are several Content-Length fields"),
        &[
            "Content-Length: 0\r\nContent-Length: 36",
            "Content-Length: 0\r\nContent-Length: 0",
            "Content-Length: 0\r\nA: b\r\ncontent-length: 0",
        ],
    );
    refuses_posts(
        Rejection::BodyTooLarge,
        &[
            "Content-Length: 21",
            "Content-Length: 18446744073709551616",
            "Content-Length: 18446744073709551621\r\nExpect: 100-continue",
            "Content-Length: 99999999999999999999999999999999",
            "Expect: 100-continue\r\nContent-Length: 21",
        ],
    );
    refuses(
        Rejection::BodyTooLarge,
        &[
            &post("Transfer-Encoding: chunked", "15\r\n"),
            &post(
                "Transfer-Encoding: chunked",
                "14\r\n01234567890123456789\r\n1\r\n",
            ),
            &post("Transfer-Encoding: chunked", "ffffffffffffffff\r\n"),
        ],
    );
}

#[test]
fn codings() {
    refuses_posts(
        bad("there are both a Transfer-Encoding and a Content-Length"),
        &[
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 6",
            "Transfer-Encoding: gzip\r\nContent-Length: 6",
            "Transfer-Encoding:\r\nContent-Length: 6",
        ],
    );
    refuses_posts(
        Rejection::NotImplemented,
        &[
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: gzip;q=1 , deflate,CHUNKED",
        ],
    );
    refuses_posts(
        bad("chunked is not the last transfer coding, once and without parameters"),
        &[
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked;a=b",
            "Transfer-Encoding: chunked;a, chunked",
        ],
    );
    refuses_posts(
        bad("the Transfer-Encoding is malformed"),
        &[
            "Transfer-Encoding:",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: chunked\u{85}",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chun ked",
        ],
    );
    refuses(
        bad("there is a Transfer-Encoding in an HTTP/1.0 message"),
        &[
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: gzip\r\n\r\n",
        ],
    );
}

#[test]
fn chunks() {
    let chunked = |rest| post("Transfer-Encoding: chunked", rest);
    refuses(
        bad("a chunk's size is malformed"),
        &[
            &chunked("+1\r\na\r\n0\r\n\r\n"),
            &chunked("0x1\r\na\r\n0\r\n\r\n"),
            &chunked(" 1\r\na\r\n0\r\n\r\n"),
            &chunked("1\na\r\n0\r\n\r\n"),
            &chunked("\r\n0\r\n\r\n"),
            &chunked("00000000000000000\r\n\r\n"),
        ],
    );
    refuses(
        bad("a chunk does not end where its size says"),
        &[
            &chunked("1\r\nab\r\n0\r\n\r\n"),
            &chunked("1\r\na\n0\r\n\r\n"),
        ],
    );
    refuses(
        bad("a trailer field is malformed"),
        &[
            &chunked("0\r\nA : b\r\n\r\n"),
            &chunked("0\r\nA: b\r\n c\r\n\r\n"),
            &chunked("0\r\n\n"),
        ],
    );
}

/// Each advisory's input, as far as it concerns a server, and what stops it here.
#[test]
fn advisories() {
    // RUSTSEC-2020-0031 (tiny_http): white space before the colon was normalised away.
    refuses(
        bad("a field name is malformed"),
        &[&post(
            "Content-Length: 42\r\nTransfer-Encoding : chunked",
            "1\r\nZ\r\nQ\r\n\r\n",
        )],
    );
    // RUSTSEC-2021-0020 (hyper): several Transfer-Encoding fields were read as chunked.
    refuses_posts(
        bad("there are several Transfer-Encoding fields"),
        &[
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ],
    );
    // RUSTSEC-2021-0078 (hyper): a plus sign before a length.
    refuses_posts(
        bad("the Content-Length is no number"),
        &["Content-Length: +3"],
    );
    // RUSTSEC-2021-0079 (hyper): a chunk's size wrapped, and what was data became a request.
    refuses(
        bad("a chunk's size is malformed"),
        &[&post(
            "Transfer-Encoding: chunked",
            "f0000000000000003\r\nabc\r\n0\r\n\r\n",
        )],
    );
}

/// As [`advisories`], of programs that repaired or merged what they should have refused.
#[test]
fn advisories_on_two_readings() {
    // RUSTSEC-2021-0081 (actix-http): requests that say their length in two ways, or in a way that their version
    // does not have, were not refused.
    refuses_posts(
        bad("the Content-Length is no number"),
        &["Content-Length: +0"],
    );
    refuses_posts(
        bad("there are both a Transfer-Encoding and a Content-Length"),
        &["Content-Length: 3\r\nTransfer-Encoding: chunked"],
    );
    refuses(bad("there is a Transfer-Encoding in an HTTP/1.0 message"), &[
        b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ]);
    refuses_posts(
        bad("chunked is not the last transfer coding, once and without parameters"),
        &["Transfer-Encoding: chunked, gzip"],
    );
    // CVE-2019-20444 and its kin: a field line without a colon, an obs-fold that hides a coding.
    refuses(
        bad("a field name is malformed"),
        &[
            &post("Transfer-Encoding\r\n : chunked", ""),
            &post("A: b\r\n Transfer-Encoding: chunked", ""),
        ],
    );
    // CVE-2023-38697 (protocol-http1): LF in a chunk's extension.
    refuses(
        bad("a chunk's extension is malformed"),
        &[&post(
            "Transfer-Encoding: chunked",
            "1;\nx\r\na\r\n0\r\n\r\n",
        )],
    );
}
