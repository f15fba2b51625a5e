//! A server that is handed its sockets, and tells how it is: here the test is what systemd would be.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use loiter_client::strict::{Client, get};

use super::serving::{Serving, assert_fails_in_one_line, folder};
use super::{PATIENCE, assert_holds, loiter, run, text};

/// Becomes the server in a process of which it is told that the sockets are for it: standard input as descriptor 3 and, as
/// there is a second, standard error as 4. The log goes to a file then.
const HAND_OVER: &str = r#"export LISTEN_PID=$$; exec 3<&0 0</dev/null
if [ "$LISTEN_FDS" = 2 ]; then exec 4<&2 2>"$LOG"; fi; exec "$0" "$@""#;

fn listener() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

/// A command for a server that is handed `first`, and has its database in `folder`.
fn handing(first: impl Into<OwnedFd>, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .env_clear()
        .env("LISTEN_FDS", "1")
        .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_loiter")])
        .arg("--database")
        .arg(folder.join("chat.db"))
        .args(["--password-iterations", "1000"])
        .stdin(Stdio::from(first.into()));
    command
}

fn copy(socket: &TcpListener) -> TcpListener {
    socket.try_clone().expect("a descriptor")
}

/// What a server tells.
struct Told {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Told {
    fn in_folder(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a path");
        socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Self { socket, path }
    }

    #[track_caller]
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("it tells something");
        text(&bytes[..count]).to_owned()
    }

    #[track_caller]
    fn expect(&self, part: &str) -> String {
        loop {
            let told = self.next();
            if told.contains(part) {
                return told;
            }
        }
    }
}

#[track_caller]
fn assert_answers(client: &mut Client) {
    client.answer().assert_failed(401, "no_session");
}

fn asking(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send(get("/message/chatrooms").bytes());
    client
}

#[test]
fn it_serves_the_socket_that_it_is_handed_and_the_next_one_whom_it_has_left() {
    for loops in ["1", "3"] {
        let folder = folder();
        let (socket, address) = listener();
        // Nobody serves yet.
        let mut waiting = asking(address);
        for _ in 0..3 {
            let mut command = handing(copy(&socket), folder.path());
            command.args(["--loops", loops]);
            let serving = Serving::spawn(command, 1);
            assert_eq!(serving.addresses, [address]);
            assert_answers(&mut waiting);
            assert_answers(&mut asking(address));
            serving.signal("TERM");
            let (status, rest, log) = serving.end();
            assert_eq!(status.code(), Some(0), "{log:#?}");
            assert_eq!(rest, [""; 0], "one line for the one socket");
            waiting = asking(address);
        }
    }
}

#[test]
fn it_serves_all_sockets_that_it_is_handed() {
    let folder = folder();
    let [(first, here), (second, there)] = [listener(), listener()];
    let mut command = handing(first, folder.path());
    command
        .env("LISTEN_FDS", "2")
        .env("LOG", folder.path().join("log"));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::from(OwnedFd::from(second)))
        .spawn()
        .expect("a shell");
    let stdout = child.stdout.take().expect("piped");
    let lines: Vec<String> = (BufReader::new(stdout).lines().take(2))
        .map(|line| line.expect("UTF-8"))
        .collect();
    let log = || std::fs::read_to_string(folder.path().join("log"));
    let wanted = [here, there].map(|address| format!("listening on http://{address}"));
    assert_eq!(lines, wanted, "{:?}", log());
    for address in [here, there] {
        assert_answers(&mut asking(address));
    }
    super::signal(child.id(), &["TERM"]);
    assert_eq!(child.wait().expect("our child").code(), Some(0));
}

