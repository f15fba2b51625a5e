//! The reactor on real loopback sockets. Nothing sleeps: every wait is for an event, and fails after [`PATIENCE`].

mod accepting;
mod input;
mod output;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use socket2::SockRef;

use super::acceptor::ACCEPTS_MAX;
use super::*;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const REFUSAL: &[u8] = b"no room";

fn config() -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        max_connections: Some(10_000),
        ..Config::default()
    }
}

fn reactor() -> Reactor {
    reactor_with(config())
}

fn reactor_with(config: Config) -> Reactor {
    Reactor::bind(&config, Vec::new(), REFUSAL)
        .unwrap()
        .remove(0)
}

fn connect(reactor: &Reactor) -> TcpStream {
    let client = TcpStream::connect(reactor.addresses()[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn pair(reactor: &mut Reactor) -> (TcpStream, ConnectionKey) {
    let client = connect(reactor);
    let key = until(reactor, Reactor::next_accepted);
    assert_eq!(reactor.next_accepted(), None);
    (client, key)
}

/// Takes turns until `done` says what came of it.
fn until<T>(reactor: &mut Reactor, mut done: impl FnMut(&mut Reactor) -> Option<T>) -> T {
    let patience = Instant::now() + PATIENCE;
    loop {
        let next = reactor.deadline().map_or(patience, |at| at.min(patience));
        let wait = next.saturating_duration_since(Instant::now());
        reactor.wait(Some(wait)).unwrap();
        assert!(Instant::now() < patience, "nothing came of it");
        if let Some(outcome) = done(reactor) {
            return outcome;
        }
    }
}

fn all(bytes: &[u8]) -> Taken {
    Taken {
        consumed: bytes.len(),
        wants_more: true,
    }
}

/// Consumes `count` bytes and pauses.
fn only(count: usize) -> Taken {
    Taken {
        consumed: count,
        wants_more: false,
    }
}

/// Reads all that comes from one connection until `done`.
fn gather(reactor: &mut Reactor, mut done: impl FnMut(&[u8], Peer) -> bool) -> (Vec<u8>, Peer) {
    let mut gathered = Vec::new();
    let peer = until(reactor, |reactor| {
        let key = reactor.next_ready()?;
        let peer = reactor.read(key, |bytes, _| {
            gathered.extend_from_slice(bytes);
            all(bytes)
        });
        done(&gathered, peer).then_some(peer)
    });
    (gathered, peer)
}

/// Pauses a connection by the first input that comes, of which `count` bytes are consumed.
fn pause(reactor: &mut Reactor, count: usize) {
    until(reactor, |reactor| {
        let key = reactor.next_ready()?;
        let mut offered = false;
        reactor.read(key, |_, _| {
            offered = true;
            only(count)
        });
        offered.then_some(())
    });
}

/// What the next news of a paused connection is; its socket must not be read for it.
fn news(reactor: &mut Reactor) -> Peer {
    let calls = reactor.reader.calls;
    let peer = until(reactor, |reactor| {
        let key = reactor.next_ready()?;
        Some(reactor.read(key, |_, _| panic!("offered while paused")))
    });
    assert_eq!(reactor.reader.calls, calls);
    peer
}

fn flush_one(reactor: &mut Reactor) -> Option<Flushed> {
    reactor.flush();
    let flushed = reactor.next_flushed().map(|(_, flushed)| flushed);
    assert_eq!(reactor.next_flushed(), None);
    flushed
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    answer
}

fn reset(client: TcpStream) {
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

#[test]
fn no_key_or_slot_is_reused_within_a_turn() {
    let mut reactor = reactor();
    let (_first_client, first) = pair(&mut reactor);
    reactor.close(first);
    reactor.close(first);
    let _second_client = connect(&reactor);
    let second = until(&mut reactor, Reactor::next_accepted);
    assert_ne!(first.index(), second.index());
    assert_eq!(reactor.connections(), 2);
    reactor.reap();
    assert_eq!(reactor.connections(), 1);
    let (_third_client, third) = pair(&mut reactor);
    assert_eq!(first.index(), third.index());
    assert_ne!(first, third);

    // The slot has a new tenant, whom nothing said to the old one reaches.
    reactor.send(first, bytes("x"));
    reactor.finish(first);
    reactor.resume(first);
    reactor.close(first);
    assert_eq!(
        reactor.read(first, |_, _| panic!("offered")),
        Peer::default()
    );
    assert!(!reactor.has_work());
}

#[test]
fn post_wakes_the_loop_from_another_thread() {
    let mut reactor = reactor();
    let office = Arc::new(PostOffice::new([reactor.waker()]));
    let posts = Arc::clone(&office);
    let poster = thread::spawn(move || {
        for n in 0..1000 {
            posts.post(|counter| counter.put(0, [n, n]));
        }
    });
    let mut received = Vec::new();
    until(&mut reactor, |_| {
        if office.has_post(0) {
            office.take(0, &mut received);
        }
        (received.len() == 2000).then_some(())
    });
    poster.join().unwrap();
    assert!(received.chunks(2).enumerate().all(|(n, two)| two == [n, n]));

    reactor.waker().wake();
    let started = Instant::now();
    reactor.wait(Some(PATIENCE)).unwrap();
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn a_host_can_nest_the_loop_in_its_own_poll() {
    let mut reactor = reactor();
    let mut host = Poll::new().unwrap();
    let descriptor = reactor.as_raw_fd();
    let mut nested = mio::unix::SourceFd(&descriptor);
    host.registry()
        .register(&mut nested, Token(7), Interest::READABLE)
        .unwrap();
    let _client = connect(&reactor);
    let mut events = Events::with_capacity(8);
    host.poll(&mut events, Some(PATIENCE)).unwrap();
    assert_eq!(
        events.iter().next().map(|event| event.token()),
        Some(Token(7))
    );
    reactor.wait(Some(Duration::ZERO)).unwrap();
    assert!(reactor.next_accepted().is_some());
}
