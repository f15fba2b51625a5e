//! A request that keeps the rules, as the API reads it.
//!
//! The head stays as it came and a field is looked up by going through its lines, from the first of that name where
//! `parse` has noted it: a request is asked for a handful of fields once each, and an index would cost an allocation
//! for every parked poll's request. Nothing here checks anything again; `parse` did.

use std::borrow::Cow;
use std::fmt;

use super::parse::{Head, lines};

/// The methods that the API tells apart. Names are case-sensitive (RFC 9110 §9.1): `get` is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answered as `GET` is, without the body.
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`
    Options,
    /// Any other token.
    Other,
}

impl Method {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: closes unless asked not to, knows neither chunks nor `Expect`.
    Http10,
    /// HTTP/1.1
    Http11,
}

/// One whole request. Borrows the input if all of it came at once.
#[derive(Clone)]
pub struct Request<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) head: Head,
    pub(super) body: Cow<'a, [u8]>,
}

impl Request<'_> {
    /// What is to be done.
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// The method's name as sent.
    pub fn method_name(&self) -> &str {
        let end = self.bytes.iter().position(|&byte| byte == b' ');
        ascii(&self.bytes[..end.unwrap_or(0)])
    }

    /// The target's path as sent, percent-encoding and all; `*` of `OPTIONS *`, `host:port` of `CONNECT`.
    pub fn path(&self) -> &str {
        match ascii(&self.bytes[self.head.target.path.clone()]) {
            "" => "/",
            path => path,
        }
    }

    /// The target's query as sent, without the question mark; empty where there is none.
    pub fn query(&self) -> &str {
        ascii(&self.bytes[self.head.target.query.clone()])
    }

    /// `host[:port]` as the client knows this server, from an absolute target or else from `Host`
    /// (RFC 9112 §3.3); empty where neither is there.
    pub fn host(&self) -> &str {
        match &self.head.target.authority {
            Some(authority) => ascii(&self.bytes[authority.clone()]),
            None => self.fields("host").next().map_or("", ascii),
        }
    }

    /// The values of all fields of this name, letter case aside, in order, without the white space around them.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields_from(Some(self.head.fields_at), name)
    }

    /// The same, where it is known at which line the first is.
    fn fields_from(&self, at: Option<usize>, name: &str) -> impl Iterator<Item = &[u8]> {
        let bytes = at.map_or(&[][..], |at| &self.bytes[at..]);
        lines(bytes).filter_map(move |line| {
            let (start, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            start
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| value.trim_ascii())
        })
    }

    /// The value of the first cookie of this name, in any `Cookie` field (RFC 6265 §4.2.1); `None` if it is not text.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.fields_from(self.head.cookie_at, "cookie")
            .flat_map(|value| value.split(|&byte| byte == b';'))
            .find_map(|pair| {
                pair.trim_ascii()
                    .strip_prefix(name.as_bytes())?
                    .strip_prefix(b"=")
            })
            .and_then(|value| str::from_utf8(value).ok())
    }

    /// Whether the body is `application/x-www-form-urlencoded`.
    pub fn is_form(&self) -> bool {
        self.is_of("application/x-www-form-urlencoded")
    }

    /// Whether the body is `application/json`.
    pub fn is_json(&self) -> bool {
        self.is_of("application/json")
    }

    /// The body without its framing; empty where there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the one `Content-Type` is this, parameters and letter case aside (RFC 9110 §8.3.1).
    fn is_of(&self, media_type: &str) -> bool {
        let mut values = self.fields_from(self.head.content_type_at, "content-type");
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let essence = value.split(|&byte| byte == b';').next().unwrap_or(value);
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(media_type.as_bytes())
    }
}

fn ascii(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("methods, targets and hosts are checked to be visible ASCII")
}

/// Says neither query nor fields nor body: passwords and session tokens stand there.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
