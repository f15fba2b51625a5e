//! A whole answer.

use serde_json::Value;

use crate::chunked::Chunks;
use crate::head::{Framing, Head, Malformed};

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields in their order, the names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// The head as it came, its empty line included.
    pub head: Vec<u8>,
    session: Option<String>,
    closes: bool,
}

/// What was asked, as far as it matters to where the answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// HEAD: whatever the answer says, it has no body.
    Head,
    /// Any other.
    Other,
}

impl Method {
    /// That of a request as it is sent.
    pub fn of(request: &[u8]) -> Self {
        match request.starts_with(b"HEAD ") {
            true => Self::Head,
            false => Self::Other,
        }
    }
}

impl Answer {
    /// An answer without its body, and how that is framed; `None` where the head is not all there.
    pub(crate) fn begun(bytes: &[u8]) -> Result<Option<(Self, Framing)>, Malformed> {
        let mut fields = Vec::new();
        let head = Head::parse(bytes, |name, value| {
            let value = String::from_utf8_lossy(value).into_owned();
            fields.push((name.to_ascii_lowercase(), value));
        })?;
        Ok(head.map(|head| {
            let answer = Self {
                status: head.status,
                fields,
                body: Vec::new(),
                head: bytes[..head.len].to_vec(),
                session: head.session.map(str::to_owned),
                closes: head.closes,
            };
            (answer, head.framing)
        }))
    }

    /// The answer at the beginning of `bytes`, behind which the connection `has_ended` or not, and its length; `None` if it is not
    /// all there.
    pub fn parse(
        bytes: &[u8],
        method: Method,
        has_ended: bool,
    ) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((mut answer, framing)) = Self::begun(bytes)? else {
            return Ok(None);
        };
        let begin = answer.head.len();
        let rest = &bytes[begin..];
        let length = match framing {
            _ if method == Method::Head => 0,
            Framing::Length(length) => length,
            Framing::Connection if has_ended => rest.len(),
            Framing::Connection => return Ok(None),
            Framing::Chunked => {
                let mut chunks = Chunks::default();
                let length = chunks.take(rest, &mut answer.body)?;
                return Ok(chunks.are_done().then_some((answer, begin + length)));
            }
        };
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        answer.body = body.to_vec();
        Ok(Some((answer, begin + length)))
    }

    /// The value of the first field of this name, which is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map(|(_, value)| &**value)
    }

    /// What the `Content-Length` says.
    pub fn length(&self) -> Option<usize> {
        self.field("content-length")?.parse().ok()
    }

    /// Whether the connection ends behind it.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// The session that it sets; empty where it clears the cookie.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The body, where it is JSON.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, has_ended: bool) -> Option<(String, usize)> {
        let parsed = Answer::parse(text.as_bytes(), Method::Other, has_ended);
        parsed.unwrap().map(|(answer, length)| {
            let body = String::from_utf8(answer.body).unwrap();
            (body, length)
        })
    }

    #[test]
    fn a_body_ends_as_its_framing_says() {
        let told = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP";
        assert_eq!(parse(told, false), Some(("ab".into(), told.len() - 4)));
        assert_eq!(parse(&told[..told.len() - 5], false), None);
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
        assert_eq!(parse(chunked, false), Some(("ab".into(), chunked.len())));
        assert_eq!(parse(&chunked[..chunked.len() - 1], true), None);
        let bare = "HTTP/1.1 200 OK\r\n\r\nab";
        assert_eq!(parse(bare, false), None);
        assert_eq!(parse(bare, true), Some(("ab".into(), bare.len())));
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let told = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP";
        let (answer, length) = Answer::parse(told, Method::Head, false).unwrap().unwrap();
        assert_eq!((length, answer.length()), (told.len() - 4, Some(2)));
        assert!(answer.body.is_empty());
    }
}
