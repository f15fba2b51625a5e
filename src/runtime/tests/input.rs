//! Reading: nothing lost, nothing read in vain, nobody waiting for another.

use socket2::{Domain, Socket, Type};

use super::*;

#[test]
fn a_request_that_fits_costs_one_read() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    for round in 1..=10 {
        client.write_all(b"a request").unwrap();
        gather(&mut reactor, |bytes, _| bytes == b"a request");
        assert_eq!(reactor.reader.calls, round);
        assert!(!reactor.has_work());
    }
}

#[test]
fn a_request_in_pieces_is_offered_whole() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    for (piece, whole) in [("ab", "ab"), ("cd", "abcd"), ("ef\n", "abcdef\n")] {
        client.write_all(piece.as_bytes()).unwrap();
        until(&mut reactor, |reactor| {
            let key = reactor.next_ready()?;
            let mut seen = Vec::new();
            reactor.read(key, |bytes, _| {
                seen = bytes.to_vec();
                let complete = bytes.ends_with(b"\n");
                Taken {
                    consumed: if complete { bytes.len() } else { 0 },
                    wants_more: true,
                }
            });
            (seen == whole.as_bytes()).then_some(())
        });
    }
}

#[test]
#[should_panic(expected = "neither consumed nor rejected")]
fn a_consumer_that_never_rejects_is_a_bug() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    let sender = thread::spawn(move || client.write_all(&[b'x'; 1 << 20]));
    until(&mut reactor, |reactor| -> Option<()> {
        let key = reactor.next_ready()?;
        reactor.read(key, |_, _| Taken {
            consumed: 0,
            wants_more: true,
        });
        None
    });
    drop(sender);
}

#[test]
fn a_sender_without_end_delays_the_others_by_little() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    let total = 8 << 20;
    let sender = thread::spawn(move || client.write_all(&vec![b'x'; 8 << 20]).map(|()| client));
    let mut gathered = 0;
    until(&mut reactor, |reactor| {
        let key = reactor.next_ready()?;
        let before = reactor.reader.calls;
        reactor.read(key, |bytes, _| {
            gathered += bytes.len();
            all(bytes)
        });
        assert!(reactor.reader.calls - before <= 4);
        assert_eq!(reactor.next_ready(), None, "once a turn");
        (gathered == total).then_some(())
    });
    drop(sender.join().unwrap());
    reactor.close(key);
}

#[test]
fn input_behind_a_pause_stays_in_the_kernel_and_its_fin_is_told_at_once() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"first").unwrap();
    pause(&mut reactor, 3);
    client.write_all(b"second").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut peer = news(&mut reactor);
    assert!(peer.hung_up && !peer.ended && !peer.gone);
    assert!(!reactor.has_work(), "told once");

    // One byte at a time and a pause after each: everything is offered, in order, before the end.
    let mut gathered = Vec::new();
    for _ in 0..=b"stsecond".len() {
        assert!(!peer.ended);
        reactor.resume(key);
        assert!(reactor.has_work());
        peer = until(&mut reactor, |reactor| {
            let key = reactor.next_ready()?;
            Some(reactor.read(key, |bytes, _| {
                gathered.push(bytes[0]);
                only(1)
            }))
        });
        assert!(peer.hung_up && !peer.gone);
    }
    assert_eq!(gathered, b"stsecond");
    assert!(peer.ended && !reactor.has_work());
}

#[test]
fn a_pause_holds_up_the_peer() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"x").unwrap();
    pause(&mut reactor, 1);
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(count) = client.write(&[b'y'; 4096]) {
        written += count;
    }
    let calls = reactor.reader.calls;
    reactor.wait(Some(Duration::ZERO)).unwrap();
    // It is looked at, since that much could hide the peer's end; nothing is taken.
    assert_eq!(reactor.next_ready(), Some(key));
    assert!(reactor.read(key, |_, _| panic!("it is paused")).flooded);
    assert_eq!(reactor.reader.calls, calls);

    reactor.resume(key);
    let (_, peer) = gather(&mut reactor, |bytes, _| bytes.len() == written);
    assert!(!peer.flooded);
}

