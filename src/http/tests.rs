//! Bytes → events, through the public face only. Every table is also fed cut at every place and byte by
//! byte, and must come out the same; behind every refusal stands a request that must never come out.

mod accepted;
mod refused;
mod requests;

use super::*;

const LIMITS: Limits = Limits {
    head_max: 400,
    body_max: 20,
};
const HIDDEN: &[u8] = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// What a connection made of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Each request as `METHOD path?query [body] after`, each refusal by its `Debug`.
    events: Vec<String>,
    continued: usize,
    unread: Vec<u8>,
    phase: Phase,
}

/// Plays the caller: offers what is unread, answers at once, goes on until nothing comes of it.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut exchange, mut partial) = (Exchange::default(), None);
    let (mut events, mut continued, mut unread) = (Vec::new(), 0, Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let received = exchange.receive(&mut partial, &unread, &LIMITS);
            let consumed = received.consumed;
            match received.event {
                Event::NeedMore => {
                    unread.drain(..consumed);
                    break;
                }
                Event::Continue => continued += 1,
                Event::Request(request) => {
                    assert_eq!(exchange.phase(), Phase::Answering);
                    let after = exchange.answered();
                    events.push(shown(&request, after));
                }
                Event::Rejected(rejection) => {
                    assert_eq!(exchange.phase(), Phase::Answering);
                    assert_eq!(exchange.answered(), After::Close);
                    events.push(format!("{rejection:?}"));
                }
            }
            unread.drain(..consumed);
        }
    }
    assert_eq!(
        partial.is_some(),
        exchange.phase() == Phase::Receiving && unread.is_empty()
    );
    Outcome {
        events,
        continued,
        unread,
        phase: exchange.phase(),
    }
}

fn shown(request: &Request<'_>, after: After) -> String {
    let (method, path, query) = (request.method(), request.path(), request.query());
    let body = request.body().escape_ascii();
    format!("{method:?} {path}?{query} [{body}] {after:?}")
}

/// How far apart the cuts are. What interprets the tests (Miri) has time for some of them.
const STRIDE: usize = if cfg!(miri) { 17 } else { 1 };

/// Feeds whole, in every two pieces, and byte by byte.
fn outcome(bytes: &[u8]) -> Outcome {
    let whole = feed([bytes]);
    // Whether a body is here yet decides on 100, and so does the cut; the rest must not depend on it.
    let same = |cut: Outcome, how: &str| {
        let cut = Outcome {
            continued: whole.continued,
            ..cut
        };
        assert_eq!(cut, whole, "{} {how}", bytes.escape_ascii());
    };
    for at in (0..=bytes.len()).step_by(STRIDE) {
        same(feed([&bytes[..at], &bytes[at..]]), &format!("cut at {at}"));
    }
    same(feed(bytes.chunks(STRIDE)), "byte by byte");
    whole
}

fn accepts(table: &[(&[u8], &[&str])]) {
    for (bytes, wanted) in table {
        let outcome = outcome(bytes);
        assert_eq!(outcome.events, *wanted, "{}", bytes.escape_ascii());
        assert_eq!(outcome.unread, b"", "{}", bytes.escape_ascii());
    }
}

/// Each must be refused so, also with a request behind it, which must not come out.
fn refuses(rejection: Rejection, table: &[&[u8]]) {
    for bytes in table {
        for bytes in [bytes.to_vec(), [bytes, HIDDEN].concat()] {
            let outcome = outcome(&bytes);
            let wanted = [format!("{rejection:?}")];
            assert_eq!(outcome.events, wanted, "{}", bytes.escape_ascii());
            assert_eq!(outcome.phase, Phase::Lingering);
            assert_eq!(outcome.unread, b"");
            assert_eq!(outcome.continued, 0);
        }
    }
}

/// A POST with these field lines beside Host, and with this behind its head.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /p HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{rest}").into_bytes()
}

fn refuses_posts(rejection: Rejection, table: &[&str]) {
    for fields in table {
        refuses(rejection, &[&post(fields, "")]);
    }
}

fn bad(what: &'static str) -> Rejection {
    Rejection::BadRequest(what)
}
