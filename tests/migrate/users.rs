//! `loiter user` on an address of PostgreSQL, beside a server.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Output, Stdio};

use loiter_client::strict::logging_in;

use super::serving::{Session, database_in, get, post};
use super::{loiter, serve};

fn user(database: &Path, arguments: &[&str], password: &str) -> Output {
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(password.as_bytes()).expect("written");
    input.rewind().expect("a file");
    let mut command = loiter();
    command.args(["--password-iterations", "1000", "user"]);
    command.args(arguments).env("LOITER_DATABASE", database);
    let output = command.stdin(Stdio::from(input)).output();
    output.expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn who_is_added_beside_a_server_logs_in_and_a_new_password_ends_sessions() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database_in(folder.path());
    let early = user(&database, &["list"], "");
    assert!(
        text(&early.stderr).contains("no loiter has served it yet"),
        "{early:?}"
    );
    let serving = serve(&database);
    let add = ["add", "Ann", "--password-stdin"];
    let added = user(&database, &add, "pw");
    assert!(added.status.success(), "{added:?}");
    let again = user(&database, &add, "pw");
    assert!(
        text(&again.stderr).contains("there is a user Ann already"),
        "{again:?}"
    );
    let ann = Session::of(&serving.ask(&logging_in("ann")));
    let listed = user(&database, &["list"], "");
    let listed = text(&listed.stdout);
    assert!(
        listed.starts_with("1\t") && listed.ends_with("Z\tAnn\n"),
        "{listed}"
    );
    let changed = user(
        &database,
        &["password", "ANN", "--password-stdin"],
        "another",
    );
    assert!(
        text(&changed.stderr).contains("sessions that ended: 1"),
        "{changed:?}"
    );
    let login = |password| {
        let path = format!("/login/?username=ann&password={password}");
        serving.ask(&post(&path)).status
    };
    assert_eq!((login("pw"), login("another")), (401, 200));
    // Who remembers nothing of it looks.
    let other = serve(&database);
    let chatrooms = get("/message/chatrooms/").of(&ann);
    assert_eq!(other.ask(&chatrooms).status, 401);
    let nobody = user(&database, &["password", "bob", "--password-stdin"], "x");
    assert!(
        text(&nobody.stderr).contains("there is no user bob"),
        "{nobody:?}"
    );
}
