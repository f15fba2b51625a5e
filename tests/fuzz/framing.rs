//! The server's HTTP layer, driven by itself: bytes in pieces → what it says that they were.

use loiter::http::{After, Event, Exchange, Framing, Limits, Method, Phase, Rejection, Version};

/// What was made of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) requests: Vec<Taken>,
    /// Why the connection ended, if it was refused.
    pub(crate) refused: Option<(Rejection, Framing)>,
    /// Whether a request had begun behind the last whole one.
    pub(crate) is_within: bool,
}

/// A whole request as the server read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: String,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
    /// The values of the fields that were asked for, name by name.
    pub(crate) fields: Vec<Vec<Vec<u8>>>,
    /// Where its last byte was, counted from the first of all.
    pub(crate) end: usize,
}

/// Drives one connection. `names` are the fields to ask each request for.
pub(crate) fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
    names: &[&str],
) -> Framed {
    let mut exchange = Exchange::default();
    let (mut partial, mut unread, mut taken) = (None, Vec::new(), 0);
    let mut framed = Framed {
        requests: Vec::new(),
        refused: None,
        is_within: false,
    };
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let received = exchange.receive(&mut partial, &unread, limits);
            let consumed = received.consumed;
            assert!(consumed <= unread.len(), "more is taken than there was");
            taken += consumed;
            let goes_on = match received.event {
                Event::NeedMore => false,
                Event::Continue => true,
                Event::Request(request) => {
                    framed.requests.push(Taken {
                        method: request.method(),
                        path: request.path().to_owned(),
                        query: request.query().to_owned(),
                        host: request.host().to_owned(),
                        body: request.body().to_vec(),
                        framing: exchange.framing(),
                        fields: (names.iter())
                            .map(|name| request.fields(name).map(<[u8]>::to_vec).collect())
                            .collect(),
                        end: taken,
                    });
                    true
                }
                Event::Rejected(what) => {
                    assert_eq!(consumed, unread.len(), "something is left to be read");
                    assert_eq!(exchange.framing().after, After::Close);
                    framed.refused = Some((what, exchange.framing()));
                    true
                }
            };
            unread.drain(..consumed);
            assert_keeps_its_state(&exchange, partial.is_some(), limits, unread.len());
            if exchange.phase() == Phase::Answering {
                exchange.answered();
            }
            if !goes_on {
                break;
            }
        }
    }
    framed.is_within = exchange.phase() == Phase::Receiving;
    let late = exchange.refuse(partial, Rejection::RequestTimeout);
    assert_eq!(late.is_some(), framed.is_within);
    framed
}

fn assert_keeps_its_state(exchange: &Exchange, has_body: bool, limits: &Limits, unread: usize) {
    match exchange.phase() {
        Phase::Receiving if has_body => assert_eq!(unread, 0, "a body waits for nothing"),
        Phase::Receiving => assert!(unread < limits.head_max, "a head without an end is kept"),
        Phase::Idle => assert!(
            !has_body && unread <= 1,
            "an idle connection holds {unread}"
        ),
        Phase::Answering => assert!(!has_body),
        Phase::Lingering => assert!(!has_body && unread == 0),
    }
}

/// Whether the answer may have a body, and the connection may go on.
pub(crate) fn framing(is_10: bool, is_head: bool, closes: bool) -> Framing {
    Framing {
        after: if closes {
            After::Close
        } else {
            After::KeepAlive
        },
        version: if is_10 {
            Version::Http10
        } else {
            Version::Http11
        },
        head_only: is_head,
    }
}
