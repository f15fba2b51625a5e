//! HTTP/1.1 over real sockets, with one event loop.

#[path = "../client/mod.rs"]
mod client;

#[path = "bytes.rs"]
mod bytes;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 1;
