//! A server that can be killed.

#![allow(dead_code, reason = "each target that includes this uses its part")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use loiter_client::Client;

/// Becomes the server in a process of which it is told that the socket is for it.
const HAND_OVER: &str = r#"export LISTEN_PID=$$; exec 3<&0 0</dev/null; exec "$0" "$@""#;

/// The built binary, killed when it is dropped.
pub(crate) struct Killed {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Killed {
    /// On a port that it picks.
    pub(crate) fn start(database: &Path, loops: usize) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_loiter"));
        Self::start_by(command, database, loops)
    }

    /// On a port that it picks, by a command that is, or runs, the binary with the arguments it is given.
    pub(crate) fn start_by(command: Command, database: &Path, loops: usize) -> Self {
        Self::try_start_by(command, database, loops).expect("it says where it listens")
    }

    /// None where it ends before it says where it listens.
    pub(crate) fn try_start_by(
        mut command: Command,
        database: &Path,
        loops: usize,
    ) -> Option<Self> {
        command.args(["--listen", "127.0.0.1:0"]);
        Self::spawn(command, database, loops)
    }

    /// On a socket that this process keeps, as a supervisor does.
    pub(crate) fn on(socket: &TcpListener, database: &Path, loops: usize) -> Self {
        let copy = socket.try_clone().expect("a descriptor");
        let mut command = Command::new("sh");
        command
            .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_loiter")])
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::from(OwnedFd::from(copy)));
        Self::spawn(command, database, loops).expect("it says where it listens")
    }

    /// At an address of the caller's choice, with these options besides.
    pub(crate) fn at(
        address: SocketAddr,
        options: &[String],
        database: &Path,
        loops: usize,
    ) -> Self {
        // What measures names a release.
        let binary = std::env::var("LOITER_TEST_BINARY");
        let binary = binary.unwrap_or_else(|_| env!("CARGO_BIN_EXE_loiter").to_owned());
        let mut command = Command::new(binary);
        command
            .arg("--listen")
            .arg(address.to_string())
            .args(options);
        Self::spawn(command, database, loops).expect("it says where it listens")
    }

    fn spawn(mut command: Command, database: &Path, loops: usize) -> Option<Self> {
        let mut child = command
            .args(["--password-iterations", "1000"])
            .args(["--loops", &loops.to_string()])
            .args(["--log", "error", "--database"])
            .arg(database)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        let read = BufReader::new(stdout).read_line(&mut line);
        if read.expect("text") == 0 {
            child.wait().expect("our child");
            return None;
        }
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.expect("the line of the command line's contract");
        Some(Self {
            address: address.parse().expect("an address"),
            child,
        })
    }
}

impl Killed {
    /// SIGTERM, and waits until it has ended in good order.
    pub(crate) fn end(&mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("a shell").success());
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
    }

    /// SIGSTOP: it stands still until [`Self::go_on`].
    pub(crate) fn stand_still(&self) {
        signal(&self.child.id().to_string(), "STOP");
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        signal(&self.child.id().to_string(), "CONT");
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("our child")
    }
}

/// By the shell's own `kill`, which every machine has.
fn signal(process: &str, name: &str) {
    let kill = format!("kill -{name} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status();
    status.expect("a shell");
}

/// The server behind strace, whom it outlives if nobody ends it. Ends in good order when it is dropped.
pub(crate) struct Traced(String);

impl Traced {
    /// It is the first that a record tells of.
    pub(crate) fn of(record: &Path) -> Self {
        let mut begin = [0; 16];
        let mut record = File::open(record).expect("a record");
        record.read_exact(&mut begin).expect("a line");
        let begin = String::from_utf8_lossy(&begin);
        Self(begin.split(' ').next().expect("a process").to_owned())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        signal(&self.0, "TERM");
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
    begin(server.address, chatrooms)
}

/// The same at a server that is there.
pub(crate) fn begin(address: SocketAddr, chatrooms: u64) -> String {
    let mut ann = Client::new(address);
    ann.register("ann", "x").expect("registered");
    ann.log_in("ann", "x").expect("logged in");
    for chatroom in 1..=chatrooms {
        assert_eq!(ann.new_chatroom().expect("created"), chatroom);
    }
    ann.session().expect("a session").to_owned()
}
