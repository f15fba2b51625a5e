//! Every option: its text in `--help`, its environment variable.
//!
//! The text here is the one that people read first. A default that it shows is the library's own, and so are the name and the bounds
//! of each setting, which tests hold it to.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches, Parser, ValueEnum};
use log::LevelFilter;
use loiter::Config;
use loiter::config::settings::{bounds, hints, iterations};
use loiter::config::values::{address, duration, duration_or_none, network, number, origin};
use loiter::config::{Durability, Hints, Network, ORIGINS_MAX, Origin, body_for};

use super::blame::{blame, spelling};
use super::commands;
use super::help::{AFTER_HELP, CONNECTIONS, LOGGING, MESSAGES, SERVING, STORAGE, USERS};
use super::shown::command;
use super::tips::with_tip;

/// A long-poll chat server.
///
/// loiter serves a chat API over HTTP/1.1: clients register, log in, open chatrooms and park a
/// long poll until somebody speaks. It keeps everything in one SQLite file, and needs
/// nothing beside it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = AFTER_HELP)]
#[command(subcommand_help_heading = "Commands (without one, loiter serves)")]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<commands::Command>,

    /// Where to accept connections; may be given several times.
    ///
    /// An IP address and a port, such as 127.0.0.1:8000 or [::]:80. Port 0 picks a free one. A
    /// name is not resolved. Once connections are accepted, one line for each address goes to
    /// standard output: listening on http://127.0.0.1:8000
    ///
    /// [default: 127.0.0.1:8000, and [::1]:8000 where the machine has it]
    #[arg(long, value_name = "ADDR", help_heading = SERVING, env = "LOITER_LISTEN")]
    #[arg(value_parser = address, value_delimiter = ',')]
    listen: Vec<SocketAddr>,

    #[cfg_attr(
        feature = "postgres",
        doc = "The database: a file, or the address of one on PostgreSQL."
    )]
    #[cfg_attr(not(feature = "postgres"), doc = "The database's file.")]
    ///
    /// A server creates the file where it is missing. It does not start where the file is not a database, is not
    /// writable, was written by a newer loiter, or is served by another one.
    #[cfg_attr(
        feature = "postgres",
        doc = "\nAn address is postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=verify-full, and several servers may share it. \
               Its sslmode is disable, prefer (the default), require, verify-ca or verify-full, with sslrootcert=FILE for a \
               certificate that the system does not trust. In the variable nobody else sees the password, on the command line \
               everybody on the machine does; no line of the log has it."
    )]
    #[arg(long, value_name = "PATH", help_heading = SERVING, env = "LOITER_DATABASE")]
    #[arg(default_value = "loiter.db", global = true)]
    database: PathBuf,

    /// How many messages a list of most recent messages holds.
    ///
    /// From 1 to 200.
    #[arg(long, value_name = "N", help_heading = MESSAGES, env = "LOITER_RECENT")]
    #[arg(default_value = "50", value_parser = number::<u32>(bounds::RECENT))]
    recent: u32,

    /// The most bytes of UTF-8 that one message may have.
    ///
    /// From 1 to 1048576. A message in a query string must fit in --max-head too, and one in a body in --max-body.
    #[arg(long, value_name = "BYTES", help_heading = MESSAGES, env = "LOITER_MAX_MESSAGE")]
    #[arg(default_value = "4096", value_parser = number::<usize>(bounds::MAX_MESSAGE))]
    max_message: usize,

    /// How long messages are kept.
    ///
    /// From 1s to 3650d, or 0 for ever. They are gone a minute later at most, or as soon as there is time for it.
    /// What is kept of a chatroom has no gap, and no id is used again.
    #[arg(long, value_name = "DUR", help_heading = MESSAGES, env = "LOITER_RETENTION")]
    #[arg(default_value = "0", value_parser = duration_or_none(bounds::RETENTION))]
    retention: Duration,

    /// The most connections at a time.
    ///
    /// Beyond it a newcomer gets 503 and is closed; nobody else is touched. Each connection takes
    /// one open file, so the limit on those holds as well: it is raised as far as the machine lets
    /// a process raise it (`ulimit -Hn`) at start.
    ///
    /// [default: what the limit on open files leaves]
    #[arg(long, value_name = "N", help_heading = CONNECTIONS, env = "LOITER_MAX_CONNECTIONS")]
    #[arg(value_parser = number::<usize>(bounds::MAX_CONNECTIONS))]
    max_connections: Option<usize>,

    /// The most bytes of a request's head: its first line and its fields.
    ///
    /// From 1024 to 1048576. Beyond it the answer is 414 or 431, and the connection closes.
    #[arg(long, value_name = "BYTES", help_heading = CONNECTIONS, env = "LOITER_MAX_HEAD")]
    #[arg(default_value = "16384", value_parser = number::<usize>(bounds::MAX_HEAD))]
    max_head: usize,

    /// The most bytes of a request's body.
    ///
    /// From 1024 to 16777216. Beyond it the answer is 413, and the connection closes. There
    /// must be room for a message of --max-message bytes that are all percent-encoded, three for one,
    /// and 1024 bytes beside it; without this option there is.
    ///
    /// [default: 65536, or what --max-message needs where that is more]
    #[arg(long, value_name = "BYTES", help_heading = CONNECTIONS, env = "LOITER_MAX_BODY")]
    #[arg(value_parser = number::<usize>(bounds::MAX_BODY))]
    max_body: Option<usize>,

    /// The most bytes of answers that clients have not taken yet, all together.
    ///
    /// From 1048576 to 1099511627776, in equal parts for the event loops. What many are sent counts once; what the
    /// system's buffers took does not count. Beyond it those connections are closed that keep most of it, first those
    /// whose client takes nothing.
    #[arg(long, value_name = "BYTES", help_heading = CONNECTIONS, env = "LOITER_MAX_UNSENT")]
    #[arg(default_value = "134217728", value_parser = number::<usize>(bounds::MAX_UNSENT))]
    max_unsent: usize,

    /// An address for `GET /metrics`, for Prometheus and what speaks its format.
    ///
    /// Such as 127.0.0.1:9464. Whoever reaches it can read it: it is not for clients.
    ///
    /// [default: off]
    #[arg(long, value_name = "ADDR", help_heading = SERVING, env = "LOITER_METRICS_ADDR")]
    #[arg(value_parser = address)]
    metrics_addr: Option<SocketAddr>,

    /// The most bytes of requests that are not whole yet, all together.
    ///
    /// From 1048576 to 1099511627776, in equal parts for the event loops. What is sent behind a request that is being
    /// answered counts too; less than 2048 bytes of a connection do not. Beyond it those who have been at it longest get 503.
    #[arg(long, value_name = "BYTES", help_heading = CONNECTIONS, env = "LOITER_MAX_UNREAD")]
    #[arg(default_value = "67108864", value_parser = number::<usize>(bounds::MAX_UNREAD))]
    max_unread: usize,

    /// How long a request may take to arrive.
    ///
    /// From its first byte to its last, 1s to 1h. Beyond it the answer is 408, and the connection closes.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_HEADER_TIMEOUT")]
    #[arg(default_value = "10s", value_parser = duration(bounds::HEADER_TIMEOUT))]
    header_timeout: Duration,

    /// How long a connection with no request under way stays open.
    ///
    /// From 1s to 1d. A parked poll is a request under way. Behind a proxy it should be longer
    /// than the proxy keeps its side open, so that no request meets a connection that is just closing.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_IDLE_TIMEOUT")]
    #[arg(default_value = "75s", value_parser = duration(bounds::IDLE_TIMEOUT))]
    idle_timeout: Duration,

    /// How long a client may take no byte of its answer.
    ///
    /// From 1s to 1h. Beyond it the connection closes. What the system's buffer took counts as taken; a client
    /// that lets that lie, or has vanished behind it, is given up after 55s, or 2.2 times --keepalive if that is more.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_SEND_TIMEOUT")]
    #[arg(default_value = "30s", value_parser = duration(bounds::SEND_TIMEOUT))]
    send_timeout: Duration,

    /// The longest that a poll stays parked.
    ///
    /// Less up to a tenth at random, so that polls that were parked together do not all come back together.
    /// From 1s to 1d, or 0 for ever. A poll that asks for less gets less.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_POLL_TIMEOUT")]
    #[arg(default_value = "0", value_parser = duration_or_none(bounds::POLL_TIMEOUT))]
    poll_timeout: Duration,

    /// How long a silent connection is left alone before its client is asked whether it is still there.
    ///
    /// From 5s to 2h, in whole seconds. The question is the system's own (TCP keepalive). A client that has
    /// vanished without a word is found within 2.3 times as long, or within --send-timeout if that is more. With very many connections it is
    /// worth more: each million costs 40000 such questions a second.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_KEEPALIVE")]
    #[arg(default_value = "25s", value_parser = duration(bounds::KEEPALIVE))]
    keepalive: Duration,

    /// How long the end may take at SIGTERM, SIGINT or SIGHUP.
    ///
    /// From 1s to 1h. loiter stops accepting, ends every parked poll with its list, finishes
    /// what it has taken, and exits with status 0. What is not done by then is cut. A client that does not
    /// close its side once it has its last answer keeps the end waiting for up to 5 seconds.
    #[arg(long, value_name = "DUR", help_heading = CONNECTIONS, env = "LOITER_DRAIN_TIMEOUT")]
    #[arg(default_value = "10s", value_parser = duration(bounds::DRAIN_TIMEOUT))]
    drain_timeout: Duration,

    /// How long a session lasts after its last use.
    ///
    /// From 1s to 3650d.
    #[arg(long, value_name = "DUR", help_heading = USERS, env = "LOITER_SESSION_LIFETIME")]
    #[arg(default_value = "30d", value_parser = duration(bounds::SESSION_LIFETIME))]
    session_lifetime: Duration,

    /// The most polls that one session may have parked.
    ///
    /// Where one more comes, the session's oldest ends with its list. From 1 to 1000000, or 0 for any number. With several --loops
    /// it holds at each of them.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_MAX_POLLS_PER_SESSION")]
    #[arg(default_value = "0", value_parser = number::<usize>(bounds::MAX_POLLS_PER_SESSION))]
    max_polls_per_session: usize,

    /// The most places that polls of several chatrooms may take, all together.
    ///
    /// Such a poll takes a place in each of its chatrooms, 40 bytes. Beyond it the answer to one more is 503; polls of one chatroom
    /// take none. From 1000 to 1000000000. With several --loops it holds at each of them.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_MAX_PLACES")]
    #[arg(default_value = "4000000", value_parser = number::<usize>(bounds::MAX_PLACES))]
    max_places: usize,

    /// Rounds of PBKDF2-HMAC-SHA256 for a new password's hash.
    ///
    /// From 1000 to 10000000. The number is kept with each hash, so it can be raised later: old
    /// passwords stay valid, and each is hashed anew when its user next logs in. A login costs as many rounds.
    /// Lowered, it holds for new passwords only, and how long a failed login takes then tells which names have older ones.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_PASSWORD_ITERATIONS")]
    #[arg(default_value = "600000", value_parser = iterations)]
    password_iterations: NonZeroU32,

    /// The fewest characters of a new password.
    ///
    /// From 1 to 1024. 8 or more is good advice where people choose their own. Passwords that are already
    /// set stay valid.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_MIN_PASSWORD_LENGTH")]
    #[arg(default_value = "1", value_parser = number::<usize>(bounds::MIN_PASSWORD_LENGTH))]
    min_password_length: usize,

    /// Failed logins a minute, for one username or one address, before 429.
    ///
    /// While it holds, the right password gets 429 too. 0 is unlimited.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_LOGIN_ATTEMPTS")]
    #[arg(default_value = "10", value_parser = number::<u32>(bounds::RATE))]
    login_attempts: u32,

    /// Messages a minute, of one user, before 429.
    ///
    /// The minute begins with the first of them. What is refused, or was sent before with the same nonce, does not
    /// count. From 1 to 1000000, or 0 for any number. With several --loops, who sends at several of them at the same time may
    /// be let through as many at each.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_SEND_RATE")]
    #[arg(default_value = "0", value_parser = number::<u32>(bounds::RATE))]
    send_rate: u32,

    /// Registrations a minute, from one address, before 429.
    ///
    /// The minute begins with the first of them; those count too whose name is taken. Of IPv6 a /64 is one
    /// address; behind a proxy see --trusted-proxy. From 1 to 1000000, or 0 for any number.
    #[arg(long, value_name = "N", help_heading = USERS, env = "LOITER_REGISTER_RATE")]
    #[arg(default_value = "0", value_parser = number::<u32>(bounds::RATE))]
    register_rate: u32,

    /// Mark the session's cookie `Secure`, and name it `__Host-session`.
    ///
    /// A browser then takes it from this host alone and sends it over HTTPS only: for use behind a proxy that speaks HTTPS.
    /// Who has logged in before has to do so again. The variable is true or false. [default: off]
    #[arg(long, help_heading = USERS, env = "LOITER_SECURE_COOKIES")]
    secure_cookies: bool,

    /// An origin whose pages may use the API with cookies; may be given several times.
    ///
    /// As browsers send it, such as https://chat.example or http://localhost:3000. Needs --secure-cookies, and has the
    /// cookie sent with `SameSite=None`. Such pages may read every answer (CORS) and do all that the host's own may. 64 at most.
    ///
    /// [default: none]
    #[arg(long, value_name = "ORIGIN", help_heading = SERVING, env = "LOITER_ALLOW_ORIGIN")]
    #[arg(value_parser = origin, value_delimiter = ',')]
    allow_origin: Vec<Origin>,

    /// A proxy, or a range of them, that is believed; may be given several times.
    ///
    /// An address or a range in CIDR notation, such as 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32. Its `X-Forwarded-For` says where
    /// a client is, which is what --login-attempts and --register-rate count by, and its `X-Forwarded-Proto` whether
    /// that speaks HTTPS. From everybody else both are ignored.
    ///
    /// [default: none]
    #[arg(long, value_name = "CIDR", help_heading = SERVING, env = "LOITER_TRUSTED_PROXY")]
    #[arg(value_parser = network, value_delimiter = ',')]
    trusted_proxy: Vec<Network>,

    /// What an acknowledged message survives.
    #[arg(long, value_name = "WHAT", help_heading = STORAGE, env = "LOITER_DURABILITY")]
    #[arg(default_value = "full", value_enum)]
    durability: DurabilityName,

    /// How servers that share a database hear of what the others have written.
    ///
    /// 'notify' is by PostgreSQL's NOTIFY, over a connection of its own; an address of PostgreSQL is the same, over a connection to that,
    /// where a pooler is between; redis://user:password@host:port/number is by publish/subscribe of a Redis or Valkey (rediss: with TLS); 'none' is
    /// not at all: they only ask. A hint that is lost costs time and no message.
    #[arg(long, value_name = "HOW", help_heading = STORAGE, env = "LOITER_HINTS", hide_env_values = true)]
    #[arg(default_value = "notify", value_parser = hints, hide = cfg!(not(feature = "postgres")))]
    hints: Hints,

    /// How often a server asks a database that it shares for what the others have written.
    ///
    /// From 1s to 60s.
    #[arg(long, value_name = "DUR", help_heading = STORAGE, env = "LOITER_ASK_EVERY")]
    #[arg(default_value = "1s", value_parser = duration(bounds::ASK_EVERY), hide = cfg!(not(feature = "postgres")))]
    ask_every: Duration,

    /// Jobs that may wait to be written.
    ///
    /// From 1 to 1048576. Beyond it the answer is 503, before anything was done.
    #[arg(long, value_name = "N", help_heading = STORAGE, env = "LOITER_QUEUE")]
    #[arg(default_value = "4096", value_parser = number::<usize>(bounds::QUEUE))]
    queue: usize,

    /// Threads for reading and for hashing passwords, beside the one that writes.
    ///
    /// From 1 to 256; at least one does each.
    #[arg(long, value_name = "N", help_heading = STORAGE, env = "LOITER_WORKERS")]
    #[arg(default_value = "2", value_parser = number::<usize>(bounds::WORKERS))]
    workers: usize,

    /// Event loops, each a thread.
    ///
    /// From 1 to 64. One serves many thousands of connections; more are for a machine with cores to
    /// spare, where one of them cannot send as fast as messages come. They share the addresses: the
    /// system gives each newcomer to one of them.
    #[arg(long, value_name = "N", help_heading = SERVING, env = "LOITER_LOOPS")]
    #[arg(default_value = "1", value_parser = number::<usize>(bounds::LOOPS))]
    loops: usize,

    /// How much goes to the log.
    ///
    /// The log is standard error. No line ever holds a query string, a cookie, a password or a message.
    #[arg(long, value_name = "LEVEL", help_heading = LOGGING, env = "LOITER_LOG")]
    #[arg(default_value = "info", value_parser = level(), global = true)]
    pub(crate) log: LevelFilter,

    /// How a line of the log is written.
    #[arg(long, value_name = "FORMAT", help_heading = LOGGING, env = "LOITER_LOG_FORMAT")]
    #[arg(default_value = "text", value_enum, global = true)]
    pub(crate) log_format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people: time, level, where from, message.
    Text,
    /// For machines: one JSON object a line, with `time`, `level`, `target` and `message`.
    Json,
}

