//! HTTP/1.1 over real sockets, with one event loop.

#[path = "../serving/mod.rs"]
mod serving;

#[path = "bytes.rs"]
mod bytes;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 1;
