//! A client that believes nothing, for tests: every answer that it reads is held against the conventions that hold for all of them
//! ([`Answer::assert_sound`](crate::Answer::assert_sound)), and whatever is not as it must be panics.
//!
//! - `client`: one connection of such a client.
//! - `answer`: what holds for every answer, and what a test asserts of one.
//! - `session`: who is logged in, and the requests that tests make all the time.
//!
//! Nothing here waits for a time to pass. What must happen is waited for with [`PATIENCE`] as the
//! limit, and what must not happen is ruled out by something later in the same order.

mod answer;
mod client;
mod session;

use std::time::Duration;

pub use crate::answer::Answer;
pub use crate::request::{Request, encoded, get, post};
pub use client::Client;
pub use session::{Session, adding, ending, logging_in, polling, registering, saying};

/// How long anything may take that must happen; long, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
