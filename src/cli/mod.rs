//! What only the binary has: options, commands, log, signals, and what it says to whoever supervises it. Compiled into nothing else.
//!
//! It knows the library's face (`Config`, `Server`, `Handle`) and nothing behind it, as any
//! host that embeds loiter does.

pub(crate) mod activation;
mod blame;
mod check;
pub(crate) mod commands;
mod health;
mod help;
pub(crate) mod logger;
mod man;
#[cfg(feature = "postgres")]
mod migrate;
pub(crate) mod options;
mod shown;
pub(crate) mod signals;
pub(crate) mod supervisor;
mod tips;
mod users;
pub(crate) mod variables;
pub(crate) mod vital;
