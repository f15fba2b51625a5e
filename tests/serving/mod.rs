//! Servers in this process, each with a new database and a port of its own; for the targets that test over real sockets.
//!
//! [`Serving`] runs on its own thread, as a server does, with as many event loops as the target has chosen (`LOOPS`). With
//! `LOITER_TEST_SERVERS=3` it is three of one PostgreSQL, unless the test says why it wants one alone.
//! [`Driven`] is turned by the test, which so decides what the server has seen before the next byte is sent; it has one loop.
//! What the tests say to them is said by `loiter_client::strict`, which is named here with them.

#![allow(
    dead_code,
    unused_imports,
    reason = "each target that includes this uses its part"
)]

pub(crate) mod database;
pub(crate) mod proxy;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use loiter::{Config, Handle, Server, Waker};
use loiter_client::Method;
pub(crate) use loiter_client::strict::{
    Answer, Client, PATIENCE, Request, Session, adding, encoded, ending, get, logging_in, polling,
    post, registering, saying,
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use database::OtherProgram;

/// A server on a thread of its own; or several of one database, where the environment says how many (`LOITER_TEST_SERVERS`), over which the
/// connections of a test are spread in turn, as by a load balancer. Stopped when it is dropped.
pub(crate) struct Serving {
    /// One at least.
    servers: Vec<Running>,
    /// The place of the one that gets the next connection.
    turn: AtomicUsize,
    folder: TempDir,
}

/// One server on a thread of its own.
struct Running {
    address: SocketAddr,
    handle: Handle,
    waker: Waker,
    #[cfg(feature = "metrics")]
    metrics: (loiter::Metrics, Option<SocketAddr>),
    /// What `run` will have returned, until somebody has waited for it.
    end: Mutex<Option<Receiver<io::Result<()>>>>,
}

/// A server that does nothing by itself.
pub(crate) struct Driven {
    pub(crate) server: Server,
    folder: TempDir,
}

/// What all tests want: a free port, a new database, hashes and commits that cost little.
fn config(folder: &Path) -> Config {
    Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        database: database_in(folder),
        password_iterations: NonZeroU32::new(1000).expect("not zero"),
        durability: loiter::config::Durability::Normal,
        max_connections: Some(1000),
        loops: crate::LOOPS,
        ..Config::default()
    }
}

/// What the server of this folder keeps everything in.
pub(crate) fn database_in(folder: &Path) -> PathBuf {
    database::in_folder(folder, "chat.db")
}

fn new_folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// How many servers a test has that does not say it.
fn count() -> usize {
    let count = std::env::var("LOITER_TEST_SERVERS");
    let count = count.map_or(1, |count| count.parse().expect("a number of servers"));
    // A file is for one.
    if database::is_file() { 1 } else { count }
}

impl Running {
    fn run(mut server: Server) -> Self {
        let waker = server.waker();
        let (address, handle) = (server.addresses()[0], server.handle());
        #[cfg(feature = "metrics")]
        let metrics = (server.metrics(), server.metrics_address());
        let (sender, end) = mpsc::channel();
        thread::spawn(move || {
            let result = server.run();
            // With its last thread gone, the database's file is free again.
            drop(server);
            let _ = sender.send(result);
        });
        Self {
            address,
            handle,
            waker,
            #[cfg(feature = "metrics")]
            metrics,
            end: Mutex::new(Some(end)),
        }
    }

    fn wait_for_end(&self) {
        if let Some(end) = self.end.lock().expect("never poisoned").take() {
            let result = end.recv_timeout(PATIENCE).expect("run returns");
            result.expect("run ends well");
        }
    }
}

fn bind(config: Config) -> Server {
    Server::bind(config).expect("it starts")
}

impl Serving {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts with settings of the test's own.
    pub(crate) fn with(set: impl FnOnce(&mut Config)) -> Self {
        Self::in_folder(new_folder(), set, count())
    }

    /// Starts one server by itself, whatever the environment says: what is tested is a server's own affair, and the test says which.
    pub(crate) fn alone(_reason: &str, set: impl FnOnce(&mut Config)) -> Self {
        Self::in_folder(new_folder(), set, 1)
    }

    fn in_folder(folder: TempDir, set: impl FnOnce(&mut Config), count: usize) -> Self {
        let mut config = config(folder.path());
        set(&mut config);
        let servers = (0..count).map(|_| Running::run(bind(config.clone())));
        Self {
            servers: servers.collect(),
            turn: AtomicUsize::new(0),
            folder,
        }
    }

