//! The documented API over real sockets, with three event loops: the tests of `tests/api`.

#[path = "../client/mod.rs"]
mod client;

#[path = "../api/calls.rs"]
mod calls;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 3;
