//! The documented API over real sockets: every call with its success and each of its failures.
//!
//! - `checks`: what holds for all calls: paths, methods, the order of checks.
//! - `parameters`: where they may stand and how; ids.
//! - `accounts`, `names`, `attempts`, `sessions`: who is who.
//! - `chatrooms`, `search`: who is where.
//! - `messages`, `polls`, `crowd`: what is said, and who hears of it.
//! - `storage`: what happens when the database cannot be written, or not fast enough.
//! - `drain`, `embedding`: how a server ends, and how it lives in a host's loop.

#[path = "../client/mod.rs"]
mod client;

mod accounts;
mod attempts;
mod chatrooms;
mod checks;
mod crowd;
mod drain;
mod embedding;
mod messages;
mod names;
mod parameters;
mod polls;
mod search;
mod sessions;
mod storage;
