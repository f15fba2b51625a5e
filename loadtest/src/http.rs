//! What a client of loiter writes and reads: requests as bytes, one answer out of bytes.
//!
//! Both clients here, the blocking one and the swarm, read answers with [`parse`], so they cannot
//! differ in what they accept. It takes what the contract promises and no more: HTTP/1.1 with a
//! `Content-Length`. A chunked or unframed answer is malformed to it, and so shows in the figures.

use std::fmt::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::dialect::Dialect;

/// Header fields of an answer, at most. loiter sends about six.
const HEADERS_MAX: usize = 32;

/// The server under test, as given by `--url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) addr: SocketAddr,
    /// The `Host` field: the URL's authority.
    pub(crate) host: String,
    /// How it answers.
    pub(crate) dialect: Dialect,
}

impl FromStr for Target {
    type Err = String;

    /// `http://host:port`, with or without a slash at the end; the port is 80 where none stands.
    fn from_str(url: &str) -> Result<Self, String> {
        let host = url
            .strip_prefix("http://")
            .ok_or("only http://host:port is understood")?;
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err("only http://host:port is understood, without a path".into());
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let authority = if has_port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut found: Vec<SocketAddr> = authority
            .to_socket_addrs()
            .map_err(|e| e.to_string())?
            .collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        let addr = *found.first().ok_or("the host has no address")?;
        Ok(Self {
            addr,
            host: host.to_owned(),
            dialect: Dialect::default(),
        })
    }
}

/// A request without a body, ready to be written; for those outside of the hot path.
pub(crate) fn request(method: &str, path: &str, host: &str, session: Option<&str>) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(session) = session {
        let _ = write!(text, "Cookie: session={session}\r\n");
    }
    if method == "POST" {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    text
}

/// One whole answer, borrowed from the bytes it was found in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: &'a [u8],
    /// The session that a `Set-Cookie` field sets.
    pub(crate) session: Option<&'a str>,
    /// Whether the server said that it closes the connection.
    pub(crate) close: bool,
    /// Bytes of head and body; what stands behind them belongs to no request yet.
    pub(crate) len: usize,
    /// Whether it is, byte for byte, the answer that was taken before it.
    pub(crate) again: bool,
}

/// Why bytes are no answer.
#[derive(Debug)]
pub(crate) enum Malformed {
    /// The head is not HTTP.
    Head(httparse::Error),
    /// Neither a `Content-Length` nor a status that has no body.
    Unframed,
    /// A field's value is not what its name asks for.
    Field(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(e) => write!(f, "malformed answer: {e}"),
            Self::Unframed => f.write_str("an answer without Content-Length"),
            Self::Field(name) => write!(f, "an answer with a bad {name}"),
        }
    }
}

/// The first answer in `input`; `None` where more bytes are needed.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Answer<'_>>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let head_len = match head.parse(input).map_err(Malformed::Head)? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return Ok(None),
    };
    let status = head.code.unwrap_or(0);
    let (mut length, mut session, mut close) = (None, None, false);
    for field in &*head.headers {
        let value = || std::str::from_utf8(field.value).map(str::trim).ok();
        if field.name.eq_ignore_ascii_case("content-length") {
            let digits = value().and_then(|v| v.parse::<usize>().ok());
            length = Some(digits.ok_or(Malformed::Field("Content-Length"))?);
        } else if field.name.eq_ignore_ascii_case("set-cookie") {
            session = session_of(value().ok_or(Malformed::Field("Set-Cookie"))?).or(session);
        } else if field.name.eq_ignore_ascii_case("connection") {
            close |= value().is_some_and(|v| v.eq_ignore_ascii_case("close"));
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Malformed::Unframed);
        }
    }
    let length = match length {
        _ if status == 204 || status == 304 => 0,
        Some(length) => length,
        None => return Err(Malformed::Unframed),
    };
    let len = head_len
        .checked_add(length)
        .ok_or(Malformed::Field("Content-Length"))?;
    let answer = input.get(head_len..len).map(|body| Answer {
        status,
        body,
        session,
        close,
        len,
        again: false,
    });
    Ok(answer)
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
        Set-Cookie: session=ab12; HttpOnly; Path=/\r\n\r\nbodyHTTP/1.1";

    #[test]
    fn an_answer_is_found_with_its_session_and_its_end() {
        let answer = parse(LOGIN).unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"body"[..]));
        assert_eq!(answer.session, Some("ab12"));
        assert!(!answer.close);
        assert_eq!(&LOGIN[answer.len..], b"HTTP/1.1");
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let whole = parse(LOGIN).unwrap().unwrap().len;
        for cut in 0..whole {
            assert!(
                parse(&LOGIN[..cut]).unwrap().is_none(),
                "cut after {cut} bytes"
            );
        }
    }

    #[test]
    fn only_a_content_length_frames_a_body() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert!(matches!(parse(chunked), Err(Malformed::Unframed)));
        assert!(matches!(
            parse(b"HTTP/1.1 200 OK\r\n\r\n"),
            Err(Malformed::Unframed)
        ));
        assert!(matches!(
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
            Err(Malformed::Field("Content-Length"))
        ));
        assert!(matches!(parse(b"SSH-2.0-x\r\n"), Err(Malformed::Head(_))));
        let empty = parse(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        let empty = empty.unwrap().unwrap();
        assert!(empty.close && empty.body.is_empty());
    }

    #[test]
    fn a_target_is_an_authority_and_no_path() {
        let target: Target = "http://127.0.0.1:8000/".parse().unwrap();
        assert_eq!(target.addr, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(target.host, "127.0.0.1:8000");
        let target: Target = "http://[::1]:9".parse().unwrap();
        assert_eq!(target.addr, "[::1]:9".parse().unwrap());
        for bad in [
            "127.0.0.1:8000",
            "https://127.0.0.1",
            "http://",
            "http://127.0.0.1:1/x",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_post_says_that_it_has_no_body() {
        let text = request("POST", "/logout/", "h:1", Some("ab"));
        assert_eq!(
            text,
            "POST /logout/ HTTP/1.1\r\nHost: h:1\r\nCookie: session=ab\r\nContent-Length: 0\r\n\r\n"
        );
        assert!(!request("GET", "/", "h:1", None).contains("Content-Length"));
    }
}
