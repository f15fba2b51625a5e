//! Every setting by its name, for those who have them as text: the command line, a host's own file, another language.
//!
//! A name is that of the command line's option, and so is what a value may be. A bound is there where a value beyond it could only be
//! a slip: zero where it would refuse everybody, or so much that a machine would fall over before it mattered. A field of
//! [`Config`] takes more; what no server can serve with is for [`Config::check`].

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::values::{address, duration, duration_or_none, flag, network, number, origin};
use super::{Config, Durability, Hints, body_for};

/// What the values of settings may be, both ends included: counts, bytes, or seconds.
pub mod bounds {
    use std::ops::RangeInclusive;

    use crate::config::values::{DAY, HOUR, SECOND};
    use crate::config::{LOOPS_MAX, QUEUE_MAX, WAKES_MAX, WORKERS_MAX};

    type Bounds = RangeInclusive<u64>;

    const MIB: u64 = 1024 * 1024;

    /// `recent`: messages.
    pub const RECENT: Bounds = 1..=200;
    /// `max-message`: bytes.
    pub const MAX_MESSAGE: Bounds = 1..=MIB;
    /// `retention`: seconds, or none.
    pub const RETENTION: Bounds = SECOND..=3650 * DAY;
    /// `max-connections`.
    pub const MAX_CONNECTIONS: Bounds = 1..=16_777_216;
    /// `max-head`: bytes.
    pub const MAX_HEAD: Bounds = 1024..=MIB;
    /// `max-body`: bytes.
    pub const MAX_BODY: Bounds = 1024..=16 * MIB;
    /// `max-unsent`: bytes.
    pub const MAX_UNSENT: Bounds = MIB..=1 << 40;
    /// `max-unread`: bytes.
    pub const MAX_UNREAD: Bounds = MIB..=1 << 40;
    /// `header-timeout`: seconds.
    pub const HEADER_TIMEOUT: Bounds = SECOND..=HOUR;
    /// `idle-timeout`: seconds.
    pub const IDLE_TIMEOUT: Bounds = SECOND..=DAY;
    /// `send-timeout`: seconds.
    pub const SEND_TIMEOUT: Bounds = SECOND..=HOUR;
    /// `poll-timeout`: seconds, or none.
    pub const POLL_TIMEOUT: Bounds = SECOND..=DAY;
    /// `keepalive`: seconds.
    pub const KEEPALIVE: Bounds = 5 * SECOND..=2 * HOUR;
    /// `drain-timeout`: seconds.
    pub const DRAIN_TIMEOUT: Bounds = SECOND..=HOUR;
    /// `session-lifetime`: seconds.
    pub const SESSION_LIFETIME: Bounds = SECOND..=3650 * DAY;
    /// `max-polls-per-session`; 0 is any number.
    pub const MAX_POLLS_PER_SESSION: Bounds = 0..=1_000_000;
    /// `max-places`.
    pub const MAX_PLACES: Bounds = 1_000..=1_000_000_000;
    /// `password-iterations`.
    pub const PASSWORD_ITERATIONS: Bounds = 1000..=10_000_000;
    /// `min-password-length`: characters.
    pub const MIN_PASSWORD_LENGTH: Bounds = 1..=1024;
    /// `login-attempts`, `send-rate` and `register-rate`: a minute; 0 is any number.
    pub const RATE: Bounds = 0..=1_000_000;
    /// `ask-every`.
    pub const ASK_EVERY: Bounds = SECOND..=60 * SECOND;
    /// `queue`: jobs.
    pub const QUEUE: Bounds = 1..=QUEUE_MAX as u64;
    /// `workers`: threads.
    pub const WORKERS: Bounds = 1..=WORKERS_MAX as u64;
    /// `loops`: threads.
    pub const LOOPS: Bounds = 1..=LOOPS_MAX as u64;
    /// `cache-sessions`.
    pub const CACHE_SESSIONS: Bounds = 0..=1_000_000_000;
    /// `cache-messages`: bytes.
    pub const CACHE_MESSAGES: Bounds = 0..=1 << 40;
    /// `max-parked`: requests to the host's own routes.
    pub const MAX_PARKED: Bounds = 1..=16_777_216;
    /// `max-wakes`: of those.
    pub const MAX_WAKES: Bounds = 1..=WAKES_MAX as u64;
    /// `max-wake-bytes`: of what those tell.
    pub const MAX_WAKE_BYTES: Bounds = 1024..=1 << 40;
}

