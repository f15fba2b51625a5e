//! The head of an answer: its status, and how what follows it is framed (RFC 9112 §6.3).
//!
//! All that read answers here read their heads by [`Head::parse`], those that take them by the hundred thousand as well, so
//! nothing is allocated, and no two of them can differ in what they accept.

use std::fmt;

/// Fields of an answer, at most. loiter sends about six, and a proxy before it adds some.
const FIELDS_MAX: usize = 32;

/// What the first bytes of an answer say, borrowed from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The status code.
    pub status: u16,
    /// How far the body reaches, were the request any but HEAD.
    pub framing: Framing,
    /// The session that a `Set-Cookie` field sets; empty where the cookie is cleared.
    pub session: Option<&'a str>,
    /// Whether the server said that it closes the connection.
    pub closes: bool,
    /// Bytes of the head, the empty line included.
    pub len: usize,
}

/// How far a body reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes. None where the status has no body.
    Length(usize),
    /// By the chunked transfer coding.
    Chunked,
    /// As far as the connection.
    Connection,
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The head is not HTTP.
    Head(httparse::Error),
    /// Nothing says how far the body reaches, or something that is not understood.
    Unframed,
    /// A field's value is not what its name asks for.
    Field(&'static str),
    /// The body breaks the chunked transfer coding.
    Chunk,
    /// An event of a stream is not as long as any event may be, or not UTF-8.
    Event,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(error) => write!(f, "malformed answer: {error}"),
            Self::Unframed => f.write_str("an answer that does not say how long it is"),
            Self::Field(name) => write!(f, "an answer with a bad {name}"),
            Self::Chunk => f.write_str("a body with a malformed chunk"),
            Self::Event => f.write_str("a stream with a malformed event"),
        }
    }
}

impl std::error::Error for Malformed {}

impl<'a> Head<'a> {
    /// The head at the beginning of `input`, each of whose fields is shown to `each`; `None` where more bytes are needed.
    pub fn parse(
        input: &'a [u8],
        mut each: impl FnMut(&'a str, &'a [u8]),
    ) -> Result<Option<Self>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let len = match head.parse(input).map_err(Malformed::Head)? {
            httparse::Status::Complete(len) => len,
            httparse::Status::Partial => return Ok(None),
        };
        let (mut length, mut is_chunked, mut session) = (None, false, None);
        let mut closes = head.version == Some(0);
        for field in &*head.headers {
            let value = || str::from_utf8(field.value).map(str::trim).ok();
            if field.name.eq_ignore_ascii_case("content-length") {
                let digits = value().and_then(|value| value.parse::<usize>().ok());
                length = Some(digits.ok_or(Malformed::Field("Content-Length"))?);
            } else if field.name.eq_ignore_ascii_case("set-cookie") {
                session = session_of(value().ok_or(Malformed::Field("Set-Cookie"))?).or(session);
            } else if field.name.eq_ignore_ascii_case("connection") {
                closes |= value().is_some_and(|value| value.eq_ignore_ascii_case("close"));
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                is_chunked = value().is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
                if !is_chunked {
                    return Err(Malformed::Unframed);
                }
            }
            each(field.name, field.value);
        }
        let status = head.code.unwrap_or(0);
        let framing = match (status, is_chunked, length) {
            (100..200 | 204 | 304, ..) => Framing::Length(0),
            (_, true, None) => Framing::Chunked,
            // Two ends of one body: whichever is believed, somebody else may believe the other.
            (_, true, Some(_)) => return Err(Malformed::Unframed),
            (_, false, Some(length)) => Framing::Length(length),
            (_, false, None) => Framing::Connection,
        };
        Ok(Some(Self {
            status,
            framing,
            session,
            closes: closes || framing == Framing::Connection,
            len,
        }))
    }
}

fn session_of(cookie: &str) -> Option<&str> {
    let (pair, _) = cookie.split_once(';').unwrap_or((cookie, ""));
    pair.trim().strip_prefix("session=")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 4\r\n\
        Set-Cookie: session=ab12; HttpOnly; Path=/\r\n\r\nbody";

    fn parse(input: &[u8]) -> Result<Option<Head<'_>>, Malformed> {
        Head::parse(input, |_, _| {})
    }

    #[test]
    fn a_head_tells_its_session_and_its_end() {
        let mut names = Vec::new();
        let head = Head::parse(LOGIN, |name, _| names.push(name)).unwrap();
        let expected = Head {
            status: 200,
            framing: Framing::Length(4),
            session: Some("ab12"),
            closes: false,
            len: LOGIN.len() - 4,
        };
        assert_eq!(head, Some(expected));
        assert_eq!(names, ["Content-Type", "content-length", "Set-Cookie"]);
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for cut in 0..LOGIN.len() - 4 {
            assert_eq!(parse(&LOGIN[..cut]), Ok(None), "cut after {cut} bytes");
        }
    }

    #[test]
    fn a_body_has_one_end_at_most() {
        let framing = |fields: &str, status: u16| {
            let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
            let head = parse(text.as_bytes())?.unwrap();
            Ok((head.framing, head.closes))
        };
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_eq!(framing(chunked, 200), Ok((Framing::Chunked, false)));
        assert_eq!(framing("", 200), Ok((Framing::Connection, true)));
        assert_eq!(framing("", 204), Ok((Framing::Length(0), false)));
        assert_eq!(framing("", 100), Ok((Framing::Length(0), false)));
        let closed = framing("Connection: close\r\nContent-Length: 2\r\n", 503);
        assert_eq!(closed, Ok((Framing::Length(2), true)));
        let both = format!("{chunked}Content-Length: 2\r\n");
        for (fields, malformed) in [
            (&*both, Malformed::Unframed),
            ("Transfer-Encoding: gzip\r\n", Malformed::Unframed),
            ("Content-Length: x\r\n", Malformed::Field("Content-Length")),
        ] {
            assert_eq!(framing(fields, 200), Err(malformed), "{fields}");
        }
        assert!(matches!(parse(b"SSH-2.0-x\r\n"), Err(Malformed::Head(_))));
    }
}
