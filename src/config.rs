//! Every limit and duration, with the reason for each default.
//!
//! The binary fills a [`Config`] from its options; a host that embeds loiter fills it itself, or sets each by its name ([`Config::set`]).
//! Nothing else in the crate has a setting.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

mod database;
mod network;
mod origin;
pub mod settings;
pub mod values;

#[cfg(feature = "postgres")]
pub(crate) use database::without_password;
pub(crate) use database::{is_address, is_foreign_address, shown};
pub use network::{Network, NotANetwork};
pub use origin::{NotAnOrigin, Origin};
pub use settings::BadSetting;

/// The most that [`Config::queue`] may be: more would be minutes of writing, and nobody waits for so long.
pub const QUEUE_MAX: usize = 1 << 20;

/// The most that [`Config::max_wakes`] may be: more than anybody could wait for.
pub const WAKES_MAX: usize = 1 << 24;

/// The most that [`Config::workers`] may be: each is a thread with a connection to the database.
pub const WORKERS_MAX: usize = 256;

/// The most that [`Config::loops`] may be: each is a thread with sockets and caches of its own.
pub const LOOPS_MAX: usize = 64;

/// The most that [`Config::allowed_origins`] may be: each request that names one is compared with all of them.
pub const ORIGINS_MAX: usize = 64;

/// Open files that connections leave to everything else: the database's files, listeners,
/// standard streams, logs, and the refused newcomers that linger (at most half of them).
const FILES_KEPT_BACK: usize = 64;

/// … and what each loop beyond the first takes: an epoll, a waker, a spare, listeners, and refused newcomers of its own.
const FILES_OF_LOOP: usize = 40;

/// … and what each worker takes: the database and its log.
const FILES_OF_WORKER: usize = 2;

/// Bytes of the least [`Config::max_body`] with which a message of `max_message` bytes has room, each of them
/// percent-encoded, beside the parameters' names, a chatroom's id and what comes to be optional.
pub const fn body_for(max_message: usize) -> usize {
    max_message.saturating_mul(3).saturating_add(1024)
}

