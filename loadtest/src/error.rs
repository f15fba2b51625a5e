//! Why a measurement could not be made at all. What a measurement found wrong is a [`crate::tally::Tally`] instead.

use std::fmt;
use std::io;

use crate::http::Malformed;

/// A failure that ends the run.
#[derive(Debug)]
pub(crate) enum Error {
    /// The operating system refused something; the text says what was tried.
    Io(String, io::Error),
    /// The server's answer is not HTTP as the contract has it.
    Malformed(Malformed),
    /// The server answered a call that prepares the run with something other than success.
    Refused {
        /// The call, without its parameters.
        call: String,
        /// The status code.
        status: u16,
        /// The answer's body.
        body: String,
    },
    /// An answer to a call that prepares the run lacks what the contract promises.
    Lacking(&'static str),
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
            Self::Malformed(e) => write!(f, "{e}"),
            Self::Refused { call, status, body } => {
                write!(f, "{call} was answered {status} {body}")
            }
            Self::Lacking(what) => write!(f, "the answer lacks {what}"),
            Self::Host(what) | Self::Unavailable(what) => f.write_str(what),
            Self::Worker(what) => write!(f, "worker process: {what}"),
        }
    }
}