/// Reads one value into its field; its error is the end of a sentence, "must be …".
type Set = fn(&mut Config, &str) -> Result<(), String>;

/// Each setting's name, and how it is set.
const SETTINGS: [(&str, Set); 39] = [
    ("listen", |to, given| add(&mut to.listen, given, address)),
    ("database", |to, given| put(&mut to.database, path(given))),
    ("metrics-addr", |to, given| {
        put(&mut to.metrics_addr, address(given).map(Some))
    }),
    ("allow-origin", |to, given| {
        add(&mut to.allowed_origins, given, origin)
    }),
    ("trusted-proxy", |to, given| {
        add(&mut to.trusted_proxies, given, network)
    }),
    ("loops", |to, given| {
        put(&mut to.loops, number(bounds::LOOPS)(given))
    }),
    ("recent", |to, given| {
        put(&mut to.recent, number(bounds::RECENT)(given))
    }),
    ("max-message", |to, given| {
        put(&mut to.max_message, number(bounds::MAX_MESSAGE)(given))?;
        // As on the command line: who asks for longer messages has room for them.
        to.max_body = to.max_body.max(body_for(to.max_message));
        Ok(())
    }),
    ("retention", |to, given| {
        let given = duration_or_none(bounds::RETENTION)(given);
        put(&mut to.retention, given.map(none_if_zero))
    }),
    ("max-connections", |to, given| {
        let given = number(bounds::MAX_CONNECTIONS)(given);
        put(&mut to.max_connections, given.map(Some))
    }),
    ("max-head", |to, given| {
        put(&mut to.max_head, number(bounds::MAX_HEAD)(given))
    }),
    ("max-body", |to, given| {
        put(&mut to.max_body, number(bounds::MAX_BODY)(given))
    }),
    ("max-unsent", |to, given| {
        put(&mut to.max_unsent, number(bounds::MAX_UNSENT)(given))
    }),
    ("max-unread", |to, given| {
        put(&mut to.max_unread, number(bounds::MAX_UNREAD)(given))
    }),
    ("header-timeout", |to, given| {
        let given = duration(bounds::HEADER_TIMEOUT)(given);
        put(&mut to.header_timeout, given)
    }),
    ("idle-timeout", |to, given| {
        put(&mut to.idle_timeout, duration(bounds::IDLE_TIMEOUT)(given))
    }),
    ("send-timeout", |to, given| {
        put(&mut to.send_timeout, duration(bounds::SEND_TIMEOUT)(given))
    }),
    ("poll-timeout", |to, given| {
        let given = duration_or_none(bounds::POLL_TIMEOUT)(given);
        put(&mut to.poll_timeout, given.map(none_if_zero))
    }),
    ("keepalive", |to, given| {
        put(&mut to.keepalive, duration(bounds::KEEPALIVE)(given))
    }),
    ("drain-timeout", |to, given| {
        let given = duration(bounds::DRAIN_TIMEOUT)(given);
        put(&mut to.drain_timeout, given)
    }),
    ("session-lifetime", |to, given| {
        let given = duration(bounds::SESSION_LIFETIME)(given);
        put(&mut to.session_lifetime, given)
    }),
    ("max-polls-per-session", |to, given| {
        let given = number(bounds::MAX_POLLS_PER_SESSION)(given);
        put(&mut to.max_polls_per_session, given)
    }),
    ("max-places", |to, given| {
        put(&mut to.max_places, number(bounds::MAX_PLACES)(given))
    }),
    ("password-iterations", |to, given| {
        put(&mut to.password_iterations, iterations(given))
    }),
    ("min-password-length", |to, given| {
        let given = number(bounds::MIN_PASSWORD_LENGTH)(given);
        put(&mut to.min_password_length, given)
    }),
    ("login-attempts", |to, given| {
        put(&mut to.login_attempts, number(bounds::RATE)(given))
    }),
    ("send-rate", |to, given| {
        put(&mut to.send_rate, number(bounds::RATE)(given))
    }),
    ("register-rate", |to, given| {
        put(&mut to.register_rate, number(bounds::RATE)(given))
    }),
    ("secure-cookies", |to, given| {
        put(&mut to.secure_cookies, flag(given))
    }),
    ("hints", |to, given| put(&mut to.hints, hints(given))),
    ("ask-every", |to, given| {
        put(&mut to.ask_every, duration(bounds::ASK_EVERY)(given))
    }),
    ("durability", |to, given| {
        put(&mut to.durability, durability(given))
    }),
    ("queue", |to, given| {
        put(&mut to.queue, number(bounds::QUEUE)(given))
    }),
    ("workers", |to, given| {
        put(&mut to.workers, number(bounds::WORKERS)(given))
    }),
    ("cache-sessions", |to, given| {
        let given = number(bounds::CACHE_SESSIONS)(given);
        put(&mut to.cache_sessions, given)
    }),
    ("cache-messages", |to, given| {
        let given = number(bounds::CACHE_MESSAGES)(given);
        put(&mut to.cache_messages, given)
    }),
    ("max-parked", |to, given| {
        let given = number(bounds::MAX_PARKED)(given);
        put(&mut to.max_parked, given.map(Some))
    }),
    ("max-wakes", |to, given| {
        put(&mut to.max_wakes, number(bounds::MAX_WAKES)(given))
    }),
    ("max-wake-bytes", |to, given| {
        let given = number(bounds::MAX_WAKE_BYTES)(given);
        put(&mut to.max_wake_bytes, given)
    }),
];

