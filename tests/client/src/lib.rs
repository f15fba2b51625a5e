//! A small blocking client of loiter, for tests and tools.
//!
//! - `connection`, `request`, `answer`: HTTP/1.1 as far as it takes: bytes out, whole answers back.
//! - `head`, `chunked`: answers taken apart.
//! - [`strict`]: a client that believes nothing, for tests of the server.
//!
//! It knows the contract and no line of the server, which in turn knows it in its tests only.

mod answer;
mod chunked;
mod connection;
mod head;
mod request;
pub mod strict;

pub use answer::{Answer, Method};
pub use connection::Connection;
pub use head::{Framing, Head, Malformed};
pub use request::{Request, encoded, get, post};
