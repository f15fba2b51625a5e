//! What whoever mistypes a command line probably means. clap's own tips go by spelling alone: of `--port` it thinks of `--password-iterations`.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands::heeded_by;
use super::shown::command;

/// The port that is meant where none is given.
const PORT: u16 = 8000;

/// Adds a tip to a refusal, where there is a better one than clap's.
pub(super) fn with_tip(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => {
            let given = text_of(&error, ContextKind::InvalidArg);
            given.and_then(|given| match command_among(arguments) {
                None => for_option(given, value_of(given, arguments)),
                Some(command) => within(&command, given),
            })
        }
        ErrorKind::InvalidSubcommand => {
            text_of(&error, ContextKind::InvalidSubcommand).and_then(for_command)
        }
        ErrorKind::ValueValidation => text_of(&error, ContextKind::InvalidArg)
            .filter(|named| named.contains("ADDR"))
            .and(text_of(&error, ContextKind::InvalidValue))
            .and_then(address_meant)
            .map(|address| format!("perhaps '{address}'")),
        _ => None,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        // That it may be meant as a value, which it never is.
        error.remove(ContextKind::Suggested);
    }
    if let Some(tip) = tip {
        for own in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
            if error.remove(own).is_some() {
                // It would be that of what clap has thought of.
                let usage = ContextValue::StyledStr(command().render_usage());
                error.insert(ContextKind::Usage, usage);
            }
        }
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// The command among them, which has options of its own.
fn command_among(arguments: &[OsString]) -> Option<String> {
    let matches = command()
        .ignore_errors(true)
        .try_get_matches_from(arguments);
    matches.ok()?.subcommand_name().map(ToOwned::to_owned)
}

/// For what a command does not take.
fn within(name: &str, given: &str) -> Option<String> {
    if name == "check" && !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!(
            "whether so many polls fit is asked by '--for {given}'"
        ));
    }
    let long = given.strip_prefix("--")?;
    let serving = command();
    serving
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long))?;
    Some(
        match heeded_by(name).is_none_or(|heeded| heeded.contains(&long)) {
            true => {
                format!("options of serving stand before the command: 'loiter {given} … {name}'")
            }
            false => format!("'{given}' is for serving, and '{name}' does not serve"),
        },
    )
}

/// What stands behind an option that clap does not know.
fn value_of<'a>(option: &str, arguments: &'a [OsString]) -> Option<&'a str> {
    let mut arguments = arguments.iter().map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        match argument.and_then(|argument| argument.strip_prefix(option)) {
            Some("") => return arguments.next()?,
            Some(value) => return Some(value.trim_start_matches('=')),
            None => {}
        }
    }
    None
}

/// For an option that other servers have.
fn for_option(option: &str, value: Option<&str>) -> Option<String> {
    let tip = match option {
        "--port" | "-p" | "--host" | "--bind" | "-b" | "--addr" | "--address" | "-l" => {
            let address = value.and_then(address_meant);
            let address = address.unwrap_or((Ipv4Addr::LOCALHOST, PORT).into());
            return Some(format!(
                "the address and the port are one option: '--listen {address}'"
            ));
        }
        "--verbose" | "-v" | "-vv" | "--debug" => "'--log debug' tells more",
        "--quiet" | "-q" | "--silent" => "'--log warn' tells less",
        "--config" | "-c" | "--conf" => {
            "there is no file of settings: each option has a variable (see '--help')"
        }
        _ => return None,
    };
    Some(tip.to_owned())
}

fn for_command(name: &str) -> Option<String> {
    let tip = match name {
        "serve" | "server" | "start" | "run" | "up" | "listen" => {
            "loiter serves without a subcommand: just 'loiter', with the options behind it"
        }
        "s" | "m" | "h" | "d" => "a duration is one word, such as 10s",
        "true" | "false" => "an option without a value in '--help' takes none",
        _ => return None,
    };
    Some(tip.to_owned())
}

/// The address that somebody means who gives a part of one, or a name.
fn address_meant(given: &str) -> Option<SocketAddr> {
    let given = given.trim().trim_start_matches("http://");
    let given = given.trim_end_matches('/');
    let ip = |host: &str| match host {
        "" | "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        _ => host.parse::<IpAddr>().ok(),
    };
    let bare = given.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = given.parse() {
        return Some(address);
    }
    if let Some(ip) = ip(bare).filter(|_| !given.is_empty()) {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (host, port) = given.rsplit_once(':').unwrap_or(("", given));
    Some(SocketAddr::new(ip(host)?, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_address_is_made_whole() {
        for (given, meant) in [
            ("9000", Some("127.0.0.1:9000")),
            (":9000", Some("127.0.0.1:9000")),
            ("localhost:9000", Some("127.0.0.1:9000")),
            ("localhost", Some("127.0.0.1:8000")),
            ("http://localhost:9000/", Some("127.0.0.1:9000")),
            ("*:80", Some("0.0.0.0:80")),
            ("0.0.0.0", Some("0.0.0.0:8000")),
            ("10.1.2.3:80", Some("10.1.2.3:80")),
            ("::1", Some("[::1]:8000")),
            ("[::]", Some("[::]:8000")),
            ("chat.example:80", None),
            ("65536", None),
            ("-1", None),
            ("", None),
        ] {
            let told = address_meant(given).map(|address| address.to_string());
            assert_eq!(told.as_deref(), meant, "{given}");
        }
    }

    #[test]
    fn a_value_stands_behind_its_option_or_in_it() {
        let value = |option, arguments: &[&str]| {
            let arguments = Vec::from_iter(arguments.iter().map(OsString::from));
            value_of(option, &arguments).map(str::to_owned)
        };
        for arguments in [
            &["--port", "9000"][..],
            &["--port=9000"],
            &["x", "--port", "9000"],
        ] {
            assert_eq!(value("--port", arguments).as_deref(), Some("9000"));
        }
        assert_eq!(value("-p", &["-p9000"]).as_deref(), Some("9000"));
        assert_eq!(value("--port", &["--port"]), None);
    }
}