/// All that can be set. `Config::default()` serves on loopback with `loiter.db`.
///
/// ```
/// use std::time::Duration;
///
/// // A small device: one thread beside the loop, little memory, and nobody from outside.
/// let config = loiter::Config {
///     listen: vec!["127.0.0.1:8000".parse()?],
///     database: "/var/lib/device/chat.db".into(),
///     max_connections: Some(200),
///     max_unsent: 4 * 1024 * 1024,
///     workers: 1,
///     retention: Some(Duration::from_secs(7 * 24 * 60 * 60)),
///     ..loiter::Config::default()
/// };
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 picks a free one. Empty means `127.0.0.1:8000`, and `[::1]:8000`
    /// where the machine has it, so that `localhost` works whichever way it resolves. Must be empty where the
    /// server is given sockets that listen already.
    pub listen: Vec<SocketAddr>,
    /// The database's file, created where it is missing; or, with the feature `postgres`, the address of a PostgreSQL database, such as
    /// `postgres://ann:secret@db.example/chat?sslmode=verify-full`.
    pub database: PathBuf,
    /// Messages in a list of most recent messages. 50 fill a screen and fit in one packet's burst.
    pub recent: u32,
    /// Bytes of one message.
    pub max_message: usize,
    /// Connections at a time; `None` is what the limit on open files leaves.
    pub max_connections: Option<usize>,
    /// Bytes of a request's head. 16 KiB is what browsers and proxies expect to pass.
    pub max_head: usize,
    /// Bytes of a request's body. Room for a message of `max_message` in which every byte is percent-encoded:
    /// [`body_for`] it at least, since a message that is allowed would else be a 413 that nobody can explain.
    pub max_body: usize,
    /// From a request's first byte to its last.
    pub header_timeout: Duration,
    /// How long a connection with no request under way stays. Longer than the 60 s that proxies keep
    /// their side open, so that it is they who close.
    pub idle_timeout: Duration,
    /// How long a client may take no byte of an answer. What the system's buffer took counts as taken; a peer that
    /// lets that lie, or has vanished behind it, is given up after 55 s, or after 2.2 times `keepalive` where that is more.
    pub send_timeout: Duration,
    /// The longest that a poll stays parked, less up to a tenth at random, so that polls that were parked together do
    /// not all come back together. `None` is for ever.
    pub poll_timeout: Option<Duration>,
    /// How long a silent connection is left alone before its peer is asked whether it is still there (TCP keepalive).
    /// One that has vanished without a word is found within 2.3 times as long, or within `send_timeout` where that is more: 57 s for the default, which the API promises to
    /// be less than a minute. With very many connections it is worth more: each million costs 40,000 such questions a
    /// second. In whole seconds, from 5 s to 2 h.
    pub keepalive: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long a session lasts after its last use.
    pub session_lifetime: Duration,
    /// How long messages are kept, at least; they are gone a minute later at most, or as soon as there is time for it. `None` keeps
    /// them for ever.
    pub retention: Option<Duration>,
    /// Polls that one session may have parked at one event loop; where one more comes, the oldest ends with its list. 0 is
    /// unlimited: what they cost is bounded by the connections.
    pub max_polls_per_session: usize,
    /// Chatrooms that the polls of several of them wait in at one event loop, all together: 40 bytes each. Beyond it such a poll gets 503.
    pub max_places: usize,
    /// Requests to the host's own routes that may be parked at a time, all together; each event loop has an equal part of them, rounded up. Beyond it 503. `None` is as many as there may be
    /// connections: each of them is one.
    pub max_parked: Option<usize>,
    /// Wakes of the host's own routes that may be under way, from [`Waker::wake`](crate::Waker::wake) until the last of those who waited has been
    /// answered. Beyond it the host is told so, and nobody is woken. 64 Ki is what a loop answers in half a second.
    pub max_wakes: usize,
    /// Bytes of what those tell, bodies and fields, which are kept until then; a response that several wakes share counts for each. Beyond it as beyond `max_wakes`, but for one wake
    /// alone, which may tell as much as it likes.
    pub max_wake_bytes: usize,
    /// Bytes of answers that clients have not taken yet, all together; each event loop has an equal part of them. What many are sent counts
    /// once. Beyond it those connections are closed that keep most of it, but for the last: a list is a megabyte easily, and who asks
    /// for it need not read it.
    pub max_unsent: usize,
    /// Where `GET /metrics` is answered, if anywhere; never where clients are. Without the feature `metrics` it must be `None`.
    pub metrics_addr: Option<SocketAddr>,
    /// Bytes of requests that are not all here, and of what is sent behind one that is being answered, all together; each event loop has an equal
    /// part of them. Less than 2 KiB of a connection do not count. Beyond it those who have been at it longest get 503, and are closed.
    pub max_unread: usize,
    /// Rounds of PBKDF2-HMAC-SHA256 for a new hash. OWASP's recommendation of 2023.
    pub password_iterations: NonZeroU32,
    /// Characters of a new password, at least.
    pub min_password_length: usize,
    /// Failed logins a minute for one name or one address before 429; 0 is unlimited.
    pub login_attempts: u32,
    /// Messages a minute of one user before 429; 0 is unlimited.
    ///
    /// A loop knows of its own sends at once, and of those of others when they are saved. So where a user sends at several
    /// loops at the very same time, each of them lets through as many until it has heard of the others'.
    pub send_rate: u32,
    /// Registrations a minute from one address (of IPv6, its /64) before 429, at all loops together; 0 is unlimited.
    pub register_rate: u32,
    /// What an acknowledged message survives.
    pub durability: Durability,
    /// Jobs that may wait for the writing lane; beyond it 503. [`QUEUE_MAX`] at most.
    pub queue: usize,
    /// Threads for reading and for hashing, beside the one that writes. At least one does each; [`WORKERS_MAX`]
    /// at most.
    pub workers: usize,
    /// Event loops, each a thread; [`LOOPS_MAX`] at most. One serves many thousands of connections; more are for what one
    /// core cannot send.
    pub loops: usize,
    /// Whether the session's cookie is `Secure`, and named `__Host-session`, so that browsers take it from this very host by HTTPS only.
    pub secure_cookies: bool,
    /// Origins other than the server's own whose pages may use the API with cookies. They need `secure_cookies`, which are then
    /// `SameSite=None`: a browser would else not send them for another site's page. [`ORIGINS_MAX`] at most.
    pub allowed_origins: Vec<Origin>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; nobody else's are.
    pub trusted_proxies: Vec<Network>,
    /// How servers that share a database hear of what the others have written. Of no meaning to a database that is a file.
    pub hints: Hints,
    /// How often a server asks a database that it shares for what the others have written, whatever hints there are: a hint that is lost
    /// costs so much time, and no message. It costs what was written, and not how many chatrooms are held. From 100 ms to 60 s.
    pub ask_every: Duration,
    /// Sessions that each loop remembers beyond those with parked polls; about 250 bytes each.
    pub cache_sessions: usize,
    /// Bytes of recent messages that each loop remembers beyond those of chatrooms with parked polls.
    pub cache_messages: usize,
}

