//! A server that can be killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use loiter_client::Client;

/// The built binary, killed when it is dropped.
pub(crate) struct Killed {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Killed {
    pub(crate) fn start(database: &Path, loops: usize) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loiter"))
            .args(["--listen", "127.0.0.1:0", "--password-iterations", "1000"])
            .args(["--loops", &loops.to_string()])
            .args(["--log", "error", "--database"])
            .arg(database)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.expect("the line of the command line's contract");
        Self {
            address: address.parse().expect("an address"),
            child,
        }
    }
}

impl Killed {
    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registers one user with some chatrooms; returns the session's token, which outlives every kill.
pub(crate) fn prepare(database: &Path, chatrooms: u64) -> String {
    let server = Killed::start(database, 1);
    let mut ann = Client::new(server.address);
    ann.register("ann", "x").expect("registered");
    ann.log_in("ann", "x").expect("logged in");
    for chatroom in 1..=chatrooms {
        assert_eq!(ann.new_chatroom().expect("created"), chatroom);
    }
    ann.session().expect("a session").to_owned()
}
