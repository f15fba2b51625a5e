//! HTTP/1.1 over real sockets, with three event loops: the tests of `tests/wire`.

#[path = "../client/mod.rs"]
mod client;

#[path = "../wire/bytes.rs"]
mod bytes;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 3;
