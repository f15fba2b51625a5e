//! What the command line takes and refuses, and how it says so. Nothing here gets as far as serving.

use std::collections::HashMap;
use std::process::{Output, Stdio};

use super::{assert_holds, loiter, run, text};

/// Every option: its group, and its default as `--help` shows it.
const OPTIONS: &[(&str, &str, &str)] = &[
    (
        "Serving",
        "--listen",
        "[default: 127.0.0.1:8000, and [::1]:8000",
    ),
    ("Serving", "--database", "[default: loiter.db]"),
    ("Serving", "--metrics-addr", ""),
    #[cfg(feature = "postgres")]
    ("Storage", "--hints", "[default: notify]"),
    #[cfg(feature = "postgres")]
    ("Storage", "--ask-every", "[default: 1s]"),
    ("Messages", "--recent", "[default: 50]"),
    ("Messages", "--max-message", "[default: 4096]"),
    ("Messages", "--retention", "[default: 0]"),
    (
        "Connections",
        "--max-connections",
        "[default: what the limit on open files leaves]",
    ),
    ("Connections", "--max-head", "[default: 16384]"),
    ("Connections", "--max-body", "[default: 65536"),
    ("Connections", "--max-unsent", "[default: 134217728]"),
    ("Connections", "--max-unread", "[default: 67108864]"),
    ("Connections", "--header-timeout", "[default: 10s]"),
    ("Connections", "--idle-timeout", "[default: 75s]"),
    ("Connections", "--send-timeout", "[default: 30s]"),
    ("Connections", "--poll-timeout", "[default: 0]"),
    ("Connections", "--keepalive", "[default: 25s]"),
    ("Connections", "--drain-timeout", "[default: 10s]"),
    ("Users and sessions", "--session-lifetime", "[default: 30d]"),
    (
        "Users and sessions",
        "--max-polls-per-session",
        "[default: 0]",
    ),
    ("Users and sessions", "--max-places", "[default: 4000000]"),
    (
        "Users and sessions",
        "--password-iterations",
        "[default: 600000]",
    ),
    (
        "Users and sessions",
        "--min-password-length",
        "[default: 1]",
    ),
    ("Users and sessions", "--login-attempts", "[default: 10]"),
    ("Users and sessions", "--secure-cookies", "[default: off]"),
    ("Users and sessions", "--send-rate", "[default: 0]"),
    ("Users and sessions", "--register-rate", "[default: 0]"),
    ("Serving", "--allow-origin", "[default: none]"),
    ("Serving", "--trusted-proxy", "[default: none]"),
    ("Storage", "--durability", "[default: full]"),
    ("Storage", "--queue", "[default: 4096]"),
    ("Storage", "--workers", "[default: 2]"),
    ("Serving", "--loops", "[default: 1]"),
    ("Logging", "--log", "[default: info]"),
    ("Logging", "--log-format", "[default: text]"),
];

