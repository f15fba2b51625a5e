//! Hints by a Redis of the test's own, which is killed, stands still, or is not there: none of that costs a message, or keeps anybody from writing.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use loiter::{OpenError, Server, StartError};
use tempfile::TempDir;

use super::*;

/// What must be shown nowhere.
const PASSWORD: &str = "s3cret";

/// A Redis on a port of its own that keeps nothing.
struct Redis {
    port: u16,
    is_tls: bool,
    server: Option<Child>,
    folder: TempDir,
}

impl Redis {
    fn start() -> Self {
        Self::with(false)
    }

    fn with(is_tls: bool) -> Self {
        let mut redis = Self {
            port: free_port(),
            is_tls,
            server: None,
            folder: tempfile::tempdir().expect("a folder"),
        };
        redis.restart();
        redis
    }

    fn restart(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", PASSWORD, "--dir"])
            .arg(self.folder.path());
        match self.is_tls {
            false => command.args(["--port", &port]),
            true => {
                let of = |file| format!("{}/{file}", certificates());
                command
                    .args(["--port", "0", "--tls-auth-clients", "no"])
                    .args(["--tls-port", &port, "--tls-cert-file", &of("server.pem")])
                    .args(["--tls-key-file", &of("server.key")])
                    .args(["--tls-ca-cert-file", &of("ca.pem")])
            }
        };
        let mut server = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let told = server.stdout.take().expect("piped");
        let mut lines = BufReader::new(told).lines();
        let is_ready = |line: String| line.contains("Ready to accept connections");
        assert!(
            lines.by_ref().map_while(Result::ok).any(is_ready),
            "it ended"
        );
        // Whatever else it says finds a reader.
        thread::spawn(move || lines.for_each(drop));
        self.server = Some(server);
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("killed");
            server.wait().expect("ended");
        }
    }

    /// `STOP` or `CONT`.
    fn signal(&self, signal: &str) {
        let server = self.server.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &server])
            .status();
        assert!(sent.expect("kill").success());
    }

    fn address(&self) -> Hints {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        Hints::Redis(format!("{scheme}://:{PASSWORD}@localhost:{}/2", self.port))
    }

    /// The servers only hear of one another by this.
    fn hinting(&self) -> impl Fn(&mut Config) {
        let hints = self.address();
        move |config| {
            hinting(config);
            config.hints = hints.clone();
        }
    }

    /// … or ask.
    fn hinting_or_asking(&self) -> impl Fn(&mut Config) {
        let hints = self.address();
        move |config| config.hints = hints.clone()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder with `ca.pem`, which the system is told to trust, and what it has signed for localhost.
fn certificates() -> String {
    std::env::var("LOITER_TEST_CERTIFICATES").expect("tests/cluster.sh makes them")
}

fn free_port() -> u16 {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(any).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Ann at the one and Bob at the other, in a chatroom, and the last message there.
struct Talk {
    servers: [Serving; 2],
    sessions: [Session; 2],
    chatroom: i64,
    last: i64,
}

impl Talk {
    fn between(servers: [Serving; 2]) -> Self {
        let sessions = [servers[0].user("ann"), servers[1].user("bob")];
        let chatroom = servers[0].chatroom(&sessions[0]);
        servers[0]
            .ask(&adding(&sessions[0], chatroom, sessions[1].userid))
            .ok();
        Self {
            servers,
            sessions,
            chatroom,
            last: 0,
        }
    }

    fn park(&self, at: usize) -> serving::Client {
        let mut poll = self.servers[at].connect();
        let session = &self.sessions[at];
        poll.park(session, &since(session, self.chatroom, self.last));
        poll
    }

    fn say(&mut self, at: usize) {
        self.servers[at].say(&self.sessions[at], self.chatroom, "hi");
        self.last += 1;
    }

    /// Each hears what the other says, some times over.
    fn go_on(&mut self) {
        for round in 0..6 {
            let mut poll = self.park(1 - round % 2);
            self.say(round % 2);
            assert_eq!(ids(&poll.answer().ok()), [self.last]);
        }
    }
}

#[test]
fn polls_are_woken_by_hints_alone() {
    let redis = Redis::start();
    Talk::between(servers(redis.hinting())).go_on();
}

#[test]
fn what_else_is_told_is_told_too() {
    let redis = Redis::start();
    sessions_end_everywhere(redis.hinting());
    whoever_joins_and_leaves_does_so_everywhere(redis.hinting());
    parked::endpoll_ends_polls_everywhere(redis.hinting());
}

#[test]
fn tls_is_spoken_with_whom_the_system_trusts() {
    let redis = Redis::with(true);
    Talk::between(servers(redis.hinting())).go_on();
}

#[test]
fn a_redis_that_was_killed_has_lost_nothing() {
    let mut redis = Redis::start();
    let mut talk = Talk::between(servers(redis.hinting()));
    talk.go_on();
    let mut poll = talk.park(1);
    redis.kill();
    talk.say(0);
    redis.restart();
    assert_eq!(ids(&poll.answer().ok()), [talk.last]);
    talk.go_on();
}

#[test]
fn a_redis_that_stands_still_holds_up_nobody() {
    let redis = Redis::start();
    let mut talk = Talk::between(servers(redis.hinting_or_asking()));
    talk.go_on();
    redis.signal("STOP");
    talk.go_on();
    redis.signal("CONT");
    talk.go_on();
}

#[test]
fn a_redis_that_is_not_there_is_done_without() {
    let mut redis = Redis::start();
    redis.kill();
    let mut talk = Talk::between(servers(redis.hinting_or_asking()));
    talk.go_on();
    // It is found when it comes.
    let mut poll = talk.park(1);
    redis.restart();
    talk.say(0);
    assert_eq!(ids(&poll.answer().ok()), [talk.last]);
}

/// A hint of a message that nobody has written, by whoever else may publish, hides none that comes.
#[test]
fn a_hint_of_what_never_was_hides_nothing() {
    let [one, other] = servers(hinting);
    let mut talk = Talk::between([one, other]);
    talk.go_on();
    let mut liar = talk.servers[0].other_program();
    let hint = format!("0 {}:{}", talk.chatroom, talk.last + 1000);
    liar.execute(&format!(
        "SELECT pg_notify('loiter' || hashtext(current_schema()), '{hint}')"
    ));
    talk.go_on();
}

#[test]
fn an_address_that_is_none_is_refused_by_its_name() {
    let one = Serving::start();
    for (wrong, why) in [
        ("redis://ann:s3cret@localhost/chat", "number of a database"),
        ("rediss://ann:s3cret@localhost:0", "port"),
        ("redis://ann:s3cret@", "no host"),
        ("valkey://ann:s3cret@localhost", "rediss://"),
    ] {
        let refused = Server::bind(Config {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            database: one.database(),
            hints: Hints::Redis(wrong.to_owned()),
            ..Config::default()
        });
        let Err(StartError::Open(error @ OpenError::BadHints { .. })) = refused else {
            panic!("{wrong} is taken");
        };
        let told = error.to_string();
        assert!(told.contains(why), "{told}");
        assert!(told.contains("ann@"), "{told}");
        assert!(!told.contains(PASSWORD), "{told}");
    }
}
