//! Every limit and duration, with the reason for each default.
//!
//! The binary fills a [`Config`] from its options; a host that embeds loiter fills it itself.
//! Nothing else in the crate has a setting.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// All that can be set. `Config::default()` serves on loopback with `loiter.db`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 picks a free one. Empty means `127.0.0.1:8000`, and `[::1]:8000`
    /// where the machine has it, so that `localhost` works whichever way it resolves.
    pub listen: Vec<SocketAddr>,
    /// The database's file, created where it is missing.
    pub database: PathBuf,
    /// Messages in a list of most recent messages. 50 fill a screen and fit in one packet's burst.
    pub recent: u32,
    /// Bytes of one message.
    pub max_message: usize,
    /// Connections at a time; `None` is what the limit on open files leaves.
    pub max_connections: Option<usize>,
    /// Bytes of a request's head. 16 KiB is what browsers and proxies expect to pass.
    pub max_head: usize,
    /// Bytes of a request's body. Room for a message of `max_message` in which every byte is percent-encoded.
    pub max_body: usize,
    /// From a request's first byte to its last.
    pub header_timeout: Duration,
    /// How long a connection with no request under way stays. Longer than the 60 s that proxies keep
    /// their side open, so that it is they who close.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub send_timeout: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long a session lasts after its last use.
    pub session_lifetime: Duration,
    /// Rounds of PBKDF2-HMAC-SHA256 for a new hash. OWASP's recommendation of 2023.
    pub password_iterations: NonZeroU32,
    /// Characters of a new password, at least.
    pub min_password_length: usize,
    /// Failed logins a minute for one name or one address before 429; 0 is unlimited.
    pub login_attempts: u32,
    /// What an acknowledged message survives.
    pub durability: Durability,
    /// Jobs that may wait for the writing lane; beyond it 503.
    pub queue: usize,
    /// Threads for reading and for hashing, beside the one that writes. At least one does each.
    pub workers: usize,
    /// Whether the session's cookie is `Secure`.
    pub secure_cookies: bool,
    /// Sessions that each loop remembers beyond those with parked polls; about 250 bytes each.
    pub cache_sessions: usize,
    /// Bytes of recent messages that each loop remembers beyond those of chatrooms with parked polls.
    pub cache_messages: usize,
}

/// What an acknowledged message survives: SQLite's `synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Also a power failure: each commit is synced.
    Full,
    /// The death of the process, not that of the machine.
    Normal,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            database: PathBuf::from("loiter.db"),
            recent: 50,
            max_message: 4096,
            max_connections: None,
            max_head: 16 * 1024,
            max_body: 64 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            send_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            session_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            password_iterations: NonZeroU32::new(600_000).expect("not zero"),
            min_password_length: 1,
            login_attempts: 10,
            durability: Durability::Full,
            queue: 4096,
            workers: 2,
            secure_cookies: false,
            cache_sessions: 65_536,
            cache_messages: 32 * 1024 * 1024,
        }
    }
}
