//! Starts that succeed or fail, the lines that tell of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{PATIENCE, assert_holds, loiter, run, signal, text};

/// A server that is killed when a test ends, however it ends.
pub(crate) struct Serving {
    pub(crate) child: Child,
    stdout: Receiver<String>,
    pub(crate) stderr: Receiver<String>,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Serving {
    /// Starts a server with a new database in `folder`, and waits until it says where it listens.
    pub(crate) fn start(folder: &Path, listen: &[&str], arguments: &[&str]) -> Self {
        let mut command = loiter();
        command.arg("--database").arg(folder.join("chat.db"));
        command.args(listen.iter().flat_map(|address| ["--listen", address]));
        command
            .args(["--password-iterations", "1000"])
            .args(arguments);
        Self::spawn(command, listen.len())
    }

    /// Starts what will become a server, and waits until it says that it listens at so many addresses.
    pub(crate) fn spawn(mut command: Command, addresses: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        let mut serving = Self {
            child,
            stdout,
            stderr,
            addresses: Vec::new(),
        };
        for _ in 0..addresses {
            let address = serving.listening_line();
            serving.addresses.push(address);
        }
        serving
    }

    fn listening_line(&self) -> SocketAddr {
        let line = self.stdout.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let log: Vec<String> = self.stderr.try_iter().collect();
            panic!("no line says where the server listens; its log: {log:#?}")
        });
        let address = line.strip_prefix("listening on http://").expect(&line);
        address.parse().expect(&line)
    }

    pub(crate) fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Sends signals, one right behind the other.
    pub(crate) fn signals(&self, names: &[&str]) {
        signal(self.child.id(), names);
    }

    /// Waits until a line of the log holds `part`.
    #[track_caller]
    pub(crate) fn log_line(&self, part: &str) -> String {
        let mut before = Vec::new();
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            if line.contains(part) {
                return line;
            }
            before.push(line);
        }
        panic!("no line of the log holds {part:?}: {before:#?}");
    }

    /// Waits for the end: its status, the rest of standard output, and the whole log.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let rest = until_closed(&self.stdout);
        let log = until_closed(&self.stderr);
        let status = self.child.wait().expect("our child");
        (status, rest, log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream's lines, read by a thread of their own so that waiting for one has an end.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

pub(crate) fn until_closed(stream: &Receiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match stream.recv_timeout(PATIENCE) {
            Ok(line) => all.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return all,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end; so far: {all:#?}"),
        }
    }
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn it_says_where_it_listens_and_answers_there() {
    let folder = folder();
    let serving = Serving::start(folder.path(), &["127.0.0.1:0", "127.0.0.1:0"], &[]);
    assert_ne!(serving.addresses[0], serving.addresses[1]);
    for address in &serving.addresses {
        assert_ne!(address.port(), 0);
        let mut client = TcpStream::connect(address).expect("it accepts");
        client.set_read_timeout(Some(PATIENCE)).expect("not zero");
        write!(
            client,
            "GET /message/chatrooms/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    serving.signal("TERM");
    let (status, rest, _) = serving.end();
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest, [""; 0], "nothing else goes to standard output");
}

#[test]
fn a_start_on_a_taken_address_says_so_in_one_line_with_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = folder();
    let output = run(loiter()
        .args(["--listen", &address, "--log", "off"])
        .arg("--database")
        .arg(folder.path().join("chat.db")));
    assert_fails_in_one_line(&output, &address);
    // So is one for metrics.
    let output = run(loiter()
        .args(["--listen", "127.0.0.1:0", "--metrics-addr", &address])
        .args(["--log", "off", "--database"])
        .arg(folder.path().join("chat.db")));
    let why = format!("cannot listen for metrics on {address}: ");
    assert_fails_in_one_line(&output, &why);
    let left = folder.path().read_dir().expect("a folder").count();
    assert_eq!(left, 0, "a start that fails makes no database");
}

#[test]
fn a_start_without_a_readable_database_says_so_in_one_line_with_status_1() {
    let folder = folder();
    let file = folder.path().join("novel.txt");
    std::fs::write(&file, "It was a dark and stormy night. ".repeat(1000)).expect("writable");
    for database in [&file, &folder.path().join("missing/chat.db")] {
        let output = run(loiter()
            .args(["--listen", "127.0.0.1:0", "--log", "off", "--database"])
            .arg(database));
        assert_fails_in_one_line(&output, &database.display().to_string());
    }
    let left = folder.path().read_dir().expect("a folder");
    let left = Vec::from_iter(left.map(|file| file.expect("a file").file_name()));
    assert_eq!(left, ["novel.txt"]);
}

/// Whoever has mistaken the path, or the folder, sees it.
#[test]
fn the_log_tells_which_database_is_served_and_whether_it_is_new() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    let made = format!("made a new database at {}", database.display());
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    serving.log_line(&made);
    let mut client = loiter_client::Client::new(serving.addresses[0]);
    client.register("ann", "correct horse").expect("registered");
    // Killed, so that some of it is in the log beside it.
    drop(serving);
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    let line = serving.log_line("opened ");
    serving.signal("TERM");
    assert_eq!(serving.end().0.code(), Some(0));
    let bytes = database.metadata().expect("a file").len();
    assert_holds(
        &line,
        &[&format!("opened {} ({bytes} bytes)", database.display())],
    );
    std::fs::write(&database, "").expect("emptied");
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    serving.log_line(&made);
}

#[test]
fn a_start_on_a_database_that_is_damaged_or_served_says_so_in_one_line_with_status_1() {
    let folder = folder();
    let database = folder.path().join("chat.db");
    let start = || {
        let mut command = loiter();
        command.args(["--listen", "127.0.0.1:0", "--log", "off", "--database"]);
        run(command.arg(&database))
    };
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &[]);
    assert_fails_in_one_line(&start(), "another loiter serves the database");
    serving.signal("TERM");
    assert_eq!(serving.end().0.code(), Some(0));
    let mut bytes = std::fs::read(&database).expect("a file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&database, bytes).expect("written");
    let output = start();
    assert_fails_in_one_line(&output, "is damaged, and is left as it is");
    assert_holds(text(&output.stderr), &[&database.display().to_string()]);
}

#[track_caller]
pub(crate) fn assert_fails_in_one_line(output: &Output, about: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let reason = text(&output.stderr);
    assert_eq!(reason.lines().count(), 1, "{reason}");
    assert!(reason.starts_with("loiter: "), "{reason}");
    assert_holds(reason, &[about]);
}

#[test]
fn the_environment_reaches_the_server_and_an_option_wins() {
    let folder = folder();
    let (by_variable, by_option) = (
        folder.path().join("v/chat.db"),
        folder.path().join("o/chat.db"),
    );
    // Neither can be opened, so that the start ends by itself, and the reason names the one in force.
    let mut command = loiter();
    command
        .env("LOITER_LISTEN", "127.0.0.1:0")
        .env("LOITER_LOG", "off")
        .env("LOITER_DATABASE", &by_variable);
    assert_fails_in_one_line(&run(&mut command), &by_variable.display().to_string());
    command.arg("--database").arg(&by_option);
    assert_fails_in_one_line(&run(&mut command), &by_option.display().to_string());
}

#[test]
fn a_json_log_is_one_object_a_line() {
    let folder = folder();
    let arguments = ["--log-format", "json", "--log", "debug"];
    let serving = Serving::start(folder.path(), &["127.0.0.1:0"], &arguments);
    serving.signal("TERM");
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0));
    assert!(!log.is_empty());
    for line in &log {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        for key in ["time", "level", "target", "message"] {
            assert!(value[key].is_string(), "{key} in {line}");
        }
    }
}

#[test]
fn a_closed_standard_output_is_no_reason_not_to_serve() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = loiter()
        .args(["--listen", "127.0.0.1:0", "--database"])
        .arg(folder.path().join("chat.db"))
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let stderr = lines(child.stderr.take().expect("piped"));
    let (_, stdout) = mpsc::channel();
    let serving = Serving {
        child,
        stdout,
        stderr,
        addresses: Vec::new(),
    };
    serving.log_line("cannot say on standard output");
    serving.signal("TERM");
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
}
