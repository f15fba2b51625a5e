//! Measures a whole loiter server from outside, over TCP, as its clients meet it.
//!
//! Three questions: what does a waiting poll cost ([`idle`]), how fast does a message reach all who wait
//! ([`fanout`]), how many messages become durable ([`send`]). Each run also checks what it sees,
//! message by message, and fails when anything was lost, doubled or unexpected: a fast wrong server has no figures.
//!
//! It knows the server by its documented API and by what the kernel shows of its process, and links none of its code.

mod client;
mod clock;
mod crew;
mod error;
mod fanout;
mod floor;
mod http;
mod idle;
mod list;
mod plan;
mod pollers;
mod progress;
mod report;
mod send;
mod server_stats;
mod settle;
mod setup;
mod swarm;
mod tally;
mod worker;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::{Value, json};

use crate::error::Error;
use crate::http::Target;
use crate::report::Report;
use crate::server_stats::Process;
use crate::tally::Tally;

/// Whole-server measurements for loiter
///
/// Each run registers users and creates chatrooms of its own, so it can be repeated on a server that holds other data; it leaves
/// them behind. The exit status is 0 when all was as it has to be, 1 when anything was lost, doubled or
/// unexpected or the run failed, 2 for bad options.
#[derive(Debug, Parser)]
#[command(name = "loiter-loadtest", version, max_term_width = 110)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Park very many polls: memory for each, CPU while they wait, and whether each is woken exactly once
    ///
    /// The server needs a file descriptor for each poll, and so does this program, which starts as many
    /// processes as its own limit asks for. Memory for each poll is the difference between two readings
    /// of the server, before the first poll connects and after the last is parked; start the server anew for
    /// it, because memory that an earlier run has left free is used again and not counted.
    Idle(IdleOptions),
    /// Many polls in one chatroom that park again after each wake: time from a send to its deliveries
    ///
    /// A message is sent once every poll is parked again: all re-polls are written, the kernel shows no bytes
    /// that the server has yet to read, and a cheap call made after that is answered. Where the server's
    /// sockets cannot be seen (not on this machine), half a second's wait stands in for the look at the kernel.
    Fanout(FanoutOptions),
    /// Senders in closed loop: durable messages a second and how long each takes
    ///
    /// Each sender waits for its answer before it sends again. At the end each chatroom's newest id has to be
    /// the number of messages acknowledged: less is loss, more is a message saved twice.
    Send(SendOptions),
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
struct ServerOptions {
    /// Where the server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    url: Target,
    /// The server's process, to report its memory and CPU; must be readable by this user
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How long a message may take to reach everybody before the rest counts as missing
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    patience: Duration,
}

#[derive(Args, Clone, Debug)]
struct IdleOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Polls to park, each on a connection of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    polls: u64,
    /// Chatrooms to spread them over
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    chatrooms: u64,
    /// How long to leave the polls alone while the server's CPU is measured
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    hold: Duration,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    processes: u64,
}

#[derive(Args, Clone, Debug)]
struct FanoutOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Polls in the chatroom, each on a connection of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    polls: u64,
    /// Messages to send, one after the other
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// Client processes, at least; more are started where open files ask for it
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    processes: u64,
}

