//! A host's own routes beside the API, over real sockets.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use loiter::{
    Answer, Config, Gone, NotWoken, Request, Response, Routes, Server, StartError, Waker,
};
use loiter_client::Method;
use loiter_client::strict::Request as Asking;

use crate::serving::{Client, PATIENCE, Serving, get, polling, post, saying};

const LONG: Duration = Duration::from_secs(600);

/// What all handlers of a host share.
#[derive(Clone)]
struct Host {
    /// Grows by one with each POST to `/count`.
    count: Arc<AtomicU64>,
    /// Handlers that were made and are still there.
    handlers: Arc<AtomicUsize>,
    /// Told at each look.
    looked: Arc<Mutex<Sender<()>>>,
    /// Told of each who is gone.
    gone: Arc<Mutex<Sender<(u64, Gone)>>>,
    /// Which loop, and how many of them there are.
    number: usize,
    waker: Waker,
}

fn number(number: u64) -> Response {
    Response::json(number.to_string())
}

impl Routes for Host {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        match (request.method(), request.path()) {
            ("POST", "/count") => {
                let now = self.count.fetch_add(1, SeqCst) + 1;
                self.waker.wake(0, number(now)).expect("there is room");
                number(now).into()
            }
            ("GET", "/count") => {
                let now = self.count.load(SeqCst);
                let seen = request.parameter("seen").and_then(|seen| seen.parse().ok());
                let _ = self.looked.lock().expect("never poisoned").send(());
                match seen == Some(now) {
                    true => Answer::park(0, LONG, number(now)),
                    false => number(now).into(),
                }
            }
            (_, "/count/soon") => Answer::park(1, Duration::from_millis(1), number(7)),
            (_, "/count/loop") => number(self.number as u64).into(),
            (_, "/count/client") => Response::json(format!("\"{}\"", request.client())).into(),
            (_, "/count/body") => number(request.body().len() as u64).into(),
            _ => Response::error(404, "not_found", "The host has nothing there.").into(),
        }
    }

    fn at_drain(&mut self, key: u64) -> Response {
        Response::error(503, "closing", &format!("This was key {key}."))
    }

    fn gone(&mut self, key: u64, how: Gone) {
        let _ = self.gone.lock().expect("never poisoned").send((key, how));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.handlers.fetch_sub(1, SeqCst);
    }
}

/// A server with such a host.
struct Hosted {
    serving: Serving,
    count: Arc<AtomicU64>,
    handlers: Arc<AtomicUsize>,
    looked: Receiver<()>,
    gone: Receiver<(u64, Gone)>,
}

impl Hosted {
    fn start() -> Self {
        Self::with(|_| {})
    }

    fn with(set: impl FnOnce(&mut Config)) -> Self {
        let (sender, looked) = mpsc::channel();
        let sender = Arc::new(Mutex::new(sender));
        let (tell, gone) = mpsc::channel();
        let tell = Arc::new(Mutex::new(tell));
        let count = Arc::new(AtomicU64::new(0));
        let handlers = Arc::new(AtomicUsize::new(0));
        let routes = |number, waker: &Waker| {
            handlers.fetch_add(1, SeqCst);
            Host {
                count: Arc::clone(&count),
                handlers: Arc::clone(&handlers),
                looked: Arc::clone(&sender),
                gone: Arc::clone(&tell),
                number,
                waker: waker.clone(),
            }
        };
        let start = |config| {
            Server::with_routes(config, Vec::new(), &["/count"], routes).expect("it starts")
        };
        Self {
            serving: Serving::started_by(set, start),
            count,
            handlers,
            looked,
            gone,
        }
    }

    /// A connection on which somebody waits who has seen this. They are parked, or their handler is about to say so.
    fn park(&self, seen: u64) -> Client {
        let mut client = self.serving.connect();
        client.send(get("/count").with("seen", seen).bytes());
        self.looked.recv_timeout(PATIENCE).expect("asked");
        client
    }

    /// Changes the host's state and wakes all who wait, by a request.
    fn change(&self) -> u64 {
        let now = self.serving.ask(&post("/count")).ok();
        now.as_u64().expect("a number")
    }

    /// Waits until so many wakes are under way at most.
    fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.serving.waker().under_way() > 0 {
            assert!(Instant::now() < deadline, "a wake does not end");
            thread::yield_now();
        }
    }
}

