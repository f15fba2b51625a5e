//! That no input overtakes the post, phase by phase: here the test decides what comes between two phases of a turn.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;

use super::*;
use crate::job::Completion;
use crate::job::{MessageBounds, MessageRange, MessageRows};
use crate::model::{ChatroomId, ConnectionKey, Message, MessageId, Ticket, User, UserId};
use crate::routes::Response;
use crate::server::Server;
use crate::server::letters::Letter;
use crate::server::panicked::Panicked;
use crate::server::wakes::WAKES_PER_TURN;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who is logged in, and a loop that remembers it.
struct Scene {
    server: Server,
    client: TcpStream,
    token: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::bind(Config {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            database: folder.path().join("chat.db"),
            password_iterations: NonZeroU32::new(1000).expect("not zero"),
            ..Config::default()
        });
        let server = server.expect("it starts");
        let client = TcpStream::connect(server.addresses()[0]).expect("it listens");
        client.set_nonblocking(true).expect("a socket");
        let mut scene = Self {
            server,
            client,
            token: String::new(),
            _folder: folder,
        };
        scene.ask("POST /register/?username=ann&password=pw");
        let login = scene.ask("POST /login/?username=ann&password=pw");
        let (_, cookie) = login.split_once("session=").expect("a cookie");
        scene.token = cookie.split(';').next().expect("a token").to_owned();
        assert!(scene.ask(CHATROOMS).ends_with("\r\n\r\n[]"));
        scene
    }

    fn send(&mut self, start: &str) {
        let token = &self.token;
        let request = format!("{start} HTTP/1.1\r\nHost: h\r\nCookie: session={token}\r\n\r\n");
        self.client.write_all(request.as_bytes()).expect("sent");
    }

    fn ask(&mut self, start: &str) -> String {
        self.send(start);
        let patience = Instant::now() + PATIENCE;
        loop {
            let answer = self.answer();
            if !answer.is_empty() {
                return answer;
            }
            assert!(Instant::now() < patience, "no answer");
            let turned = self.server.turn(Some(Duration::from_millis(5)));
            turned.expect("a turn");
        }
    }

    /// What has come: answers are short, and leave in one piece.
    fn answer(&mut self) -> String {
        let mut bytes = [0; 4096];
        let count = self.client.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// As much post as `count`, the last of which is that there is a chatroom 77.
    fn post(&self, count: usize) {
        let created = |admin| Completion::ChatroomCreated {
            ticket: ticket(),
            admin: UserId::new(admin).expect("positive"),
            chatroom: Ok(ChatroomId::new(77).expect("positive")),
        };
        let letters = vec![created(2); count - 1].into_iter().chain([created(1)]);
        let office = self.server.first.mailbox.office();
        office.post(|counter| counter.put(0, letters.map(Letter::Completion)));
    }

    /// So many lists that nobody waits for any more, each of them long.
    fn post_long(&self, count: usize) {
        let id = MessageId::new(1).expect("positive");
        let chatroom = ChatroomId::new(77).expect("positive");
        let message = Message {
            id,
            chatroom,
            user: User {
                id: UserId::new(2).expect("positive"),
                name: "bob".into(),
            },
            text: "x".repeat(LONG_BYTES_PER_TURN).into(),
            time_unix_ms: 0,
        };
        let read = Completion::MessagesRead {
            ticket: ticket(),
            chatroom,
            range: MessageRange::Before(None),
            read: Ok(MessageRows {
                messages: [&message].into_iter().collect(),
                bounds: MessageBounds {
                    first: id,
                    last: Some(id),
                },
            }),
        };
        let letters = vec![Letter::Completion(read); count];
        let office = self.server.first.mailbox.office();
        office.post(|counter| counter.put(0, letters));
    }
}

/// Of a connection that is gone.
fn ticket() -> Ticket {
    Ticket {
        connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
        exchange: 1,
        event_loop: 1,
    }
}

const CHATROOMS: &str = "GET /message/chatrooms/";

#[test]
fn what_is_posted_after_the_post_was_taken_comes_before_the_input_all_the_same() {
    let mut scene = Scene::new();
    scene.send(CHATROOMS);
    let first = &mut scene.server.first;
    first.reactor.wait(Some(PATIENCE)).expect("an event");
    let now = first.clock.now();
    first
        .mailbox
        .tell(now, &mut first.engine, LETTERS_PER_TURN, u64::MAX);
    scene.post(LETTERS_PER_TURN);
    let first = &mut scene.server.first;
    first.take_input(now);
    first.carry_out(now);
    first.flush(now);
    assert!(scene.answer().ends_with("\r\n\r\n[77]"));
}