/// The library's [`Durability`], as options spell it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityName {
    /// Also the machine's power failing: each commit is synced to the disk.
    Full,
    /// The death of the process, not that of the machine; much faster on slow disks.
    Normal,
}

impl Options {
    /// The options and settings for a server that was `handed` so many sockets, from this process's arguments and environment.
    ///
    /// # Errors
    /// What to print and with which status to exit: also for `--help` and `--version`.
    pub(crate) fn from_process(handed: usize) -> Result<(Self, Config), clap::Error> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let matches = command()
            .try_get_matches_from(&arguments)
            .map_err(|error| with_tip(blame(error, &arguments), &arguments))?;
        let options = Self::from_arg_matches(&matches)?;
        if options.command.is_some() {
            commands::refuse_what_only_serves(command(), &matches)?;
        }
        let config = options.config(&matches)?;
        options.one_way_to_listen(&matches, handed)?;
        Ok((options, config))
    }

    /// Whoever sets both would see one of them without effect.
    fn one_way_to_listen(&self, matches: &ArgMatches, handed: usize) -> Result<(), clap::Error> {
        if handed == 0 || self.listen.is_empty() {
            return Ok(());
        }
        Err(command().error(
            ErrorKind::ArgumentConflict,
            format!(
                "'{}' cannot be used with sockets that the supervisor has opened (LISTEN_FDS={handed}): \
                 they are served instead",
                spelling(matches, "listen"),
            ),
        ))
    }

    fn config(&self, matches: &ArgMatches) -> Result<Config, clap::Error> {
        Ok(Config {
            listen: self.listen.clone(),
            database: self.database.clone(),
            recent: self.recent,
            max_message: self.max_message,
            max_connections: self.max_connections,
            max_head: self.max_head,
            max_body: self.max_body(matches)?,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            send_timeout: self.send_timeout,
            poll_timeout: Some(self.poll_timeout).filter(|timeout| !timeout.is_zero()),
            keepalive: self.keepalive,
            drain_timeout: self.drain_timeout,
            session_lifetime: self.session_lifetime,
            retention: Some(self.retention).filter(|retention| !retention.is_zero()),
            max_polls_per_session: self.max_polls_per_session,
            max_places: self.max_places,
            max_unsent: self.max_unsent,
            metrics_addr: self.metrics_addr,
            max_unread: self.max_unread,
            password_iterations: self.password_iterations,
            min_password_length: self.min_password_length,
            login_attempts: self.login_attempts,
            send_rate: self.send_rate,
            register_rate: self.register_rate,
            durability: match self.durability {
                DurabilityName::Full => Durability::Full,
                DurabilityName::Normal => Durability::Normal,
            },
            hints: self.hints.clone(),
            ask_every: self.ask_every,
            queue: self.queue,
            workers: self.workers,
            loops: self.loops,
            secure_cookies: self.secure_cookies,
            allowed_origins: self.allowed_origins(matches)?,
            trusted_proxies: self.trusted_proxy.clone(),
            ..Config::default()
        })
    }

    /// A browser keeps no cookie that another site's page could send, unless it is `Secure`: nobody there could log in.
    fn allowed_origins(&self, matches: &ArgMatches) -> Result<Vec<Origin>, clap::Error> {
        let rule = match (self.allow_origin.len(), self.secure_cookies) {
            (0, _) | (1..=ORIGINS_MAX, true) => return Ok(self.allow_origin.clone()),
            (_, false) => format!("needs {}", spelling(matches, "secure_cookies")),
            (_, true) => format!("may be given {ORIGINS_MAX} times at most"),
        };
        let given = self.allow_origin[0].as_str();
        let option = spelling(matches, "allow_origin");
        let text = format!("invalid value '{given}' for '{option}': {rule}");
        Err(command().error(ErrorKind::ValueValidation, text))
    }

    /// A body in which a message that is allowed has no room would be a 413 that nobody can
    /// explain: one that was asked for is refused, and one that was not grows.
    fn max_body(&self, matches: &ArgMatches) -> Result<usize, clap::Error> {
        let needed = body_for(self.max_message);
        match self.max_body {
            None => Ok(Config::default().max_body.max(needed)),
            Some(given) if given >= needed => Ok(given),
            Some(given) => Err(command().error(
                ErrorKind::ValueValidation,
                format!(
                    "invalid value '{given}' for '{}': must be {needed} at least, for a message of {} bytes ({})",
                    spelling(matches, "max_body"),
                    self.max_message,
                    spelling(matches, "max_message"),
                ),
            )),
        }
    }
}

