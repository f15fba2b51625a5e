//! loiter: a long-poll chat server on an HTTP/1.1 event loop of its own.

pub mod api;
pub mod arena;
pub mod chat;
pub mod config;
pub mod engine;
pub mod http;
pub mod job;
pub mod model;
pub mod runtime;
pub mod timers;
