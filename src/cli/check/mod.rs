//! `loiter check`: how many polls this machine holds, what ends that, and what to set for more.
//!
//! - `machine`: what can be known of one.
//! - `reading`: what this one says of itself.
//! - `judge`: numbers in, findings out.
//! - `figures`: numbers as people write them.
//! - `report`: the findings for people, and for programs.

mod figures;
mod judge;
mod machine;
mod reading;
mod report;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
#[cfg(feature = "postgres")]
pub(super) use figures::decimal;
use loiter::Config;
use loiter::config::values::number;

/// The most polls that may be asked for: more than a machine has addresses for would be a slip.
const POLLS_MAX: u64 = 100_000_000;

/// What to look for, and how to tell it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Check {
    /// How many polls are to wait at a time.
    ///
    /// From 1 to 100000000. What has to be set for so many is told too.
    #[arg(long = "for", value_name = "N", value_parser = number::<u64>(1..=POLLS_MAX))]
    polls: Option<u64>,

    /// Tell it as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self, config: &Config) -> Result<ExitCode, String> {
        let is_file = config.database_address().is_none();
        let machine = reading::read(is_file.then_some(&*config.database));
        let report = judge::judge(&machine, config, self.polls);
        let told = match self.json {
            true => report::json(&report),
            false => report::text(&report),
        };
        let mut out = io::stdout().lock();
        let written = out.write_all(told.as_bytes()).and_then(|()| out.flush());
        written.map_err(super::commands::of_output)?;
        Ok(match report.fits() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