/// What an acknowledged message survives: SQLite's `synchronous`.
///
/// ```
/// use loiter::config::{Config, Durability};
///
/// // A message that was acknowledged may be lost when the power fails, for the sake of a slow disk.
/// let config = Config {
///     durability: Durability::Normal,
///     ..Config::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Also a power failure: each commit is synced.
    Full,
    /// The death of the process, not that of the machine.
    Normal,
}

/// How servers that share a database hear of what the others have written.
///
/// ```
/// use loiter::config::{Config, Hints};
///
/// // The database is behind a pooler that takes LISTEN from nobody: hints come from it directly.
/// let config = Config {
///     database: "postgres://loiter@pooler/chat".into(),
///     hints: Hints::From("postgres://loiter@db-1/chat".into()),
///     ..Config::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Hints {
    /// By PostgreSQL's NOTIFY, over a connection of its own.
    Notify,
    /// The same, over a connection to this address: where what is between the servers and the database passes on no notifications.
    From(String),
    /// By publish/subscribe of the Redis or Valkey at this address, such as `redis://:secret@redis-1:6379/0`; `rediss://…` is with TLS. Takes the
    /// feature `redis`. A Redis that is away costs what a lost hint costs. Servers whose databases have the same name and schema, but are not the same,
    /// are kept apart by the number at its end.
    Redis(String),
    /// Not at all: they only ask. For databases that have no NOTIFY, and where [`Config::ask_every`] is soon enough.
    None,
}

/// Without an address, which may have a password in it.
impl fmt::Debug for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notify => "Notify",
            Self::From(_) => "From(…)",
            Self::Redis(_) => "Redis(…)",
            Self::None => "None",
        })
    }
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
            poll_timeout: None,
            keepalive: Duration::from_secs(25),
            drain_timeout: Duration::from_secs(10),
            session_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            retention: None,
            max_polls_per_session: 0,
            max_places: 4_000_000,
            max_parked: None,
            max_wakes: 64 * 1024,
            max_wake_bytes: 64 * 1024 * 1024,
            max_unsent: 128 * 1024 * 1024,
            metrics_addr: None,
            max_unread: 64 * 1024 * 1024,
            password_iterations: NonZeroU32::new(600_000).expect("not zero"),
            min_password_length: 1,
            login_attempts: 10,
            send_rate: 0,
            register_rate: 0,
            durability: Durability::Full,
            queue: 4096,
            workers: 2,
            loops: 1,
            secure_cookies: false,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            hints: Hints::Notify,
            ask_every: Duration::from_secs(1),
            cache_sessions: 65_536,
            cache_messages: 32 * 1024 * 1024,
        }
    }
}

/// A setting that no server can serve with.
///
/// ```
/// let config = loiter::Config {
///     loops: 0,
///     ..loiter::Config::default()
/// };
/// let refused = config.check().unwrap_err();
/// assert_eq!(refused.to_string(), "loops must be from 1 to 64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadConfig {
    /// The field's name.
    pub field: &'static str,
    /// A sentence's end: "must be …".
    pub rule: &'static str,
}