#[track_caller]
fn assert_told(client: &mut Client, wanted: u64) {
    assert_eq!(client.answer().ok(), wanted);
}

#[test]
fn the_host_answers_beside_the_api() {
    let hosted = Hosted::start();
    let mut client = hosted.serving.connect();
    assert_eq!(client.ask(&get("/count")).ok(), 0);
    client.ask(&get("/healthz")).ok();
    client
        .ask(&get("/count/other"))
        .assert_failed(404, "not_found");
    client.ask(&get("/counter")).assert_failed(404, "not_found");
    let sent = post("/count/body").content("text/plain", &[b'x'; 5000]);
    assert_eq!(client.ask(&sent).ok(), 5000);
    assert_eq!(client.ask(&get("/count/client")).ok(), "127.0.0.1");
    let head = client.ask(&Asking::new("HEAD", "/count/body"));
    assert_eq!((head.status, head.length()), (200, Some(1)));
    let ann = hosted.serving.user("ann");
    let chatroom = hosted.serving.chatroom(&ann);
    let mut poll = hosted.serving.poll(&ann, chatroom);
    let list = hosted.serving.say(&ann, chatroom, "hi");
    assert_eq!(poll.answer().ok(), list);
}

#[test]
fn all_who_wait_at_all_loops_are_told_once() {
    let hosted = Hosted::start();
    for round in 0..20 {
        let mut waiting: Vec<Client> = (0..20).map(|_| hosted.park(round)).collect();
        let now = hosted.change();
        assert_eq!(now, round + 1);
        waiting
            .iter_mut()
            .for_each(|client| assert_told(client, now));
        // Once, and who asks again on the same connection waits again.
        let kept = &mut waiting[0];
        kept.send(get("/count").with("seen", now).bytes());
        hosted.looked.recv_timeout(PATIENCE).expect("asked");
        kept.assert_silent();
    }
    hosted.settle();
}

/// The test changes the state as soon as a handler has looked at it: before the request is parked, as often as not.
#[test]
fn who_has_looked_before_a_change_is_woken_by_it() {
    let hosted = Hosted::start();
    let mut client = hosted.serving.connect();
    for seen in 0..2000 {
        client.send(get("/count").with("seen", seen).bytes());
        hosted.looked.recv_timeout(PATIENCE).expect("asked");
        let now = hosted.count.fetch_add(1, SeqCst) + 1;
        let woken = hosted.serving.waker().wake(0, number(now));
        woken.expect("there is room");
        // Those who look behind the change are told at once, and their wake finds nobody.
        assert_told(&mut client, now);
    }
}

/// What a host does on threads of its own is for one request each, under a key that nobody else has.
#[test]
fn an_answer_may_come_later_for_one_alone() {
    let next = Arc::new(AtomicU64::new(0));
    let routes = |_, waker: &Waker| {
        let (waker, next) = (waker.clone(), Arc::clone(&next));
        move |request: &Request<'_>| -> Answer {
            let key = next.fetch_add(1, SeqCst);
            let asked = request.query().to_owned();
            let waker = waker.clone();
            thread::spawn(move || waker.wake(key, Response::json(asked)));
            Answer::park(key, LONG, Response::empty(204))
        }
    };
    let start =
        |config| Server::with_routes(config, Vec::new(), &["/work"], routes).expect("it starts");
    let serving = Serving::started_by(|_| {}, start);
    let mut clients: Vec<Client> = (0..50).map(|_| serving.connect()).collect();
    for round in 0..4 {
        for (at, client) in clients.iter_mut().enumerate() {
            client.send(get(&format!("/work?{}", round * 100 + at)).bytes());
        }
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.answer().ok(), round * 100 + at);
        }
    }
}

#[test]
fn who_has_waited_long_enough_is_told_so() {
    let hosted = Hosted::start();
    let mut client = hosted.serving.connect();
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/count/soon")).ok(), 7);
    }
}

