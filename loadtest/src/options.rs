//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, value_parser};

use crate::chaos::ChaosOptions;
use crate::cluster::ClusterOptions;
use crate::dialect::Dialect;
use crate::floor;
use crate::host;
use crate::http::Target;

/// Whole-server measurements for loiter
///
/// Without `--url`, a server of its own is started on a temporary database, measured, and ended. Each run registers users and creates
/// chatrooms of its own, so it can be repeated on a server that holds other data; it leaves them behind. The exit status is 0 when all
/// was as it has to be, 1 when anything was lost, doubled or unexpected or the run failed, 2 for bad options.
#[derive(Debug, Parser)]
#[command(name = "loiter-loadtest", version, max_term_width = 110)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Park very many polls: memory for each, CPU while they wait, and whether each is woken exactly once
    ///
    /// The server needs a file descriptor for each poll, and so does this program, which starts as many
    /// processes as its own limit asks for. Memory for each poll is the difference between two readings
    /// of the server, before the first poll connects and after the last is parked; with `--url`, start the server anew for
    /// it, because memory that an earlier run has left free is used again and not counted.
    Idle(IdleOptions),
    /// Many polls in one chatroom that park again after each wake: time from a send to its deliveries
    ///
    /// A message is sent once every poll is parked again: all re-polls are written, the kernel shows no bytes
    /// that the server has yet to read, and a cheap call made after that is answered. Where the server's
    /// sockets cannot be seen (not on this machine), half a second's wait stands in for the look at the kernel.
    Fanout(FanoutOptions),
    /// Many chatrooms, each with some polls, and senders that go around them: everything at once
    ///
    /// Polls park again after each wake, while messages go on. A poll without `since` is not woken by a message that is saved
    /// between its wake and its return; such a message is in the poll's next list, where lists are long enough. So what is
    /// counted exactly is this: ids that stand in no list of a poll (passed over; no fault, but at most what the pauses between polls
    /// explain), lists that do not go forward (doubled), and at the end, with all polls parked and the senders silent, one more
    /// message to each chatroom, which each poll must get exactly once (else missing).
    Spread(SpreadOptions),
    /// Durable messages a second, and how long each takes
    ///
    /// In closed loop each sender waits for its answer before it sends again; with `--rate` messages start on a schedule. At the
    /// end each chatroom's newest id has to be the number of messages acknowledged: less is loss, more is a message saved twice.
    Send(SendOptions),
    /// A small authenticated GET on kept-alive connections: requests a second, latency, CPU for each
    Rps(RpsOptions),
    /// Polls that nobody wakes: each ends by its own timeout and asks again; what that costs, and how late they end
    Expire(ExpireOptions),
    /// Connections that come, park a poll and vanish, by FIN and by RST: what stays behind of descriptors and memory
    Churn(ChurnOptions),
    /// All clients connect at once, and after each wake all polls return at once: how long everybody waits, and whether anybody is lost
    ///
    /// First every client connects at the same moment and asks a small question; its latency counts from that moment. Then all park. After
    /// each message the woken polls rest until the last is woken, and all return at once, while a probe asks another
    /// chatroom at a steady rate.
    Storm(StormOptions),
    /// Floods and kills, one after the other, each against a server that it starts: does it stand, and does a polite client notice?
    ///
    /// The polite client speaks and polls fifty times a second beside each flood. Its 99th percentile has to stay below 100 ms; after a flood
    /// the server's descriptors have to be as many as before, and a second round may leave no more memory behind than the first. What a flood
    /// has to bring (so many 408, nothing half done, nothing lost) is counted. The exit status is 1 where any verdict fails.
    Chaos(ChaosOptions),
    /// loiter beside the floor and each peer that is installed here: all measurements, in turn, several times
    ///
    /// Each server gets a fresh process on a temporary folder for each measurement, CPU 0 for itself where the machine has two, and lists of one
    /// message. Shown are medians, their ratio to the floor, and the lowest and the highest. Nothing else should go on in the machine.
    Compare(CompareOptions),
    /// Many servers on one database, on paper: what they cost it, how late a message is told, and where it ends
    ///
    /// Nothing is measured by this. Writing lanes and listening threads are simulated in virtual time, and each does as a server on PostgreSQL does;
    /// what things cost is told by options, whose defaults were measured (docs/scaling.md). The same seed gives the same figures.
    Cluster(ClusterOptions),
    /// A server of its own that only holds sockets and writes prepared answers: the limit of this machine
    ///
    /// It speaks loiter's URLs, so the other subcommands drive it by `--url` as they drive loiter; it checks nothing,
    /// saves nothing and keeps no message but the last. Ends at SIGTERM or SIGINT.
    Floor(floor::FloorOptions),
    #[command(hide = true)]
    Worker,
}