impl Config {
    /// Whether the database is given by an address, and not by a file's path: others may write to it too.
    pub fn is_shared(&self) -> bool {
        is_address(&self.database)
    }

    /// Open files that a server with these settings keeps back from connections, for all else that it opens.
    pub fn files_kept_back(&self) -> usize {
        let loops = self.loops.saturating_sub(1).saturating_mul(FILES_OF_LOOP);
        let workers = self.workers.saturating_mul(FILES_OF_WORKER);
        FILES_KEPT_BACK
            .saturating_add(loops)
            .saturating_add(workers)
    }

    /// Connections that a server with these settings takes at a time where it may have so many files open, unless
    /// [`Config::max_connections`] says otherwise. One at least, however few those are: a server that takes nobody would be of no use.
    pub fn connections_within(&self, files: u64) -> usize {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        // Where so much is not to be had, half is: running out of descriptors is survived.
        let left = files.saturating_sub(self.files_kept_back()).max(files / 2);
        left.max(1)
    }

    /// Whether a server can serve with these settings.
    ///
    /// # Errors
    /// The first field that it cannot, and what is allowed.
    pub fn check(&self) -> Result<(), BadConfig> {
        let positive = |duration: Duration| duration >= Duration::from_millis(1);
        let checks = [
            (
                (1..=200).contains(&self.recent),
                "recent",
                "must be from 1 to 200",
            ),
            (
                (1..=1 << 20).contains(&self.max_message),
                "max_message",
                "must be from 1 byte to 1 MiB",
            ),
            (
                self.max_connections != Some(0),
                "max_connections",
                "must be at least 1",
            ),
            (
                (1024..=1 << 20).contains(&self.max_head),
                "max_head",
                "must be from 1 KiB to 1 MiB",
            ),
            (
                (1024..=1 << 24).contains(&self.max_body),
                "max_body",
                "must be from 1 KiB to 16 MiB",
            ),
            (
                self.max_body >= body_for(self.max_message),
                "max_body",
                "must be at least three times max_message and 1 KiB",
            ),
            (
                self.max_parked != Some(0),
                "max_parked",
                "must be at least 1",
            ),
            (
                (1..=WAKES_MAX).contains(&self.max_wakes),
                "max_wakes",
                "must be from 1 to 16777216",
            ),
            (
                self.max_wake_bytes >= 1024,
                "max_wake_bytes",
                "must be at least 1 KiB",
            ),
            (
                self.max_unsent >= 1 << 20,
                "max_unsent",
                "must be at least 1 MiB",
            ),
            (
                self.metrics_addr.is_none() || cfg!(feature = "metrics"),
                "metrics_addr",
                "needs the feature metrics",
            ),
            (
                (100..=60_000).contains(&self.ask_every.as_millis()),
                "ask_every",
                "must be from 100 ms to 60 s",
            ),
            (positive(self.header_timeout), "header_timeout", MS_RULE),
            (positive(self.idle_timeout), "idle_timeout", MS_RULE),
            (positive(self.send_timeout), "send_timeout", MS_RULE),
            (
                (5..=2 * 60 * 60).contains(&self.keepalive.as_secs())
                    && self.keepalive.subsec_nanos() == 0,
                "keepalive",
                "must be whole seconds, from 5 s to 2 h",
            ),
            (
                self.poll_timeout.is_none_or(positive),
                "poll_timeout",
                MS_RULE,
            ),
            (positive(self.session_lifetime), "session_lifetime", MS_RULE),
            (self.retention.is_none_or(positive), "retention", MS_RULE),
            (
                self.password_iterations.get() >= 1000,
                "password_iterations",
                "must be at least 1000",
            ),
            (
                (1..=1024).contains(&self.min_password_length),
                "min_password_length",
                "must be from 1 to 1024",
            ),
            (
                (1..=QUEUE_MAX).contains(&self.queue),
                "queue",
                "must be from 1 to 1048576",
            ),
            (
                (1..=WORKERS_MAX).contains(&self.workers),
                "workers",
                "must be from 1 to 256",
            ),
            (
                (1..=LOOPS_MAX).contains(&self.loops),
                "loops",
                "must be from 1 to 64",
            ),
            (
                self.allowed_origins.is_empty() || self.secure_cookies,
                "allowed_origins",
                "must be empty without secure_cookies",
            ),
            (
                self.allowed_origins.len() <= ORIGINS_MAX,
                "allowed_origins",
                "must be 64 at most",
            ),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(BadConfig { field, rule }),
            None => Ok(()),
        }
    }
}