/// Once of each who was not answered, and of nobody else.
#[test]
fn the_host_is_told_of_all_who_are_gone() {
    let hosted = Hosted::start();
    let told = |key, how| {
        let told = hosted.gone.recv_timeout(PATIENCE);
        assert_eq!(told, Ok((key, how)));
    };
    let mut waiting: Vec<Client> = (0..20).map(|_| hosted.park(0)).collect();
    waiting.drain(..5).for_each(Client::reset);
    (0..5).for_each(|_| told(0, Gone::Left));
    waiting.drain(..5).for_each(|client| client.hang_up());
    (0..5).for_each(|_| told(0, Gone::Left));
    let now = hosted.change();
    waiting
        .iter_mut()
        .for_each(|client| assert_told(client, now));
    assert_eq!(hosted.serving.ask(&get("/count/soon")).ok(), 7);
    told(1, Gone::TimedOut);
    waiting.extend((0..10).map(|_| hosted.park(now)));
    hosted.serving.handle().stop();
    hosted.serving.wait_for_end();
    assert_eq!(
        hosted.gone.iter().collect::<Vec<_>>(),
        [(0, Gone::Ended); 10]
    );
}

/// Parks whoever asks, under the number that they ask with.
struct Waiting(Sender<(u64, Gone)>);

impl Routes for Waiting {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        let key = request.query().parse().expect("a number");
        Answer::park(key, LONG, Response::empty(204))
    }

    fn gone(&mut self, key: u64, how: Gone) {
        let _ = self.0.send((key, how));
        assert_ne!(key, 13, "a host's defect");
    }
}

/// Without a last turn.
#[test]
fn a_server_that_is_dropped_tells_of_who_waits() {
    // Where the host panics as it is told, that stays where it is.
    for keys in [1..4, 13..14] {
        let (tell, gone) = mpsc::channel();
        let start = |config| {
            let routes = |_, _: &Waker| Waiting(tell.clone());
            Server::with_routes(config, Vec::new(), &["/own"], routes).expect("it starts")
        };
        let mut driven = crate::serving::Driven::started_by(|_| {}, start);
        drop(tell);
        let asking = keys.clone().map(|key| {
            let mut client = driven.connect();
            client.send(get(&format!("/own?{key}")).bytes());
            client
        });
        let _clients = Vec::from_iter(asking);
        driven.ask(&get("/healthz")).ok();
        assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(driven);
        let mut told = Vec::from_iter(gone);
        told.sort_by_key(|&(key, _)| key);
        assert_eq!(told, Vec::from_iter(keys.map(|key| (key, Gone::Ended))));
    }
}

#[test]
fn a_panic_where_the_host_is_told_is_the_servers() {
    let (tell, _gone) = mpsc::channel();
    let start = |config| {
        let routes = |_, _: &Waker| Waiting(tell.clone());
        Server::with_routes(config, Vec::new(), &["/own"], routes).expect("it starts")
    };
    let mut driven = crate::serving::Driven::started_by(|_| {}, start);
    let mut client = driven.connect();
    client.send(get("/own?13").bytes());
    driven.turn_until(|server| server.connections() == 1);
    client.hang_up();
    let error = driven.server.run().expect_err("it panics");
    assert!(error.to_string().contains("a host's defect"), "{error}");
}

#[cfg(feature = "metrics")]
fn parked(hosted: &Hosted) -> usize {
    let text = hosted.serving.metrics().encode();
    let of_loops = text
        .lines()
        .filter_map(|line| line.strip_prefix("loiter_own_parked{"));
    let counts = of_loops.map(|line| line.rsplit_once(' ').expect("a number").1);
    counts
        .map(|count| count.parse::<usize>().expect("a number"))
        .sum()
}

#[cfg(feature = "metrics")]
#[test]
fn who_goes_while_waiting_is_forgotten() {
    let hosted = Hosted::start();
    let comes_to = |wanted: usize| {
        let deadline = Instant::now() + PATIENCE;
        while parked(&hosted) != wanted {
            assert!(Instant::now() < deadline, "{} wait", parked(&hosted));
            thread::yield_now();
        }
    };
    let mut waiting: Vec<Client> = (0..60).map(|_| hosted.park(0)).collect();
    comes_to(60);
    waiting.drain(..20).for_each(Client::reset);
    comes_to(40);
    waiting.drain(..20).for_each(|client| client.hang_up());
    comes_to(20);
    let now = hosted.change();
    waiting
        .iter_mut()
        .for_each(|client| assert_told(client, now));
    comes_to(0);
    let text = hosted.serving.metrics().encode();
    // 20 were woken, and one has changed it.
    assert!(
        text.contains(r#"loiter_requests_total{call="own",status="200"} 21"#),
        "{text}"
    );
}

#[test]
fn who_wakes_hears_that_the_server_has_been_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = loiter::Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        database: folder.path().join("chat.db"),
        ..loiter::Config::default()
    };
    let handler = |_: &loiter::Request<'_>| Response::empty(204).into();
    let server = loiter::Server::with_routes(config, Vec::new(), &["/own"], |_, _| handler);
    let server = server.expect("it starts");
    let waker = server.waker();
    assert_eq!(waker.wake(0, number(1)), Ok(()));
    drop(server);
    assert_eq!(waker.wake(0, number(1)), Err(NotWoken::Ended));
    assert_eq!(waker.under_way(), 0);
}

