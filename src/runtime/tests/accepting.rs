//! Newcomers, and what they get when something has run out.

use std::io::ErrorKind;
use std::process::Command;

use socket2::{Domain, Socket, Type};

use super::*;

#[test]
fn beyond_the_limit_a_newcomer_is_told_and_nobody_else_is_touched() {
    let config = Config {
        max_connections: Some(1),
        ..config()
    };
    let mut reactor = Reactor::bind(&config, Vec::new(), REFUSAL)
        .unwrap()
        .remove(0);
    let (mut first, key) = pair(&mut reactor);
    // More than linger at a time. They have all sent before they are refused, and one is sending still.
    let mut refused: Vec<_> = (0..40).map(|_| connect(&reactor)).collect();
    for client in &mut refused {
        client.write_all(b"a request").unwrap();
    }
    until(&mut reactor, |reactor| {
        assert_eq!(reactor.next_accepted(), None);
        (reactor.refusals() == 40).then_some(())
    });
    refused[39].write_all(b" goes on").unwrap();
    for client in &mut refused {
        assert_eq!(read_to_end(client), REFUSAL);
    }

    first.write_all(b"still here").unwrap();
    gather(&mut reactor, |bytes, _| bytes == b"still here");
    assert!(reactor.deadline().is_some());
    until(&mut reactor, |reactor| {
        reactor.deadline().is_none().then_some(())
    });
    for client in &refused {
        assert!(client.take_error().unwrap().is_none(), "reset");
    }

    reactor.close(key);
    reactor.reap();
    pair(&mut reactor);
}

#[test]
fn nobody_is_accepted_while_another_loop_has_given_up_its_spare() {
    let mut reactor = reactor();
    let _client = connect(&reactor);
    let places = reactor.places().clone();
    let alone = places.door_alone();
    reactor.wait(Some(PATIENCE)).unwrap();
    assert_eq!(reactor.next_accepted(), None);
    assert!(reactor.has_work(), "the newcomer is remembered");
    drop(alone);
    until(&mut reactor, Reactor::next_accepted);
}

#[test]
fn a_drain_closes_the_listeners_and_keeps_the_connections() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    reactor.stop_accepting();
    assert_eq!(reactor.next_accepted(), None);
    assert!(!reactor.has_work());
    let error = TcpStream::connect(reactor.addresses()[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    reactor.send(key, bytes("bye"));
    reactor.finish(key);
    reactor.flush();
    assert_eq!(read_to_end(&mut client), b"bye");
}

/// Who is in the backlog has connected, and may have asked: it would all be gone with the listener.
#[test]
fn a_drain_lets_in_all_who_wait_and_closes_the_listener_then() {
    let mut reactor = reactor();
    let mut waiting: Vec<TcpStream> = (0..=ACCEPTS_MAX).map(|_| connect(&reactor)).collect();
    for client in &mut waiting {
        client.write_all(b"a request").unwrap();
    }
    // No event of it was taken.
    reactor.stop_accepting();
    assert!(reactor.has_work());
    let mut accepted = Vec::new();
    for count in [ACCEPTS_MAX, ACCEPTS_MAX + 1] {
        reactor.wait(Some(Duration::ZERO)).unwrap();
        accepted.extend(std::iter::from_fn(|| reactor.next_accepted()));
        assert_eq!(accepted.len(), count);
    }
    let error = TcpStream::connect(reactor.addresses()[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    for key in accepted {
        reactor.close(key);
    }
    assert!(!reactor.places().are_empty_for_good());
    reactor.reap();
    assert!(reactor.places().are_empty_for_good());
}

/// A backlog that is never empty, for as many come as go, does not keep a server from ending.
#[test]
fn a_drain_lets_in_no_more_than_can_have_waited() {
    let mut reactor = reactor();
    let _waiting = [(); 3].map(|()| connect(&reactor));
    reactor.stop_accepting();
    reactor.acceptor.last_accepts_left = Some(2);
    reactor.wait(Some(Duration::ZERO)).unwrap();
    let accepted = std::iter::from_fn(|| reactor.next_accepted());
    assert_eq!(accepted.count(), 2);
    let error = TcpStream::connect(reactor.addresses()[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(!reactor.has_work());
}

/// The limit on open files is the whole process's, so this test runs itself again, alone.
#[test]
fn running_out_of_descriptors_refuses_and_never_spins() {
    const ALONE: &str = "LOITER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return run_out_of_descriptors();
    }
    let name = "runtime::tests::accepting::running_out_of_descriptors_refuses_and_never_spins";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn run_out_of_descriptors() {
    rlimit::setrlimit(rlimit::Resource::NOFILE, 48, 48).unwrap();
    let mut reactor = reactor();
    let (mut first, key) = pair(&mut reactor);
    let mut newcomers = [connect(&reactor), connect(&reactor)];
    for newcomer in &mut newcomers {
        newcomer.write_all(b"a request").unwrap();
    }
    let late = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let mut hoard: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();

    until(&mut reactor, |reactor| {
        assert_eq!(reactor.next_accepted(), None);
        (reactor.refusals() == 2).then_some(())
    });
    for newcomer in &mut newcomers {
        assert_eq!(read_to_end(newcomer), REFUSAL);
        assert!(newcomer.take_error().unwrap().is_none(), "reset");
    }
    // Who comes during the pause leaves the loop idle, and waits for the deadline.
    late.connect(&reactor.addresses()[0].into()).unwrap();
    let resumes = reactor.deadline().unwrap();
    reactor.wait(Some(PATIENCE)).unwrap();
    assert!(Instant::now() >= resumes || !reactor.has_work());
    let mut turns = 0;
    until(&mut reactor, |reactor| {
        turns += 1;
        assert_eq!(reactor.next_accepted(), None);
        (reactor.refusals() == 3).then_some(())
    });
    assert!(turns < 10, "{turns} turns in a tenth of a second");

    // Those already served feel nothing, and when descriptors are freed the next is served at once.
    first.write_all(b"still here").unwrap();
    gather(&mut reactor, |bytes, _| bytes == b"still here");
    hoard.truncate(hoard.len() - 4);
    reactor.close(key);
    reactor.reap();
    assert_eq!(reactor.deadline(), None);
    pair(&mut reactor);
}

/// A host's own copy of a socket keeps it open, and what comes there is none of a drained loop's business.
#[test]
fn a_drained_loop_hears_nothing_of_a_socket_that_others_hold() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let handed = vec![socket.try_clone().unwrap()];
    let mut reactor = Reactor::bind(&config(), handed, REFUSAL).unwrap().remove(0);
    let (_client, key) = pair(&mut reactor);
    reactor.close(key);
    reactor.reap();
    reactor.stop_accepting();
    assert_eq!(reactor.next_accepted(), None);
    assert!(reactor.places().are_empty_for_good());
    let mut host = Poll::new().unwrap();
    let descriptor = reactor.as_raw_fd();
    host.registry()
        .register(
            &mut mio::unix::SourceFd(&descriptor),
            Token(7),
            Interest::READABLE,
        )
        .unwrap();
    let mut events = Events::with_capacity(8);
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    reactor.wait(Some(Duration::ZERO)).unwrap();
    // On loopback the newcomer is in the backlog when `connect` returns, and so is every event of it.
    let _waiting = connect(&reactor);
    host.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty());
    assert!(socket.accept().is_ok());
}
