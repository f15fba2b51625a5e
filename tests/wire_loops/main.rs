//! HTTP/1.1 over real sockets, with three event loops: the tests of `tests/wire`.

#[path = "../serving/mod.rs"]
mod serving;

#[path = "../wire/bytes.rs"]
mod bytes;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 3;