    /// Starts one server with settings of the test's own, and as the test wants it.
    pub(crate) fn started_by(
        set: impl FnOnce(&mut Config),
        start: impl FnOnce(Config) -> Server,
    ) -> Self {
        let folder = new_folder();
        let mut config = config(folder.path());
        set(&mut config);
        Self {
            servers: vec![Running::run(start(config))],
            turn: AtomicUsize::new(0),
            folder,
        }
    }

    /// Stops it, and starts as many others on the same database.
    pub(crate) fn restart(self, set: impl FnOnce(&mut Config)) -> Self {
        let count = self.servers.len();
        self.stop();
        self.wait_for_end();
        let mut ended = self;
        let folder = std::mem::replace(&mut ended.folder, new_folder());
        Self::in_folder(folder, set, count)
    }

    /// Has all servers stop.
    pub(crate) fn stop(&self) {
        self.servers.iter().for_each(|server| server.handle.stop());
    }

    /// Has all servers drain.
    pub(crate) fn drain(&self) {
        self.servers.iter().for_each(|server| server.handle.drain());
    }

    /// Waits until `run` has returned and all servers are gone.
    pub(crate) fn wait_for_end(&self) {
        self.servers.iter().for_each(Running::wait_for_end);
    }

    /// The server of a test that wants one alone.
    #[track_caller]
    fn only(&self) -> &Running {
        assert_eq!(
            self.servers.len(),
            1,
            "a test of one server's own affair says so"
        );
        &self.servers[0]
    }

    #[track_caller]
    pub(crate) fn handle(&self) -> &Handle {
        &self.only().handle
    }

    #[track_caller]
    pub(crate) fn waker(&self) -> &Waker {
        &self.only().waker
    }

    /// Where the next connection goes to.
    pub(crate) fn address(&self) -> SocketAddr {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.servers[turn % self.servers.len()].address
    }

    #[cfg(feature = "metrics")]
    #[track_caller]
    pub(crate) fn metrics(&self) -> &loiter::Metrics {
        &self.only().metrics.0
    }

    /// What each of them counts.
    #[cfg(feature = "metrics")]
    pub(crate) fn all_metrics(&self) -> impl Iterator<Item = &loiter::Metrics> {
        self.servers.iter().map(|server| &server.metrics.0)
    }

    #[cfg(feature = "metrics")]
    #[track_caller]
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.only().metrics.1
    }

    pub(crate) fn database(&self) -> PathBuf {
        database_in(self.folder.path())
    }

    /// Another program on its database.
    pub(crate) fn other_program(&self) -> OtherProgram {
        OtherProgram::on(&self.database())
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Connects from another address of this machine.
    pub(crate) fn connect_from(&self, host: [u8; 4]) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        let here = SocketAddr::from((host, 0));
        socket.bind(&here.into()).expect("all of 127/8 is ours");
        socket.connect(&self.address().into()).expect("it accepts");
        Client::of(socket.into())
    }

    /// Asks on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        self.connect().ask(request)
    }

    /// Registers a user with the password `pw`, and logs in.
    pub(crate) fn user(&self, name: &str) -> Session {
        self.ask(&registering(name)).ok();
        self.login(name)
    }

    pub(crate) fn login(&self, name: &str) -> Session {
        Session::of(&self.ask(&logging_in(name)))
    }

    pub(crate) fn chatroom(&self, admin: &Session) -> i64 {
        let created = self.ask(&post("/message/newChatroom/").of(admin)).ok();
        created["chatroomid"].as_i64().expect("an id")
    }

    pub(crate) fn add(&self, admin: &Session, chatroom: i64, whom: &Session) {
        self.ask(&adding(admin, chatroom, whom.userid)).ok();
    }

    /// Sends a message, and returns the list of most recent messages. All servers have heard of it by then.
    pub(crate) fn say(&self, session: &Session, chatroom: i64, text: &str) -> Value {
        let list = self.ask(&saying(session, chatroom, text)).ok();
        if self.servers.len() > 1 {
            // Each tells of its own part, behind what it had to hear of before.
            let asked = get("/message/presence/").with("chatroomid", chatroom);
            self.ask(&asked.of(session)).ok();
        }
        list
    }

    /// A connection with a poll parked in a chatroom.
    pub(crate) fn poll(&self, session: &Session, chatroom: i64) -> Client {
        let mut client = self.connect();
        if !database::is_file() {
            // This loop has the chatroom's list from now on, and need not wait for it.
            let ahead = polling(session, chatroom).with("since", 1_i64 << 40);
            // Where the database is away nothing comes of it.
            client.ask(&ahead);
        }
        client.park(session, &polling(session, chatroom));
        client.assert_silent();
        client
    }

    /// Has the loop that takes the next connection remember a session. Where there is one loop it does all that was asked
    /// for before and needs no store.
    pub(crate) fn warm(&self, session: &Session) {
        // The second is read in a later turn than the first, which may overtake others of its own turn.
        for _ in 0..2 {
            self.ask(&get("/message/chatrooms/").of(session)).ok();
        }
    }

    /// Ends the session's polls in a chatroom, and says how many there were.
    pub(crate) fn end_polls(&self, session: &Session, chatroom: i64) -> Value {
        self.ask(&ending(session, chatroom)).ok()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
        if !thread::panicking() {
            self.wait_for_end();
        }
    }
}