/// A bad value of each kind: option, value, and a part of what is allowed.
const BAD_VALUES: [(&str, &str, &str); 52] = [
    ("--listen", "localhost:8000", "127.0.0.1:8000"),
    ("--listen", "8000", "[::]:80"),
    ("--metrics-addr", "9464", "127.0.0.1:8000"),
    ("--recent", "0", "from 1 to 200"),
    ("--recent", "201", "from 1 to 200"),
    ("--recent", "-5", "a number from 1 to 200"),
    ("--recent", "many", "a number from 1 to 200"),
    ("--recent", "", "a number from 1 to 200"),
    ("--max-head", "16K", "1048576, in digits alone"),
    ("--max-message", "0", "from 1 to 1048576"),
    ("--max-message", "1048577", "from 1 to 1048576"),
    (
        "--retention",
        "3651d",
        "from 1s to 3650d, such as 10s, 5m, 2h or 30d, or 0 for ever",
    ),
    ("--retention", "for ever", "or 0 for ever"),
    ("--max-polls-per-session", "1000001", "from 0 to 1000000"),
    ("--max-places", "999", "from 1000 to 1000000000"),
    ("--max-connections", "0", "from 1 to 16777216"),
    ("--max-head", "1023", "from 1024 to 1048576"),
    ("--max-body", "1023", "from 1024 to 16777216"),
    ("--max-body", "4096", "13312 at least"),
    ("--max-unsent", "1048575", "from 1048576 to 1099511627776"),
    ("--max-unread", "1048575", "from 1048576 to 1099511627776"),
    ("--header-timeout", "0", "from 1s to 1h"),
    ("--header-timeout", "10ms", "from 1s to 1h"),
    ("--idle-timeout", "2d", "from 1s to 1d"),
    ("--send-timeout", "1.5s", "from 1s to 1h"),
    (
        "--poll-timeout",
        "2d",
        "from 1s to 1d, such as 10s, 5m or 2h, or 0 for ever",
    ),
    ("--keepalive", "4s", "from 5s to 2h"),
    ("--keepalive", "3h", "from 5s to 2h"),
    ("--drain-timeout", "0s", "from 1s to 1h"),
    ("--session-lifetime", "3651d", "from 1s to 3650d"),
    (
        "--session-lifetime",
        "99999999999999999999d",
        "from 1s to 3650d",
    ),
    ("--password-iterations", "999", "from 1000 to 10000000"),
    ("--min-password-length", "0", "from 1 to 1024"),
    ("--min-password-length", "1025", "from 1 to 1024"),
    ("--login-attempts", "x", "from 0 to 1000000"),
    ("--durability", "half", "full, normal"),
    ("--send-rate", "-1", "from 0 to 1000000"),
    ("--register-rate", "1000001", "from 0 to 1000000"),
    ("--allow-origin", "*", "https://chat.example"),
    (
        "--allow-origin",
        "https://chat.example/",
        "nothing behind it",
    ),
    ("--trusted-proxy", "10.0.0.1/8", "begins with its first one"),
    ("--trusted-proxy", "proxy.example", "10.0.0.0/8"),
    ("--trusted-proxy", "10.0.0.0/33", "2001:db8::/32"),
    ("--queue", "0", "from 1 to 1048576"),
    ("--queue", "1048577", "from 1 to 1048576"),
    ("--workers", "0", "from 1 to 256"),
    ("--workers", "257", "from 1 to 256"),
    ("--loops", "0", "from 1 to 64"),
    ("--loops", "65", "from 1 to 64"),
    ("--log", "loud", "off, error, warn, info, debug, trace"),
    ("--log-format", "xml", "text, json"),
    ("--database", "", "a value is required"),
];

/// What a later version may bring must not be taken for something today.
const NO_COMMANDS: [&str; 2] = ["serve", "users"];

/// What newcomers try: the arguments, and the tip that they get.
const GUESSES: [(&[&str], &str); 21] = [
    (&["--port", "9000"], "'--listen 127.0.0.1:9000'"),
    (&["-p9000"], "'--listen 127.0.0.1:9000'"),
    (&["--host=0.0.0.0"], "'--listen 0.0.0.0:8000'"),
    (&["--port"], "'--listen 127.0.0.1:8000'"),
    (&["--listen", "9000"], "perhaps '127.0.0.1:9000'"),
    (&["--listen", "localhost:9000"], "perhaps '127.0.0.1:9000'"),
    (&["health", "9000"], "perhaps '127.0.0.1:9000'"),
    (
        &["serve"],
        "loiter serves without a subcommand: just 'loiter'",
    ),
    (&["start", "--recent", "5"], "just 'loiter'"),
    (&["--secure-cookies", "true"], "takes none"),
    (&["--idle-timeout", "10", "s"], "such as 10s"),
    (&["-v"], "'--log debug'"),
    (&["--quiet"], "'--log warn'"),
    (&["--config", "x.toml"], "each option has a variable"),
    (&["check", "1000"], "'--for 1000'"),
    (&["check", "--recent", "5"], "'loiter --recent … check'"),
    (
        &["user", "list", "--durability", "full"],
        "'loiter --durability … user'",
    ),
    (
        &["backup", "--listen", "x", "y"],
        "'--listen' is for serving",
    ),
    // clap's own.
    (&["--databse", "x.db"], "'--database'"),
    (&["bakcup", "x.db"], "'backup'"),
    (&["check", "--port", "9"], "'--for'"),
];

/// The variable of an option such as `--max-head`.
fn variable(option: &str) -> String {
    format!("LOITER_{}", option[2..].replace('-', "_").to_uppercase())
}