fn level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"])
        .map(|name| name.parse().expect("a level's name"))
}

#[cfg(test)]
mod tests {
    use super::super::shown::without_variables;
    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, clap::Error> {
        let arguments = ["loiter"].iter().chain(arguments);
        let matches = without_variables(command()).try_get_matches_from(arguments)?;
        Options::from_arg_matches(&matches)?.config(&matches)
    }

    #[test]
    fn without_options_all_is_as_the_library_has_it() {
        let shown = format!("{:?}", config(&[]).expect("no options"));
        assert_eq!(shown, format!("{:?}", Config::default()));
    }

    #[test]
    fn every_option_has_its_variable_and_its_group() {
        for arg in command().get_arguments() {
            let long = arg.get_long().expect("no option is without a long name");
            if matches!(long, "help" | "version") {
                continue;
            }
            let variable = format!("LOITER_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env(), Some(variable.as_ref()));
            assert!(arg.get_help_heading().is_some(), "--{long}");
        }
    }

    /// What is set by name is set by the option of this name too, and comes to the same.
    #[test]
    fn options_are_the_librarys_settings() {
        const LIBRARY_ONLY: [&str; 5] = [
            "cache-sessions",
            "cache-messages",
            "max-parked",
            "max-wakes",
            "max-wake-bytes",
        ];
        const BINARY_ONLY: [&str; 4] = ["help", "version", "log", "log-format"];
        // None is right for all, and each setting takes one of them.
        const VALUES: [&str; 9] = [
            "70000",
            "2",
            "5",
            "127.0.0.1:1",
            "https://a.example",
            "10.0.0.0/8",
            "normal",
            "2000000000",
            "notify",
        ];
        let mut names: Vec<&str> = Config::setting_names()
            .filter(|name| !LIBRARY_ONLY.contains(name))
            .collect();
        for arg in command().get_arguments() {
            let name = arg.get_long().expect("no option is without a long name");
            if BINARY_ONLY.contains(&name) {
                continue;
            }
            let at = names.iter().position(|&of| of == name);
            names.swap_remove(at.unwrap_or_else(|| panic!("--{name} is no setting")));
            if name == "secure-cookies" {
                continue;
            }
            let taken = VALUES.map(|value| {
                let option = format!("--{name}={value}");
                let by_option = config(&["--secure-cookies", &option]);
                let mut by_name = Config::default();
                by_name.set("secure-cookies", "true").expect("a value");
                let set = by_name.set(name, value).map(|()| format!("{by_name:?}"));
                let by_option = by_option.map(|config| format!("{config:?}"));
                assert_eq!(by_option.ok(), set.clone().ok(), "{name} {value}");
                set.is_ok()
            });
            assert!(taken.contains(&true), "{name} takes none of the values");
        }
        assert_eq!(names, [""; 0], "no options set them");
    }

    #[test]
    fn zero_keeps_messages_for_ever() {
        let kept = |given: &str| {
            config(&["--retention", given])
                .expect("in bounds")
                .retention
        };
        assert_eq!(kept("0"), None);
        assert_eq!(kept("2h"), Some(Duration::from_secs(7200)));
        let given = ["--max-polls-per-session", "3", "--max-places", "5000"];
        let polls = config(&given).expect("in bounds");
        assert_eq!((polls.max_polls_per_session, polls.max_places), (3, 5_000));
    }

    #[test]
    fn what_is_unsent_and_unread_is_bounded_by_bytes() {
        let unsent = config(&["--max-unsent", "8388608"]).expect("in bounds");
        assert_eq!(unsent.max_unsent, 8 * 1024 * 1024);
        let unread = config(&["--max-unread", "4194304"]).expect("in bounds");
        assert_eq!(unread.max_unread, 4 * 1024 * 1024);
    }

    #[test]
    fn the_body_grows_with_the_message() {
        let grown = config(&["--max-message", "1048576"]).expect("in bounds");
        assert_eq!(grown.max_body, 3 * 1_048_576 + 1024);
        let small = config(&["--max-message", "10"]).expect("in bounds");
        assert_eq!(small.max_body, Config::default().max_body);
        let exact = config(&["--max-message", "1000", "--max-body", "4024"]).expect("just fits");
        assert_eq!(exact.max_body, 4024);
    }

    #[test]
    fn a_body_without_room_for_the_message_is_refused() {
        let refusal = config(&["--max-message", "1000", "--max-body", "4023"])
            .expect_err("too small")
            .to_string();
        for part in ["--max-body", "'4023'", "4024 at least", "--max-message"] {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
    }

    #[test]
    fn there_is_one_way_to_listen() {
        let listens = |arguments: &[&str], handed| {
            let matches = without_variables(command())
                .try_get_matches_from(["loiter"].iter().chain(arguments))?;
            Options::from_arg_matches(&matches)?.one_way_to_listen(&matches, handed)
        };
        let listen = ["--listen", "127.0.0.1:0"];
        assert!(listens(&listen, 0).is_ok());
        assert!(listens(&[], 1).is_ok());
        let refusal = listens(&listen, 2).expect_err("both").to_string();
        for part in ["'--listen'", "LISTEN_FDS=2"] {
            assert!(refusal.contains(part), "{part} in {refusal}");
        }
    }
}