/// The server under test.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The server")]
pub(crate) struct ServerOptions {
    /// Where a server listens, http://host:port; without it, one is started
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Target>,
    /// Where the server itself listens, on this machine, if a proxy listens at `--url`: a poll is parked once it has come through to there
    ///
    /// Not with `--probe-rate`: behind a proxy its requests cannot be told from polls.
    #[arg(long, value_name = "ADDR", requires = "url")]
    pub(crate) behind: Option<SocketAddr>,
    /// The server's process, to report its memory and CPU; must be readable by this user
    #[arg(long, value_name = "PID", requires = "url")]
    pub(crate) pid: Option<u32>,
    /// How the server at `--url` answers
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value_t,
        requires = "url"
    )]
    pub(crate) dialect: Dialect,
    /// The loiter to start [default: the one beside this program, or else the one in PATH]
    #[arg(long, value_name = "PATH", value_parser = program, conflicts_with = "url")]
    pub(crate) server: Option<PathBuf>,
    /// An option for the server that is started, as `--server-arg=--recent=1`; may be given several times
    #[arg(
        long = "server-arg",
        value_name = "ARG",
        allow_hyphen_values = true,
        conflicts_with = "url"
    )]
    pub(crate) server_args: Vec<String>,
    /// Run the started server on CPU 0 and all else on CPU 1, so that figures are those of one core
    #[arg(long, conflicts_with = "url")]
    pub(crate) pin: bool,
    /// Count the server's system calls with strace, which slows it: believe no time of such a run
    #[arg(long)]
    pub(crate) strace: bool,
    /// How long a message may take to reach everybody before the rest counts as missing
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) patience: Duration,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Where the figures go, beside the terminal.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Results")]
pub(crate) struct OutputOptions {
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with figures and plots to this file; it needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct IdleOptions {
    /// Polls to park, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Chatrooms to spread them over
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// How long to leave the polls alone while the server's CPU is measured
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) hold: Duration,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ExpireOptions {
    /// Polls, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Chatrooms to spread them over
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// How long each asks to wait, in seconds
    #[arg(long, value_name = "T", default_value_t = 5, value_parser = few(3600))]
    pub(crate) timeout: u64,
    /// How long to look on
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FanoutOptions {
    /// Polls in the chatroom, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Messages to send, one after the other
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = few(1_000_000))]
    pub(crate) messages: u64,
    /// Let woken polls rest until all are woken; CPU is then that of the deliveries alone
    #[arg(long)]
    pub(crate) rest: bool,
    /// Ask another chatroom something so many times a second all the while, to see how long others wait
    #[arg(long, value_name = "N", value_parser = few(100_000))]
    pub(crate) probe_rate: Option<u64>,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SpreadOptions {
    /// Polls in all, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Chatrooms to spread them over
    #[arg(long, value_name = "M", default_value_t = 1_000, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// Connections that send
    #[arg(long, value_name = "S", default_value_t = 16, value_parser = few(10_000))]
    pub(crate) senders: u64,
    /// How long they send
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Messages a second of all senders together, on a schedule; without it, each sends again at once
    #[arg(long, value_name = "N", value_parser = few(10_000_000))]
    pub(crate) rate: Option<u64>,
    /// Client processes for the polls, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SendOptions {
    /// Connections that send at the same time; several numbers are measured one after the other
    #[arg(long, value_name = "S,…", value_delimiter = ',', default_value = "1,8,64", value_parser = few(10_000))]
    pub(crate) senders: Vec<u64>,
    /// How long each number of senders sends
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Chatrooms to spread the senders over
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// Messages a second of all senders together, on a schedule; without it, each sends again at once
    #[arg(long, value_name = "N", value_parser = few(10_000_000))]
    pub(crate) rate: Option<u64>,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RpsOptions {
    /// Kept-alive connections; several numbers are measured one after the other
    #[arg(long, value_name = "C,…", value_delimiter = ',', default_value = "64", value_parser = few(10_000))]
    pub(crate) connections: Vec<u64>,
    /// How long each number of them asks
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// Requests a second of all connections together, on a schedule; without it, each asks again at once
    #[arg(long, value_name = "N", value_parser = few(10_000_000))]
    pub(crate) rate: Option<u64>,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ChurnOptions {
    /// Polls that come and go in each round
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Chatrooms to spread them over
    #[arg(long, value_name = "M", default_value_t = 100, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// Rounds; in every second one the connections close with RST
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = few(10_000))]
    pub(crate) rounds: u64,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StormOptions {
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Wakes, each followed by the return of all
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = few(10_000))]
    pub(crate) messages: u64,
    /// Questions a second to another chatroom all the while
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = few(100_000))]
    pub(crate) probe_rate: u64,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = few(256))]
    pub(crate) processes: u64,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CompareOptions {
    /// Measure these only
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "idle,fanout,spread,rps,send",
        value_parser = ["idle", "fanout", "spread", "rps", "send"])]
    pub(crate) only: Vec<String>,
    /// How often everything is measured
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = few(100))]
    pub(crate) repetitions: u64,
    /// Polls, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = many())]
    pub(crate) polls: u64,
    /// Chatrooms that the polls are spread over, where there are many
    #[arg(long, value_name = "M", default_value_t = 1_000, value_parser = many())]
    pub(crate) chatrooms: u64,
    /// Messages to one chatroom with all polls
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = few(10_000))]
    pub(crate) messages: u64,
    /// How long each measurement goes on that goes on for a time
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// The loiter to start [default: the one beside this program, or else the one in PATH]
    #[arg(long, value_name = "PATH", value_parser = program)]
    pub(crate) server: Option<PathBuf>,
    /// An option for loiter, as `--server-arg=--loops=1`; may be given several times
    #[arg(long = "server-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) server_args: Vec<String>,
    /// The axum peer [default: the one beside this program, or the one that its own build has left]
    #[arg(long, value_name = "PATH", value_parser = program)]
    pub(crate) axum: Option<PathBuf>,
    /// How long a message may take to reach everybody before the rest counts as missing
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) patience: Duration,
    /// Write the table, the machine and the commands to this file, as Markdown
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) markdown: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// A number without a limit but that of a run's ids, which take 32 bits.
fn many() -> RangedU64ValueParser {
    value_parser!(u64).range(1..=4_000_000_000)
}

