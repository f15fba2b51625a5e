//! `loiter health`: whether somebody serves, told by the status.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use super::serving::{Serving, assert_fails_in_one_line, folder};
use super::{assert_holds, loiter, run, text};

/// The command, with a variable as the server beside it would have it.
fn health(listen: &str) -> Command {
    let mut command = loiter();
    command.env("LOITER_LISTEN", listen).arg("health");
    command
}

#[track_caller]
fn assert_well(command: &mut Command) {
    let output = run(command);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
}

#[test]
fn a_server_is_found_well_where_it_listens() {
    let folder = folder();
    let served = Serving::start(folder.path(), &["0.0.0.0:0"], &["--log", "error"]);
    let port = served.addresses[0].port();
    assert_well(&mut health(&format!("0.0.0.0:{port}")));
    assert_well(health(&format!("0.0.0.0:{port},127.0.0.1:1")).arg("--ready"));
    // What is said goes before what the variable says.
    assert_well(health("127.0.0.1:1").arg(format!("127.0.0.1:{port}")));
}

/// Its file can be written to still, and all of that goes with the server.
#[test]
fn a_database_that_was_removed_is_not_ready() {
    let folder = folder();
    let served = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    let ready = || {
        let mut asked = health(&served.addresses[0].to_string());
        asked.arg("--ready");
        asked
    };
    let (database, away) = (folder.path().join("chat.db"), folder.path().join("away.db"));
    assert_well(&mut ready());
    fs::rename(&database, &away).expect("moved");
    let told = "its database cannot be written";
    assert_fails_in_one_line(&run(&mut ready()), told);
    // … nor where another one has its name.
    fs::copy(&away, &database).expect("copied");
    assert_fails_in_one_line(&run(&mut ready()), told);
    assert_well(&mut health(&served.addresses[0].to_string()));
    fs::rename(&away, &database).expect("moved back");
    assert_well(&mut ready());
}

#[test]
fn where_nobody_serves_nobody_is_well() {
    // A port of our own that nobody listens at any more.
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound").to_string();
    drop(socket);
    let output = run(&mut health(&address));
    assert_fails_in_one_line(
        &output,
        &format!("no answer from http://{address}/healthz: "),
    );
}

#[test]
fn who_answers_otherwise_is_not_well() {
    for (answer, told) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "answers \"HTTP/1.1 503\"",
        ),
        ("HTTP/1.1 2", "no answer"),
        ("", "no answer"),
    ] {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound").to_string();
        let server = thread::spawn(move || {
            let (mut client, _) = socket.accept().expect("a client");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).expect("a request");
                asked.extend(byte);
            }
            client.write_all(answer.as_bytes()).expect("written");
            asked
        });
        let output = run(health(&address).arg("--ready"));
        assert_fails_in_one_line(&output, told);
        let asked = server.join().expect("no panic");
        assert_holds(text(&asked), &["GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"]);
    }
}
