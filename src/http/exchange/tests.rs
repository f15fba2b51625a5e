//! The state between the calls: what may be seen of it, and which calls are legal when.

use super::*;

const LIMITS: Limits = Limits {
    head_max: 1000,
    body_max: 100,
};
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn the_state_of_a_connection_is_small() {
    assert_eq!(size_of::<Exchange>(), 8);
}

#[test]
fn what_was_searched_of_a_head_is_not_searched_again() {
    // With one byte at a time, what is left to search never exceeds a block, the new byte and a line end.
    let long = [b"L: ", &[b'x'; 3 * Searched::BLOCK][..], b"\r\n"].concat();
    let end = &b"A: b\r\nC\r\r\r\nD: e\r\n\r\n"[..];
    let head = [&GET[..GET.len() - 2], &long, end].concat();
    let mut exchange = Exchange::default();
    for length in 1..head.len() {
        exchange.receive(&mut None, &head[..length], &LIMITS);
        let Reading::Head { searched, .. } = exchange.reading else {
            panic!("{:?} after {length} bytes", exchange.reading);
        };
        let searched = searched.bytes();
        let left = length - searched;
        assert!(
            left < 2 + Searched::BLOCK,
            "{searched} of {length} searched"
        );
    }
    let whole = exchange.receive(&mut None, &head, &LIMITS);
    assert_eq!(whole.consumed, head.len(), "its end is found");
}

#[test]
fn a_whole_request_is_borrowed_and_a_late_body_is_not() {
    let post = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    let borrowed = |input: &[u8], exchange: &mut Exchange, partial: &mut Option<_>| {
        let Event::Request(request) = exchange.receive(partial, input, &LIMITS).event else {
            panic!("no request");
        };
        matches!(
            (request.bytes, request.body),
            (Cow::Borrowed(_), Cow::Borrowed(_))
        )
    };
    assert!(borrowed(GET, &mut Exchange::default(), &mut None));
    assert!(borrowed(post, &mut Exchange::default(), &mut None));
    let (early, late) = post.split_at(post.len() - 1);
    let (mut exchange, mut partial) = (Exchange::default(), None);
    let received = exchange.receive(&mut partial, early, &LIMITS);
    assert_eq!(received.consumed, early.len());
    assert!(!borrowed(late, &mut exchange, &mut partial));
    assert!(partial.is_none(), "the request has it");
}

#[test]
fn input_waits_for_the_answer() {
    let mut exchange = Exchange::default();
    assert!(matches!(
        exchange.receive(&mut None, GET, &LIMITS).event,
        Event::Request(_)
    ));
    assert_eq!(exchange.phase(), Phase::Answering);
    let received = exchange.receive(&mut None, GET, &LIMITS);
    assert!(matches!(received.event, Event::NeedMore));
    assert_eq!(received.consumed, 0);
    assert_eq!(exchange.answered(), After::KeepAlive);
    assert!(matches!(
        exchange.receive(&mut None, GET, &LIMITS).event,
        Event::Request(_)
    ));
}

#[test]
fn close_after_answer_holds_for_a_request_under_way_and_for_the_next() {
    for begun in [0, 5, GET.len()] {
        let mut exchange = Exchange::default();
        exchange.receive(&mut None, &GET[..begun], &LIMITS);
        exchange.close_after_answer();
        exchange.receive(&mut None, GET, &LIMITS);
        assert_eq!(exchange.framing().after, After::Close);
        assert_eq!(exchange.answered(), After::Close);
        assert_eq!(exchange.phase(), Phase::Lingering);
        assert_eq!(
            exchange.receive(&mut None, GET, &LIMITS).consumed,
            GET.len()
        );
    }
}

#[test]
fn only_a_request_under_way_times_out() {
    let mut exchange = Exchange::default();
    assert_eq!(exchange.refuse(None, Rejection::RequestTimeout), None);
    exchange.receive(&mut None, b"\r\n\r", &LIMITS);
    assert_eq!(exchange.phase(), Phase::Idle);
    assert_eq!(exchange.refuse(None, Rejection::RequestTimeout), None);
    exchange.receive(&mut None, GET, &LIMITS);
    assert_eq!(exchange.refuse(None, Rejection::RequestTimeout), None);

    let post = b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\na";
    let begun = [
        (&GET[..1], false),
        (&post[..4], false),
        (&post[..5], true),
        (&post[..], true),
    ];
    for (begun, head_only) in begun {
        let (mut exchange, mut partial) = (Exchange::default(), None);
        exchange.receive(&mut partial, begun, &LIMITS);
        assert_eq!(exchange.phase(), Phase::Receiving);
        assert_eq!(
            exchange.refuse(partial, Rejection::RequestTimeout),
            Some(Rejection::RequestTimeout)
        );
        assert_eq!(exchange.framing().after, After::Close);
        assert_eq!(exchange.framing().head_only, head_only);
        assert_eq!(exchange.refuse(None, Rejection::RequestTimeout), None);
        assert_eq!(exchange.answered(), After::Close);
        assert_eq!(exchange.refuse(None, Rejection::RequestTimeout), None);
    }
}

#[test]
#[should_panic(expected = "no answer is owed")]
fn nothing_is_answered_twice() {
    let mut exchange = Exchange::default();
    exchange.receive(&mut None, GET, &LIMITS);
    exchange.answered();
    exchange.answered();
}

#[test]
fn debug_output_hides_what_came() {
    let mut exchange = Exchange::default();
    let post = b"POST /hunter2 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhunter2";
    let mut partial = None;
    exchange.receive(&mut partial, post, &LIMITS);
    assert_eq!(exchange.phase(), Phase::Receiving);
    let shown = format!("{exchange:?} {:?}", partial.expect("a body is to come"));
    assert!(!shown.contains("hunter2"));
    assert!(!shown.contains("104, 117"));
}
