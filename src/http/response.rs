//! A response as the API makes it → the bytes that go out.
//!
//! Rendered into a buffer of the caller's, who keeps it for the next: what is left to allocate is what is sent.

use std::io::Write;

use super::request::Version;

/// What to send when [`Event::Continue`](super::Event::Continue) asks for it (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Of every answer: a browser is to take a body for what `Content-Type` says and never for a page or a script, however
/// much a message in it looks like one (Fetch standard, §3.6).
const NO_SNIFFING: &[u8] = b"X-Content-Type-Options: nosniff\r\n";

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// The next request may come.
    KeepAlive,
    /// Nothing more is read as a request; the connection ends when the answer has gone out.
    Close,
}

/// What an answer must look like. Two requests with the same framing can share a rendered answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Framing {
    /// What the answer says about the connection.
    pub after: After,
    /// The request's version. The answer is HTTP/1.1 either way (RFC 9110 §6.2), but only HTTP/1.0 has to be
    /// told that it may go on.
    pub version: Version,
    /// Whether the body stays away, though its length is told (RFC 9110 §9.3.2).
    pub head_only: bool,
}

/// A status code (RFC 9110 §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Framing {
    /// Whether a body of unknown length is sent in chunks (RFC 9112 §7.1). An HTTP/1.0 client reads to the connection's end.
    pub fn is_chunked(self) -> bool {
        self.version == Version::Http11
    }
}

impl Status {
    /// The phrase that goes with the code; empty for one that is seldom used.
    pub fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            303 => "See Other",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            410 => "Gone",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "",
        }
    }

    /// The code's three digits.
    fn digits(self) -> [u8; 3] {
        [100, 10, 1].map(|unit| b'0' + (self.0 / unit % 10) as u8)
    }

    /// RFC 9110 §8.6, §15.4.5.
    fn has_no_body(self) -> bool {
        matches!(self.0, 204 | 304)
    }
}

/// What may be done with an answer beyond showing it once (RFC 9111 §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Nobody keeps it.
    NoStore,
    /// It may be kept, and is asked about before each use.
    NoCache,
    /// One of the answer's own fields says it.
    Told,
}

impl Caching {
    /// The whole field, which so costs no more than to copy it.
    fn line(self) -> &'static [u8] {
        match self {
            Self::NoStore => b"Cache-Control: no-store\r\n",
            Self::NoCache => b"Cache-Control: no-cache\r\n",
            Self::Told => b"",
        }
    }
}

/// An answer, before it is known how it is framed.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: Status,
    /// Whether it may be kept.
    pub caching: Caching,
    /// Names and values beside those that every answer has.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body's media type.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// Appends the bytes to send to `bytes`. `date` is the `Date` field's value (RFC 9110 §5.6.7).
    ///
    /// # Panics
    /// As [`Response::render_head`].
    pub fn render(&self, bytes: &mut Vec<u8>, date: &str, framing: Framing) {
        self.render_head(bytes, date, framing, self.body.len());
        if !framing.head_only {
            bytes.extend_from_slice(self.body);
        }
    }

    /// Appends all but the body, which is `length` bytes, comes behind it, and is not looked at here.
    ///
    /// # Panics
    /// If a value could end its line, or a name its field: then a client's text would become another field,
    /// or another answer. If there is a body with 204 or 304.
    pub fn render_head(&self, bytes: &mut Vec<u8>, date: &str, framing: Framing, length: usize) {
        let bare = self.status.has_no_body();
        assert!(!bare || length == 0, "{:?} has no body", self.status);
        self.render_status(bytes, date);
        if !bare {
            write!(bytes, "Content-Length: {length}\r\n").expect("a Vec takes all");
        }
        self.render_fields(bytes, framing);
    }

    /// Appends the head of a response whose body comes later, in pieces, and ends nobody knows when: as chunks, or with the connection.
    ///
    /// # Panics
    /// As [`Response::render`]; and if the connection is to go on where only its end ends the body.
    pub fn render_endless(&self, bytes: &mut Vec<u8>, date: &str, framing: Framing) {
        self.render_status(bytes, date);
        match framing.is_chunked() {
            true => bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            false => assert_eq!(framing.after, After::Close, "nothing else ends it"),
        }
        self.render_fields(bytes, framing);
    }

    fn render_status(&self, bytes: &mut Vec<u8>, date: &str) {
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(&self.status.digits());
        bytes.push(b' ');
        bytes.extend_from_slice(self.status.reason().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        push_field(bytes, "Date", date);
        bytes.extend_from_slice(self.caching.line());
        bytes.extend_from_slice(NO_SNIFFING);
    }

    fn render_fields(&self, bytes: &mut Vec<u8>, framing: Framing) {
        if let Some(kind) = self.content_type {
            push_field(bytes, "Content-Type", kind);
        }
        if let Some(option) = connection(framing) {
            push_field(bytes, "Connection", option);
        }
        for (name, value) in self.fields {
            push_field(bytes, name, value);
        }
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Appends a piece of a body as a chunk (RFC 9112 §7.1).
///
/// # Panics
/// If it is empty: that would be the last.
pub fn push_chunk(bytes: &mut Vec<u8>, data: &[u8]) {
    assert!(!data.is_empty(), "an empty chunk ends the body");
    write!(bytes, "{:x}\r\n", data.len()).expect("a Vec takes all");
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
}

/// Appends the end of a body in chunks.
pub fn push_last_chunk(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"0\r\n\r\n");
}

fn push_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    assert!(is_field(name, value), "{name}: {value:?} is no field");
    for part in [name, ": ", value, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
}

/// HTTP/1.1 goes on unless told otherwise, HTTP/1.0 ends unless told otherwise (RFC 9112 §9.3).
fn connection(framing: Framing) -> Option<&'static str> {
    match (framing.after, framing.version) {
        (After::Close, _) => Some("close"),
        (After::KeepAlive, Version::Http10) => Some("keep-alive"),
        (After::KeepAlive, Version::Http11) => None,
    }
}