/// Nobody takes them any more, and whoever keeps a waker does not keep what it was to tell.
#[test]
fn what_is_posted_around_the_end_is_let_go_of() {
    let mut driven = crate::serving::Driven::start();
    let waker = driven.server.waker();
    driven.server.handle().drain();
    for key in 0..60_000 {
        assert_eq!(waker.wake(key, number(1)), Ok(()));
    }
    driven.turn();
    assert!(driven.server.is_done());
    assert_eq!(waker.under_way(), 0);
    assert_eq!(waker.wake(0, number(1)), Err(NotWoken::Ended));
}

#[test]
fn a_drain_ends_those_who_wait_by_the_hosts_word() {
    let hosted = Hosted::start();
    let mut waiting: Vec<Client> = (0..30).map(|_| hosted.park(0)).collect();
    hosted.serving.handle().drain();
    for client in &mut waiting {
        let answer = client.answer();
        answer.assert_failed(503, "closing");
        assert!(answer.closes());
        client.assert_ends();
    }
    hosted.serving.wait_for_end();
    let waker = hosted.serving.waker();
    assert_eq!(waker.wake(0, number(1)), Err(NotWoken::Ended));
    assert_eq!(waker.under_way(), 0);
    assert_eq!(
        hosted.handlers.load(SeqCst),
        0,
        "a handler was not let go of"
    );
}

#[test]
fn every_loop_has_its_handler() {
    let hosted = Hosted::start();
    assert_eq!(hosted.handlers.load(SeqCst), crate::LOOPS);
    let mut seen = vec![false; crate::LOOPS];
    let deadline = Instant::now() + PATIENCE;
    while seen.contains(&false) {
        let number = hosted.serving.ask(&get("/count/loop")).ok();
        seen[number.as_u64().expect("a number") as usize] = true;
        assert!(Instant::now() < deadline, "{seen:?}");
    }
}

/// Nobody takes the post here before the first turn.
#[test]
fn wakes_are_bounded() {
    let mut driven = crate::serving::Driven::with(|config| config.max_wakes = 3);
    let waker = driven.server.waker();
    for key in 0..3 {
        assert_eq!(waker.wake(key, number(1)), Ok(()));
    }
    assert_eq!(waker.wake(3, number(1)), Err(NotWoken::TooMany));
    // Those of a key are one wake, as long as nobody has been told.
    assert_eq!(waker.wake(2, number(2)), Ok(()));
    assert_eq!(waker.under_way(), 3);
    driven.turn_until(|_| waker.under_way() == 0);
    assert_eq!(waker.wake(3, number(1)), Ok(()));
}

/// Nor here. One alone may tell as much as it likes.
#[test]
fn what_wakes_tell_is_bounded() {
    let mut driven = crate::serving::Driven::with(|config| config.max_wake_bytes = 4096);
    let waker = driven.server.waker();
    let long = || Response::new(200, "text/plain", vec![b'x'; 10_000]);
    assert_eq!(waker.wake(1, long()), Ok(()));
    assert_eq!(waker.wake(2, number(1)), Err(NotWoken::TooMany));
    driven.turn_until(|_| waker.under_way() == 0);
    assert_eq!(waker.wake(2, number(1)), Ok(()));
    assert_eq!(waker.wake(3, long()), Err(NotWoken::TooMany));
    assert_eq!(waker.wake(3, number(1)), Ok(()));
}

#[test]
fn no_more_wait_than_may() {
    let hosted = Hosted::with(|config| {
        config.loops = 1;
        config.max_parked = Some(2);
    });
    let mut waiting = [hosted.park(0), hosted.park(0)];
    let mut refused = hosted.park(0);
    let answer = refused.answer();
    answer.assert_failed(503, "overloaded");
    assert_eq!(answer.field("retry-after"), Some("1"));
    let now = hosted.change();
    waiting
        .iter_mut()
        .for_each(|client| assert_told(client, now));
    hosted.park(now).assert_silent();
}

