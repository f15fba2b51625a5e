//! The host's own routes through the engine, on a clock and a post of the test's own; in a file of its own what happens at random.

mod chance;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::arena::Arena;
use crate::buffer::Bytes;
use crate::config::Config;
use crate::engine::Output;
use crate::model::Connection;
use crate::routes::Places;

/// A host with a number that only grows: who has seen it waits for the next.
struct Counter {
    number: Arc<AtomicU64>,
    gone: Told,
}

/// Of whom the host was told that they are gone.
type Told = Arc<Mutex<Vec<Gone>>>;

impl Routes for Counter {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        let now = self.number.load(Ordering::Relaxed).to_string();
        match request.parameter("seen") == Some(now.clone()) {
            true => Answer::park(7, Duration::from_secs(60), Response::empty(204)),
            false => Response::text(now).into(),
        }
    }

    fn gone(&mut self, key: u64, how: Gone) {
        assert_eq!(key, 7);
        self.gone.lock().expect("no panic").push(how);
    }

    fn at_drain(&mut self, key: u64) -> Response {
        Response::error(503, "bye", &key.to_string())
    }
}

/// Changes the host's number.
fn next(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// An engine with the host's routes, and what it has sent to whom.
struct Loop {
    engine: Engine,
    keys: Arena<(), Connection>,
    now: Now,
    sent: BTreeMap<ConnectionKey, Vec<Bytes>>,
    ended: Vec<ConnectionKey>,
    gone: Told,
}

impl Loop {
    fn new(number: u16, counter: &Arc<AtomicU64>) -> Self {
        let gone = Told::default();
        let routes = Counter {
            number: Arc::clone(counter),
            gone: Arc::clone(&gone),
        };
        Self {
            gone,
            ..Self::with(number, Box::new(routes))
        }
    }

    fn with(number: u16, routes: Box<dyn Routes>) -> Self {
        let mut engine = Engine::new(&Config::default(), number);
        let prefixes = Prefixes::new(&["/counter"]).expect("good");
        engine.set_routes(prefixes, routes, 1000);
        Self {
            engine,
            keys: Arena::default(),
            now: Now::default(),
            sent: BTreeMap::new(),
            ended: Vec::new(),
            gone: Told::default(),
        }
    }

    fn connect(&mut self) -> ConnectionKey {
        let key = self.keys.insert(());
        self.engine.accept(self.now, key);
        key
    }

    fn offer(&mut self, key: ConnectionKey, request: &str) -> usize {
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        let input = request.as_bytes();
        (self.engine)
            .receive(self.now, key, input, &origin)
            .consumed
    }

    fn get(&mut self, key: ConnectionKey, target: &str) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(self.offer(key, &request), request.len());
    }

    /// A connection on which somebody waits who has seen this.
    fn park(&mut self, seen: u64) -> ConnectionKey {
        let key = self.connect();
        self.get(key, &format!("/counter?seen={seen}"));
        self.serve();
        assert_eq!(self.text(key), "");
        key
    }

    /// One slice; how many were answered.
    fn serve(&mut self) -> usize {
        self.engine.expire(self.now);
        self.engine.serve(self.now);
        let mut answers = 0;
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Send(key, bytes) => {
                    answers = 1_usize.saturating_add(answers);
                    self.sent.entry(key).or_default().push(bytes);
                }
                Output::Finish(key) => self.ended.push(key),
                _ => {}
            }
        }
        answers
    }

    fn settle(&mut self) {
        while self.serve() > 0 || self.engine.has_work() {}
    }

    /// All that a connection has been sent since this was last asked.
    fn text(&mut self, key: ConnectionKey) -> String {
        let sent = self.sent.remove(&key).unwrap_or_default();
        String::from_utf8(sent.concat()).expect("UTF-8")
    }

    #[track_caller]
    fn assert_nobody_waits(&self) {
        assert_eq!(self.engine.own_counts(), Counts::default());
    }

    /// Of whom the host was told since this was last asked.
    fn gone(&self) -> Vec<Gone> {
        std::mem::take(&mut *self.gone.lock().expect("no panic"))
    }
}

/// One engine, its host's number, and the way to wake.
struct Host {
    one: Loop,
    counter: Arc<AtomicU64>,
    places: Arc<Places>,
}

impl Host {
    fn new() -> Self {
        let counter = Arc::default();
        Self {
            one: Loop::new(0, &counter),
            counter,
            places: Places::new(10, usize::MAX),
        }
    }

    fn change(&mut self) {
        let now = next(&self.counter);
        let wake = self.places.wake(7, Response::text(now.to_string()));
        self.one.engine.wake(wake.expect("there is room"));
    }
}

