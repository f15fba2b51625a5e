//! What was sent on a connection, read by the tests' strict client, and held against the requests that the reference reads in what
//! was written.

use loiter_client::{Answer, Method};

use super::world::BOUNDS;
use crate::reference::{self, Request, Stop};

/// What may be wrong with a request as HTTP.
const REFUSALS: [u16; 9] = [400, 408, 413, 414, 417, 431, 501, 503, 505];

/// Every answer is sound, there is one request at least for each, and nothing is behind the last.
pub(crate) fn check(written: &[u8], sent: &[u8]) -> Vec<Answer> {
    let (requests, stop) = reference::read(written, BOUNDS);
    let mut requests = requests.iter();
    let (mut rest, mut answers) = (sent, Vec::new());
    let mut is_over = false;
    while !rest.is_empty() {
        assert!(
            !is_over,
            "sent behind the last answer: {}",
            sent.escape_ascii()
        );
        let request = requests.next();
        let (may_be_refused, asked) = (stop != Stop::Between && stop != Stop::Closed, request);
        assert!(
            asked.is_some() || may_be_refused,
            "an answer that nobody asked for: {}",
            sent.escape_ascii()
        );
        rest = pass_continue(rest, asked);
        if rest.is_empty() {
            return answers;
        }
        let Some((answer, length)) = answer_to(asked, rest) else {
            // A stream that has not ended, and is the last.
            return answers;
        };
        rest = &rest[length..];
        is_over = answer.closes();
        match asked {
            Some(request) => assert!(!request.closes || is_over, "it was to close: {answer:?}"),
            None => assert!(is_over && REFUSALS.contains(&answer.status), "{answer:?}"),
        }
        answers.push(answer);
    }
    answers
}

/// Passes over a 100 Continue, of which there is one at most, for who expects it.
fn pass_continue<'a>(rest: &'a [u8], asked: Option<&Request<'_>>) -> &'a [u8] {
    let Some(behind) = rest.strip_prefix(loiter::http::CONTINUE) else {
        return rest;
    };
    let expects = |(name, _): &(&str, &[u8])| name.eq_ignore_ascii_case("expect");
    assert!(asked.is_none_or(|request| request.fields.iter().any(expects)));
    behind
}

/// The answer at the beginning, and its length; none for the beginning of a stream.
fn answer_to(asked: Option<&Request<'_>>, rest: &[u8]) -> Option<(Answer, usize)> {
    let methods = match asked {
        Some(request) if request.method == "HEAD" => &[Method::Head, Method::Other][..],
        Some(_) => &[Method::Other],
        // Of what is no request, its beginning at most was seen.
        None => &[Method::Other, Method::Head],
    };
    for &method in methods {
        let parsed = Answer::parse(rest, method, true);
        let Some((answer, length)) = parsed.expect("an answer that is HTTP") else {
            continue;
        };
        // Who gave a request up before it was whole did not see its method: that answer is the last.
        let is_whole = length == rest.len() || rest[length..].starts_with(b"HTTP/1.1 ");
        if !is_whole {
            continue;
        }
        match answer.field("content-type") {
            Some(media) if media.starts_with("text/event-stream") => assert_eq!(answer.status, 200),
            _ => answer.assert_sound(method),
        }
        return Some((answer, length));
    }
    let head = str::from_utf8(rest).expect("an answer is text");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n")
            && head.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "no whole answer: {head}"
    );
    None
}
