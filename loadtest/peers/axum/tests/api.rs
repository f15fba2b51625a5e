//! A walk through the documented API, with the built program on a temporary database and bare connections.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loiter_client::{Connection, Method, Request};

/// Only a failing test waits as long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (process, address) = start(&folder);
        Self {
            process,
            folder,
            address,
        }
    }

    /// Ends it in good order, and starts it on the same database.
    fn restart(&mut self) {
        self.end();
        (self.process, self.address) = start(&self.folder);
    }

    fn end(&mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }

    fn connect(&self) -> Client {
        Client {
            connection: Connection::connect(self.address, PATIENCE).unwrap(),
            session: String::new(),
        }
    }
}

fn start(folder: &std::path::Path) -> (Child, SocketAddr) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_loiter-peer-axum"))
        .args(["--listen", "127.0.0.1:0", "--password-iterations", "1000"])
        .args(["--recent", "3", "--database"])
        .arg(folder.join("chat.db"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = process.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://");
    (process, address.unwrap().parse().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client {
    connection: Connection,
    session: String,
}

impl Client {
    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) {
        let mut request = Request::new(method, path).session(&self.session);
        if let Some(body) = body {
            request = request.content("application/json", body.as_bytes());
        }
        self.connection.send(&request.bytes()).unwrap();
    }

    /// Status and body of the next answer; keeps a session that it sets.
    fn answer(&mut self) -> (u16, String) {
        let answer = self.connection.answer(Method::Other).unwrap();
        if let Some(session) = answer.session() {
            session.clone_into(&mut self.session);
        }
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    fn has_answer(&mut self) -> bool {
        self.connection.read_at_once().unwrap();
        !self.connection.unread().is_empty()
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        self.ask("GET", path, None);
        self.answer()
    }

    fn post(&mut self, path: &str) -> (u16, String) {
        self.ask("POST", path, None);
        self.answer()
    }

    fn sign_up(&mut self, name: &str) {
        let who = format!("username={name}&password=p");
        assert_eq!(self.post(&format!("/register/?{who}")).0, 200);
        assert_eq!(self.post(&format!("/login/?{who}")).0, 200);
    }
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

#[track_caller]
fn refused(answer: (u16, String), status: u16, code: &str) {
    assert_eq!(answer.0, status, "{}", answer.1);
    let expected = format!(r#"{{"error":"{code}","#);
    assert!(answer.1.starts_with(&expected), "{}", answer.1);
}

#[test]
fn two_people_talk() {
    let mut server = Server::start("two");
    let (mut ann, mut bob) = (server.connect(), server.connect());
    refused(ann.get("/message/chatrooms/"), 401, "no_session");
    ann.sign_up("Ann");
    bob.sign_up("bob");
    refused(
        bob.post("/register?username=ANN&password=x"),
        409,
        "username_taken",
    );
    refused(
        bob.post("/login/?username=ann&password=x"),
        401,
        "bad_credentials",
    );
    assert_eq!(ann.get("/message/chatrooms/"), ok("[]"));
    assert_eq!(bob.get("/message/chatrooms/"), ok("[]"));
    assert_eq!(ann.post("/message/newChatroom/"), ok(r#"{"chatroomid":1}"#));
    refused(
        bob.get("/message/longpoll/?chatroomid=1"),
        500,
        "not_a_participant",
    );
    refused(
        bob.get("/message/longpoll/?chatroomid=9"),
        500,
        "not_a_participant",
    );
    assert_eq!(
        ann.get("/message/getUser/?name=B"),
        ok(r#"[{"userid":2,"username":"bob"}]"#)
    );
    assert_eq!(ann.get("/message/getUser/?name=x"), ok("{}"));
    let both = r#"[{"userid":1,"username":"Ann"},{"userid":2,"username":"bob"}]"#;
    for _ in 0..2 {
        assert_eq!(
            ann.post("/message/addToChatroom/?chatroomid=1&usertoadd=Bob"),
            ok(&format!(
                r#"{{"chatroomid":1,"admin":1,"participants":{both}}}"#
            ))
        );
    }
    refused(
        bob.post("/message/addToChatroom/?chatroomid=1&usertoadd=bob"),
        403,
        "not_admin",
    );
    refused(
        ann.post("/message/addToChatroom/?chatroomid=1&usertoadd=eve"),
        404,
        "no_such_user",
    );
    assert_eq!(
        bob.get("/message/chatroomParticipants/?chatroomid=1"),
        ok(both)
    );
    assert_eq!(bob.get("/message/chatrooms"), ok("[1]"));

    bob.ask("GET", "/message/longpoll/?chatroomid=1", None);
    // Nothing tells when the poll is parked, so ann talks until it has been woken.
    let body = r#"{"message":"hi \"bob\""}"#;
    let mut sent = 0;
    while !bob.has_answer() {
        ann.ask("POST", "/message/sendMessage/?chatroomid=1", Some(body));
        let (status, list) = ann.answer();
        sent += 1;
        let message = format!(
            r#"{{"id":{sent},"chatroomid":1,"userid":1,"username":"Ann","message":"hi \"bob\"","time":""#
        );
        assert!(status == 200 && list.contains(&message), "{list}");
    }
    let (status, woken) = bob.answer();
    assert!(
        status == 200 && woken.contains(r#""message":"hi \"bob\"""#),
        "{woken}"
    );

    server.restart();
    let mut eve = server.connect();
    eve.session.clone_from(&ann.session);
    for text in ["2", "3", "4"] {
        let path = format!("/message/sendMessage/?chatroomid=1&message={text}");
        assert_eq!(eve.post(&path).0, 200);
    }
    let (_, ended) = eve.get("/message/endpoll/?chatroomid=1");
    let ids: Vec<&str> = ended
        .split(r#"{"id":"#)
        .skip(1)
        .map(|rest| rest.split(',').next().unwrap())
        .collect();
    let ids: Vec<usize> = ids.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, [sent + 1, sent + 2, sent + 3]);
    assert!(ended.starts_with(r#"{"status":"ok","ended":0,"messages":[{"#));
    server.end();
}

#[test]
fn an_endpoll_and_a_logout_end_polls() {
    let mut server = Server::start("logout");
    let mut ann = server.connect();
    ann.sign_up("ann");
    ann.post("/message/newChatroom/");
    let mut poll = server.connect();
    poll.session.clone_from(&ann.session);
    poll.ask("GET", "/message/longpoll/?chatroomid=1", None);
    // Asked behind the poll until the poll is there to be ended.
    while ann
        .get("/message/endpoll/?chatroomid=1")
        .1
        .contains(r#""ended":0"#)
    {}
    assert_eq!(poll.answer(), ok("[]"));
    poll.ask("GET", "/message/longpoll/?chatroomid=1", None);
    // Parked by then or not, it has no session.
    assert_eq!(ann.post("/logout/"), ok(r#"{"status":"ok"}"#));
    refused(poll.answer(), 401, "no_session");
    server.end();
}

#[test]
fn mistakes_are_named() {
    let server = Server::start("mistakes");
    let mut ann = server.connect();
    refused(ann.get("/nothing"), 404, "not_found");
    refused(ann.get("/login/"), 405, "method_not_allowed");
    refused(ann.post("/register/?username=a"), 400, "bad_parameter");
    ann.sign_up("ann");
    for path in [
        "/message/longpoll/",
        "/message/longpoll/?chatroomid=0",
        "/message/longpoll/?chatroomid=1&chatroomid=1",
        "/message/endpoll/?chatroomid=%zz",
        "/message/getUser/?name=",
    ] {
        refused(ann.get(path), 400, "bad_parameter");
    }
}
