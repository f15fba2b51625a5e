//! The documented API over real sockets, with three event loops: the tests of `tests/api`.

#[path = "../serving/mod.rs"]
mod serving;

#[path = "../api/calls.rs"]
mod calls;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 3;
