//! `loiter user`: what it does to a database, served or not, and what it refuses.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use loiter_client::Client;
use rusqlite::Connection;

use super::serving::{Serving, assert_fails_in_one_line, folder};
use super::{assert_holds, loiter, run, text};

/// Runs `loiter user` with a password, or with nothing, on its standard input.
fn user(database: &Path, arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = loiter();
    command.args(["--log", "error", "--password-iterations", "1000", "user"]);
    command.args(arguments).arg("--database").arg(database);
    let Some(password) = password else {
        return run(&mut command);
    };
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(password.as_bytes()).expect("written");
    std::io::Seek::rewind(&mut input).expect("a file");
    run(command.arg("--password-stdin").stdin(Stdio::from(input)))
}

#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
}

/// The lines of `user list`, without the times, which are checked to be some.
fn listed(database: &Path) -> Vec<(String, String)> {
    let output = user(database, &["list"], None);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let parts = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        let mut part = || parts.next().expect("three parts");
        let (id, time, name) = (part(), part(), part());
        humantime::parse_rfc3339(&time).expect("a time");
        (id, name)
    };
    text(&output.stdout).lines().map(parts).collect()
}

#[test]
fn who_is_added_while_it_is_served_logs_in_at_once() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    let served = Serving::start(folder.path(), &["127.0.0.1:0"], &["--log", "error"]);
    let mut bob = Client::new(served.addresses[0]);
    bob.register("bob", "battery staple").expect("registered");
    // Whatever the server remembers of a name that it has looked for in vain must not outlive this.
    let mut ann = Client::new(served.addresses[0]);
    assert!(ann.log_in("Ann", "correct horse").is_err());
    assert_done(&user(&database, &["add", "Ann"], Some("correct horse\n")));
    ann.log_in("ann", "correct horse").expect("logged in");
    // It goes on writing behind what another process has written.
    assert_eq!(ann.new_chatroom().expect("created"), 1);
    assert_eq!(ann.send(1, "hello").expect("sent"), 1);
    let expected = [("1", "bob"), ("2", "Ann")].map(|(id, name)| (id.to_owned(), name.to_owned()));
    assert_eq!(listed(&database), expected);
}

#[test]
fn a_name_or_a_password_that_breaks_a_rule_is_refused() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    assert_done(&user(&database, &["add", "Ann"], Some("a")));
    let refused = |arguments: &[&str], password: &str, why: &str| {
        let output = user(&database, arguments, Some(password));
        assert_fails_in_one_line(&output, why);
    };
    // Said before there is a password.
    refused(&["add", "ANN"], "", "there is a user Ann already");
    refused(
        &["add", " bob"],
        "",
        "the name must not begin or end with white space",
    );
    refused(&["password", "bob"], "", "there is no user bob");
    refused(
        &["add", "bob"],
        "",
        "the password must have 1 to 1024 bytes",
    );
    refused(&["add", "bob"], &"x".repeat(1025), "1 to 1024 bytes");
    refused(&["add", "bob"], &"x".repeat(1_000_000), "1 to 1024 bytes");
    for arguments in [["add", "bob"], ["password", "ann"]] {
        let mut command = loiter();
        command
            .env("LOITER_MIN_PASSWORD_LENGTH", "8")
            .env("LOITER_LOG", "off");
        command
            .arg("--database")
            .arg(&database)
            .arg("user")
            .args(arguments);
        let output = run(command.args(["--password-stdin"]));
        assert_fails_in_one_line(&output, "1 to 1024 bytes");
        let mut input = tempfile::tempfile().expect("a file");
        input.write_all(b"1234567").expect("written");
        std::io::Seek::rewind(&mut input).expect("a file");
        let output = run(command.stdin(Stdio::from(input)));
        assert_fails_in_one_line(&output, "the password must have at least 8 characters");
    }
    assert_eq!(listed(&database).len(), 1);
    // Nothing of it is a start of a server, which makes what is missing.
    let missing = folder.path().join("missing.db");
    assert_fails_in_one_line(
        &user(&missing, &["add", "bob"], Some("x")),
        "there is no database",
    );
    let refused = user(&missing, &["list"], None);
    assert_fails_in_one_line(&refused, "missing.db (--database says where it is)");
    assert!(!missing.exists());
}

#[test]
fn a_new_password_ends_all_sessions_and_is_for_when_nobody_serves() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    let served = Serving::start(folder.path(), &["127.0.0.1:0"], &["--log", "error"]);
    let mut ann = Client::new(served.addresses[0]);
    ann.register("ann", "correct horse").expect("registered");
    ann.log_in("ann", "correct horse").expect("logged in");
    let mut bob = Client::new(served.addresses[0]);
    bob.register("bob", "battery staple").expect("registered");
    bob.log_in("bob", "battery staple").expect("logged in");
    let [of_ann, of_bob] = [&ann, &bob].map(|who| who.session().expect("a session").to_owned());

    for password in ["another", ""] {
        // Said before there is a password.
        let refused = user(&database, &["password", "ann"], Some(password));
        assert_fails_in_one_line(&refused, "stop it first");
    }
    ann.chatrooms().expect("still logged in");
    served.signal("TERM");
    served.end();

    assert_done(&user(&database, &["password", "ANN"], Some("another")));
    let served = Serving::start(folder.path(), &["127.0.0.1:0"], &["--log", "error"]);
    let mut ann = Client::new(served.addresses[0]).with_session(&of_ann);
    ann.chatrooms().expect_err("no session");
    let mut bob = Client::new(served.addresses[0]).with_session(&of_bob);
    bob.chatrooms().expect("somebody else's session");
    ann.log_in("ann", "correct horse")
        .expect_err("the former one");
    ann.log_in("ann", "another").expect("logged in");
}

#[test]
fn what_an_older_loiter_has_made_is_left_to_a_server() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let sqlite = Connection::open(&database).expect("a database");
    sqlite.pragma_update(None, "user_version", 1).expect("set");
    drop(sqlite);
    let output = user(&database, &["add", "ann"], Some("x"));
    assert_fails_in_one_line(&output, "start this one once");
    fs::write(&database, "It was a dark and stormy night. ".repeat(100)).expect("written");
    assert_fails_in_one_line(&user(&database, &["list"], None), "not a database");
}

#[test]
fn all_of_many_users_are_listed_in_order() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let sqlite = Connection::open(&database).expect("a database");
    let many = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2500)
        INSERT INTO users (name, folded, password, created) SELECT 'User ' || n, 'user ' || n, '', n FROM numbers";
    sqlite.execute(many, ()).expect("users");
    drop(sqlite);
    let listed = listed(&database);
    assert_eq!(listed.len(), 2500);
    for (n, (id, name)) in (1..).zip(&listed) {
        assert_eq!((id, name), (&n.to_string(), &format!("User {n}")));
    }
}

#[test]
fn a_password_is_no_argument_and_needs_a_terminal_or_standard_input() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    drop(Serving::start(folder.path(), &["127.0.0.1:0"], &[]));
    let output = user(&database, &["add", "ann", "correct horse"], None);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = run(loiter().args(["--recent", "3", "user", "list"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_holds(text(&output.stderr), &["'--recent' is for serving"]);
    let output = run(loiter().args(["user", "add", "--help"]));
    assert_holds(
        text(&output.stdout),
        &["--password-stdin", "also while the database is served"],
    );
}