/// Asserts that a start was refused for its command line, and yields the reason.
#[track_caller]
fn refusal(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

/// `--help` by option: its group's heading, and its text with the line breaks taken out.
fn help_by_option(help: &str) -> HashMap<&str, (&str, String)> {
    let mut entries = HashMap::new();
    let (mut group, mut option) = ("", "");
    for line in help.lines() {
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            (group, option) = (line.trim_end_matches(':'), "");
        } else if line.starts_with("      --") {
            option = line.split_whitespace().next().unwrap_or_default();
            entries.insert(option, (group, String::new()));
        }
        if let Some((_, text)) = entries.get_mut(option) {
            *text += line.trim();
            text.push(' ');
        }
    }
    entries
}

#[test]
fn help_tells_every_option_in_its_group_with_its_default_and_variable() {
    let output = run(loiter().arg("--help"));
    assert!(output.status.success());
    let help = text(&output.stdout);
    let mut entries = help_by_option(help);
    for &(group, option, default) in OPTIONS {
        let (heading, text) = entries.remove(option).expect(option);
        assert_eq!(heading, group, "{option}");
        assert_holds(&text, &[default, &format!("[env: {}]", variable(option))]);
    }
    assert!(entries.is_empty(), "options not asked for: {entries:?}");
    assert_holds(help, &["\nDurations:", "\nExit status:", "\nSignals:"]);
}

#[test]
fn short_help_and_version_go_to_standard_output() {
    let output = run(loiter().arg("-h"));
    assert!(output.status.success());
    let help = text(&output.stdout);
    assert_holds(help, &["Usage:", "--listen", "Logging:"]);
    let mut entries = help_by_option(help);
    for (_, option, default) in OPTIONS {
        let (_, text) = entries.remove(option).expect(option);
        assert_holds(&text, &[default]);
    }
    let output = run(loiter().arg("--version"));
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        concat!("loiter ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn help_is_a_command_too() {
    let said = |arguments: &[&str]| {
        let output = run(loiter().args(arguments));
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout).to_owned()
    };
    assert_eq!(said(&["help"]), said(&["--help"]));
    assert_eq!(said(&["help", "check"]), said(&["check", "--help"]));
    let of_user = said(&["user", "password", "--help"]);
    assert_eq!(said(&["help", "user", "password"]), of_user);
    assert_holds(&of_user, &["while no server runs", "Stop the server first"]);
}

#[test]
fn who_guesses_an_option_or_a_command_is_told_what_there_is() {
    for (arguments, tip) in GUESSES {
        let output = run(loiter().args(arguments));
        let reason = refusal(&output);
        assert_holds(reason, &["  tip: ", tip]);
        assert_eq!(reason.matches("tip:").count(), 1, "{reason}");
    }
    // No other tip is told where ours is.
    let output = run(loiter().args(["--port", "9000"]));
    assert!(!refusal(&output).contains("password"), "{output:?}");
    let output = run(loiter().env("LOITER_LISTEN", "9000"));
    assert_holds(
        refusal(&output),
        &["LOITER_LISTEN", "perhaps '127.0.0.1:9000'"],
    );
}

#[test]
fn what_is_no_option_is_not_said_to_be_a_value() {
    let output = run(loiter().args(["backup", "--listn", "x"]));
    let reason = refusal(&output);
    assert_holds(reason, &["unexpected argument '--listn'"]);
    assert!(!reason.contains("tip:"), "{reason}");
}

#[test]
fn a_copy_is_not_made_on_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(loiter().args(["backup", "-"]).current_dir(folder.path()));
    assert_holds(refusal(&output), &["'-'", "<FILE>", "./-"]);
    assert!(!folder.path().join("-").exists());
}

