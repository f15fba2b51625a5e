//! loiter: a long-poll chat server on an HTTP/1.1 event loop of its own.
//!
//! The binary of the same name serves with options from its command line. A host that embeds loiter fills a
//! [`Config`], binds a [`Server`], and either gives it a thread ([`Server::run`]) or calls
//! [`Server::turn`] from its own loop. The library has no global state, installs no logger and handles no signal.
//!
//! ```
//! use std::io::{Read as _, Write as _};
//!
//! let folder = tempfile::tempdir()?;
//! let mut server = loiter::Server::bind(loiter::Config {
//!     listen: vec!["127.0.0.1:0".parse()?],
//!     database: folder.path().join("chat.db"),
//!     ..loiter::Config::default()
//! })?;
//!
//! // The host's own loop: wait until `server.as_raw_fd()` is readable or `server.poll_timeout()` is over,
//! // then take a turn. Here the server does the waiting.
//! let mut client = std::net::TcpStream::connect(server.addresses()[0])?;
//! client.write_all(b"GET /message/chatrooms/ HTTP/1.0\r\n\r\n")?;
//! while server.connections() == 0 {
//!     server.turn(None)?;
//! }
//! while server.connections() > 0 {
//!     server.turn(None)?;
//! #   client.set_nonblocking(true)?;
//! #   let mut answer = [0; 4096];
//! #   if matches!(client.read(&mut answer), Ok(n) if n > 0) {
//! #       assert!(answer.starts_with(b"HTTP/1.1 401 Unauthorized\r\n"));
//! #       client.shutdown(std::net::Shutdown::Both)?;
//! #   }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How it is made is in `docs/architecture.md`.

pub mod api;
pub mod arena;
pub mod chat;
pub mod config;
pub mod engine;
pub mod http;
pub mod job;
pub mod model;
pub mod runtime;
pub mod server;
pub mod store;
pub mod timers;

pub use config::Config;
pub use server::{Handle, Server, StartError};
