//! A server that can be killed, and a client that does not mind.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long an answer may take; only a failing test waits for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The built binary, killed when it is dropped.
pub(crate) struct Killed {
    child: Child,
    pub(crate) address: String,
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
            address: address.to_owned(),
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

/// A connection on which calls are made one after the other.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    pub(crate) cookie: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cookie: Option<String>,
    pub(crate) body: serde_json::Value,
}

impl Client {
    pub(crate) fn connect(address: &str, cookie: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            cookie: cookie.to_owned(),
        })
    }

    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.ask("GET", target)
    }

    pub(crate) fn post(&mut self, target: &str) -> io::Result<Answer> {
        self.ask("POST", target)
    }

    fn ask(&mut self, method: &str, target: &str) -> io::Result<Answer> {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nCookie: session={}\r\n\r\n",
            self.cookie
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let (mut status, mut length, mut cookie) = (None, 0, None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().ok();
            } else if let Some(rest) = line.strip_prefix("Content-Length: ") {
                length = rest.parse().expect("a length");
            } else if let Some(rest) = line.strip_prefix("Set-Cookie: session=") {
                cookie = rest.split(';').next().map(str::to_owned);
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            status: status.expect("a status line"),
            cookie,
            body: serde_json::from_slice(&body).expect("JSON"),
        })
    }
}

/// Registers one user with some chatrooms; returns the session's token, which outlives every kill.
pub(crate) fn prepare(database: &Path, chatrooms: i64) -> String {
    let server = Killed::start(database, 1);
    let mut client = Client::connect(&server.address, "").expect("connected");
    let account = "username=ann&password=x";
    client
        .post(&format!("/register/?{account}"))
        .expect("an answer");
    let login = client
        .post(&format!("/login/?{account}"))
        .expect("an answer");
    client.cookie = login.cookie.expect("a session");
    for chatroom in 1..=chatrooms {
        let created = client.post("/message/newChatroom/").expect("an answer");
        assert_eq!(created.body["chatroomid"], chatroom);
    }
    client.cookie
}
