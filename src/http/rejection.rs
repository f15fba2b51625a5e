//! Why bytes are no request. All of it is the peer's fault, and all of it has an answer.

use std::fmt;

/// Why a request was refused; the answer to it closes the connection.
///
/// `Display` is a sentence's end, for a person: "a line does not end in CR LF".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// 400: the message breaks a rule of RFC 9112; which one is a sentence's end.
    BadRequest(&'static str),
    /// 408: the request was not complete in time (RFC 9110 §15.5.9).
    RequestTimeout,
    /// 413: the body is, or says that it will be, longer than `body_max`.
    BodyTooLarge,
    /// 414: the request line alone is longer than `head_max`.
    UriTooLong,
    /// 417: an `Expect` other than `100-continue` (RFC 9110 §10.1.1).
    ExpectationFailed,
    /// 431: the head is longer than `head_max`, or has too many fields (RFC 6585 §5).
    HeadTooLarge,
    /// 501: a transfer coding other than chunked (RFC 9112 §6.1).
    NotImplemented,
    /// 503: too much is kept of requests that are not all here, this one among them.
    Overloaded,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRequest(what) => what,
            Self::RequestTimeout => "the request did not arrive in time",
            Self::BodyTooLarge => "the body is too large",
            Self::UriTooLong => "the request line is too long",
            Self::ExpectationFailed => "the only expectation that can be met is 100-continue",
            Self::HeadTooLarge => "the head is too large",
            Self::NotImplemented => "the only transfer coding understood is chunked",
            Self::Overloaded => "too much is kept of requests that are not whole yet",
            Self::VersionNotSupported => "the only versions spoken are HTTP/1.1 and HTTP/1.0",
        })
    }
}

impl std::error::Error for Rejection {}
