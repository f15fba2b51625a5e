//! Where the server under test is, and one answer out of bytes.
//!
//! Answers are read with [`parse`], which reads their heads as the blocking client does, so the two cannot
//! differ in what they accept. It takes what the contract promises to these calls and no more: HTTP/1.1 with a
//! `Content-Length`. A chunked or unframed answer is malformed to it, and so shows in the figures.

use std::net::SocketAddr;
use std::str::FromStr;

use loiter_client::{Framing, Head, Malformed, Place};

use crate::dialect::Dialect;

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
        let place = Place::at(url)?;
        let found = place.find().map_err(|e| e.to_string())?;
        let addr = *found.first().ok_or("the host has no address")?;
        Ok(Self {
            addr,
            host: place.host().to_owned(),
            dialect: Dialect::default(),
        })
    }
}

/// One whole answer, borrowed from the bytes it was found in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: &'a [u8],
    /// Whether the server said that it closes the connection.
    pub(crate) close: bool,
    /// Bytes of head and body; what stands behind them belongs to no request yet.
    pub(crate) len: usize,
    /// Whether it is, byte for byte, the answer that was taken before it.
    pub(crate) again: bool,
}

/// The first answer in `input`; `None` where more bytes are needed.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Answer<'_>>, Malformed> {
    let Some(head) = Head::parse(input, |_, _| {})? else {
        return Ok(None);
    };
    let Framing::Length(length) = head.framing else {
        return Err(Malformed::Unframed);
    };
    let len = head.len.checked_add(length);
    let len = len.ok_or(Malformed::Field("Content-Length"))?;
    let answer = input.get(head.len..len).map(|body| Answer {
        status: head.status,
        body,
        close: head.closes,
        len,
        again: false,
    });
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: 4\r\n\
        Set-Cookie: session=ab12; HttpOnly; Path=/\r\n\r\nbodyHTTP/1.1";

    #[test]
    fn an_answer_is_found_with_its_end() {
        let answer = parse(LOGIN).unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"body"[..]));
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
        let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", usize::MAX);
        assert!(matches!(
            parse(huge.as_bytes()),
            Err(Malformed::Field("Content-Length"))
        ));
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
        assert!("http://127.0.0.1:1/x".parse::<Target>().is_err());
    }
}
