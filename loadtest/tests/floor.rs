//! The built program as a floor: what it prints, whom it answers, how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use loiter_client::Client;
use rustix::process::{Pid, Signal, kill_process};

/// Only a failing test waits as long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Floor {
    process: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Floor {
    fn start() -> Self {
        let mut process = floor("127.0.0.1:0");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("{line}"));
        Self {
            process,
            output,
            address,
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn floor(listen: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_loiter-loadtest"))
        .args(["floor", "--listen", listen])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_signal_ends_it_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut floor = Floor::start();
        let mut client = Client::new(floor.address).with_patience(PATIENCE);
        assert_eq!(client.chatrooms().unwrap(), [1]);

        kill_process(Pid::from_child(&floor.process), signal).unwrap();
        let ended = floor.process.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{signal:?}");
        let mut rest = String::new();
        floor.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = floor(&address).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("cannot listen on {address}")),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}
