//! The floor over real sockets, in this process, and with this program's own clients.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use loiter_client::{Connection, Method, Request};

use super::Floor;
use crate::client::Client;

/// Only a failing test waits as long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    url: String,
    end: UnixStream,
    thread: JoinHandle<std::io::Result<usize>>,
}

impl Running {
    fn start() -> Self {
        let (end, ended) = UnixStream::pair().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut floor = Floor::new("127.0.0.1:0".parse().unwrap(), ended.into())?;
            tell.send(floor.address).unwrap();
            while floor.turn()? {}
            Ok(floor.sockets.open())
        });
        let url = format!("http://{}", told.recv().unwrap());
        Self { url, end, thread }
    }

    fn client(&self) -> Client {
        Client::new(self.url.parse().unwrap())
    }

    fn connect(&self) -> Connection {
        let address = self.url["http://".len()..].parse().unwrap();
        Connection::connect(address, PATIENCE).unwrap()
    }

    /// Sockets that were still open.
    fn end(mut self) -> usize {
        self.end.write_all(b"x").unwrap();
        self.thread.join().unwrap().unwrap()
    }
}

fn ask(connection: &mut Connection, method: &str, path: &str) {
    let request = Request::new(method, path).session("s");
    connection.send(&request.bytes()).unwrap();
}

/// The next answer's body.
fn answer(connection: &mut Connection) -> String {
    let answer = connection.answer(Method::Other).unwrap();
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// Once it is answered, the floor has handled what was written before on other connections.
fn settled(connection: &mut Connection) {
    ask(connection, "GET", "/message/chatrooms/");
    assert_eq!(answer(connection), "[1]");
}

#[test]
fn this_programs_client_can_prepare_a_run() {
    let floor = Running::start();
    let mut client = floor.client();
    assert_eq!(client.sign_up("ann", "p").unwrap(), 1);
    assert_eq!(client.session().len(), 64);
    assert_eq!(client.new_chatroom().unwrap(), 1);
    let chatroom = client.new_chatroom().unwrap();
    client.add_to_chatroom(chatroom, "bob").unwrap();
    assert_eq!(client.newest(chatroom).unwrap(), None);
    for id in 1..=3 {
        let last = client.send(chatroom, &format!("ab.{id}")).unwrap();
        assert_eq!(last.id, id);
        assert_eq!(last.text, format!("ab.{id}"));
    }
    assert_eq!(client.newest(chatroom).unwrap().unwrap().id, 3);
    assert_eq!(client.newest(1).unwrap(), None);
    client.round_trip().unwrap();
    drop(client);
    floor.end();
}

#[test]
fn a_message_ends_the_polls_of_its_chatroom_and_no_others() {
    let floor = Running::start();
    let mut sender = floor.connect();
    let mut polls: Vec<Connection> = (0..4).map(|_| floor.connect()).collect();
    for (poll, chatroom) in polls.iter_mut().zip([1, 2, 1, 2]) {
        let path = format!("/message/longpoll/?chatroomid={chatroom}");
        ask(poll, "GET", &path);
        settled(&mut sender);
    }
    ask(
        &mut sender,
        "POST",
        "/message/sendMessage/?chatroomid=2&message=hi",
    );
    let list = answer(&mut sender);
    assert!(
        list.starts_with(r#"[{"id":1,"chatroomid":2,"userid":1,"#),
        "{list}"
    );
    assert_eq!(answer(&mut polls[1]), list);
    assert_eq!(answer(&mut polls[3]), list);
    ask(&mut sender, "GET", "/message/endpoll/?chatroomid=1");
    assert_eq!(
        answer(&mut sender),
        r#"{"status":"ok","ended":2,"messages":[]}"#
    );
    assert_eq!(answer(&mut polls[0]), "[]");
    assert_eq!(answer(&mut polls[2]), "[]");
    // Nothing came twice: the next answer is that to the next question.
    for poll in &mut polls {
        settled(poll);
    }
    floor.end();
}

#[test]
fn who_leaves_is_forgotten_and_its_place_used_again() {
    let floor = Running::start();
    let mut sender = floor.connect();
    settled(&mut sender);
    let mut polls: Vec<Connection> = (0..6).map(|_| floor.connect()).collect();
    for poll in &mut polls {
        ask(poll, "GET", "/message/longpoll/?chatroomid=1");
        settled(&mut sender);
    }
    // One by FIN, one with bytes behind its poll, one by going altogether.
    polls[0].hang_up().unwrap();
    ask(&mut polls[1], "GET", "/message/chatrooms/");
    for at in [0, 1] {
        polls[at].read().unwrap();
        assert!(polls[at].has_ended(), "poll {at}");
    }
    drop(polls.remove(5));
    settled(&mut sender);
    let mut again = floor.connect();
    ask(&mut again, "GET", "/message/longpoll/?chatroomid=2");
    settled(&mut sender);
    ask(&mut sender, "GET", "/message/endpoll/?chatroomid=1");
    assert!(answer(&mut sender).contains(r#""ended":3"#));
    ask(&mut sender, "GET", "/message/endpoll/?chatroomid=2");
    assert!(answer(&mut sender).contains(r#""ended":1"#));
    // Of eight, the two that the floor has closed and the one that left are gone.
    assert_eq!(floor.end(), 5);
}

#[test]
fn heads_are_as_long_as_loiters() {
    let floor = Running::start();
    let mut client = floor.connect();
    ask(&mut client, "GET", "/message/chatrooms/");
    let answer = client.answer(Method::Other).unwrap();
    let text = str::from_utf8(&answer.head).unwrap();
    let names: Vec<&str> = text
        .lines()
        .skip(1)
        .map_while(|line| line.split_once(": ").map(|(name, _)| name))
        .collect();
    assert_eq!(
        names,
        [
            "Date",
            "Cache-Control",
            "X-Content-Type-Options",
            "Content-Length",
            "Content-Type"
        ]
    );
    floor.end();
}
