//! The HTTP/1.1 layer without any I/O: bytes in, requests out; responses in, bytes out.
//!
//! One [`Exchange`] for each connection says what the bytes that came mean ([`Exchange::receive`]) and
//! what the answer must look like ([`Exchange::framing`]). It knows no socket, no clock and no path of
//! the API; the limits are passed in.
//!
//! Where RFC 9112 leaves a recipient free to be lenient, this one refuses: whatever two programs on a
//! request's way could read in two ways (its length, its line ends, its host) is how one request is
//! smuggled inside another. After a refusal the connection is never read for requests again.

// A peer's numbers come through here, and none of them is cut to fit.
#![deny(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod body;
mod exchange;
mod form;
mod object;
mod parse;
mod rejection;
mod request;
mod response;
mod target;

#[cfg(test)]
mod tests;

pub use exchange::{Event, Exchange, Partial, Phase, Received};
pub use form::{Form, FormFault};
pub use rejection::Rejection;
pub use request::{Method, Request, Version};
pub use response::{
    After, CONTINUE, Caching, Framing, Response, Status, push_chunk, push_last_chunk,
};

/// How much of a request is taken in. What is longer is answered, not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head: request line, fields and the empty line. Beyond: 414 or 431.
    pub head_max: usize,
    /// Bytes of a body after decoding. Beyond: 413.
    pub body_max: usize,
}

/// Fields of one request; beyond: 431. A browser behind two proxies sends about 30.
const FIELDS_MAX: usize = 100;