/// A setting that cannot be set so. Its `Display` is one line that says what is allowed.
///
/// ```
/// use loiter::config::BadSetting;
///
/// let mut config = loiter::Config::default();
/// let error = config.set("max-message", "0").unwrap_err();
/// assert!(matches!(error, BadSetting::Value { name: "max-message", .. }), "{error}");
/// let error = config.set("max-messages", "1").unwrap_err();
/// assert!(error.to_string().starts_with("there is no setting 'max-messages'; there are "), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSetting {
    /// There is none of this name.
    Unknown(String),
    /// The value is none that the setting takes.
    Value {
        /// The setting's name.
        name: &'static str,
        /// What was given.
        given: String,
        /// The end of a sentence: "must be …".
        rule: String,
    },
}

impl Config {
    /// Sets what the command line's option of this name sets, `max-head` say, to what that would take: a number of `4096`, a duration of `10s`,
    /// `5m`, `2h`, `30d` or bare seconds. `secure-cookies` takes `true` or `false`. To `listen`, `allow-origin` and `trusted-proxy` a
    /// value adds; it may be several, with commas between. `max-message` raises `max-body` where that leaves it no room.
    /// What is for hosts alone can be set though it is no option: `cache-sessions`, `cache-messages`, `max-parked`, `max-wakes` and `max-wake-bytes`.
    ///
    /// ```
    /// let mut config = loiter::Config::default();
    /// config.set("listen", "127.0.0.1:8000, [::1]:8000")?;
    /// config.set("idle-timeout", "2m")?;
    /// assert_eq!(config.listen.len(), 2);
    /// assert_eq!(config.idle_timeout.as_secs(), 120);
    ///
    /// let error = config.set("max-head", "12").unwrap_err();
    /// assert_eq!(error.to_string(), "invalid value '12' for max-head: must be from 1024 to 1048576");
    /// # Ok::<(), loiter::config::BadSetting>(())
    /// ```
    ///
    /// # Errors
    /// There is no such setting, or it takes no such value; nothing is changed then. What settings demand of one another is told by [`Config::check`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BadSetting> {
        let setting = SETTINGS.iter().find(|&&(of, _)| of == name);
        let &(name, set) = setting.ok_or_else(|| BadSetting::Unknown(name.to_owned()))?;
        set(self, value).map_err(|rule| BadSetting::Value {
            name,
            given: value.to_owned(),
            rule,
        })
    }

    /// The names of all settings: what [`Config::set`] takes.
    pub fn setting_names() -> impl ExactSizeIterator<Item = &'static str> {
        SETTINGS.iter().map(|&(name, _)| name)
    }
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names = Vec::from_iter(Config::setting_names()).join(", ");
                let name = name.escape_debug();
                write!(f, "there is no setting '{name}'; there are {names}")
            }
            Self::Value { name, given, rule } => {
                let given = given.escape_debug();
                write!(f, "invalid value '{given}' for {name}: {rule}")
            }
        }
    }
}

