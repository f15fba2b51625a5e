//! What the tests over real sockets share: a server in this process, and a client that believes nothing.
//!
//! - `serving`: servers, on a thread of their own or turned by the test itself.
//! - `connection`: one connection; every answer that it reads is held against the conventions.
//! - `request`: requests as the API's clients write them.
//!
//! Nothing here waits for a time to pass. What must happen is waited for with [`PATIENCE`] as the
//! limit, and what must not happen is ruled out by something later in the same order.

#![allow(
    dead_code,
    unused_imports,
    reason = "each target that includes this uses its part"
)]

mod connection;
mod request;
mod serving;

use std::time::Duration;

pub(crate) use connection::{Answer, Client};
pub(crate) use request::{Request, encoded, get, post};
pub(crate) use serving::{
    Driven, Serving, Session, adding, ending, logging_in, polling, registering, saying,
};

/// How long anything may take that must happen; long, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
