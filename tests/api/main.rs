//! The documented API over real sockets, with one event loop.

#[path = "../serving/mod.rs"]
mod serving;

#[path = "calls.rs"]
mod calls;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 1;
