//! Writing: at once, in order, and what the engine is told when it does not go.

use super::*;

#[test]
fn an_echo_then_finish_then_close() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    client.write_all(b"hello").unwrap();
    let (gathered, peer) = gather(&mut reactor, |bytes, _| bytes.len() == 5);
    let all_is_well = Peer {
        emptied: true,
        ..Peer::default()
    };
    assert_eq!(peer, all_is_well);
    reactor.send(key, gathered.into());
    reactor.finish(key);
    assert_eq!(flush_one(&mut reactor), Some(Flushed::Finished));
    assert_eq!(read_to_end(&mut client), b"hello");

    // Our side is finished, and still hears what comes.
    client.write_all(b"late").unwrap();
    gather(&mut reactor, |bytes, _| bytes == b"late");
    client.shutdown(Shutdown::Write).unwrap();
    let (_, peer) = gather(&mut reactor, |_, peer| peer.ended);
    assert!(!peer.gone);
    reactor.close(key);
    reactor.reap();
    assert_eq!(reactor.connections(), 0);
}

#[test]
fn several_answers_leave_in_order() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    let mut expected = String::new();
    for n in 0..100 {
        let piece = format!("{n} ");
        expected.push_str(&piece);
        reactor.send(key, bytes(&piece));
    }
    reactor.finish(key);
    assert_eq!(flush_one(&mut reactor), Some(Flushed::Finished));
    assert_eq!(read_to_end(&mut client), expected.as_bytes());
}

#[test]
fn a_slow_reader_stalls_and_drains_or_sees_the_end() {
    let big: Vec<u8> = (0..16 << 20).map(|n| (n % 251) as u8).collect();
    for (pieces, last) in [(1, Flushed::Finished), (3, Flushed::Drained)] {
        let mut reactor = reactor();
        let (mut client, key) = pair(&mut reactor);
        // Less than what is sent by far, but more than a segment: else the kernel's timers set the pace.
        SockRef::from(&client)
            .set_recv_buffer_size(256 * 1024)
            .unwrap();
        for piece in big.chunks(big.len().div_ceil(pieces)) {
            reactor.send(key, Bytes::copy_from_slice(piece));
        }
        assert_eq!(flush_one(&mut reactor), Some(Flushed::Stalled));
        // Behind a stall nothing is worth a call, nor news.
        reactor.send(key, bytes("end"));
        if last == Flushed::Finished {
            reactor.finish(key);
        }
        assert!(!reactor.has_work());

        let reader = thread::spawn(move || read_to_end(&mut client));
        let mut stalls = 0;
        until(&mut reactor, |reactor| match flush_one(reactor)? {
            Flushed::Stalled => {
                stalls += 1;
                None
            }
            news => {
                assert_eq!(news, last);
                Some(())
            }
        });
        reactor.finish(key);
        reactor.flush();
        assert!(stalls > 0, "progress is told");
        let answer = reader.join().unwrap();
        assert!(answer == [&big[..], b"end"].concat());
    }
}

#[test]
fn a_write_to_who_reset_is_broken() {
    let mut reactor = reactor();
    let (client, key) = pair(&mut reactor);
    reset(client);
    // It may take a moment to arrive; its event is not waited for.
    let patience = Instant::now() + PATIENCE;
    let flushed = loop {
        assert!(Instant::now() < patience);
        reactor.send(key, bytes("x"));
        if let Some(flushed) = flush_one(&mut reactor) {
            break flushed;
        }
    };
    assert_eq!(flushed, Flushed::Broken);
    reactor.send(key, bytes("x"));
    assert_eq!(flush_one(&mut reactor), None, "told once");
}

#[test]
fn closing_throws_away_what_was_sent() {
    let mut reactor = reactor();
    let (mut client, key) = pair(&mut reactor);
    reactor.send(key, bytes("one"));
    reactor.send(key, bytes("two"));
    reactor.close(key);
    reactor.send(key, bytes("three"));
    reactor.flush();
    reactor.reap();
    assert_eq!(read_to_end(&mut client), b"");
}

/// Reads exactly so much while the reactor goes on writing.
fn read_while_written(reactor: &mut Reactor, client: &TcpStream, count: usize) -> Vec<u8> {
    let mut client = client.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).unwrap();
        bytes
    });
    let patience = Instant::now() + PATIENCE;
    while !reader.is_finished() {
        assert!(Instant::now() < patience);
        reactor.wait(Some(Duration::from_millis(1))).unwrap();
        flush_one(reactor);
    }
    reader.join().unwrap()
}

#[test]
fn who_does_not_read_is_given_up_where_all_together_keep_too_much() {
    // Of what is not read the system takes a quarter at most, and as much ahead of who reads through a window that does not grow.
    const LIST: usize = 16 << 20;
    const READ: usize = LIST / 8 * 3;
    let mut reactor = reactor_with(Config {
        max_unsent: 5 * LIST,
        ..config()
    });
    let deaf: Vec<_> = (0..9).map(|_| pair(&mut reactor)).collect();
    let (reader, readers_key) = pair(&mut reactor);
    SockRef::from(&reader)
        .set_recv_buffer_size(256 * 1024)
        .unwrap();
    reactor.send(readers_key, Bytes::from(vec![9; LIST]));
    assert!(read_while_written(&mut reactor, &reader, READ) == vec![9; READ]);
    let mut given_up = Vec::new();
    for (_, key) in &deaf {
        reactor.send(*key, Bytes::from(vec![1; LIST]));
        reactor.flush();
        while let Some((key, flushed)) = reactor.next_flushed() {
            if flushed == Flushed::Broken {
                given_up.push(key);
                reactor.close(key);
            }
        }
        reactor.reap();
    }
    // Where six would be kept, they are down to four: seven eighths of the bound.
    assert_eq!(given_up.len(), 6);
    assert_eq!(reactor.connections(), 4);
    assert!(!given_up.contains(&readers_key), "it has read");
    assert!(read_while_written(&mut reactor, &reader, LIST - READ) == vec![9; LIST - READ]);
}

#[test]
fn what_many_are_sent_gives_nobody_up() {
    let mut reactor = reactor_with(Config {
        max_unsent: 20 << 20,
        ..config()
    });
    let clients: Vec<_> = (0..8).map(|_| pair(&mut reactor)).collect();
    let shared = Bytes::from(vec![7; 16 << 20]);
    for (_, key) in &clients {
        reactor.send(*key, shared.clone());
    }
    reactor.flush();
    let flushed: Vec<_> = std::iter::from_fn(|| reactor.next_flushed()).collect();
    let stalled = |(_, flushed): &(ConnectionKey, Flushed)| *flushed == Flushed::Stalled;
    assert!(
        flushed.len() == 8 && flushed.iter().all(stalled),
        "{flushed:?}"
    );
}

#[test]
fn what_was_kept_goes_back_and_the_next_waits_for_its_time() {
    let mut reactor = reactor();
    let (_client, key) = pair(&mut reactor);
    reactor.send(key, Bytes::from(vec![1; 64 << 20]));
    reactor.flush();
    reactor.note_kept(0);
    reactor.close(key);
    reactor.reap();
    reactor.note_kept(0);
    assert_eq!(reactor.deadline(), None);
    reactor.note_kept(9 << 20);
    reactor.note_kept(1 << 20);
    assert!(reactor.deadline().is_some_and(|at| at > Instant::now()));
    reactor.note_kept(2 << 20);
    assert_eq!(reactor.deadline(), None, "more is kept");
}