#[derive(Args, Clone, Debug)]
struct SendOptions {
    #[command(flatten)]
    server: ServerOptions,
    /// Connections that send at the same time; several numbers are measured one after the other
    #[arg(long, value_name = "S,…", value_delimiter = ',', required = true, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    senders: Vec<u64>,
    /// How long each number of senders sends
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Chatrooms to spread the senders over
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    chatrooms: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number of seconds, at least 1".into()),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

fn main() -> ExitCode {
    let command = Options::parse().command;
    if let Command::Worker = command {
        crew::raise_file_limit();
        return ended(worker::run());
    }
    if let Command::Floor(options) = &command {
        return ended(floor::run(options));
    }
    let server = command.server();
    let (process, file) = match prepare(server) {
        Ok(prepared) => prepared,
        Err(why) => Options::command()
            .error(ErrorKind::InvalidValue, why)
            .exit(),
    };
    crew::raise_file_limit();
    match measure(&command, process.as_ref()) {
        Ok(outcome) => finish(outcome, file),
        Err(e) => ended(Err(e)),
    }
}

fn ended(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("loiter-loadtest: {e}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn server(&self) -> &ServerOptions {
        match self {
            Self::Idle(IdleOptions { server, .. })
            | Self::Fanout(FanoutOptions { server, .. })
            | Self::Send(SendOptions { server, .. }) => server,
            Self::Floor(_) | Self::Worker => unreachable!("neither measures a server"),
        }
    }
}

/// Opens what the options name, so that a mistake shows before the run and not after it.
fn prepare(server: &ServerOptions) -> Result<(Option<Process>, Option<File>), String> {
    let process = server.pid.map(|pid| {
        let process = Process::new(pid);
        process.map_err(|e| format!("invalid value '{pid}' for '--pid <PID>': {e}"))
    });
    let file = server.json.as_ref().map(|path| {
        let shown = path.display();
        let file = File::create(path);
        file.map_err(|e| format!("invalid value '{shown}' for '--json <FILE>': {e}"))
    });
    Ok((process.transpose()?, file.transpose()?))
}

/// What a run leaves: the table, the figures, and what went wrong.
struct Outcome {
    table: String,
    figures: Value,
    tally: Tally,
}

fn measure(command: &Command, process: Option<&Process>) -> Result<Outcome, Error> {
    let server = command.server();
    let one = |(report, tally): (Report, Tally)| Outcome {
        table: report.lines(),
        figures: report.to_json(),
        tally,
    };
    match command {
        Command::Idle(options) => idle::run(server, options, process).map(one),
        Command::Fanout(options) => fanout::run(server, options, process).map(one),
        Command::Send(options) => {
            let (reports, tally) = send::run(server, options, process)?;
            Ok(Outcome {
                table: report::columns(&reports),
                figures: reports.iter().map(Report::to_json).collect(),
                tally,
            })
        }
        Command::Floor(_) | Command::Worker => unreachable!("neither measures a server"),
    }
}

fn finish(outcome: Outcome, file: Option<File>) -> ExitCode {
    print!("{}", outcome.table);
    for example in &outcome.tally.examples {
        eprintln!("loiter-loadtest: {example}");
    }
    let clean = outcome.tally.is_clean();
    let version = env!("CARGO_PKG_VERSION");
    let options: Vec<String> = std::env::args().skip(1).collect();
    let figures = json!({
        "clean": clean,
        "version": version,
        "options": options,
        "figures": outcome.figures,
    });
    if let Some(mut file) = file
        && let Err(e) = writeln!(file, "{figures:#}")
    {
        return ended(Err(Error::Io("write the figures".into(), e)));
    }
    if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let Command::Send(options) = parse("send --senders 1,8,64 --seconds 3").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(options.senders, [1, 8, 64]);
        assert_eq!(options.seconds, Duration::from_secs(3));
        assert_eq!(options.server.url.host, "127.0.0.1:8000");
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
        ] {
            let kind = parse(bad).unwrap_err();
            assert!(
                matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue),
                "{bad}: {kind:?}"
            );
        }
        assert_eq!(
            parse("idle").unwrap_err(),
            ErrorKind::MissingRequiredArgument
        );
        assert_eq!(parse("melt").unwrap_err(), ErrorKind::InvalidSubcommand);
    }

    #[test]
    fn what_cannot_be_opened_is_refused_before_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let Command::Fanout(options) = parse("fanout --polls 1").unwrap().command else {
            panic!("another command");
        };
        let mut server = options.server;
        server.json = Some(dir.path().join("figures.json"));
        assert!(prepare(&server).is_ok());
        server.json = Some(dir.path().to_owned());
        assert!(prepare(&server).unwrap_err().contains("--json"));
        server.json = None;
        server.pid = Some(u32::MAX);
        assert!(prepare(&server).unwrap_err().contains("--pid"));
    }
}