pub(crate) fn few(most: u64) -> RangedU64ValueParser {
    value_parser!(u64).range(1..=most)
}

/// A file, or a name that `PATH` has.
pub(crate) fn program(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match host::is_here(&path) {
        true => Ok(path),
        false => Err("there is no such program".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(0) | Err(_) => Err(format!("a whole number of seconds, from 1 to {}", u32::MAX)),
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
    }
}

impl Command {
    /// The server under test.
    pub(crate) fn server(&self) -> &ServerOptions {
        match self {
            Self::Idle(IdleOptions { server, .. })
            | Self::Fanout(FanoutOptions { server, .. })
            | Self::Spread(SpreadOptions { server, .. })
            | Self::Send(SendOptions { server, .. })
            | Self::Rps(RpsOptions { server, .. })
            | Self::Expire(ExpireOptions { server, .. })
            | Self::Churn(ChurnOptions { server, .. })
            | Self::Storm(StormOptions { server, .. }) => server,
            Self::Chaos(_)
            | Self::Cluster(_)
            | Self::Compare(_)
            | Self::Floor(_)
            | Self::Worker => {
                unreachable!("none of these measures one server")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Options, ErrorKind> {
        let words = std::iter::once("loiter-loadtest").chain(line.split(' '));
        Options::try_parse_from(words).map_err(|e| e.kind())
    }

    #[test]
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn senders_come_as_a_list() {
        let line = "send --senders 1,8,64 --seconds 3 --url http://127.0.0.1:8000";
        let Command::Send(options) = parse(line).unwrap().command else {
            panic!("another command");
        };
        assert_eq!(options.senders, [1, 8, 64]);
        assert_eq!(options.seconds, Duration::from_secs(3));
        assert_eq!(options.server.url.unwrap().host, "127.0.0.1:8000");
    }

    #[test]
    fn every_command_runs_without_options() {
        for name in ["idle", "fanout", "spread", "send", "rps", "churn", "storm"] {
            let command = parse(name).unwrap().command;
            assert!(command.server().url.is_none(), "{name}");
        }
    }

    #[test]
    fn options_reach_the_server_that_is_started() {
        let line = "idle --server-arg --recent --server-arg 1 --server-arg=--loops=3";
        let command = parse(line).unwrap().command;
        assert_eq!(command.server().server_args, ["--recent", "1", "--loops=3"]);
    }

    #[test]
    fn a_program_is_a_file_or_stands_in_the_path() {
        for named in ["/bin/sh", "sh"] {
            assert_eq!(program(named).unwrap(), PathBuf::from(named));
        }
        assert!(program("/bin").is_err());
        let words = ["x", "compare", "--axum", "/nowhere/axum"];
        let refused = Options::try_parse_from(words).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("--axum <PATH>"), "{refused}");
    }

    #[test]
    fn too_long_a_time_is_told_its_bounds() {
        assert_eq!(seconds("4294967295").unwrap().as_secs(), 4_294_967_295);
        let refused = seconds("4294967296").unwrap_err();
        assert_eq!(refused, "a whole number of seconds, from 1 to 4294967295");
    }

    #[test]
    fn mistakes_are_refused() {
        for bad in [
            "idle --polls 0",
            "idle --polls 1 --hold 0",
            "idle --polls 1 --url https://x",
            "fanout --polls 1 --messages none",
            "send --senders 1,,2",
            "send --senders 1 --seconds 1.5",
            "rps --rate 0",
            "compare --only idle,swim",
            "compare --axum /nowhere/axum",
            "compare --server /nowhere/loiter",
            "idle --server no-loiter-has-this-name",
        ] {
            let kind = parse(bad).unwrap_err();
            assert!(
                matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue),
                "{bad}: {kind:?}"
            );
        }
        assert_eq!(parse("melt").unwrap_err(), ErrorKind::InvalidSubcommand);
        let lone = parse("idle --pid 1").unwrap_err();
        assert_eq!(lone, ErrorKind::MissingRequiredArgument);
        let both = parse("idle --pin --url http://127.0.0.1:1").unwrap_err();
        assert_eq!(both, ErrorKind::ArgumentConflict);
    }
}
