//! Every call with its success and each of its failures. What holds for one event loop holds for any number:
//! `tests/api` and `tests/api_loops` run the same tests with one and with three.
//!
//! - `checks`, `sites`: what holds for all calls: paths, methods, the order of checks; other sites.
//! - `origins`, `proxies`: pages of other origins that are allowed, and who is believed where a request comes from.
//! - `parameters`: where they may stand and how; ids.
//! - `accounts`, `names`, `attempts`, `rates`, `sessions`, `passwords`: who is who.
//! - `chatrooms`, `chatroom_names`, `overview`, `search`: who is where.
//! - `leaving`, `presence`: who goes, and what becomes of their polls; who is there just now.
//! - `messages`, `polls`, `polls_per_session`, `since`, `several`, `streams`, `crowd`: what is said, and who hears of it.
//! - `storage`: what happens when the database cannot be written, or not fast enough.
//! - `outage`: what happens while PostgreSQL is away.
//! - `turns`: who registers or logs in while very many do.
//! - `order`: what one connection was told holds for every other.
//! - `files`: what the server gives to browsers.
//! - `metrics`: what is counted.
//! - `health`: whether the server is there, and of use.
//! - `blocking`: the client that tools use.
//! - `drain`, `embedding`, `routes`: how a server ends, how it lives in a host's loop, and what else a host answers there.

mod accounts;
mod attempts;
mod blocking;
mod chatroom_names;
mod chatrooms;
mod checks;
mod crowd;
mod drain;
mod embedding;
#[cfg(feature = "web")]
mod files;
mod health;
mod leaving;
mod messages;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod order;
mod origins;
#[cfg(feature = "metrics")]
mod outage;
mod overview;
mod parameters;
mod passwords;
mod polls;
mod polls_per_session;
mod presence;
mod proxies;
mod rates;
mod routes;
mod search;
mod sessions;
mod several;
mod since;
mod sites;
mod storage;
mod streams;
mod turns;