fn is_field(name: &str, value: &str) -> bool {
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'\0');
    !name.is_empty()
        && !name.contains(':')
        && !name.as_bytes().iter().chain(value.as_bytes()).any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Mon, 23 Nov 2026 08:00:00 GMT";
    const PLAIN: Framing = Framing {
        after: After::KeepAlive,
        version: Version::Http11,
        head_only: false,
    };
    const OK: Response<'static> = Response {
        status: Status(200),
        caching: Caching::NoStore,
        fields: &[("Set-Cookie", "session=x"), ("Allow", "GET")],
        content_type: Some("application/json; charset=utf-8"),
        body: b"[]",
    };

    fn text(response: &Response<'_>, framing: Framing) -> String {
        let mut bytes = Vec::new();
        response.render(&mut bytes, DATE, framing);
        String::from_utf8(bytes).expect("ASCII")
    }

    #[test]
    fn a_whole_answer() {
        assert_eq!(
            text(&OK, PLAIN),
            "HTTP/1.1 200 OK\r\n\
             Date: Mon, 23 Nov 2026 08:00:00 GMT\r\n\
             Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Content-Length: 2\r\n\
             Content-Type: application/json; charset=utf-8\r\n\
             Set-Cookie: session=x\r\n\
             Allow: GET\r\n\
             \r\n[]"
        );
    }

    #[test]
    fn the_answer_to_head_keeps_its_length() {
        let head_only = Framing {
            head_only: true,
            ..PLAIN
        };
        let whole = text(&OK, PLAIN);
        assert_eq!(
            text(&OK, head_only),
            whole.strip_suffix("[]").expect("its body")
        );
    }

    #[test]
    fn connection_says_only_what_the_version_does_not() {
        for (after, version, wanted) in [
            (After::KeepAlive, Version::Http11, None),
            (
                After::KeepAlive,
                Version::Http10,
                Some("Connection: keep-alive\r\n"),
            ),
            (After::Close, Version::Http11, Some("Connection: close\r\n")),
            (After::Close, Version::Http10, Some("Connection: close\r\n")),
        ] {
            let text = text(
                &OK,
                Framing {
                    after,
                    version,
                    head_only: false,
                },
            );
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(text.contains("Connection:"), wanted.is_some());
            assert!(wanted.is_none_or(|line| text.contains(line)));
        }
    }

    #[test]
    fn no_content_has_no_length() {
        let response = Response {
            status: Status(204),
            caching: Caching::NoStore,
            fields: &[],
            content_type: None,
            body: b"",
        };
        let text = text(&response, PLAIN);
        assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"));
        assert!(!text.contains("Content-Length") && !text.contains("Content-Type:"));
    }

    #[test]
    fn what_may_be_kept_says_so() {
        let kept = Response {
            status: Status(304),
            caching: Caching::NoCache,
            fields: &[("ETag", "\"1\"")],
            content_type: None,
            body: b"",
        };
        assert_eq!(
            text(&kept, PLAIN),
            "HTTP/1.1 304 Not Modified\r\n\
             Date: Mon, 23 Nov 2026 08:00:00 GMT\r\n\
             Cache-Control: no-cache\r\n\
             X-Content-Type-Options: nosniff\r\n\
             ETag: \"1\"\r\n\
             \r\n"
        );
    }

    #[test]
    #[should_panic(expected = "is no field")]
    fn a_value_cannot_split_the_answer() {
        let fields = [("Location", "/\r\nSet-Cookie: session=stolen")];
        Response {
            fields: &fields,
            ..OK
        }
        .render(&mut Vec::new(), DATE, PLAIN);
    }

    #[test]
    fn an_unknown_code_has_an_empty_phrase() {
        let text = text(
            &Response {
                status: Status(299),
                ..OK
            },
            PLAIN,
        );
        assert!(text.starts_with("HTTP/1.1 299 \r\n"));
    }
}
