//! `loiter migrate`: a database moved from its file to PostgreSQL, and how far that is.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use loiter::{Config, MigrateError, Migration};

use super::check::decimal;
use super::signals::{Interrupted, name, status};

/// Begins a line of the terminal anew, and removes what stood in it.
const ANEW: &str = "\r\x1b[K";

/// What to move, and where to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Migrate {
    /// The database's file. Nobody may serve it, and nobody can until all is copied.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,

    /// The address of a PostgreSQL database that has nothing in it yet: as of --database, which it is without this option.
    ///
    /// Who may look at this machine's processes can read what stands in a command: an address that has a password in it is better given by
    /// LOITER_DATABASE.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<PathBuf>,
}

impl Migrate {
    pub(super) fn run(self, config: Config) -> Result<ExitCode, String> {
        let migration = Migration {
            from: self.from,
            to: self.to.unwrap_or(config.database),
        };
        let interrupted =
            Interrupted::watch().map_err(|error| format!("cannot watch for signals: {error}"))?;
        let mut line = Line::default();
        let moved = migration.run(interrupted.flag(), |table, copied, rows| {
            line.show(table, copied, rows);
        });
        line.end();
        match moved {
            Ok(tables) => {
                for (table, rows) in tables {
                    log::info!("{table}: {} in both", decimal(rows));
                }
                log::info!("everything is copied: a server may be started on it");
                Ok(ExitCode::SUCCESS)
            }
            Err(stopped @ MigrateError::Stopped) => {
                let signal = interrupted.signal();
                log::warn!("{}: {stopped}", name(signal));
                Ok(status(signal))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// One line of a terminal, which tells how far it is. Elsewhere nothing: the log has what there is to say.
#[derive(Default)]
struct Line {
    is_shown: bool,
}

impl Line {
    fn show(&mut self, table: &str, copied: u64, rows: u64) {
        let mut out = io::stderr().lock();
        if rows == 0 || !out.is_terminal() {
            return;
        }
        self.is_shown = true;
        let percent = u128::from(copied) * 100 / u128::from(rows);
        let (copied, rows) = (decimal(copied), decimal(rows));
        // A terminal that is gone is no reason not to go on.
        let _ = write!(out, "{ANEW}{table}: {copied} of {rows} ({percent} %)");
        let _ = out.flush();
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "{ANEW}");
        }
    }
}