#[test]
fn a_little_behind_a_pause_is_no_flood() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    client.write_all(&[b'x'; 1000]).unwrap();
    pause(&mut reactor, 1);
    client.write_all(&[b'y'; 1000]).unwrap();
    let peer = until(&mut reactor, |reactor| {
        let key = reactor.next_ready()?;
        Some(reactor.read(key, |_, _| panic!("it is paused")))
    });
    assert_eq!(peer, Peer::default());
}

#[test]
fn a_flood_that_came_before_a_pause_needs_no_event_to_be_seen() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    let connection = reactor.connections.get_mut(key).unwrap();
    SockRef::from(&*connection.socket_mut())
        .set_recv_buffer_size(1 << 20)
        .unwrap();
    client.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(count) = client.write(&[b'x'; 4096]) {
        written += count;
    }
    assert!(written > 256 * 1024);
    // All that was read is consumed; the rest fills the kernel's buffer, and nothing will tell of it.
    let peer = until(&mut reactor, |reactor| {
        (reactor.next_ready()? == key).then_some(())?;
        Some(reactor.read(key, |bytes, _| Taken {
            consumed: bytes.len(),
            wants_more: false,
        }))
    });
    assert!(peer.flooded);
}

#[test]
fn much_that_came_before_a_pause_is_a_flood_too() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    client.write_all(&[b'x'; 40_000]).unwrap();
    let mut seen = 0;
    let peer = until(&mut reactor, |reactor| {
        let key = reactor.next_ready()?;
        let peer = reactor.read(key, |bytes, _| {
            seen = bytes.len();
            Taken {
                consumed: 0,
                wants_more: seen < 40_000,
            }
        });
        (seen == 40_000).then_some(peer)
    });
    assert!(peer.flooded);
}

#[test]
fn a_reset_during_a_pause_is_told() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"x").unwrap();
    pause(&mut reactor, 1);
    client.shutdown(Shutdown::Write).unwrap();
    assert!(!news(&mut reactor).gone);
    reset(client);
    assert!(news(&mut reactor).gone);
    // Whatever follows is harmless.
    reactor.send(key, bytes("x"));
    reactor.resume(key);
    reactor.finish(key);
    reactor.flush();
    assert_eq!(reactor.next_flushed(), None);
}

#[test]
fn a_fin_right_behind_the_data_is_found_in_the_same_turn() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    client.write_all(b"data").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (gathered, peer) = gather(&mut reactor, |bytes, _| !bytes.is_empty());
    assert_eq!(gathered, b"data");
    assert!(peer.hung_up && peer.ended && !peer.gone);
}

#[test]
fn more_than_a_turn_can_read_are_served_in_the_next() {
    let mut reactor = reactor();
    let count = READS_MAX + READS_MAX / 2;
    let mut clients: Vec<_> = (0..count).map(|_| connect(&reactor)).collect();
    let mut accepted = 0;
    until(&mut reactor, |reactor| {
        let before = accepted;
        while reactor.next_accepted().is_some() {
            accepted += 1;
        }
        assert!(accepted - before <= ACCEPTS_MAX);
        (accepted == count).then_some(())
    });
    assert_eq!(reactor.connections(), count);
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    let mut served = Vec::new();
    until(&mut reactor, |reactor| {
        let before = served.len();
        while let Some(key) = reactor.next_ready() {
            reactor.read(key, |bytes, _| {
                served.push(key);
                all(bytes)
            });
        }
        assert!(served.len() - before <= READS_MAX);
        (served.len() == count).then_some(())
    });
    served.sort();
    served.dedup();
    assert_eq!(served.len(), count);
}

/// Who the first input comes from.
fn origin_of(client: &mut TcpStream, reactor: &mut Reactor) -> Option<std::net::IpAddr> {
    client.write_all(b"a").unwrap();
    until(reactor, |reactor| {
        let key = reactor.next_ready()?;
        let mut address = None;
        reactor.read(key, |bytes, origin| {
            address = Some(origin.address());
            all(bytes)
        });
        Some(address)
    })
}

#[test]
fn the_origin_of_input_can_be_asked_for() {
    let mut reactor = reactor();
    let (mut client, _) = pair(&mut reactor);
    let here = client.local_addr().unwrap().ip();
    assert_eq!(origin_of(&mut client, &mut reactor), Some(here));
}

