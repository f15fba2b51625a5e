//! `loiter check`: what it says of the machine that the tests run on, whatever that is.

use serde_json::Value;

use super::serving::folder;
use super::{assert_holds, loiter, run, text};

fn check(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = folder();
    let mut command = loiter();
    command.arg("--database").arg(folder.path().join("chat.db"));
    let output = run(command.args(arguments));
    assert_eq!(text(&output.stderr), "");
    // It looks, and leaves nothing.
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
    (output.status.code(), text(&output.stdout).to_owned())
}

fn checked(arguments: &[&str]) -> (Option<i32>, Value) {
    let (status, told) = check(arguments);
    (status, serde_json::from_str(&told).expect("JSON"))
}

/// The one of a list that has this name.
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut all = list.as_array().expect("a list").iter();
    all.find(|one| one["name"] == name).expect(name)
}

#[test]
fn one_poll_fits_and_very_many_do_not() {
    let (status, report) = checked(&["check", "--for", "1", "--json"]);
    assert_eq!((status, &report["fits"]), (Some(0), &Value::Bool(true)));
    let (status, report) = checked(&["check", "--json", "--for", "100000000"]);
    assert_eq!((status, &report["fits"]), (Some(1), &Value::Bool(false)));
    assert_eq!(report["asked"], 100_000_000);
    assert_eq!(report["first"], report["limits"][0]["name"]);
    assert_eq!(report["polls"], report["limits"][0]["polls"]);
    assert!(report["limits"][0]["set"][0].is_string(), "{report:#}");
    let files = named(&report["limits"], "open_files");
    assert!(files["found"]["hard"].is_u64(), "{files}");
    named(&report["remarks"], "file_system");
}

#[test]
fn it_counts_the_settings_of_a_server() {
    let (status, report) = checked(&["--max-connections", "7", "check", "--json", "--for", "8"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        (&report["first"], &report["polls"]),
        (&"max_connections".into(), &7.into())
    );
    let (status, _) = checked(&["--max-connections", "8", "check", "--json", "--for", "8"]);
    assert_eq!(status, Some(0));
}

#[test]
fn the_limit_on_open_files_is_the_shells() {
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 500; exec \"$@\"", "sh"])
        .arg(loiter().get_program())
        .args(["check", "--json", "--for", "433"]);
    let output = run(&mut limited);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["first"], "open_files");
    assert_eq!(report["polls"], 500 - 68);
}

#[test]
fn people_are_told_in_words() {
    let (status, told) = check(&["check"]);
    assert_eq!(status, Some(0));
    assert_holds(
        &told,
        &[
            "This machine holds ",
            "open files",
            "bytes of loiter's memory",
        ],
    );
    assert!(
        !told.contains("sysctl -w fs."),
        "nothing was asked for: {told}"
    );
    let (status, told) = check(&["check", "--for", "100000000"]);
    assert_eq!(status, Some(1));
    assert_holds(
        &told,
        &["100,000,000 do not fit.", "For 100,000,000 polls:"],
    );
}

#[test]
fn a_bad_number_is_refused_with_status_2() {
    for bad in ["0", "100000001", "many", "-1"] {
        let output = run(loiter().args(["check", "--for", bad]));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_holds(text(&output.stderr), &["from 1 to 100000000"]);
    }
    let output = run(loiter().args(["check", "--help"]));
    assert_holds(
        text(&output.stdout),
        &["exit status is 0 if the number asked for fits, and 1 if"],
    );
}
