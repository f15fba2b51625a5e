//! `loiter user`: users added, given other passwords and listed, by whoever runs the server.
//!
//! A password never stands on a command line, which everybody on the machine may read: it is asked for at the terminal, which shows nothing
//! of it, or comes on standard input.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Subcommand};
use loiter::{Config, Users, UsersError};

use super::commands::elsewhere;
use super::signals::{Interrupted, status};

/// Bytes of standard input that are read for a password: more than one may have, and a line's end.
const INPUT_MAX: u64 = 64 * 1024;
/// Users that are read at a time. Nobody's write waits for a reader, but the log beside the database would grow behind one that is slow.
const PAGE: u32 = 1000;

/// What to do where nobody knows whether a user was added. What a standby has not confirmed is there to be seen later.
const ADD_AGAIN: &str = "see 'loiter user list', where the user may still come to be, or add the user again: who is there by then is not added";
/// … or whether a password was changed.
const CHANGE_AGAIN: &str = "give the password again";

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, also while the database is served.
    ///
    /// The rules are those of a registration: the name is free in whatever case, and the password has --min-password-length characters at
    /// least. It is hashed with --password-iterations.
    Add {
        /// The user's name.
        name: String,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Give a user another password while no server runs, and end all of their sessions.
    ///
    /// Stop the server first: it remembers who is logged in, and would go on taking the sessions that this ends. While it serves the database this is refused.
    #[cfg_attr(
        feature = "postgres",
        doc = "On PostgreSQL servers may go on: they hear of it within a second or two."
    )]
    /// Somebody who knows their password can change it by the API at any time.
    Password {
        /// The user's name, in any case.
        name: String,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// List all users, also while the database is served.
    ///
    /// One line each, in the order of their ids: the id, the time of the registration (UTC) and the name, with a tab between them.
    List,
}

/// Where a password comes from.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PasswordSource {
    /// Take the password from standard input, to its end, less one line's end.
    ///
    /// Without this it is asked for at the terminal, twice.
    #[arg(long)]
    password_stdin: bool,
}

impl UserCommand {
    pub(super) fn run(self, config: &Config) -> Result<ExitCode, String> {
        let mut users = Users::open(config).map_err(|error| match error {
            UsersError::NoDatabase(_) => elsewhere(error),
            _ => error.to_string(),
        })?;
        match self {
            Self::Add { name, source } => {
                users.check_new(&name).map_err(|error| error.to_string())?;
                with_password(source, |password| {
                    let user = users.add(&name, password);
                    let user = user.map_err(|error| told(error, ADD_AGAIN))?;
                    log::info!("added {} with the id {}", user.name, user.id);
                    Ok(())
                })
            }
            Self::Password { name, source } => {
                users
                    .check_known(&name)
                    .map_err(|error| error.to_string())?;
                with_password(source, |password| {
                    let ended = users.set_password(&name, password);
                    let ended = ended.map_err(|error| told(error, CHANGE_AGAIN))?;
                    log::info!("changed the password of {name}; sessions that ended: {ended}");
                    Ok(())
                })
            }
            Self::List => list(&users).map(|()| ExitCode::SUCCESS),
        }
    }
}

/// What went wrong; and what to do where nobody knows whether it did.
fn told(error: UsersError, then: &str) -> String {
    match error {
        UsersError::OutcomeUnknown(_) => format!("{error}: {then}"),
        known => known.to_string(),
    }
}

/// Does something with a password, unless a signal comes before there is one.
fn with_password(
    source: PasswordSource,
    then: impl FnOnce(&str) -> Result<(), String>,
) -> Result<ExitCode, String> {
    if source.password_stdin {
        then(&of_input(io::stdin())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A terminal that a signal had left as it is would show nothing of what is typed from then on.
    let interrupted =
        Interrupted::watch().map_err(|error| format!("cannot watch for signals: {error}"))?;
    let asked = ask();
    if interrupted.flag().load(Ordering::Acquire) {
        return Ok(status(interrupted.signal()));
    }
    then(&asked?)?;
    Ok(ExitCode::SUCCESS)
}

fn of_input(input: impl io::Read) -> Result<String, String> {
    let mut password = String::new();
    let read = input.take(INPUT_MAX).read_to_string(&mut password);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "the password is not UTF-8".to_owned(),
        _ => format!("cannot read standard input: {error}"),
    })?;
    let line = password.strip_suffix('\n').unwrap_or(&password);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn ask() -> Result<String, String> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt).map_err(|error| {
            format!("cannot ask for the password at a terminal (see --password-stdin): {error}")
        })
    };
    let password = ask("Password: ")?;
    match ask("The same once more: ")? == password {
        true => Ok(password),
        false => Err("that was not the same twice".to_owned()),
    }
}

fn list(users: &Users) -> Result<(), String> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut after = 0;
    loop {
        let page = users.list(after, PAGE).map_err(|error| error.to_string())?;
        for account in &page {
            let created = UNIX_EPOCH.checked_add(Duration::from_millis(account.created_unix_ms));
            let created = humantime::format_rfc3339_seconds(created.unwrap_or(UNIX_EPOCH));
            let (id, name) = (account.user.id, &account.user.name);
            writeln!(out, "{id}\t{created}\t{name}").map_err(super::commands::of_output)?;
        }
        match page.last() {
            Some(last) => after = last.user.id.get(),
            None => return out.flush().map_err(super::commands::of_output),
        }
    }
}

#[cfg(test)]
mod tests {
    use loiter::OpenError;

    use super::*;

    #[test]
    fn who_is_told_that_it_may_have_been_done_is_told_what_to_do() {
        let lost = || OpenError::NotBuilt("postgres://db/chat".into());
        let known = told(UsersError::Database(lost()), ADD_AGAIN);
        assert!(!known.contains("again"), "{known}");
        let unknown = told(UsersError::OutcomeUnknown(lost()), ADD_AGAIN);
        assert!(unknown.contains("may have been done, or not"), "{unknown}");
        assert!(unknown.ends_with(ADD_AGAIN), "{unknown}");
    }

    #[test]
    fn one_end_of_a_line_is_no_part_of_a_password() {
        for (given, expected) in [
            ("correct horse", "correct horse"),
            ("correct horse\n", "correct horse"),
            ("correct horse\r\n", "correct horse"),
            ("a\n\n", "a\n"),
            ("\ta \n", "\ta "),
            ("", ""),
        ] {
            assert_eq!(of_input(given.as_bytes()).as_deref(), Ok(expected));
        }
        assert!(of_input(&b"\xff"[..]).is_err());
    }
}
