//! Options and commands as they are parsed and shown: what `--help`, completions and the manual page have of them.
//!
//! Some options are taken by all commands, so that scripts may put them before or behind one. Each command shows those alone
//! that it has a use for.

use clap::builder::{OsStr, Resettable};
use clap::{Arg, Command, CommandFactory};

use super::options::Options;

/// All options and commands. The current values of the variables stay out of `--help`: it says what may be set, not what is.
pub(super) fn command() -> Command {
    let mut command = settled(Options::command());
    // Only now do commands have what all of them take.
    command.build();
    show_what_is_used(command)
}

/// As [`command`], for completions, which would offer what is hidden as well.
pub(super) fn to_complete() -> Command {
    let command = settled(Options::command());
    let of_all = command.get_arguments().filter(|arg| arg.is_global_set());
    let of_all = Vec::from_iter(of_all.map(|arg| arg.clone().global(false)));
    offer_what_is_used(command.mut_args(|arg| arg.global(false)), &of_all)
}

/// What the command line says by itself.
pub(super) fn without_variables(command: Command) -> Command {
    let command = command.mut_args(|arg| arg.env(Resettable::<OsStr>::Reset));
    command.mut_subcommands(without_variables)
}

fn settled(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let takes_value = arg.get_action().takes_values() && !arg.is_positional();
        let arg = default_in_short(arg.hide_env_values(true));
        // A negative number is then a bad value of its option, not an unknown option.
        if takes_value {
            arg.allow_negative_numbers(true)
        } else {
            arg
        }
    });
    command.mut_subcommands(settled)
}

/// A default that is no value stands at the end of an option's long text. `-h` is to tell it as it tells the others.
fn default_in_short(arg: Arg) -> Arg {
    let long = arg.get_long_help().map(ToString::to_string);
    let default = long
        .as_deref()
        .and_then(|long| long.split_once("[default: "));
    match (arg.get_help(), default) {
        (Some(short), Some((_, default))) => {
            let short = format!("{short} [default: {default}");
            arg.help(short)
        }
        _ => arg,
    }
}

/// Whether a command has a use for an option that all of them take.
fn is_used(command: &Command, arg: &Arg) -> bool {
    let used: &[&str] = match command.get_name() {
        "user" | "add" | "password" | "backup" => &["database", "log", "log-format"],
        "check" | "list" => &["database"],
        _ => &[],
    };
    arg.get_long().is_some_and(|long| used.contains(&long))
}

fn show_what_is_used(command: Command) -> Command {
    command.mut_subcommands(|command| {
        let like = command.clone();
        let command = command.mut_args(|arg| {
            let hides = arg.is_global_set() && !is_used(&like, &arg);
            if hides { arg.hide(true) } else { arg }
        });
        show_what_is_used(command)
    })
}

fn offer_what_is_used(command: Command, of_all: &[Arg]) -> Command {
    command.mut_subcommands(|command| {
        let used = of_all.iter().filter(|arg| is_used(&command, arg));
        let used = Vec::from_iter(used.cloned());
        offer_what_is_used(command.args(used), of_all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        command().debug_assert();
        to_complete().debug_assert();
    }

    /// A command of another name would have no options of all to show.
    #[test]
    fn each_command_shows_what_it_uses() {
        fn shown(command: &Command, path: &str, all: &mut Vec<String>) {
            for command in command.get_subcommands() {
                let path = format!("{path} {}", command.get_name());
                if command.get_name() == "help" {
                    continue;
                }
                let of_all = command.get_arguments().filter(|arg| {
                    let long = arg.get_long();
                    matches!(long, Some("database" | "log" | "log-format")) && !arg.is_hide_set()
                });
                let of_all = Vec::from_iter(of_all.filter_map(Arg::get_long));
                all.push(format!("{}: {}", path.trim(), of_all.join(" ")));
                shown(command, &path, all);
            }
        }
        let expected = [
            "backup: database log log-format",
            "check: database",
            #[cfg(feature = "postgres")]
            "migrate: ",
            "user: database log log-format",
            "user add: database log log-format",
            "user password: database log log-format",
            "user list: database",
            "completions: ",
            "man: ",
            "health: ",
        ];
        let mut completed = to_complete();
        completed.build();
        for command in [command(), completed] {
            let mut all = Vec::new();
            shown(&command, "", &mut all);
            assert_eq!(all, expected);
        }
    }
}
