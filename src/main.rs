//! The binary: options → `Config` → `Server`, or a command; the log, signals, the supervisor and exit codes.
//!
//! Standard output gets the lines that say where the server listens, and nothing else while it serves: a
//! supervisor reads them to learn the port; what a command was asked for goes there, too. All else goes to standard error.

mod cli;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{ExitCode, exit};

use cli::commands::Command;
use cli::options::Options;
use cli::supervisor::Supervisor;
use cli::vital::PANICKED;
use loiter::{Config, Panicked, Server};

fn main() -> ExitCode {
    // First, while there is no thread.
    let handed = cli::activation::sockets();
    let count = handed.as_ref().map_or(0, Vec::len);
    let (options, config) = match Options::from_process(count) {
        Ok(both) => both,
        Err(said) => return say(&said),
    };
    cli::logger::start(options.log, options.log_format);
    cli::variables::tell_unknown();
    let started = handed.and_then(|sockets| Ok((sockets, Supervisor::of_process()?)));
    let ended = started.and_then(|(sockets, supervisor)| {
        let ended = run(options.command, config, sockets, &supervisor);
        ended.inspect_err(|reason| supervisor.failed(reason))
    });
    ended.unwrap_or_else(|reason| {
        tell(&reason);
        ExitCode::FAILURE
    })
}

/// Prints what was asked for, or why the command line is refused; returns the status to end with.
fn say(said: &clap::Error) -> ExitCode {
    let status = u8::try_from(said.exit_code()).unwrap_or(u8::MAX);
    match said.print().and_then(|()| io::stdout().flush()) {
        // Who reads no further, as `head` does, has what they wanted; and of a refusal the status tells.
        Err(error) if !said.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            tell(&cli::commands::of_output(error));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(status),
    }
}

/// Says on standard error why it ends. That may be closed; the status still tells.
fn tell(reason: &str) {
    let _ = writeln!(io::stderr(), "loiter: {reason}");
}

/// Its error is one line for whoever started us.
fn run(
    command: Option<Command>,
    config: Config,
    sockets: Vec<TcpListener>,
    supervisor: &Supervisor,
) -> Result<ExitCode, String> {
    cli::signals::outlive_the_file_size_limit()
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    match command {
        None => serve(config, sockets, supervisor),
        Some(command) => command.run(config).map_err(one_line),
    }
}

/// Serves until drained or stopped. Its error is one line for whoever started us.
fn serve(
    config: Config,
    sockets: Vec<TcpListener>,
    supervisor: &Supervisor,
) -> Result<ExitCode, String> {
    raise_open_files();
    log::debug!("{config:?}");
    let drain_timeout = config.drain_timeout;
    let mut server = Server::with_listeners(config, sockets).map_err(one_line)?;
    // Before the lines on standard output: who has read them may send a signal at once.
    let told = supervisor.clone();
    let drains = move || told.stopping(drain_timeout);
    let asked = cli::signals::watch(server.handle(), drain_timeout, drains)
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    supervisor.watch_over(server.handle())?;
    announce(server.addresses(), supervisor);
    #[cfg(feature = "metrics")]
    if let Some(address) = server.metrics_address() {
        log::info!("metrics at http://{address}/metrics");
    }
    #[cfg(debug_assertions)]
    cli::vital::break_if_asked(&server);
    server
        .run()
        .map_err(|error| cannot_go_on(&error, supervisor))?;
    // The database is closed with it, which a commit that is under way may take some time for.
    drop(server);
    let stopped_by = asked.to_stop();
    log::info!("ended{}", stopped_by.map_or("", |_| " at once"));
    // So that it is not taken for a drain.
    Ok(stopped_by.map_or(ExitCode::SUCCESS, cli::signals::status))
}

/// What ended it, in one line. Where a part of it has panicked the process ends here.
fn cannot_go_on(error: &io::Error, supervisor: &Supervisor) -> String {
    let reason = one_line(format!("cannot go on: {error}"));
    let mut source = error.get_ref().into_iter();
    if source.any(|source| source.is::<Panicked>()) {
        supervisor.failed(&reason);
        tell(&reason);
        // Without dropping anything: see `vital`.
        exit(PANICKED);
    }
    reason
}

/// Lifts the soft limit on open files, which a connection takes one of, to the hard one.
fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => log::debug!("up to {limit} open files"),
        Err(error) => log::warn!("the limit on open files stays as it is: {error}"),
    }
}

/// Says where the server listens. A closed standard output is no reason not to serve.
fn announce(addresses: &[SocketAddr], supervisor: &Supervisor) {
    let mut out = io::stdout().lock();
    let written = addresses
        .iter()
        .try_for_each(|address| writeln!(out, "listening on http://{address}"))
        .and_then(|()| out.flush());
    if let Err(error) = written {
        log::warn!("cannot say on standard output where the server listens: {error}");
    }
    let urls = Vec::from_iter(addresses.iter().map(|address| format!("http://{address}")));
    supervisor.ready(&format!("listening on {}", urls.join(", ")));
}

fn one_line(error: impl Display) -> String {
    error.to_string().replace('\n', " ")
}