#[test]
fn the_servers_rules_hold_for_the_hosts_paths() {
    let hosted = Hosted::with(|config| {
        config.secure_cookies = true;
        config.allowed_origins = vec!["https://tea.example".parse().expect("an origin")];
        config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    let mut client = hosted.serving.connect();
    let elsewhere = post("/count").field("Origin", "https://evil.example");
    client.ask(&elsewhere).assert_failed(403, "cross_site");
    assert_eq!(hosted.count.load(SeqCst), 0, "the host was asked");
    let guest = post("/count").field("Origin", "https://tea.example");
    let answer = client.ask(&guest);
    assert_eq!(answer.ok(), 1);
    assert_eq!(
        answer.field("access-control-allow-origin"),
        Some("https://tea.example")
    );
    let behind = get("/count/client").field("X-Forwarded-For", "203.0.113.9");
    assert_eq!(client.ask(&behind).ok(), "203.0.113.9");
    let long = vec![b'x'; 64 * 1024 + 1];
    let long = post("/count/body").content("text/plain", &long);
    client.ask(&long).assert_failed(413, "body_too_large");
    client.assert_ends();
}

#[test]
fn pages_of_allowed_origins_are_told_so_when_they_are_woken_too() {
    let hosted = Hosted::with(|config| {
        config.secure_cookies = true;
        config.allowed_origins = vec!["https://tea.example".parse().expect("an origin")];
    });
    let waiting = get("/count").with("seen", 0);
    let mut clients = [hosted.serving.connect(), hosted.serving.connect()];
    clients[0].send(
        waiting
            .clone()
            .field("Origin", "https://tea.example")
            .bytes(),
    );
    clients[1].send(waiting.bytes());
    for _ in &clients {
        hosted.looked.recv_timeout(PATIENCE).expect("asked");
    }
    hosted.change();
    let fields = clients.each_mut().map(|client| {
        let answer = client.answer();
        answer
            .field("access-control-allow-origin")
            .map(str::to_owned)
    });
    assert_eq!(fields, [Some("https://tea.example".to_owned()), None]);
}

/// What the host says of other origins is said once, and by the host.
#[test]
fn the_hosts_word_on_other_origins_stands_alone() {
    const ORIGIN: &str = "access-control-allow-origin";
    const CREDENTIALS: &str = "access-control-allow-credentials";
    const EXPOSED: &str = "access-control-expose-headers";
    let own = |request: &Request<'_>| -> Answer {
        let (name, value) = request.query().split_once('=').expect("a field");
        let response = Response::json("1").with_field(name, value);
        response.expect("a field").into()
    };
    let set = |config: &mut Config| {
        config.secure_cookies = true;
        config.allowed_origins = vec!["https://tea.example".parse().expect("an origin")];
    };
    let start = |config| Server::with_routes(config, Vec::new(), &["/own"], |_, _| own);
    let serving = Serving::started_by(set, |config| start(config).expect("it starts"));
    let tea = "https://tea.example";
    let ours = "Loiter-Message-Id, Retry-After";
    for (field, wanted) in [
        (
            "Access-Control-Allow-Methods=PUT",
            [&[tea][..], &["true"], &[ours]],
        ),
        (
            "access-control-expose-headers=X-A",
            [&[tea], &["true"], &["X-A"]],
        ),
        // Who is allowed, and to do what, is said by one.
        ("Access-Control-Allow-Origin=*", [&["*"], &[], &[]]),
    ] {
        let asked = get(&format!("/own?{field}")).field("Origin", tea);
        let answer = serving.ask(&asked);
        let told = [ORIGIN, CREDENTIALS, EXPOSED].map(|name| {
            let fields = answer.fields.iter().filter(|(of, _)| of == name);
            Vec::from_iter(fields.map(|(_, value)| &**value))
        });
        assert_eq!(told, wanted, "{field}");
        assert_eq!(answer.field("vary"), Some("Origin"), "{field}");
    }
}

/// 2,000 wait: whoever asks something meanwhile is answered between two slices, and the chat goes on.
#[test]
fn others_are_served_while_very_many_are_told() {
    let hosted = Hosted::start();
    let ann = hosted.serving.user("ann");
    let chatroom = hosted.serving.chatroom(&ann);
    let mut waiting: Vec<Client> = (0..400).map(|_| hosted.park(0)).collect();
    let mut poll = hosted.serving.connect();
    poll.park(&ann, &polling(&ann, chatroom));
    let mut speaker = hosted.serving.connect();
    let now = hosted.change();
    let list = speaker.ask(&saying(&ann, chatroom, "hi")).ok();
    assert_eq!(poll.answer().ok(), list);
    waiting
        .iter_mut()
        .for_each(|client| assert_told(client, now));
    hosted.settle();
}

#[test]
fn a_handlers_panic_is_the_servers() {
    let config = |folder: &tempfile::TempDir| Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        database: folder.path().join("chat.db"),
        loops: crate::LOOPS,
        ..Config::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let panics = |_: &Request<'_>| -> Answer { panic!("a host's defect") };
    let server = Server::with_routes(config(&folder), Vec::new(), &["/bad"], |_, _| panics);
    let mut server = server.expect("it starts");
    let mut client = Client::connect(server.addresses()[0]);
    client.send(get("/bad").bytes());
    let error = server.run().expect_err("it panics");
    let reason = error.to_string();
    assert!(reason.contains("a host's defect"), "{reason}");
    client.assert_ends();
}

/// A host whose handlers panic as they are dropped.
struct Bad(Arc<AtomicUsize>);

impl Routes for Bad {
    fn answer(&mut self, _: &Request<'_>) -> Answer {
        Response::empty(204).into()
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("a host's defect");
    }
}

#[test]
fn a_handler_that_panics_as_it_is_dropped_is_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = |database: &str| Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        database: folder.path().join(database),
        loops: crate::LOOPS,
        ..Config::default()
    };
    let dropped = Arc::new(AtomicUsize::new(0));
    let start = |database: &str| {
        let routes = |_, _: &Waker| Bad(Arc::clone(&dropped));
        Server::with_routes(config(database), Vec::new(), &["/bad"], routes)
    };
    let mut server = start("chat.db").expect("it starts");
    server.handle().stop();
    server.run().expect("a good end");
    drop(server);
    assert_eq!(dropped.load(SeqCst), crate::LOOPS);
    // Of one that has never turned, and of one that could not start.
    drop(start("chat.db"));
    let error = start("no/such/chat.db").expect_err("no folder");
    assert!(matches!(error, StartError::Open(_)), "{error}");
    assert_eq!(dropped.load(SeqCst), 3 * crate::LOOPS);
}