#[test]
fn the_host_is_asked_for_its_own_paths_only() {
    let mut one = Host::new().one;
    let key = one.connect();
    let asked = |one: &mut Loop, target: &str| {
        one.get(key, target);
        one.settle();
        one.text(key)
    };
    let answer = asked(&mut one, "/counter");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 1\r\n"), "{answer}");
    assert!(answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"));
    assert!(
        answer.contains("\r\nCache-Control: no-store\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
    assert!(asked(&mut one, "/counter/x/").ends_with("\r\n\r\n0"));
    assert!(asked(&mut one, "/counters").starts_with("HTTP/1.1 404 "));
    assert!(asked(&mut one, "/healthz").contains(r#""status":"ok""#));
    one.offer(key, "HEAD /counter HTTP/1.1\r\nHost: h\r\n\r\n");
    one.settle();
    let head = one.text(key);
    assert!(
        head.ends_with("\r\n\r\n") && head.contains("Content-Length: 1\r\n"),
        "{head}"
    );
}

#[test]
fn all_who_wait_are_told_the_same_bytes_and_may_ask_again() {
    let mut host = Host::new();
    let waiting: Vec<_> = (0..3).map(|_| host.one.park(0)).collect();
    host.change();
    let late = host.one.park(1);
    host.one.settle();
    let sent: Vec<_> = (waiting.iter())
        .map(|key| host.one.sent[key][0].clone())
        .collect();
    assert!(sent[0].ends_with(b"\r\n\r\n1"));
    assert!(
        sent.iter().all(|bytes| bytes.as_ptr() == sent[0].as_ptr()),
        "rendered once"
    );
    assert_eq!(host.places.taken(), 0);
    assert_eq!(host.one.engine.own_counts().requests, 1, "who came later");
    for &key in &waiting {
        host.one.text(key);
        host.one.get(key, "/counter?seen=1");
    }
    host.change();
    host.one.settle();
    for key in waiting.into_iter().chain([late]) {
        assert!(host.one.text(key).ends_with("\r\n\r\n2"));
    }
    host.one.assert_nobody_waits();
    assert_eq!(host.one.gone(), [], "all were answered");
}

#[test]
fn who_has_waited_long_enough_gets_what_was_meant_for_then() {
    let mut host = Host::new();
    let key = host.one.park(0);
    host.one.now.monotonic_ms = 59_000;
    host.one.settle();
    assert_eq!(host.one.text(key), "");
    host.one.now.monotonic_ms = 60_200;
    host.one.settle();
    assert!(
        host.one
            .text(key)
            .starts_with("HTTP/1.1 204 No Content\r\n")
    );
    host.one.assert_nobody_waits();
    assert_eq!(host.one.gone(), [Gone::TimedOut]);
    host.change();
    host.one.settle();
    assert_eq!(host.one.text(key), "");
    assert_eq!(host.one.gone(), []);
}

#[test]
fn a_wake_is_served_in_slices() {
    let mut host = Host::new();
    let parked: Vec<_> = (0..300).map(|_| host.one.park(0)).collect();
    host.change();
    let slices: Vec<usize> = (0..4).map(|_| host.one.serve()).collect();
    assert_eq!(slices, [128, 128, 44, 0]);
    let first = host.one.sent[&parked[0]][0].as_ptr();
    let is_first = |key| host.one.sent[key][0].as_ptr() == first;
    assert!(parked.iter().all(is_first), "rendered once for all slices");
}

#[test]
fn who_goes_while_parked_is_forgotten_at_once() {
    let mut host = Host::new();
    let parked: Vec<_> = (0..4).map(|_| host.one.park(0)).collect();
    let (engine, now) = (&mut host.one.engine, host.one.now);
    engine.gone(now, parked[0]);
    assert_eq!(engine.own_counts().requests, 3);
    engine.hung_up(now, parked[1]);
    assert_eq!(engine.own_counts().requests, 2);
    engine.ended(now, parked[2]);
    assert_eq!(engine.own_counts().requests, 1);
    engine.flooded(now, parked[3]);
    host.one.assert_nobody_waits();
    assert_eq!(host.one.gone(), [Gone::Left; 4]);
    host.one.settle();
    parked
        .iter()
        .for_each(|&key| host.one.engine.gone(host.one.now, key));
    assert_eq!(host.one.gone(), [], "once");
    assert!(host.one.text(parked[3]).starts_with("HTTP/1.1 400 "));
    assert_eq!(host.one.text(parked[0]), "");
}

#[test]
fn who_has_hung_up_is_answered_but_not_parked() {
    let mut one = Host::new().one;
    let keys = [one.connect(), one.connect()];
    for key in keys {
        one.engine.hung_up(one.now, key);
    }
    one.get(keys[0], "/counter");
    one.get(keys[1], "/counter?seen=0");
    one.assert_nobody_waits();
    assert_eq!(one.gone(), [Gone::Left]);
    one.settle();
    assert!(one.text(keys[0]).ends_with("\r\n\r\n0"));
    assert_eq!(one.ended, [keys[1]]);
}

#[test]
fn what_is_sent_behind_waits_for_its_turn() {
    let mut host = Host::new();
    let key = host.one.connect();
    let first = "GET /counter?seen=0 HTTP/1.1\r\nHost: h\r\n\r\n";
    let both = format!("{first}GET /counter HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(host.one.offer(key, &both), first.len());
    host.one.settle();
    assert_eq!(host.one.text(key), "");
    host.change();
    host.one.settle();
    assert!(host.one.text(key).ends_with("\r\n\r\n1"));
    host.one.get(key, "/counter?seen=0");
    host.one.settle();
    assert!(host.one.text(key).ends_with("\r\n\r\n1"));
}

#[test]
fn a_drain_ends_those_who_wait_and_those_who_would() {
    let mut host = Host::new();
    let idle = host.one.connect();
    let parked: Vec<_> = (0..200).map(|_| host.one.park(0)).collect();
    host.one.engine.drain(host.one.now);
    host.one.get(idle, "/counter?seen=0");
    assert!(host.one.engine.has_work());
    host.one.settle();
    for key in parked.into_iter().chain([idle]) {
        let answer = host.one.text(key);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(
            answer.ends_with(r#"{"error":"bye","message":"7"}"#),
            "{answer}"
        );
    }
    host.one.assert_nobody_waits();
    assert!(!host.one.engine.has_work());
    assert_eq!(host.one.gone(), [], "they have had the host's word");
}

/// A wake has found them, but its answer has not.
#[test]
fn who_goes_before_a_wake_has_answered_is_gone() {
    let mut host = Host::new();
    let parked: Vec<_> = (0..200).map(|_| host.one.park(0)).collect();
    host.change();
    assert_eq!(host.one.serve(), SERVED_PER_TURN);
    let (engine, now) = (&mut host.one.engine, host.one.now);
    engine.gone(now, parked[0]);
    assert_eq!(host.one.gone(), [], "it was answered");
    host.one.engine.gone(now, parked[199]);
    assert_eq!(host.one.gone(), [Gone::Left]);
    host.one.settle();
    assert_eq!(host.one.gone(), []);
    host.one.assert_nobody_waits();
}

#[test]
fn the_end_is_told_of_all_who_wait() {
    let mut host = Host::new();
    let parked: Vec<_> = (0..200).map(|_| host.one.park(0)).collect();
    host.change();
    assert_eq!(host.one.serve(), SERVED_PER_TURN);
    // Under the same key, behind the wake.
    let late = host.one.connect();
    host.one.get(late, "/counter?seen=1");
    host.one.engine.end_own();
    assert_eq!(host.one.gone(), [Gone::Ended; 200 - SERVED_PER_TURN + 1]);
    assert_eq!(
        Arc::strong_count(&host.one.gone),
        1,
        "its handler is let go of"
    );
    let (engine, now) = (&mut host.one.engine, host.one.now);
    parked.iter().for_each(|&key| engine.gone(now, key));
    assert_eq!(host.one.gone(), []);
    assert_eq!(host.places.taken(), 0);
}

#[test]
fn no_more_are_parked_than_may_be() {
    let mut host = Host::new();
    let _: Vec<_> = (0..1000).map(|_| host.one.park(0)).collect();
    let key = host.one.connect();
    host.one.get(key, "/counter?seen=0");
    host.one.settle();
    let answer = host.one.text(key);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    assert_eq!(host.one.engine.own_counts().requests, 1000);
    assert_eq!(host.one.gone(), [Gone::Refused]);
}

#[test]
fn another_site_may_ask_and_not_change() {
    let mut one = Host::new().one;
    let key = one.connect();
    let mut asked = |method: &str, of: &str| {
        let fields = format!("Host: h\r\nSec-Fetch-Site: {of}\r\n");
        one.offer(key, &format!("{method} /counter HTTP/1.1\r\n{fields}\r\n"));
        one.settle();
        one.text(key)
    };
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(
            asked(method, "cross-site").starts_with("HTTP/1.1 200 "),
            "{method}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "get"] {
        let refused = asked(method, "cross-site");
        assert!(refused.contains(r#""error":"cross_site""#), "{method}");
        assert!(
            asked(method, "same-origin").starts_with("HTTP/1.1 200 "),
            "{method}"
        );
    }
}

#[test]
fn the_hosts_own_fields_are_told() {
    let routes = |request: &Request<'_>| -> Answer {
        let text = format!("{} {:?}", request.method(), request.field("x-a"));
        let response = Response::new(201, "text/html", text);
        let response = response.with_field("Cache-Control", "max-age=60");
        response
            .and_then(|one| one.with_field("X-B", "c"))
            .expect("fields")
            .into()
    };
    let mut one = Loop::with(0, Box::new(routes));
    let key = one.connect();
    one.offer(key, "PATCH /counter HTTP/1.0\r\nX-A: 1\r\n\r\n");
    one.settle();
    let answer = one.text(key);
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert_eq!(answer.matches("Cache-Control").count(), 1, "{answer}");
    for field in [
        "Cache-Control: max-age=60",
        "X-B: c",
        "Content-Type: text/html",
        "Connection: close",
    ] {
        assert!(answer.contains(&format!("\r\n{field}\r\n")), "{answer}");
    }
    assert!(answer.ends_with(r#"PATCH Some("1")"#), "{answer}");
}
