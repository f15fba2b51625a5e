//! Why a measurement could not be made at all. What a measurement found wrong is a [`crate::tally::Tally`] instead.

use std::fmt;
use std::io;

/// A failure that ends the run.
#[derive(Debug)]
pub(crate) enum Error {
    /// The operating system refused something; the text says what was tried.
    Io(String, io::Error),
    /// A call that prepares, triggers or checks the run has failed.
    Client(loiter_client::Error),
    /// A worker process ended or spoke out of turn.
    Worker(String),
    /// A server of our own did not start, did not live, or did not end in good order.
    Host(String),
    /// What was asked for cannot be had here.
    Unavailable(String),
}

impl Error {
    /// For `map_err`: says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |e| Self::Io(what.into(), e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, e) => write!(f, "{what}: {e}"),
            Self::Client(e) => write!(f, "{e}"),
            Self::Host(what) | Self::Unavailable(what) => f.write_str(what),
            Self::Worker(what) => write!(f, "worker process: {what}"),
        }
    }
}

impl From<loiter_client::Error> for Error {
    fn from(error: loiter_client::Error) -> Self {
        Self::Client(error)
    }
}
