//! What loiter does for whoever runs it, beside serving.
//!
//! A command does one thing and ends: with status 0 when it is done, with 1 and one line when it is not, and with that of a
//! signal's when one came before.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Subcommand};
use loiter::{Backup, BackupError, Config};

use super::signals::{Interrupted, name, status};

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
        file: PathBuf,
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
        }
    }
}

fn copy(backup: &Backup) -> Result<ExitCode, String> {
    let interrupted =
        Interrupted::watch().map_err(|error| format!("cannot watch for signals: {error}"))?;
    let (from, to) = (backup.database.display(), backup.to.display());
    log::debug!("copying {from} to {to}");
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
        Err(error) => Err(error.to_string()),
    }
}

/// An option that a command has no use for is a slip, and is said to be. In a variable it is there for the server.
pub(super) fn refuse_what_only_serves(
    mut command: clap::Command,
    matches: &ArgMatches,
) -> Result<(), clap::Error> {
    let is_stray = |arg: &&clap::Arg| {
        let given = matches.value_source(arg.get_id().as_str());
        !arg.is_global_set() && given == Some(ValueSource::CommandLine)
    };
    let stray = command.get_arguments().find(is_stray);
    let Some(stray) = stray.and_then(clap::Arg::get_long) else {
        return Ok(());
    };
    let name = matches.subcommand_name().unwrap_or_default();
    let message = format!("the argument '--{stray}' is for serving, and '{name}' does not serve");
    Err(command.error(ErrorKind::ArgumentConflict, message))
}