#[test]
fn it_tells_when_it_serves_that_it_lives_and_when_it_ends() {
    let folder = folder();
    let told = Told::in_folder(folder.path());
    let (socket, address) = listener();
    let mut command = handing(socket, folder.path());
    command
        .env("NOTIFY_SOCKET", &told.path)
        .env("WATCHDOG_USEC", "200000")
        .args(["--loops", "3", "--drain-timeout", "70s"]);
    let serving = Serving::spawn(command, 1);
    let ready = told.next();
    assert_eq!(
        ready,
        format!("READY=1\nSTATUS=listening on http://{address}")
    );
    for _ in 0..5 {
        assert_eq!(told.next(), "WATCHDOG=1");
    }
    let mut half = Client::connect(address);
    let request = get("/message/chatrooms").bytes();
    half.send([&request, &request[..20]].concat());
    assert_answers(&mut half);
    serving.signal("TERM");
    let stopping = told.expect("STOPPING=1");
    assert_holds(
        &stopping,
        &["\nEXTEND_TIMEOUT_USEC=75000000\n", "STATUS=draining"],
    );
    // One that takes long over its end is not taken for dead.
    told.expect("WATCHDOG=1");
    half.send(&request[20..]);
    assert_answers(&mut half);
    drop(half);
    let (status, _, log) = serving.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn it_tells_by_a_name_without_a_path_too() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let folder = folder();
    // The folder's own name is nobody else's.
    let name = folder.path().display().to_string();
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let told = Told {
        socket,
        path: format!("@{name}").into(),
    };
    let mut command = handing(listener().0, folder.path());
    command.env("NOTIFY_SOCKET", &told.path);
    let _serving = Serving::spawn(command, 1);
    assert_holds(&told.next(), &["READY=1"]);
}

#[test]
fn a_start_that_fails_is_told() {
    let folder = folder();
    let told = Told::in_folder(folder.path());
    std::fs::write(
        folder.path().join("chat.db"),
        "It was a dark night. ".repeat(100),
    )
    .expect("written");
    let mut command = handing(listener().0, folder.path());
    command
        .env("NOTIFY_SOCKET", &told.path)
        .args(["--log", "off"]);
    assert_fails_in_one_line(&run(&mut command), "chat.db");
    assert_holds(&told.next(), &["STATUS=", "chat.db"]);
}

#[test]
fn what_is_handed_to_another_process_is_left_alone() {
    let folder = folder();
    let mut command = loiter();
    command
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1")
        .args(["--listen", "127.0.0.1:0", "--database"])
        .arg(folder.path().join("chat.db"));
    let serving = Serving::spawn(command, 1);
    assert_answers(&mut asking(serving.addresses[0]));
}

#[test]
fn sockets_and_addresses_exclude_one_another() {
    let folder = folder();
    for named in ["--listen", "LOITER_LISTEN"] {
        let mut command = handing(listener().0, folder.path());
        match named {
            "--listen" => command.args(["--listen", "127.0.0.1:0"]),
            variable => command.env(variable, "127.0.0.1:0"),
        };
        let output = run(&mut command);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_holds(text(&output.stderr), &[named, "LISTEN_FDS=1"]);
    }
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let folder = folder();
    let (socket, address) = listener();
    let connected = TcpStream::connect(address).expect("it listens");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let file = File::open("/dev/null").expect("a file");
    let others: [(OwnedFd, &str); 3] = [
        (connected.into(), "it does not listen"),
        (datagrams.into(), "descriptor 3 (web)"),
        (file.into(), "descriptor 3 (web)"),
    ];
    for (other, about) in others {
        let mut command = handing(other, folder.path());
        command.env("LISTEN_FDNAMES", "web").args(["--log", "off"]);
        assert_fails_in_one_line(&run(&mut command), about);
    }
    for (variable, value) in [
        ("LISTEN_FDS", "many"),
        ("NOTIFY_SOCKET", "somewhere"),
        ("WATCHDOG_USEC", "soon"),
    ] {
        let mut command = handing(copy(&socket), folder.path());
        command.env(variable, value).args(["--log", "off"]);
        assert_fails_in_one_line(&run(&mut command), variable);
    }
}