impl std::error::Error for BadSetting {}

fn put<T>(field: &mut T, given: Result<T, String>) -> Result<(), String> {
    *field = given?;
    Ok(())
}

/// Adds the values of a list, or none of them.
fn add<T>(
    field: &mut Vec<T>,
    given: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<(), String> {
    let more: Result<Vec<T>, String> = given.split(',').map(read).collect();
    field.extend(more?);
    Ok(())
}

fn none_if_zero(given: Duration) -> Option<Duration> {
    Some(given).filter(|given| !given.is_zero())
}

fn path(given: &str) -> Result<PathBuf, String> {
    // The system would take no path with a NUL, and an empty one for no file.
    match given.is_empty() || given.contains('\0') {
        true => Err("must be a file's path".to_owned()),
        false => Ok(given.into()),
    }
}

/// Reads rounds of the hash of passwords.
pub fn iterations(given: &str) -> Result<NonZeroU32, String> {
    number::<u32>(bounds::PASSWORD_ITERATIONS)(given)
        .map(|rounds| NonZeroU32::new(rounds).expect("1000 at least"))
}

/// How servers hear of one another.
pub fn hints(given: &str) -> Result<Hints, String> {
    match given {
        "notify" => Ok(Hints::Notify),
        "none" => Ok(Hints::None),
        address if super::is_address(address.as_ref()) => Ok(Hints::From(address.to_owned())),
        // What is wrong with one is told where it can be told without the password in it.
        other if other.contains("://") => Ok(Hints::Redis(other.to_owned())),
        _ => Err("must be notify, none, the address of a PostgreSQL database or of a Redis (redis://, rediss://)".to_owned()),
    }
}

fn durability(given: &str) -> Result<Durability, String> {
    match given {
        "full" => Ok(Durability::Full),
        "normal" => Ok(Durability::Normal),
        _ => Err("must be full or normal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// A value for each setting that is not the default.
    const OTHERS: [(&str, &str); 39] = [
        ("listen", "127.0.0.1:1,[::1]:2"),
        ("database", "other.db"),
        ("metrics-addr", "127.0.0.1:3"),
        ("allow-origin", "https://a.example"),
        ("trusted-proxy", "10.0.0.0/8"),
        ("loops", "3"),
        ("recent", "7"),
        ("max-message", "77"),
        ("retention", "2d"),
        ("max-connections", "99"),
        ("max-head", "2048"),
        ("max-body", "70000"),
        ("max-unsent", "1048576"),
        ("max-unread", "1048576"),
        ("header-timeout", "1s"),
        ("idle-timeout", "1m"),
        ("send-timeout", "1h"),
        ("poll-timeout", "1d"),
        ("keepalive", "5"),
        ("drain-timeout", "2s"),
        ("session-lifetime", "1d"),
        ("max-polls-per-session", "5"),
        ("max-places", "1000"),
        ("password-iterations", "1000"),
        ("min-password-length", "8"),
        ("login-attempts", "0"),
        ("send-rate", "60"),
        ("register-rate", "6"),
        ("secure-cookies", "true"),
        ("hints", "none"),
        ("ask-every", "5s"),
        ("durability", "normal"),
        ("queue", "1"),
        ("workers", "1"),
        ("cache-sessions", "0"),
        ("cache-messages", "1024"),
        ("max-parked", "1000"),
        ("max-wakes", "1000"),
        ("max-wake-bytes", "1024"),
    ];

    /// The fields of a configuration, each as it is shown.
    fn fields(config: &Config) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut field = String::new();
        for line in format!("{config:#?}").lines() {
            // One level in stands a field's name; deeper, its value goes on.
            match line.strip_prefix("    ").and_then(|of| of.split_once(": ")) {
                Some((name, value)) if !name.starts_with(' ') => {
                    name.clone_into(&mut field);
                    fields.insert(field.clone(), value.to_owned());
                }
                _ => fields.entry(field.clone()).or_default().push_str(line),
            }
        }
        fields.remove("");
        fields
    }

    #[test]
    fn each_field_is_set_by_one_setting_and_each_setting_sets_one_field() {
        let usual = fields(&Config::default());
        let mut unset: BTreeSet<&str> = usual.keys().map(String::as_str).collect();
        for (name, other) in OTHERS {
            let mut config = Config::default();
            config.set(name, other).expect("a value");
            let now = fields(&config);
            let changed = Vec::from_iter(usual.keys().filter(|&of| usual[of] != now[of]));
            let [field] = &changed[..] else {
                panic!("{name} changes {changed:?}");
            };
            assert!(unset.remove(&***field), "{name}: {field} is set twice");
        }
        assert_eq!(unset, BTreeSet::new(), "nothing sets them");
        assert!(Config::setting_names().eq(OTHERS.map(|(name, _)| name)));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_allowed_and_changes_nothing() {
        for (name, given, told) in [
            (
                "Listen",
                "",
                "there is no setting 'Listen'; there are listen, database, ",
            ),
            (
                "max-head",
                "9",
                "invalid value '9' for max-head: must be from 1024 to 1048576",
            ),
            (
                "listen",
                "127.0.0.1:1,here",
                "for listen: must be an IP address and a port",
            ),
            ("listen", "", "for listen: must be"),
            ("database", "", "for database: must be a file's path"),
            ("database", "a\0b", "for database: must be a file's path"),
            ("durability", "none", "must be full or normal"),
            ("secure-cookies", "1", "must be true or false"),
            (
                "password-iterations",
                "999",
                "must be from 1000 to 10000000",
            ),
            (
                "retention",
                "1",
                "", // in bounds
            ),
            ("retention", "x", "or 0 for ever"),
            ("keepalive", "4s", "from 5s to 2h"),
        ] {
            let mut config = Config::default();
            let set = config.set(name, given);
            if told.is_empty() {
                assert_eq!(set, Ok(()), "{name}");
                continue;
            }
            let error = set.expect_err(given).to_string();
            assert!(error.contains(told), "{error}");
            let (now, usual) = (fields(&config), fields(&Config::default()));
            assert_eq!(now, usual, "{name}");
        }
    }

    #[test]
    fn lists_grow_and_none_is_zero() {
        let mut config = Config::default();
        let mut set = |name, value| config.set(name, value).expect("a value");
        set("listen", "127.0.0.1:1");
        set("listen", "127.0.0.1:2, 127.0.0.1:3");
        set("retention", "1h");
        set("retention", "0");
        set("poll-timeout", "0");
        assert_eq!(config.listen.len(), 3);
        assert_eq!((config.retention, config.poll_timeout), (None, None));
    }

    #[test]
    fn a_longer_message_has_room_in_the_body() {
        let mut config = Config::default();
        let set = config.set("max-message", "1048576");
        assert_eq!((set, config.check()), (Ok(()), Ok(())));
        assert_eq!(config.max_body, body_for(1 << 20));
        config.set("max-body", "1024").expect("a value");
        assert_eq!(config.check().expect_err("no room").field, "max_body");
    }
}