/// All of IPv4 would else be one customer's /64 to whoever counts by address.
#[test]
fn an_address_of_ipv4_is_one_at_a_socket_of_ipv6_too() {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    let address = std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
    // Tests may not rely on more than IPv4; on a machine without IPv6 there is nothing to show.
    if socket.bind(&address.into()).is_err() {
        return;
    }
    socket.listen(1).unwrap();
    let handed = vec![std::net::TcpListener::from(socket)];
    let mut reactor = Reactor::bind(&config(), handed, REFUSAL).unwrap().remove(0);
    let port = reactor.addresses()[0].port();
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    let mut client = TcpStream::connect((here, port)).unwrap();
    until(&mut reactor, Reactor::next_accepted);
    assert_eq!(origin_of(&mut client, &mut reactor), Some(here));
}

/// Reads one connection until it has been, and says whether all was taken that was there.
fn read_one(reactor: &mut Reactor, taken: Taken) -> (Vec<u8>, bool) {
    let mut offered = Vec::new();
    let key = reactor.next_ready().expect("it is listed");
    let peer = reactor.read(key, |bytes, _| {
        offered.extend_from_slice(bytes);
        taken
    });
    (offered, peer.emptied)
}

#[test]
fn a_probe_finds_what_no_event_has_told_of_or_that_there_is_nothing() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    reactor.probe(key);
    reactor.probe(key);
    assert!(reactor.has_work());
    reactor.wait(Some(PATIENCE)).unwrap();
    assert_eq!(read_one(&mut reactor, only(0)), (Vec::new(), true));
    assert!(!reactor.has_work());
    assert_eq!(reactor.reader.calls, 1);

    // On loopback it has arrived when the write returns; nobody has waited since.
    client.write_all(b"a request").unwrap();
    reactor.probe(key);
    reactor.reads_left = 1;
    let all = all(b"a request");
    assert_eq!(read_one(&mut reactor, all), (b"a request".to_vec(), true));
    assert_eq!(reactor.reader.calls, 2);
}

#[test]
fn a_paused_connection_is_probed_as_it_is_resumed() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"first").unwrap();
    reactor.wait(Some(PATIENCE)).unwrap();
    let paused = read_one(&mut reactor, only(5));
    assert_eq!(paused, (b"first".to_vec(), false), "paused, so not told");
    reactor.probe(key);
    assert!(!reactor.has_work());
    reactor.resume(key);
    reactor.wait(Some(PATIENCE)).unwrap();
    assert_eq!(read_one(&mut reactor, only(0)), (Vec::new(), true));
    assert!(!reactor.has_work());
}

#[test]
fn a_probe_of_who_has_gone_or_is_being_closed_is_none() {
    let mut reactor = reactor();
    let (_client, key) = pair(&mut reactor);
    reactor.close(key);
    reactor.probe(key);
    assert!(reactor.ready.is_empty());
    reactor.reap();
    reactor.probe(key);
    assert!(!reactor.has_work());
}

#[test]
fn what_is_discarded_is_not_offered_again() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"abcd").unwrap();
    pause(&mut reactor, 1);
    assert_eq!(reactor.held.input[&key], b"bcd");
    reactor.discard(key);
    assert!(reactor.held.input.is_empty());
    reactor.resume(key);
    client.write_all(b"ef").unwrap();
    gather(&mut reactor, |bytes, _| bytes == b"ef");
}

#[test]
fn what_is_left_of_much_takes_little() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    let mut offered = 0;
    for (sent, consumed) in [(10, 0), (10_000, 10_007)] {
        client.write_all(&vec![b'x'; sent]).unwrap();
        offered += sent;
        until(&mut reactor, |reactor| {
            let key = reactor.next_ready()?;
            let mut is_all = false;
            reactor.read(key, |bytes, _| {
                is_all = bytes.len() == offered;
                Taken {
                    consumed: if is_all { consumed } else { 0 },
                    wants_more: true,
                }
            });
            is_all.then_some(())
        });
    }
    let left = &reactor.held.input[&key];
    assert_eq!(left.len(), 3);
    assert!(left.capacity() < 100, "{}", left.capacity());
}