const MS_RULE: &str = "must be at least a millisecond";

impl std::fmt::Display for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.field, self.rule)
    }
}

impl std::error::Error for BadConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_everything_else() {
        let config = Config {
            loops: 3,
            workers: 8,
            ..Config::default()
        };
        assert_eq!(config.files_kept_back(), 64 + 2 * 40 + 8 * 2);
        assert_eq!(config.connections_within(1_000), 840);
        assert_eq!(config.connections_within(200), 100);
        assert_eq!(config.connections_within(0), 1);
    }

    #[test]
    fn the_defaults_are_good_and_each_limit_holds() {
        assert_eq!(Config::default().check(), Ok(()));
        let bad = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().map_err(|error| error.field)
        };
        assert_eq!(bad(|config| config.recent = 201), Err("recent"));
        assert_eq!(
            bad(|config| config.max_connections = Some(0)),
            Err("max_connections")
        );
        assert_eq!(bad(|config| config.max_head = 0), Err("max_head"));
        for ms in [4_999, 5_001, 7_201_000] {
            let config = Config {
                keepalive: Duration::from_millis(ms),
                ..Config::default()
            };
            assert_eq!(config.check().unwrap_err().field, "keepalive", "{ms}");
        }
        assert_eq!(
            bad(|config| config.idle_timeout = Duration::ZERO),
            Err("idle_timeout")
        );
        assert_eq!(
            bad(|config| config.retention = Some(Duration::ZERO)),
            Err("retention")
        );
        assert_eq!(bad(|config| config.workers = 0), Err("workers"));
        assert_eq!(bad(|config| config.workers = 257), Err("workers"));
        assert_eq!(bad(|config| config.loops = 0), Err("loops"));
        assert_eq!(bad(|config| config.loops = 65), Err("loops"));
        assert_eq!(bad(|config| config.queue = 0), Err("queue"));
        assert_eq!(bad(|config| config.max_wakes = 0), Err("max_wakes"));
        assert_eq!(
            bad(|config| config.max_wakes = usize::MAX),
            Err("max_wakes")
        );
        assert_eq!(
            bad(|config| config.max_wake_bytes = 1023),
            Err("max_wake_bytes")
        );
        assert_eq!(bad(|config| config.max_parked = Some(0)), Err("max_parked"));
        assert_eq!(bad(|config| config.queue = usize::MAX), Err("queue"));
        assert_eq!(bad(|config| config.max_message = 30_000), Err("max_body"));
        assert_eq!(bad(|config| config.queue = QUEUE_MAX), Ok(()));
        let origins = |config: &mut Config, count| {
            config.allowed_origins = vec!["https://a".parse().expect("an origin"); count];
        };
        assert_eq!(
            bad(|config| {
                config.allowed_origins = vec!["https://a".parse().expect("an origin")];
            }),
            Err("allowed_origins")
        );
        for (count, is_good) in [(ORIGINS_MAX, true), (ORIGINS_MAX + 1, false)] {
            let mut config = Config {
                secure_cookies: true,
                ..Config::default()
            };
            origins(&mut config, count);
            assert_eq!(config.check().is_ok(), is_good, "{count}");
        }
        assert_eq!(bad(|config| config.workers = WORKERS_MAX), Ok(()));
        assert_eq!(
            bad(|config| {
                config.max_message = 1 << 20;
                config.max_body = body_for(1 << 20);
            }),
            Ok(())
        );
    }
}