impl Driven {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(set: impl FnOnce(&mut Config)) -> Self {
        Self::started_by(set, |config| Server::bind(config).expect("it starts"))
    }

    /// Starts with settings of the test's own, and as the test wants it.
    pub(crate) fn started_by(
        set: impl FnOnce(&mut Config),
        start: impl FnOnce(Config) -> Server,
    ) -> Self {
        let folder = new_folder();
        let mut config = Config {
            loops: 1,
            ..config(folder.path())
        };
        set(&mut config);
        Self {
            server: start(config),
            folder,
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        database_in(self.folder.path())
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.server.addresses()[0])
    }

    /// Lets the server take in what has come so far, and no more.
    pub(crate) fn turn(&mut self) {
        let turned = self.server.turn(Some(Duration::ZERO));
        turned.expect("a turn");
    }

    /// Turns until something holds.
    #[track_caller]
    pub(crate) fn turn_until(&mut self, mut holds: impl FnMut(&Server) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.server) {
            assert!(Instant::now() < deadline, "it does not come to hold");
            let turned = self.server.turn(Some(Duration::from_millis(5)));
            turned.expect("a turn");
        }
    }

    #[track_caller]
    pub(crate) fn answer(&mut self, client: &mut Client) -> Answer {
        self.next(client, Method::Other)
    }

    #[track_caller]
    pub(crate) fn next(&mut self, client: &mut Client, method: Method) -> Answer {
        let mut answer = None;
        self.turn_until(|_| {
            client.read_at_once();
            answer = client.arrived_to(method);
            answer.is_some() || client.has_ended()
        });
        answer
            .or_else(|| client.arrived_to(method))
            .expect("an answer before the end")
    }

    /// Turns until the server has ended the connection, before which nothing may come.
    #[track_caller]
    pub(crate) fn assert_ends(&mut self, client: &mut Client) {
        self.turn_until(|_| {
            client.read_at_once();
            client.has_ended()
        });
        client.assert_ends();
    }

    /// Asks on a connection of its own.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        let mut client = self.connect();
        client.send(request.bytes());
        let answer = self.next(&mut client, request.method());
        client.reset();
        answer
    }

    pub(crate) fn user(&mut self, name: &str) -> Session {
        self.ask(&registering(name)).ok();
        Session::of(&self.ask(&logging_in(name)))
    }

    pub(crate) fn chatroom(&mut self, admin: &Session) -> i64 {
        let created = self.ask(&post("/message/newChatroom/").of(admin)).ok();
        created["chatroomid"].as_i64().expect("an id")
    }

    pub(crate) fn say(&mut self, session: &Session, chatroom: i64, text: &str) -> Value {
        self.ask(&saying(session, chatroom, text)).ok()
    }

    pub(crate) fn end_polls(&mut self, session: &Session, chatroom: i64) -> Value {
        self.ask(&ending(session, chatroom)).ok()
    }

    /// A connection with a poll parked in a chatroom.
    pub(crate) fn poll(&mut self, session: &Session, chatroom: i64) -> Client {
        self.warm(session);
        let mut client = self.connect();
        client.send(polling(session, chatroom).bytes());
        self.warm(session);
        client.assert_silent();
        client
    }

    /// Has the server remember a session, and do all that was asked for before and needs no store.
    pub(crate) fn warm(&mut self, session: &Session) {
        for _ in 0..2 {
            self.ask(&get("/message/chatrooms/").of(session)).ok();
        }
    }
}
