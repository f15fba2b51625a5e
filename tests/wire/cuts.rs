//! The same bytes in pieces: the network's cuts must not change what they mean.
//!
//! The server is turned between the pieces, so that it has taken each in before the next is sent.

use std::thread;

use super::cases::{Case, HEALTHY, accepted, refused};
use crate::serving::{Client, Driven, Serving};

/// Sends pieces with a turn between them, and asserts the answer and what comes behind it.
fn assert_answered_in_pieces<'a>(
    driven: &mut Driven,
    case: &Case,
    pieces: impl Iterator<Item = &'a [u8]>,
) {
    let mut client = driven.connect();
    driven.turn();
    for piece in pieces {
        // A refused request may have been answered before its last piece.
        client.send(piece);
        driven.turn();
    }
    let answer = driven.next(&mut client, case.method());
    case.assert_answered(&answer);
    if case.goes_on {
        client.send(HEALTHY);
        driven.answer(&mut client).assert_failed(401, "no_session");
    } else {
        driven.assert_ends(&mut client);
    }
    client.reset();
}

fn cut_in_two(cases: &[Case]) {
    let mut driven = Driven::start();
    for case in cases {
        for at in 1..case.bytes.len() {
            let (first, rest) = case.bytes.split_at(at);
            assert_answered_in_pieces(&mut driven, case, [first, rest].into_iter());
        }
    }
}

#[test]
fn accepted_requests_cut_in_two() {
    cut_in_two(&accepted());
}

#[test]
fn refused_requests_cut_in_two() {
    cut_in_two(&refused());
}

#[test]
fn byte_by_byte() {
    let mut driven = Driven::start();
    for case in [accepted(), refused()].concat() {
        assert_answered_in_pieces(&mut driven, &case, case.bytes.chunks(1));
    }
}

#[test]
fn two_requests_cut_between_and_within() {
    let mut driven = Driven::start();
    let post = b"POST /logout HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    let both = [&post[..], HEALTHY].concat();
    for at in 1..both.len() {
        let mut client = driven.connect();
        client.send(&both[..at]);
        driven.turn();
        client.send(&both[at..]);
        for _ in 0..2 {
            driven.answer(&mut client).assert_failed(401, "no_session");
        }
        client.assert_silent();
        client.reset();
    }
}

/// The same over a server that runs by itself: where the cuts fall is up to the machine.
#[test]
fn separate_writes_to_a_running_server() {
    let serving = Serving::start();
    let cases = [accepted(), refused()].concat();
    thread::scope(|scope| {
        for (part, size) in cases.chunks(cases.len().div_ceil(4)).zip([1, 2, 3, 7]) {
            let serving = &serving;
            scope.spawn(move || {
                for case in part {
                    let mut client = serving.connect();
                    for piece in case.bytes.chunks(size) {
                        client.send(piece);
                    }
                    assert_answered(case, &mut client);
                }
            });
        }
    });
}

fn assert_answered(case: &Case, client: &mut Client) {
    let answer = client.answer_to(case.method());
    case.assert_answered(&answer);
    if !case.goes_on {
        client.assert_ends();
    }
}