#[test]
fn a_mistyped_variable_is_told_with_the_one_that_is_meant() {
    let output = run(loiter()
        .args(["--log", "warn", "completions", "bash"])
        .env("LOITER_DATABSE", "x.db")
        .env("LOITER_COLOUR", "red")
        .env("LOITER_TEST_BREAK_NOTHING", "x")
        .env("LOITER_RECENT", "7"));
    assert!(output.status.success(), "{output:?}");
    let lines = Vec::from_iter(text(&output.stderr).lines());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_holds(lines[0], &["LOITER_COLOUR"]);
    assert!(!lines[0].contains("perhaps"), "{lines:?}");
    assert_holds(lines[1], &["LOITER_DATABSE", "perhaps LOITER_DATABASE"]);
    assert!(!lines.concat().contains("red"), "a value may be a secret");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_has_failed() {
    for arguments in [&["--help"][..], &["--version"], &["check", "--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = loiter();
        command.args(arguments).stdout(full.expect("a device"));
        let output = command.stderr(Stdio::piped()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_holds(text(&output.stderr), &["cannot write to standard output"]);
    }
}

#[test]
fn a_bad_value_is_refused_with_option_value_and_what_is_allowed() {
    for (option, value, allowed) in BAD_VALUES {
        let output = run(loiter().arg(format!("{option}={value}")));
        assert_holds(refusal(&output), &[option, value, allowed]);
    }
}

#[test]
fn a_bad_value_in_the_environment_names_the_variable() {
    for (option, value, allowed) in BAD_VALUES {
        let variable = variable(option);
        let output = run(loiter().env(&variable, value));
        assert_holds(refusal(&output), &[&variable, value, allowed]);
    }
}

#[test]
fn a_flags_variable_is_true_or_false() {
    let output = run(loiter().env("LOITER_SECURE_COOKIES", "yes"));
    assert_holds(
        refusal(&output),
        &["LOITER_SECURE_COOKIES", "'yes'", "true, false"],
    );
}

#[test]
fn a_list_in_the_environment_is_split_at_commas() {
    let output = run(loiter().env("LOITER_LISTEN", "127.0.0.1:0,nowhere"));
    assert_holds(refusal(&output), &["LOITER_LISTEN", "'nowhere'"]);
}

/// Their cookies would never come back.
#[test]
fn pages_of_other_origins_need_secure_cookies() {
    const ORIGIN: &str = "https://chat.example";
    let output = run(loiter().args(["--allow-origin", ORIGIN]));
    let parts = ["--allow-origin", ORIGIN, "needs --secure-cookies"];
    assert_holds(refusal(&output), &parts);
    let output = run(loiter()
        .env("LOITER_ALLOW_ORIGIN", ORIGIN)
        .env("LOITER_SECURE_COOKIES", "false"));
    let parts = ["LOITER_ALLOW_ORIGIN", "needs LOITER_SECURE_COOKIES"];
    assert_holds(refusal(&output), &parts);
    let many = vec!["https://chat.example"; 65].join(",");
    let output = run(loiter().args(["--secure-cookies", "--allow-origin", &many]));
    assert_holds(refusal(&output), &["--allow-origin", "64 times at most"]);
}

#[test]
fn an_option_wins_over_its_variable_even_when_that_is_wrong() {
    // Another option's bad value ends the run before it serves, and shows what was passed over.
    let output = run(loiter()
        .args(["--recent", "5", "--queue", "0"])
        .env("LOITER_RECENT", "none"));
    let reason = refusal(&output);
    assert_holds(reason, &["--queue"]);
    assert!(!reason.contains("RECENT"), "{reason}");
}

#[test]
fn the_command_lines_own_fault_is_told_before_the_environments() {
    let output = run(loiter().args(["--recent", "0"]).env("LOITER_QUEUE", "x"));
    let reason = refusal(&output);
    assert_holds(reason, &["'0'", "--recent"]);
    assert!(!reason.contains("LOITER_"), "{reason}");
}

#[test]
fn a_body_too_small_for_a_message_names_both_options_as_they_were_given() {
    let output = run(loiter()
        .args(["--max-message", "10000"])
        .env("LOITER_MAX_BODY", "20000"));
    assert_holds(
        refusal(&output),
        &[
            "LOITER_MAX_BODY",
            "20000",
            "31024 at least",
            "--max-message",
        ],
    );
}

#[test]
fn an_unknown_option_is_refused_by_its_name() {
    for unknown in [&["--recents", "5"][..], &["-q"]] {
        let output = run(loiter().args(unknown));
        assert_holds(refusal(&output), &["unexpected argument", unknown[0]]);
    }
    for unknown in NO_COMMANDS {
        let output = run(loiter().arg(unknown));
        assert_holds(refusal(&output), &["unrecognized subcommand", unknown]);
    }
}
