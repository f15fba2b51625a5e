//! A database at an address of PostgreSQL: what commands do without it, and that nobody is told its password.

use serde_json::Value;

use super::serving::{assert_fails_in_one_line, folder};
use super::{loiter, run, text};

/// Nobody listens there, and the password has a marker in it.
const ADDRESS: &str = "postgres://ann:hush@127.0.0.1:1/chat?application_name=hush";

/// Runs it with the address in the variable, and holds it to telling no password.
fn told(arguments: &[&str]) -> std::process::Output {
    let output = run(loiter().env("LOITER_DATABASE", ADDRESS).args(arguments));
    for out in [&output.stdout, &output.stderr] {
        assert!(!text(out).contains("hush"), "{arguments:?}: {}", text(out));
    }
    output
}

#[test]
fn a_password_in_it_is_shown_nowhere() {
    let folder = folder();
    let copy = folder.path().join("copy.db");
    let copy = copy.to_str().expect("UTF-8");
    for arguments in [
        &["--listen", "127.0.0.1:0"][..],
        &["--help"],
        &["man"],
        &["completions", "bash"],
        &["check"],
        &["backup", copy],
        &["user", "list"],
        &["migrate", "--from", copy],
        &["migrate", "--help"],
        &["health", "--database"],
        &["health", "--recent", "1"],
    ] {
        told(&[&["--log", "trace"], arguments].concat());
        told(&[&["--log", "trace", "--log-format", "json"], arguments].concat());
    }
}

#[test]
fn a_server_that_cannot_reach_it_says_so() {
    let output = told(&["--listen", "127.0.0.1:0"]);
    assert_fails_in_one_line(
        &output,
        "cannot use the database postgres://ann@127.0.0.1:1/chat",
    );
    let output = told(&["user", "list"]);
    assert_fails_in_one_line(
        &output,
        "cannot use the database postgres://ann@127.0.0.1:1/chat",
    );
}

#[test]
fn what_copies_it_is_named() {
    let output = told(&["backup", "copy.db"]);
    assert_fails_in_one_line(&output, "pg_dump");
}

#[test]
fn a_migration_needs_a_file_and_an_address() {
    let output = told(&["migrate", "--from", "missing.db"]);
    assert_fails_in_one_line(&output, "there is no database");
    let output = told(&["migrate", "--from", "missing.db", "--to", "copy.db"]);
    assert_fails_in_one_line(
        &output,
        "copy.db is not the address of a PostgreSQL database",
    );
    let output = told(&["migrate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--from"), "{output:?}");
}

#[test]
fn a_check_leaves_out_what_is_another_machines() {
    let output = told(&["check", "--json"]);
    let report: Value = serde_json::from_str(text(&output.stdout)).expect("JSON");
    let remarks = report["remarks"].as_array().expect("a list");
    let names = Vec::from_iter(remarks.iter().filter_map(|remark| remark["name"].as_str()));
    assert!(names.contains(&"database"), "{names:?}");
    assert!(
        !names.contains(&"file_system") && !names.contains(&"disk"),
        "{names:?}"
    );
    let text = report.to_string();
    assert!(
        text.contains("The database is at postgres://ann@127.0.0.1:1/chat."),
        "{text}"
    );
}
