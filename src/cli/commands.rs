//! What loiter does for whoever runs it, beside serving.
//!
//! A command does one thing and ends: with status 0 when it is done, with 1 and one line when it is not, and with that of a
//! signal's when one came before.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PathBufValueParser, TypedValueParser as _};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Subcommand};
use clap_complete::Shell;
use loiter::config::values::address;
use loiter::{Backup, BackupError, Config};

use super::check::Check;
use super::health;
#[cfg(feature = "postgres")]
use super::migrate::Migrate;
use super::signals::{Interrupted, name, status};
use super::users::UserCommand;
use super::{man, shown};

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copy the database whole to FILE, also while it is served.
    ///
    /// The copy holds every message that was acknowledged before it was begun, and nothing of later, and is a database
    /// that loiter can serve. It is read through, and on the disk, before it gets its name: where FILE is, it is whole.
    /// A file that is there already is not written over. Nobody who is served waits for it; but until it is made, the
    /// write-ahead log beside the database grows by what is written.
    ///
    /// Only its owner may read the copy: password hashes are in it.
    Backup {
        /// Where the copy is to be.
        #[arg(value_parser = PathBufValueParser::new().try_map(file_of_copy))]
        file: PathBuf,
    },
    /// Say how many polls this machine holds, what ends that, and what to set for more.
    ///
    /// Reads the limits of this process and of the system, changes nothing, and needs no server. Options of serving, before the command or
    /// in their variables, count as they would for a server. Of a service run it with the service's own limits.
    ///
    /// The exit status is 0 if the number asked for fits, and 1 if it does not. A limit that is not known counts for none.
    Check(Check),
    /// Copy a database from its file to PostgreSQL, with everything that is in it.
    ///
    /// Ids, sessions, times and passwords stay as they are: clients notice nothing but a restart. The target gets its tables by this, and may
    /// have nothing in them.
    ///
    /// It may be interrupted or killed at any time, and goes on where it was when it is run again. No server starts on the target before all is copied.
    #[cfg(feature = "postgres")]
    Migrate(Migrate),
    /// Add users, give them other passwords, list them.
    ///
    /// --password-iterations, --min-password-length and --durability are the server's: they come from its variables, or stand before the
    /// command.
    #[command(subcommand)]
    User(UserCommand),
    /// Print what has a shell complete loiter's commands and options.
    ///
    /// For bash: loiter completions bash > /usr/share/bash-completion/completions/loiter
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    ///
    /// To read it: loiter man > loiter.1 && man ./loiter.1
    Man,
    /// Ask a server on this machine whether it serves, as a container's health check does.
    ///
    /// It is asked for /healthz at the first address of LOITER_LISTEN, or at 127.0.0.1:8000. The status is 0 when it answers
    /// within 5 seconds that it is well, and 1 otherwise.
    Health {
        /// Ask for /readyz instead: whether its database can be written, too.
        #[arg(long)]
        ready: bool,
        /// Where it listens, such as 127.0.0.1:8000.
        #[arg(value_name = "ADDR", value_parser = address)]
        at: Option<SocketAddr>,
    },
}

impl Command {
    /// Does it, and returns the status to end with. The error is one line for whoever asked for it.
    pub(crate) fn run(self, config: Config) -> Result<ExitCode, String> {
        match self {
            Self::Backup { file } => {
                let backup = Backup {
                    database: config.database,
                    to: file,
                };
                copy(&backup)
            }
            Self::Check(check) => check.run(&config),
            #[cfg(feature = "postgres")]
            Self::Migrate(migrate) => migrate.run(config),
            Self::User(command) => command.run(&config),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut shown::to_complete(), "loiter", &mut script);
                print(&script)
            }
            Self::Man => print(&man::page(shown::command()).map_err(of_output)?),
            Self::Health { ready, at } => {
                let path = if ready { "/readyz" } else { "/healthz" };
                let listen = at.map_or(config.listen, |at| vec![at]);
                health::ask(&listen, path).map(|()| ExitCode::SUCCESS)
            }
        }
    }
}

/// Options of serving that a command heeds; `None` for all.
pub(super) fn heeded_by(command: &str) -> Option<&'static [&'static str]> {
    match command {
        "check" => None,
        "user" => Some(&["durability", "min-password-length", "password-iterations"]),
        _ => Some(&[]),
    }
}

/// Elsewhere `-` is standard output, which a copy cannot be made on: it is read through before it has its name.
fn file_of_copy(given: PathBuf) -> Result<PathBuf, &'static str> {
    match given.as_os_str() == "-" {
        true => Err("must be a file's path, and not standard output (a file of that name is ./-)"),
        false => Ok(given),
    }
}

fn print(all: &[u8]) -> Result<ExitCode, String> {
    let mut out = io::stdout().lock();
    let written = out.write_all(all).and_then(|()| out.flush());
    written.map(|()| ExitCode::SUCCESS).map_err(of_output)
}

/// Why standard output could not be written to.
pub(crate) fn of_output(error: io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

fn copy(backup: &Backup) -> Result<ExitCode, String> {
    let interrupted =
        Interrupted::watch().map_err(|error| format!("cannot watch for signals: {error}"))?;
    let (from, to) = (backup.database.display(), backup.to.display());
    log::debug!("copying to {to}");
    match backup.run_until(interrupted.flag()) {
        Ok(bytes) => {
            log::info!("{to} is a copy of {from} of {bytes} bytes");
            Ok(ExitCode::SUCCESS)
        }
        Err(stopped @ BackupError::Stopped) => {
            let signal = interrupted.signal();
            log::warn!("{}: {stopped}", name(signal));
            Ok(status(signal))
        }
        Err(error @ BackupError::NoDatabase(_)) => Err(elsewhere(error)),
        Err(error) => Err(error.to_string()),
    }
}

/// The reason of who has found no database, for whoever has started a command in another folder than the server.
pub(super) fn elsewhere(error: impl Display) -> String {
    format!("{error} (--database says where it is)")
}

/// An option that a command has no use for is a slip, and is said to be. In a variable it is there for the server.
pub(super) fn refuse_what_only_serves(
    mut command: clap::Command,
    matches: &ArgMatches,
) -> Result<(), clap::Error> {
    let name = matches.subcommand_name().unwrap_or_default();
    let Some(heeded) = heeded_by(name) else {
        return Ok(());
    };
    let is_stray = |arg: &&clap::Arg| {
        let is_heeded = arg.get_long().is_some_and(|long| heeded.contains(&long));
        let given = matches.value_source(arg.get_id().as_str());
        !arg.is_global_set() && !is_heeded && given == Some(ValueSource::CommandLine)
    };
    let stray = command.get_arguments().find(is_stray);
    let Some(stray) = stray.and_then(clap::Arg::get_long) else {
        return Ok(());
    };
    let message = format!("the argument '--{stray}' is for serving, and '{name}' does not serve");
    Err(command.error(ErrorKind::ArgumentConflict, message))
}
