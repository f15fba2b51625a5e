//! What a bad value stood in, an option or its variable: whoever reads of it is to know where to look.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;

use super::shown::{command, without_variables};

/// Says of a bad value whether the option or its variable held it.
///
/// clap names the option in both cases. What is wrong without the environment too is the
/// command line's own fault, and told first.
pub(super) fn blame(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    match without_variables(command()).try_get_matches_from(arguments) {
        Err(own) if own.use_stderr() => own,
        _ => named_by_variable(error),
    }
}

fn named_by_variable(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let long = shown.trim_start_matches('-').split(' ').next();
    let command = command();
    let arg = command.get_arguments().find(|arg| arg.get_long() == long);
    if let Some(variable) = arg.and_then(|arg| arg.get_env()) {
        let named = format!("{} ({shown})", variable.display());
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

/// How whoever set an option spelled it.
pub(super) fn spelling(matches: &ArgMatches, id: &str) -> String {
    if matches.value_source(id) == Some(ValueSource::EnvVariable) {
        format!("LOITER_{}", id.to_uppercase())
    } else {
        format!("--{}", id.replace('_', "-"))
    }
}
