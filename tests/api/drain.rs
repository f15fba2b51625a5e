//! How a server ends: with everybody told, or at once.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::serving::{Client, Driven, Serving, ending, get, logging_in, polling, saying};

#[test]
fn a_drain_ends_parked_polls_with_their_lists() {
    let serving = Serving::start();
    let (ann, bob) = (serving.user("ann"), serving.user("bob"));
    let [spoken, silent] = [(); 2].map(|()| serving.chatroom(&ann));
    serving.add(&ann, spoken, &bob);
    let list = serving.say(&ann, spoken, "hi");
    let mut polls: Vec<(Client, _)> = vec![
        (serving.poll(&ann, spoken), &list),
        (serving.poll(&ann, spoken), &list),
        (serving.poll(&bob, spoken), &list),
    ];
    let empty = json!([]);
    polls.push((serving.poll(&ann, silent), &empty));
    let mut idle = serving.connect();
    idle.ask(&get("/message/chatrooms").of(&ann)).ok();
    serving.drain();
    for (poll, list) in &mut polls {
        let answer = poll.answer();
        assert!(answer.closes());
        assert_eq!(answer.ok(), **list);
        poll.assert_ends();
    }
    idle.assert_ends();
    let address = serving.address();
    drop((polls, idle));
    serving.wait_for_end();
    let refused = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_drain_finishes_what_was_taken() {
    let mut driven = Driven::start();
    let ann = driven.user("ann");
    let id = driven.chatroom(&ann);
    driven.warm(&ann);
    let mut sender = driven.connect();
    let mut halved = driven.connect();
    let mut late = driven.connect();
    let request = polling(&ann, id).bytes();
    let sending = saying(&ann, id, "last").bytes();
    halved.send(&request[..20]);
    late.send(&sending[..20]);
    driven.turn_until(|server| server.connections() == 3);
    driven.warm(&ann);
    sender.send(&sending);
    driven.turn();
    driven.server.handle().drain();
    driven.turn();
    let answer = driven.answer(&mut sender);
    assert!(answer.closes());
    assert_eq!(answer.ok()[0]["message"], "last");
    // A poll that arrives now does not park.
    halved.send(&request[20..]);
    let answer = driven.answer(&mut halved);
    assert!(answer.closes());
    assert_eq!(answer.ok()[0]["message"], "last");
    late.send(&sending[20..]);
    assert_eq!(driven.answer(&mut late).ok()[1]["id"], 2);
    for mut client in [sender, halved, late] {
        driven.assert_ends(&mut client);
    }
    driven.turn_until(|server| server.is_done());
}

/// More than one turn reads: who is not among the first was no less early.
#[test]
fn a_drain_answers_every_request_that_had_come() {
    const ASKING: usize = 300;
    rlimit::increase_nofile_limit(8 * ASKING as u64).expect("a limit");
    let mut driven = Driven::start();
    let mut idle: Vec<Client> = (0..ASKING + 1)
        .map(|_| {
            let mut client = driven.connect();
            client.send(get("/nowhere").bytes());
            driven.answer(&mut client).assert_failed(404, "not_found");
            client
        })
        .collect();
    let mut silent = idle.pop().expect("one more");
    // Whom the drain would come to first is read last.
    for client in idle.iter_mut().rev() {
        client.send(get("/healthz").bytes());
    }
    driven.server.handle().drain();
    for (n, client) in idle.iter_mut().enumerate() {
        driven.turn_until(|_| {
            client.read_at_once();
            client.has_ended()
        });
        let answer = client.arrived();
        let answer = answer.unwrap_or_else(|| panic!("{n} of {ASKING} are answered"));
        assert!(answer.closes());
        answer.ok();
        client.assert_ends();
    }
    driven.assert_ends(&mut silent);
    drop((idle, silent));
    driven.turn_until(|server| server.is_done());
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let serving = Serving::with(|config| config.drain_timeout = Duration::from_millis(100));
    let mut half = serving.connect();
    half.send("GET /message");
    let mut other = serving.connect();
    other.ask(&get("/nowhere")).assert_failed(404, "not_found");
    serving.drain();
    serving.wait_for_end();
}

#[test]
fn a_drain_with_nobody_there_is_over_at_once() {
    let serving = Serving::start();
    serving.drain();
    serving.wait_for_end();
}

#[test]
fn the_end_waits_for_no_lock_of_another_program() {
    for end in [Serving::drain, Serving::stop] {
        let serving = Serving::with(|config| {
            config.drain_timeout = Duration::from_millis(100);
            config.queue = 1;
        });
        let ann = serving.user("ann");
        let id = serving.chatroom(&ann);
        let mut database = serving.other_program();
        database.lock();
        // The lane has begun with the first once there is a place for the second and none for the third.
        let mut senders: Vec<Client> = Vec::new();
        let refused = |senders: &mut Vec<Client>| {
            senders.iter_mut().any(|sender| {
                sender.read_at_once();
                sender.arrived().is_some()
            })
        };
        while senders.len() < 3 || !refused(&mut senders) {
            let mut sender = serving.connect();
            // Nothing is read for it then: of that too no more than one may wait.
            sender.ask(&get("/message/chatrooms").of(&ann)).ok();
            sender.send(saying(&ann, id, "hi").bytes());
            senders.push(sender);
        }
        let start = Instant::now();
        end(&serving);
        serving.wait_for_end();
        // Each of the two would wait for five seconds.
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn a_stop_is_at_once_and_loses_nothing_that_was_acknowledged() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let list = serving.say(&ann, id, "kept");
    let mut poll = serving.poll(&ann, id);
    let serving = serving.restart(|_| {});
    // Nothing was said to it: its socket has just gone.
    poll.assert_ends();
    assert_eq!(serving.end_polls(&ann, id)["messages"], list);
}

#[test]
fn a_stop_overrules_a_drain() {
    let serving = Serving::with(|config| config.drain_timeout = Duration::from_secs(3600));
    let mut half = serving.connect();
    half.send("GET /message");
    let mut other = serving.connect();
    other.ask(&get("/nowhere")).assert_failed(404, "not_found");
    serving.drain();
    other.assert_ends();
    serving.stop();
    serving.drain();
    serving.wait_for_end();
}

/// Logins and endpolls are not one event loop's affair: none may end while another's client may need it.
#[test]
fn a_drain_finishes_what_needs_other_loops_too() {
    let serving = Serving::start();
    let ann = serving.user("ann");
    let id = serving.chatroom(&ann);
    let first = get("/nowhere").bytes();
    let requests = [logging_in("ann").bytes(), ending(&ann, id).bytes()];
    // Of the half that comes with what is answered the server knows.
    let halfway = |n: usize| {
        let request = &requests[n % 2];
        let mut client = serving.connect();
        client.send([&first, &request[..20]].concat());
        client.answer().assert_failed(404, "not_found");
        client
    };
    let clients: Vec<Client> = (0..24).map(halfway).collect();
    serving.drain();
    for (n, mut client) in clients.into_iter().enumerate() {
        client.send(&requests[n % 2][20..]);
        let answer = client.answer();
        assert!(answer.closes());
        answer.ok();
        client.assert_ends();
    }
    serving.wait_for_end();
}
