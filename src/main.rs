//! The binary: options → `Config` → `Server`; the log, signals and exit codes.
//!
//! Standard output gets the lines that say where the server listens, and nothing else ever: a
//! supervisor reads them to learn the port. All else goes to standard error.

mod cli;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{ExitCode, exit};

use cli::options::Options;
use loiter::{Config, Panicked, Server};

/// The status of a server of which some part has panicked: that which Rust gives a process whose main thread has.
const PANICKED: i32 = 101;

fn main() -> ExitCode {
    let (options, config) = Options::from_process().unwrap_or_else(|error| error.exit());
    cli::logger::start(options.log, options.log_format);
    serve(config).unwrap_or_else(|reason| {
        tell(&reason);
        ExitCode::FAILURE
    })
}

/// Says on standard error why it ends. That may be closed; the status still tells.
fn tell(reason: &str) {
    let _ = writeln!(io::stderr(), "loiter: {reason}");
}

/// Serves until drained or stopped. Its error is one line for whoever started us.
fn serve(config: Config) -> Result<ExitCode, String> {
    raise_open_files();
    cli::signals::outlive_the_file_size_limit()
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    log::debug!("{config:?}");
    let mut server = Server::bind(config).map_err(one_line)?;
    // Before the lines on standard output: who has read them may send a signal at once.
    let asked = cli::signals::watch(server.handle())
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    announce(server.addresses());
    if let Err(error) = server.run() {
        let reason = format!("cannot go on: {error}");
        if !error
            .get_ref()
            .is_some_and(|source| source.is::<Panicked>())
        {
            return Err(one_line(reason));
        }
        tell(&one_line(reason));
        // What a panic leaves behind is not to be trusted, not even to be dropped, which may wait for threads; all
        // that was acknowledged is on disk.
        exit(PANICKED);
    }
    Ok(match asked.to_stop() {
        // As a shell reports the death by that signal, so that it is not taken for a drain.
        Some(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        None => ExitCode::SUCCESS,
    })
}

/// Lifts the soft limit on open files, which a connection takes one of, to the hard one.
fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => log::debug!("up to {limit} open files"),
        Err(error) => log::warn!("the limit on open files stays as it is: {error}"),
    }
}

/// Says where the server listens. A closed standard output is no reason not to serve.
fn announce(addresses: &[SocketAddr]) {
    let mut out = io::stdout().lock();
    let written = addresses
        .iter()
        .try_for_each(|address| writeln!(out, "listening on http://{address}"))
        .and_then(|()| out.flush());
    if let Err(error) = written {
        log::warn!("cannot say on standard output where the server listens: {error}");
    }
}

fn one_line(error: impl Display) -> String {
    error.to_string().replace('\n', " ")
}
