//! What a host answers, before it is known how it is framed: checked as it is made, so that nothing in it can break an answer's form.

use std::error;
use std::fmt;
use std::sync::Arc;

use crate::buffer::Bytes;

/// Fields that are the server's business, because the connection or the framing depends on them, or every answer has them.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-content-type-options",
];
const JSON: &str = "application/json; charset=utf-8";

/// A whole response of a host's own. Copies share what they hold, so to give the same to many costs nothing.
///
/// The server adds `Date`, `Content-Length`, `X-Content-Type-Options: nosniff`, `Connection` where it has to be said, and
/// `Cache-Control: no-store` unless the host gives one.
///
/// ```
/// use loiter::Response;
///
/// let page = Response::new(200, "text/html; charset=utf-8", "<!doctype html><title>Builds</title>")
///     .with_field("Cache-Control", "max-age=60")?
///     .with_field("Content-Security-Policy", "default-src 'none'")?;
/// assert_eq!(page.status(), 200);
/// // What would be another field, or another answer, is none.
/// assert!(page.with_field("Location", "/\r\nSet-Cookie: a=b").is_err());
/// # Ok::<(), loiter::BadField>(())
/// ```
#[derive(Clone)]
pub struct Response(Arc<Content>);

#[derive(Clone)]
struct Content {
    status: u16,
    content_type: Option<Box<str>>,
    fields: Vec<(Box<str>, Box<str>)>,
    body: Bytes,
}

/// Why a field cannot be a part of a response. `Display` names it and says what is allowed.
///
/// ```
/// let refused = loiter::Response::text("hi").with_field("Content-Length", "7").unwrap_err();
/// assert_eq!(refused.to_string(), "the field \"Content-Length\" is the server's to set");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    name: String,
    rule: &'static str,
}

impl Response {
    /// A response with a body of this media type.
    ///
    /// # Panics
    /// If the status is no final one (200 to 599) or has no body (204, 205, 304), or the media type could end its line.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let made = Self::checked(status, content_type, body);
        made.unwrap_or_else(|rule| panic!("{rule}"))
    }

    /// As [`Response::new`], for those whose callers may get it wrong: what is wrong is told in words.
    pub(crate) fn checked(
        status: u16,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Self, String> {
        if !has_body(status) {
            return Err(format!("{status} is no status of a response with a body"));
        }
        if !is_value(content_type) || content_type.trim().is_empty() {
            return Err(format!("{content_type:?} is no media type"));
        }
        Ok(Self(Arc::new(Content {
            status,
            content_type: Some(content_type.into()),
            fields: Vec::new(),
            body: Bytes::from(body.into()),
        })))
    }

    /// A response without a body.
    ///
    /// # Panics
    /// If the status is no final one (200 to 599).
    pub fn empty(status: u16) -> Self {
        Self::checked_empty(status).unwrap_or_else(|rule| panic!("{rule}"))
    }

    /// As [`Response::empty`], likewise.
    pub(crate) fn checked_empty(status: u16) -> Result<Self, String> {
        if !is_final(status) {
            return Err(format!("{status} is no status of a response"));
        }
        Ok(Self(Arc::new(Content {
            status,
            content_type: None,
            fields: Vec::new(),
            body: Bytes::new(),
        })))
    }

    /// 200 with text in UTF-8.
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(200, "text/plain; charset=utf-8", body.into())
    }

    /// 200 with JSON, which is not checked.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, JSON, body)
    }

    /// A failure in the API's form: `{"error":"<code>","message":"<a sentence for a person>"}`.
    ///
    /// # Panics
    /// As [`Response::new`].
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error": code, "message": message });
        Self::new(status, JSON, body.to_string())
    }

    /// Adds a field. Names may be given more than once.
    ///
    /// # Errors
    /// [`BadField`] for one that is the server's to set, and for what is no name or no value: a value is one line of
    /// characters that can be seen, and spaces.
    pub fn with_field(mut self, name: &str, value: &str) -> Result<Self, BadField> {
        let bad = |rule| BadField {
            name: name.to_owned(),
            rule,
        };
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(bad(
                "has a name that is none: letters, digits, hyphens and what else RFC 9110 §5.6.2 has for tokens",
            ));
        }
        if RESERVED.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(bad("is the server's to set"));
        }
        if !is_value(value) {
            return Err(bad("has a value with a control character"));
        }
        let content = Arc::make_mut(&mut self.0);
        content.fields.push((name.into(), value.into()));
        Ok(self)
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn content_type(&self) -> Option<&str> {
        self.0.content_type.as_deref()
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.0.fields.iter();
        fields.map(|(name, value)| (&**name, &**value))
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Bytes of its body and its fields.
    pub(super) fn bytes(&self) -> usize {
        let media_type = self.content_type().map_or(0, str::len);
        let fields = self.fields();
        let fields = fields.map(|(name, value)| name.len().saturating_add(value.len()));
        let beside = fields.fold(media_type, usize::saturating_add);
        beside.saturating_add(self.body().len())
    }

    /// Whether the host has said for how long it may be kept.
    pub(crate) fn says_caching(&self) -> bool {
        let mut fields = self.fields();
        fields.any(|(name, _)| name.eq_ignore_ascii_case("cache-control"))
    }

    /// Whether this is the other, or a copy of it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn is_final(status: u16) -> bool {
    (200..=599).contains(&status)
}

fn has_body(status: u16) -> bool {
    is_final(status) && !matches!(status, 204 | 205 | 304)
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// Says nothing of the body, which may be anybody's and long.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.0.status)
            .field("content_type", &self.0.content_type)
            .field("body_bytes", &self.0.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the field {:?} {}", self.name, self.rule)
    }
}

impl error::Error for BadField {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_an_answer_is_no_field() {
        let with = |name, value| Response::text("hi").with_field(name, value);
        for (name, value) in [
            ("", "a"),
            ("a b", "a"),
            ("a:", "a"),
            ("ä", "a"),
            ("A", "a\r\nB: c"),
            ("A", "a\n"),
            ("A", "\0"),
            ("content-length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("CONNECTION", "close"),
        ] {
            assert!(with(name, value).is_err(), "{name:?}: {value:?}");
        }
        let response = with("Set-Cookie", "a=b").and_then(|one| one.with_field("set-cookie", ""));
        assert_eq!(response.expect("fields").fields().count(), 2);
    }

    #[test]
    fn a_copy_that_gets_a_field_is_another() {
        let one = Response::text("hi");
        let copy = one.clone();
        assert!(one.is_same(&copy));
        let other = copy.with_field("A", "b").expect("a field");
        assert!(!one.is_same(&other));
        assert_eq!(one.fields().count(), 0);
    }

    #[test]
    fn only_a_final_status_is_one() {
        for status in [0, 100, 101, 199, 204, 205, 304, 600, u16::MAX] {
            let made = std::panic::catch_unwind(|| Response::new(status, "text/plain", "x"));
            assert!(made.is_err(), "{status}");
        }
        for status in [0, 100, 199, 600] {
            let made = std::panic::catch_unwind(|| Response::empty(status));
            assert!(made.is_err(), "{status}");
        }
        assert_eq!(Response::empty(204).status(), 204);
    }
}
