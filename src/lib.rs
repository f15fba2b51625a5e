//! loiter: a long-poll chat server on an HTTP/1.1 event loop of its own.
//!
//! The binary of the same name serves with options from its command line. A host that embeds loiter fills a
//! [`Config`], binds a [`Server`], and either gives it a thread ([`Server::run`]) or calls
//! [`Server::turn`] from its own loop. The library has no global state, installs no logger and handles no signal.
//!
//! ```
//! use std::io::{Read as _, Write as _};
//! use std::os::fd::AsRawFd as _;
//! use std::time::Duration;
//!
//! use mio::{Events, Interest, Poll, Token, unix::SourceFd};
//!
//! let folder = tempfile::tempdir()?;
//! let mut server = loiter::Server::bind(loiter::Config {
//!     listen: vec!["127.0.0.1:0".parse()?],
//!     database: folder.path().join("chat.db"),
//!     ..loiter::Config::default()
//! })?;
//!
//! // Somebody asks, and then lets the server end.
//! let address = server.addresses()[0];
//! let handle = server.handle();
//! let client = std::thread::spawn(move || {
//!     let mut stream = std::net::TcpStream::connect(address)?;
//!     stream.write_all(b"GET /message/chatrooms/ HTTP/1.0\r\n\r\n")?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer)?;
//!     handle.drain();
//!     Ok::<_, std::io::Error>(answer)
//! });
//!
//! // The host's own loop: the server is one descriptor in its poll, and one timeout.
//! let mut poll = Poll::new()?;
//! let fd = server.as_raw_fd();
//! poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
//! let mut events = Events::with_capacity(16);
//! while !server.is_done() {
//!     match poll.poll(&mut events, server.poll_timeout()) {
//!         Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
//!         // A signal ends the wait and nothing else.
//!         _ => {}
//!     }
//!     // … the host's own events …
//!     server.turn(Some(Duration::ZERO))?;
//! }
//! let answer = client.join().expect("it does not panic")?;
//! assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With [`Config::loops`] above 1 the server starts a thread for each event loop beyond the first, at the first turn. The
//! host's descriptor, timeout and turns are still those of the first loop, [`Handle`] and
//! [`Server::connections`] are of all, and dropping the server ends the threads.
//!
//! [`Server::with_routes`] lets the host answer paths of its own on the same loops, and park requests until it wakes them. [`Backup`] copies the
//! database whole, also while it is served; [`Users`] adds users, lists them, and gives them other passwords.
//!
//! What a host may rely on is what stands here and in [`config`]. `docs/embedding.md` is the guide for hosts, with examples that run in
//! `docs/examples`; how the server is made is in `docs/architecture.md`.

pub mod config;

/// Its examples are compiled, and run but for those that would serve for ever.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
pub struct EmbeddingGuide;

// Public for the tests, benchmarks and tools of this repository alone. There is no promise in them: what of them a host
// may rely on is named again below.
#[doc(hidden)]
pub mod api;
#[doc(hidden)]
pub mod arena;
#[doc(hidden)]
pub mod buffer;
#[cfg(feature = "capi")]
mod capi;
#[doc(hidden)]
pub mod chat;
#[doc(hidden)]
pub mod counters;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod job;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod routes;
#[doc(hidden)]
pub mod runtime;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod timers;
#[doc(hidden)]
pub mod web;

pub use api::BadPrefix;
#[doc(inline)]
pub use config::Config;
pub use metrics::{MetricKind, Metrics, Sample};
pub use model::{BadName, BadPassword, User, UserId};
pub use routes::{Answer, BadField, Gone, Request, Response, Routes};
pub use runtime::BindError;
pub use server::{Handle, NotWoken, Panicked, Server, StartError, Waker};
pub use store::{Account, Backup, BackupError, OpenError, Users, UsersError};
#[cfg(feature = "postgres")]
pub use store::{MigrateError, Migration};