/// Long answers are shared out among turns, whether the input of a turn asks for them or its letters come to them.
#[test]
fn no_turn_has_more_to_send_than_there_is_time_for() {
    const CLIENTS: usize = 24;
    let mut scene = Scene::new();
    scene.ask("POST /message/newChatroom/");
    let text = "x".repeat(3_500);
    let send = format!("POST /message/sendMessage/?chatroomid=1&message={text}");
    for _ in 0..50 {
        scene.ask(&format!("{send}&limit=1"));
    }
    let list = 50 * text.len() as u64;
    for (start, phases) in [("GET /message/endpoll/?chatroomid=1", 1), (&send, 2)] {
        let address = scene.server.addresses()[0];
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| TcpStream::connect(address).expect("it listens"))
            .collect();
        let mine = clients
            .iter()
            .map(|client| client.try_clone().expect("a socket"));
        for client in mine {
            let asked = std::mem::replace(&mut scene.client, client);
            scene.send(start);
            scene.client = asked;
        }
        let queued = |scene: &Scene| scene.server.first.engine.queued_bytes();
        let all = queued(&scene) + CLIENTS as u64 * list;
        while queued(&scene) < all {
            let before = queued(&scene);
            scene.server.turn(Some(PATIENCE)).expect("a turn");
            let more = queued(&scene) - before;
            assert!(more < phases * (ANSWERS_PER_TURN + 2 * list), "{more}");
        }
    }
}

#[test]
fn input_waits_for_post_that_one_turn_could_not_take() {
    let mut scene = Scene::new();
    scene.post(2 * LETTERS_PER_TURN + 1);
    scene.send(CHATROOMS);
    for _ in 0..2 {
        scene.server.turn(Some(PATIENCE)).expect("a turn");
        assert_eq!(scene.answer(), "");
    }
    scene.server.turn(Some(PATIENCE)).expect("a turn");
    assert!(scene.answer().ends_with("\r\n\r\n[77]"));
}

/// A host that wakes faster than any loop takes keeps nobody from being answered.
#[test]
fn no_input_waits_for_more_wakes_than_a_turn_takes() {
    let mut scene = Scene::new();
    let waker = scene.server.waker();
    for key in 0..3 * WAKES_PER_TURN as u64 {
        (waker.wake(key, Response::empty(204))).expect("there is room");
    }
    for left in [2, 1, 0] {
        scene.send(CHATROOMS);
        scene.server.turn(Some(PATIENCE)).expect("a turn");
        assert!(scene.answer().ends_with("\r\n\r\n[]"), "{left}");
        // Nobody waits, and so each is over when it has been told.
        assert_eq!(waker.under_way(), left * WAKES_PER_TURN);
        let timeout = scene.server.first.poll_timeout();
        assert_eq!(timeout == Some(Duration::ZERO), left > 0);
    }
}

#[test]
fn who_is_woken_after_the_post_was_taken_is_woken_before_the_input_all_the_same() {
    let mut scene = Scene::new();
    let waker = scene.server.waker();
    scene.send(CHATROOMS);
    let first = &mut scene.server.first;
    first.reactor.wait(Some(PATIENCE)).expect("an event");
    let now = first.clock.now();
    first.mailbox.wakes.begin_turn();
    first.mailbox.wakes.tell(&mut first.engine);
    waker.wake(7, Response::empty(204)).expect("there is room");
    scene.server.first.take_input(now);
    assert_eq!(waker.under_way(), 0);
}

#[test]
fn a_lane_that_is_gone_ends_the_server_and_is_told() {
    let mut scene = Scene::new();
    let payload = Box::new("a defect".to_owned());
    let panicked = Panicked::new("the thread loiter-write".to_owned(), &*payload);
    scene.server.control.fall(panicked);
    let error = scene.server.run().expect_err("a lane is gone").to_string();
    assert_eq!(error, "the thread loiter-write panicked: a defect");
    assert!(scene.server.is_done());
}

#[test]
fn nobody_waits_for_the_long_lists_of_others() {
    let mut scene = Scene::new();
    scene.post_long(3);
    scene.post(1);
    scene.send(CHATROOMS);
    scene.server.turn(Some(PATIENCE)).expect("a turn");
    assert!(scene.answer().ends_with("\r\n\r\n[77]"));
    // One a turn, and the loop goes on by itself until none is left.
    let first = &scene.server.first;
    assert!(first.mailbox.has_long());
    assert_eq!(first.poll_timeout(), Some(Duration::ZERO));
    for is_left in [true, false] {
        scene.server.turn(Some(PATIENCE)).expect("a turn");
        assert_eq!(scene.server.first.mailbox.has_long(), is_left);
    }
}

/// What a client has sent before the end of the turn in which a drain begins was there, whatever the loop knew of it.
#[test]
fn a_drain_answers_what_came_after_the_wait_of_its_turn() {
    let mut scene = Scene::new();
    let control = scene.server.handle();
    let first = &mut scene.server.first;
    first.reactor.wait(Some(Duration::ZERO)).expect("no event");
    control.drain();
    scene.send(CHATROOMS);
    let first = &mut scene.server.first;
    let now = first.clock.now();
    first.obey(now);
    first.take_input(now);
    first.take_newcomers(now);
    first.engine.serve(now);
    first.carry_out(now);
    first.flush(now);
    first.reactor.reap();
    assert_eq!(scene.answer(), "");
    // There is no need to wait for an event: the look at the socket is due.
    assert_eq!(scene.server.first.poll_timeout(), Some(Duration::ZERO));
    scene.server.turn(Some(PATIENCE)).expect("a turn");
    let answer = scene.answer();
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n[]"), "{answer}");
}