#[test]
fn a_prefix_of_the_servers_is_refused_at_start() {
    for prefix in ["/message/mine", "/login", "count", "/a/../b"] {
        let nothing = |_: &Request<'_>| -> Answer { Response::empty(204).into() };
        let config = Config::default();
        let refused = Server::with_routes(config, Vec::new(), &["/good", prefix], |_, _| nothing);
        let error = refused.expect_err("refused");
        assert!(matches!(error, StartError::Routes(_)), "{error}");
        let reason = error.to_string();
        assert!(reason.starts_with(&format!("{prefix:?} ")), "{reason}");
        assert_eq!(reason.lines().count(), 1);
    }
}

/// Without the chat page its path is free.
#[cfg(not(feature = "web"))]
#[test]
fn the_root_stands_for_all_that_the_server_has_not() {
    let own = |request: &Request<'_>| -> Answer {
        Response::json(format!("\"{}\"", request.path())).into()
    };
    let start = |config| Server::with_routes(config, Vec::new(), &["/"], |_, _| own).expect("good");
    let serving = Serving::started_by(|_| {}, start);
    assert_eq!(serving.ask(&get("/")).ok(), "/");
    assert_eq!(serving.ask(&get("/page/page.js")).ok(), "/page/page.js");
    serving
        .ask(&get("/whoami"))
        .assert_failed(401, "no_session");
}

#[test]
fn a_request_may_be_put_off_by_any_method() {
    let hosted = Hosted::start();
    let mut client = hosted.serving.connect();
    client.send(Asking::new("HEAD", "/count/soon").bytes());
    let head = client.answer_to(Method::Head);
    assert_eq!((head.status, head.length()), (200, Some(1)));
    assert_eq!(client.ask(&Asking::new("PUT", "/count/soon")).ok(), 7);
}
