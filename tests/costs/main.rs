//! What must not creep back: allocations and bytes, counted exactly. No time is looked at here; the benchmarks do that.
//!
//! - `engine`: what the logic costs for each poll and each delivery.
//! - `server`: the same for the whole loop over real sockets.
//! - `own`: a host's own routes in the engine.
//!
//! Allocations are counted for the thread that turns the loop, so that the store's and other tests' do not matter.

#[path = "../serving/mod.rs"]
mod serving;

mod engine;
mod own;
mod server;
mod warm;

/// Event loops of servers that run by themselves, of which there are none.
pub(crate) const LOOPS: usize = 1;
