//! The binary is killed in the middle of sending, again and again: whatever it acknowledged is in the database.
//!
//! Each round serves the same database, lets several clients send as fast as they are answered, and kills the process
//! (SIGKILL) after a number of answers that differs from round to round, as that of its event loops does, wherever it is then. The database is read
//! directly afterwards, so that no code of the server can hide a loss.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;

const ROUNDS: usize = 10;
const SENDERS: usize = 8;
const CHATROOMS: i64 = 3;

struct Killed {
    child: Child,
    address: String,
}

impl Killed {
    fn start(database: &Path, loops: usize) -> Self {
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

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection on which calls are made one after the other.
struct Client {
    stream: BufReader<TcpStream>,
    cookie: String,
}

struct Answer {
    status: u16,
    cookie: Option<String>,
    body: serde_json::Value,
}

impl Client {
    fn connect(address: &str, cookie: &str) -> io::Result<Self> {
        Ok(Self {
            stream: BufReader::new(TcpStream::connect(address)?),
            cookie: cookie.to_owned(),
        })
    }

    fn post(&mut self, target: &str) -> io::Result<Answer> {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nCookie: session={}\r\n\r\n",
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

/// A message that was acknowledged: chatroom, id, text.
type Acknowledged = (i64, i64, String);

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let cookie = prepare(&database);
    let mut acknowledged: HashMap<(i64, i64), String> = HashMap::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        let wanted = 40 + round * 37;
        for (chatroom, id, text) in send_until_killed(&database, &cookie, round, wanted) {
            let doubled = acknowledged.insert((chatroom, id), text);
            assert_eq!(doubled, None, "round {round}: id {id} was given twice");
        }
        assert!(acknowledged.len() >= before + wanted);
        verify(&database, &acknowledged, round);
    }
}

/// Registers one user with some chatrooms; returns the session's token, which outlives every kill.
fn prepare(database: &Path) -> String {
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
    for chatroom in 1..=CHATROOMS {
        let created = client.post("/message/newChatroom/").expect("an answer");
        assert_eq!(created.body["chatroomid"], chatroom);
    }
    client.cookie
}

/// Sends from several connections until `wanted` messages are acknowledged, and kills the server then. Returns all
/// that were acknowledged, those that came in between included.
fn send_until_killed(
    database: &Path,
    cookie: &str,
    round: usize,
    wanted: usize,
) -> Vec<Acknowledged> {
    let mut server = Killed::start(database, 1 + round % 3);
    let (answered, answers) = mpsc::channel();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let answered = answered.clone();
            let mut client = Client::connect(&server.address, cookie).expect("connected");
            thread::spawn(move || {
                for n in 0.. {
                    match send(&mut client, round, sender, n) {
                        // The test may have gone on after the kill.
                        Ok(message) => drop(answered.send(message)),
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    drop(answered);
    let mut acknowledged: Vec<Acknowledged> = answers.iter().take(wanted).collect();
    server.child.kill().expect("killed");
    server.child.wait().expect("gone");
    acknowledged.extend(answers.iter());
    for sender in senders {
        sender.join().expect("no answer was wrong");
    }
    acknowledged
}

fn send(client: &mut Client, round: usize, sender: usize, n: usize) -> io::Result<Acknowledged> {
    let chatroom = (sender + n) as i64 % CHATROOMS + 1;
    let text = format!("round-{round}-sender-{sender}-message-{n}");
    let target = format!("/message/sendMessage/?chatroomid={chatroom}&message={text}");
    let answer = client.post(&target)?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let newest = answer.body.as_array().expect("a list").last();
    let newest = newest.expect("with the new message");
    assert_eq!(newest["message"], text.as_str());
    Ok((chatroom, newest["id"].as_i64().expect("an id"), text))
}

fn verify(database: &Path, acknowledged: &HashMap<(i64, i64), String>, round: usize) {
    let connection = Connection::open(database).expect("opened");
    let check: String = connection
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .expect("checked");
    assert_eq!(check, "ok", "round {round}");
    let mut all = connection
        .prepare("SELECT chatroom, id, text FROM messages ORDER BY chatroom, id")
        .expect("prepared");
    let rows = all.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let rows: Vec<Acknowledged> = rows.expect("read").map(|row| row.expect("a row")).collect();
    for chatroom in 1..=CHATROOMS {
        let ids = rows.iter().filter(|row| row.0 == chatroom).map(|row| row.1);
        assert!(
            ids.zip(1..).all(|(id, place)| id == place),
            "round {round}: a gap in {chatroom}"
        );
    }
    let saved: HashMap<(i64, i64), &str> =
        rows.iter().map(|row| ((row.0, row.1), &*row.2)).collect();
    for (place, text) in acknowledged {
        assert_eq!(
            saved.get(place),
            Some(&&**text),
            "round {round}: {place:?} is lost"
        );
    }
}
