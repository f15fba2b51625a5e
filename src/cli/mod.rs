//! What only the binary has: options, log, signals. Compiled into nothing else.
//!
//! It knows the library's face (`Config`, `Server`, `Handle`) and nothing behind it, as any
//! host that embeds loiter does.

pub(crate) mod logger;
pub(crate) mod options;
pub(crate) mod signals;
mod values;
