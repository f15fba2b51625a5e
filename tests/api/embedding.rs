//! A server within a host's own loop.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use loiter::{Config, Handle, Server};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::serving::database::is_file;
use crate::serving::{
    Client, Driven, PATIENCE, Serving, Session, get, logging_in, polling, post, registering, saying,
};

const SERVER: Token = Token(7);

/// A host that nests the server's descriptor in its own poll, and turns only when it is told to.
fn host(server: &mut Server) {
    let mut poll = Poll::new().expect("a poll");
    let fd = server.as_raw_fd();
    let mut source = SourceFd(&fd);
    let registered = poll
        .registry()
        .register(&mut source, SERVER, Interest::READABLE);
    registered.expect("it can be watched");
    let mut events = Events::with_capacity(8);
    let deadline = Instant::now() + PATIENCE;
    while !server.is_done() {
        let timeout = server.poll_timeout().unwrap_or(PATIENCE);
        poll.poll(&mut events, Some(timeout)).expect("a poll");
        server.turn(Some(Duration::ZERO)).expect("a turn");
        assert!(Instant::now() < deadline, "it does not end");
    }
}

/// What a client does meanwhile, by itself.
fn chat(connect: impl Fn() -> Client) {
    connect().ask(&registering("ann")).ok();
    let ann = Session::of(&connect().ask(&logging_in("ann")));
    let created = connect().ask(&post("/message/newChatroom").of(&ann)).ok();
    let id = created["chatroomid"].as_i64().expect("an id");
    connect().ask(&get("/message/chatrooms").of(&ann)).ok();
    for n in 1..=20 {
        let mut polls: Vec<Client> = (0..20).map(|_| connect()).collect();
        for poll in &mut polls {
            poll.park(&ann, &polling(&ann, id));
        }
        let list = connect().ask(&saying(&ann, id, "hi")).ok();
        assert_eq!(list.as_array().map(Vec::len), Some(n));
        for poll in &mut polls {
            assert_eq!(poll.answer().ok(), list);
        }
    }
}

