//! A panic of one of the server's threads: a defect of ours, which ends the whole server.
//!
//! A loop that has panicked has lost its connections, and others may wait for its answers; a lane of the store whose
//! thread is gone would never answer. To go on without them is to be half alive: nobody would restart us, and nobody would be
//! served. So whatever panics stops all, and the host is told what it was and why.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{error, fmt, io};

/// What ended a server, as the source of the error of [`Server::run`](super::Server::run) and
/// [`Server::turn`](super::Server::turn): a part of it panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// Which part.
    whose: String,
    /// What it said.
    reason: String,
}

impl Panicked {
    pub(super) fn new(whose: String, payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            whose,
            reason: text.unwrap_or_else(|| "without a word".to_owned()),
        }
    }

    pub(super) fn of_loop(number: usize, payload: &(dyn Any + Send)) -> Self {
        Self::new(format!("event loop {number}"), payload)
    }
}

impl From<Panicked> for io::Error {
    fn from(panicked: Panicked) -> Self {
        Self::other(panicked)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.whose, self.reason)
    }
}

impl error::Error for Panicked {}

/// Does a part of a loop's work. What a panic leaves behind is for nobody but [`super::Server`], which lets go of it.
pub(super) fn guard<T>(number: usize, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(Panicked::of_loop(number, &*payload).into()))
}
