//! The documented API over real sockets, with one event loop.

#[path = "../client/mod.rs"]
mod client;

#[path = "calls.rs"]
mod calls;

/// Event loops of the servers that run by themselves.
pub(crate) const LOOPS: usize = 1;