/// Stops the server when it is dropped, so that a failed client does not leave the host waiting.
struct Stop(Handle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn a_host_nests_the_server_in_its_own_poll() {
    let mut driven = Driven::with(|config| config.loops = crate::LOOPS);
    assert_eq!(
        driven.server.poll_timeout() == Some(Duration::ZERO),
        crate::LOOPS > 1,
        "the first turn starts the other loops, and must not wait for a client of this one"
    );
    let address = driven.server.addresses()[0];
    let stop = Stop(driven.server.handle());
    thread::scope(|scope| {
        scope.spawn(move || {
            let _stop = stop;
            chat(|| Client::connect(address));
        });
        host(&mut driven.server);
    });
}

#[test]
fn one_thread_may_turn_two_servers() {
    let mut servers = [Driven::start(), Driven::start()];
    let users = servers.each_mut().map(|driven| driven.user("ann"));
    let ids = [0, 1].map(|at| servers[at].chatroom(&users[at]));
    let mut polls = [0, 1].map(|at| servers[at].poll(&users[at], ids[at]));
    // Each has its own users, sessions and messages.
    let list = servers[0].say(&users[0], ids[0], "hi");
    assert_eq!(servers[0].answer(&mut polls[0]).ok(), list);
    servers[1].warm(&users[1]);
    polls[1].assert_silent();
    servers[1]
        .ask(&get("/message/chatrooms").of(&users[0]))
        .assert_failed(401, "no_session");
}

#[test]
fn a_handle_wakes_a_turn_from_another_thread() {
    let mut driven = Driven::start();
    let handle = driven.server.handle();
    let waker = thread::spawn(move || handle.clone().wake());
    // Without the wake it would wait as long as the machine stands.
    driven.server.turn(None).expect("a turn");
    waker.join().expect("it woke");
    fn from_any_thread<T: Send + Sync + Clone>(_: &T) {}
    from_any_thread(&driven.server.handle());
}

#[test]
fn the_host_is_told_how_long_it_may_wait() {
    let mut driven = Driven::with(|config| config.idle_timeout = Duration::from_secs(50));
    assert_eq!(driven.server.poll_timeout(), None, "nobody is there");
    let _client = driven.connect();
    driven.turn_until(|server| server.connections() == 1);
    driven.turn_until(|server| server.poll_timeout() != Some(Duration::ZERO));
    let wait = driven
        .server
        .poll_timeout()
        .expect("an idle client has a limit");
    assert!(
        wait <= Duration::from_secs(51) && wait > Duration::from_secs(20),
        "{wait:?}"
    );
}

#[test]
fn turns_after_the_end_do_nothing() {
    let mut driven = Driven::start();
    driven.server.handle().stop();
    driven.turn();
    assert!(driven.server.is_done());
    driven.server.turn(None).expect("at once");
    driven.server.run().expect("at once");
}

#[test]
fn a_server_that_cannot_start_says_why_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::alone("it has the address that others want", |_| {});
    let config = |listen, database| Config {
        listen: vec![listen],
        database,
        ..Config::default()
    };
    let with_loops = |loops, config| Config { loops, ..config };
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let missing = folder.path().join("missing/chat.db");
    let mut refused = vec![
        (
            config(serving.address(), folder.path().join("chat.db")),
            serving.address().to_string(),
        ),
        (
            with_loops(3, config(serving.address(), folder.path().join("chat.db"))),
            serving.address().to_string(),
        ),
        (
            config(free, missing),
            folder.path().join("missing").display().to_string(),
        ),
    ];
    // Several servers may share a database that is no file.
    if is_file() {
        let about = serving.database().display().to_string();
        refused.push((config(free, serving.database()), about));
    }
    for (config, about) in refused {
        let error = Server::bind(config).expect_err("refused").to_string();
        assert!(
            error.contains(&about) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_server_that_is_dropped_ends_all_its_loops() {
    let mut driven = Driven::with(|config| config.loops = crate::LOOPS);
    let address = driven.server.addresses()[0];
    driven.turn();
    drop(driven);
    // No thread has kept a listener.
    let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// The host keeps the socket, and so nobody who comes between two servers is refused.
#[test]
fn who_comes_between_two_servers_on_a_hosts_socket_is_answered_by_the_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    let mut waiting: Vec<Client> = Vec::new();
    for _ in 0..3 {
        let config = Config {
            database: folder.path().join("chat.db"),
            loops: crate::LOOPS,
            ..Config::default()
        };
        let copy = socket.try_clone().expect("a descriptor");
        let mut server = Server::with_listeners(config, vec![copy]).expect("it starts");
        assert_eq!(server.addresses(), [address]);
        let stop = Stop(server.handle());
        let running = thread::spawn(move || server.run());
        for mut client in waiting.drain(..) {
            client.answer().assert_failed(404, "not_found");
        }
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.ask(&get("/nowhere")).assert_failed(404, "not_found");
        }
        drop(stop);
        running.join().expect("no panic").expect("a good end");
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.send(get("/nowhere").bytes());
            waiting.push(client);
        }
    }
}

#[test]
fn sockets_and_addresses_exclude_one_another() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = Config {
        listen: vec![socket.local_addr().expect("bound")],
        ..Config::default()
    };
    let refused = Server::with_listeners(config, vec![socket]).expect_err("both");
    let reason = "listen must be empty where listening sockets are handed over";
    assert_eq!(refused.to_string(), reason);
}

/// A part that has panicked takes all with it, and the host is told: never half a server.
#[cfg(debug_assertions)]
#[test]
fn a_panic_of_any_loop_ends_the_whole_server_and_is_told() {
    for number in 0..crate::LOOPS {
        let mut driven = Driven::with(|config| config.loops = crate::LOOPS);
        let mut clients: Vec<Client> = (0..10).map(|_| driven.connect()).collect();
        driven.turn_until(|server| server.connections() == 10);
        driven.server.handle().break_loop(number);
        let error = driven.server.run().expect_err("it panics");
        let panicked = error.get_ref().expect("a source");
        assert!(panicked.is::<loiter::Panicked>(), "{panicked}");
        let named = format!("event loop {number} panicked: ");
        let reason = panicked.to_string();
        assert!(reason.starts_with(&named), "{reason}");
        assert!(reason.contains("broken by a test"), "{reason}");
        assert!(driven.server.is_done());
        driven.server.turn(None).expect("at once");
        for client in &mut clients {
            client.assert_ends();
        }
        let address = driven.server.addresses()[0];
        let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

/// What a watchdog asks: a loop that gives no turn shows, whichever it is.
#[test]
fn a_pulse_is_felt_only_where_every_loop_turns() {
    let mut driven = Driven::with(|config| config.loops = crate::LOOPS);
    let handle = driven.server.handle();
    assert!(!handle.check_pulse(), "no turn yet");
    assert!(!handle.check_pulse(), "no turn yet");
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..10 {
        // The others turn by themselves.
        driven.turn_until(|_| handle.check_pulse());
        // Here this one does not.
        handle.check_pulse();
        assert!(!handle.check_pulse());
        assert!(Instant::now() < deadline);
    }
    handle.stop();
    driven.server.run().expect("a good end");
    assert!(handle.check_pulse(), "who has ended does not hang");
}
