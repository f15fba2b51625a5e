//! The state of one connection's exchanges: how far the request is read, and what answer is owed.
//!
//! One request at a time: while an answer is owed, input waits with the caller, so that answers go
//! out in the order of their requests and a peer that pipelines is slowed by its own socket. A request
//! that is all in the input is borrowed from it; only one whose body is still to come, or is chunked,
//! is copied, into a [`Partial`] that the caller keeps. A head that is not all here stays with the caller, and what was
//! searched of it for its end is not searched again (but for a block's rest).

use std::borrow::Cow;
use std::fmt;
use std::mem;

use super::Limits;
use super::body::Decoder;
use super::parse::{self, Head, Length};
use super::rejection::Rejection;
use super::request::{Request, Version};
use super::response::{After, Framing};

#[cfg(test)]
mod tests;

/// How a request begins whose answer has no body.
const HEAD: &[u8] = b"HEAD ";
/// Empty lines before a request: RFC 9112 §2.2 wants at least one to be ignored.
const EMPTY_LINES_MAX: u8 = 4;

/// The state of one connection. There may be a million: a test pins its size.
#[derive(Debug)]
pub struct Exchange {
    reading: Reading,
    writing: Writing,
    /// What an answer may promise at most, whatever its request asks for.
    after: After,
}

/// How far the next request is read.
#[derive(Debug)]
enum Reading {
    /// None of it came. `receive` goes on; there is nothing to time out but idleness.
    Idle { empty_lines: u8 },
    /// Part of its head is with the caller, and its end is not in what was `searched`.
    /// `receive` goes on, `refuse` gives up.
    /// `is_head`: what is here begins a HEAD request, whose answer has no body.
    Head { searched: Searched, is_head: bool },
    /// Its head is here, not all of its body, and the caller's [`Partial`] has what is. `receive` goes on,
    /// `refuse` gives up.
    Body,
    /// One was handed out or refused, and its answer is owed: `receive` takes nothing until `answered`.
    Held,
    /// There will be none. `receive` takes and forgets everything.
    Over,
}

/// How far the caller's input was searched for a head's end, in blocks: exact to a block, which is searched
/// again, and small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Searched(u16);

impl Searched {
    const BLOCK: usize = 64;

    /// Rounds down. What is beyond 4 MiB is searched anew, which is slow, never wrong.
    fn new(bytes: usize) -> Self {
        Self(u16::try_from(bytes / Self::BLOCK).unwrap_or(u16::MAX))
    }

    fn bytes(self) -> usize {
        usize::from(self.0) * Self::BLOCK
    }
}

/// What is owed to the peer.
#[derive(Clone, Copy, Debug)]
enum Writing {
    /// Nothing: neither `framing` nor `answered` may be called.
    Silent,
    /// An answer of this framing, `Exchange::after` aside. `answered` ends it.
    Owed(Framing),
}

/// A request whose head is here and whose body is not. The caller keeps it, and only while there is one: in
/// [`Exchange`] itself it would cost every connection 16 bytes.
pub struct Partial {
    bytes: Vec<u8>,
    head: Head,
    decoder: Decoder,
    body: Vec<u8>,
}

impl Partial {
    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity() + self.body.capacity()
    }
}

/// Says nothing of what came: passwords and session tokens stand there.
impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What some input meant.
#[derive(Debug)]
pub struct Received<'a> {
    /// Bytes from the input's start that are done with. What is behind them must be offered again.
    pub consumed: usize,
    /// What they were.
    pub event: Event<'a>,
}

/// What is to be done about some input.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing until more has come or, in [`Phase::Answering`], until the answer is queued.
    NeedMore,
    /// The client waits before it sends the body: queue [`CONTINUE`](super::CONTINUE), then offer the rest.
    Continue,
    /// A whole request, to which an answer is owed.
    Request(Request<'a>),
    /// No request; an answer is owed that closes.
    Rejected(Rejection),
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A request's first byte.
    Idle,
    /// The rest of a request.
    Receiving,
    /// Its answer; input waits.
    Answering,
    /// The peer's end: the last answer is queued, and input is thrown away.
    Lingering,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            reading: Reading::Idle { empty_lines: 0 },
            writing: Writing::Silent,
            after: After::KeepAlive,
        }
    }
}

impl Exchange {
    /// Offers the unread input from its start. Bytes behind `consumed` must be offered again, followed by
    /// what came since; so must what is left in `partial`. `limits` stay the same for a connection.
    ///
    /// # Panics
    /// If what was left in `partial` is not offered again.
    pub fn receive<'a>(
        &mut self,
        partial: &mut Option<Box<Partial>>,
        input: &'a [u8],
        limits: &Limits,
    ) -> Received<'a> {
        match mem::replace(&mut self.reading, Reading::Held) {
            Reading::Idle { empty_lines } => {
                self.receive_start(empty_lines, partial, input, limits)
            }
            Reading::Head { searched, .. } => {
                self.receive_head(searched.bytes(), partial, input, limits)
            }
            Reading::Body => {
                let request = partial.take().expect("a body is of a request");
                self.receive_body(request, partial, input, limits.body_max)
            }
            Reading::Held => need_more(0),
            Reading::Over => {
                self.reading = Reading::Over;
                need_more(input.len())
            }
        }
    }

    /// What the answer that is owed must look like.
    ///
    /// # Panics
    /// If none is owed.
    pub fn framing(&self) -> Framing {
        match (self.writing, self.after) {
            (Writing::Owed(framing), After::KeepAlive) => framing,
            (Writing::Owed(framing), After::Close) => closing(framing),
            (Writing::Silent, _) => panic!("no answer is owed"),
        }
    }

    /// The owed answer has been queued. Says whether the connection goes on.
    ///
    /// # Panics
    /// If none is owed.
    pub fn answered(&mut self) -> After {
        let after = self.framing().after;
        self.writing = Writing::Silent;
        self.reading = match after {
            After::KeepAlive => Reading::Idle { empty_lines: 0 },
            After::Close => Reading::Over,
        };
        after
    }

    /// From here on every answer closes: the server drains, or the peer has sent its FIN.
    pub fn close_after_answer(&mut self) {
        self.after = After::Close;
    }

    /// Gives a request up that is not all here, for `what`, and owes an answer that closes; `None` unless [`Phase::Receiving`].
    ///
    /// # Panics
    /// If `partial` is not what `receive` left.
    pub fn refuse(&mut self, partial: Option<Box<Partial>>, what: Rejection) -> Option<Rejection> {
        let framing = match &self.reading {
            Reading::Head { is_head, .. } => unread_framing(if *is_head { HEAD } else { b"" }),
            Reading::Body => partial.expect("a body is of a request").head.framing(),
            Reading::Idle { .. } | Reading::Held | Reading::Over => return None,
        };
        self.reading = Reading::Held;
        self.writing = Writing::Owed(closing(framing));
        Some(what)
    }

    /// What the connection waits for.
    pub fn phase(&self) -> Phase {
        match self.reading {
            Reading::Idle { .. } => Phase::Idle,
            Reading::Head { .. } | Reading::Body => Phase::Receiving,
            Reading::Held => Phase::Answering,
            Reading::Over => Phase::Lingering,
        }
    }

    /// Empty lines are consumed and stay idleness: some clients send one behind a body, and would else be
    /// told 408 for a request that they never began.
    fn receive_start<'a>(
        &mut self,
        mut empty_lines: u8,
        partial: &mut Option<Box<Partial>>,
        input: &'a [u8],
        limits: &Limits,
    ) -> Received<'a> {
        let mut rest = input;
        while let Some(behind) = rest.strip_prefix(b"\r\n") {
            rest = behind;
            empty_lines += 1;
            if empty_lines > EMPTY_LINES_MAX {
                let what = Rejection::BadRequest("there are too many empty lines before it");
                return self.reject(what, unread_framing(b""), input);
            }
        }
        let skipped = input.len() - rest.len();
        match *rest {
            [] | [b'\r'] => {
                self.reading = Reading::Idle { empty_lines };
                need_more(skipped)
            }
            // Waiting for the head of what is no HTTP (TLS, say) would leave its peer without an answer.
            [byte, ..] if !parse::is_token(byte) => {
                self.reject(parse::BAD_REQUEST_LINE, unread_framing(b""), input)
            }
            [..] => {
                let received = self.receive_head(0, partial, rest, limits);
                Received {
                    consumed: skipped + received.consumed,
                    ..received
                }
            }
        }
    }

    fn receive_head<'a>(
        &mut self,
        searched: usize,
        partial: &mut Option<Box<Partial>>,
        input: &'a [u8],
        limits: &Limits,
    ) -> Received<'a> {
        let window = &input[..input.len().min(limits.head_max)];
        match parse::end(window, searched) {
            Ok(end) => self.receive_parsed(end, partial, input, limits.body_max),
            Err(searched) if window.len() < limits.head_max => {
                self.reading = Reading::Head {
                    searched: Searched::new(searched),
                    is_head: window.starts_with(HEAD),
                };
                need_more(0)
            }
            Err(_) => {
                let what = match window.contains(&b'\n') {
                    true => Rejection::HeadTooLarge,
                    false => Rejection::UriTooLong,
                };
                self.reject(what, unread_framing(input), input)
            }
        }
    }

    fn receive_parsed<'a>(
        &mut self,
        end: usize,
        partial: &mut Option<Box<Partial>>,
        input: &'a [u8],
        body_max: usize,
    ) -> Received<'a> {
        let (bytes, rest) = input.split_at(end);
        let head = match parse::parse(bytes) {
            Ok(head) => head,
            Err(what) => return self.reject(what, unread_framing(input), input),
        };
        match head.length {
            Length::Known(length) if length > body_max => {
                self.reject(Rejection::BodyTooLarge, head.framing(), input)
            }
            Length::Known(length) if length <= rest.len() => {
                self.writing = Writing::Owed(head.framing());
                let request = Request {
                    bytes: Cow::Borrowed(bytes),
                    head,
                    body: Cow::Borrowed(&rest[..length]),
                };
                Received {
                    consumed: end + length,
                    event: Event::Request(request),
                }
            }
            Length::Known(_) | Length::Chunked => {
                self.receive_partial(head, partial, bytes, rest, body_max)
            }
        }
    }

    /// The head is here and the body is to be collected.
    fn receive_partial<'a>(
        &mut self,
        head: Head,
        partial: &mut Option<Box<Partial>>,
        bytes: &[u8],
        rest: &'a [u8],
        body_max: usize,
    ) -> Received<'a> {
        let expects_continue = head.expects_continue;
        let request = Partial {
            bytes: bytes.to_vec(),
            decoder: Decoder::new(head.length),
            head,
            body: Vec::new(),
        };
        let received = self.receive_body(Box::new(request), partial, rest, body_max);
        Received {
            consumed: bytes.len() + received.consumed,
            event: match received.event {
                // RFC 9110 §10.1.1 lets 100 be left out once the whole body is here, and asks for a final
                // status instead where the request will be refused.
                Event::NeedMore if expects_continue => Event::Continue,
                event => event,
            },
        }
    }

    fn receive_body<'a>(
        &mut self,
        mut request: Box<Partial>,
        partial: &mut Option<Box<Partial>>,
        input: &'a [u8],
        body_max: usize,
    ) -> Received<'a> {
        match request.decoder.decode(input, &mut request.body, body_max) {
            Err(what) => self.reject(what, request.head.framing(), input),
            Ok(decoded) if !decoded.done => {
                self.reading = Reading::Body;
                *partial = Some(request);
                need_more(decoded.consumed)
            }
            Ok(decoded) => {
                self.writing = Writing::Owed(request.head.framing());
                let whole = Request {
                    bytes: Cow::Owned(request.bytes),
                    head: request.head,
                    body: Cow::Owned(request.body),
                };
                Received {
                    consumed: decoded.consumed,
                    event: Event::Request(whole),
                }
            }
        }
    }

    /// Refuses the request and everything behind it: where it ends is not known for sure any more.
    fn reject<'a>(&mut self, what: Rejection, framing: Framing, input: &[u8]) -> Received<'a> {
        self.reading = Reading::Held;
        self.writing = Writing::Owed(closing(framing));
        Received {
            consumed: input.len(),
            event: Event::Rejected(what),
        }
    }
}

fn need_more<'a>(consumed: usize) -> Received<'a> {
    Received {
        consumed,
        event: Event::NeedMore,
    }
}

fn closing(framing: Framing) -> Framing {
    Framing {
        after: After::Close,
        ..framing
    }
}

/// The framing for a head that could not be read, as far as its beginning tells: the answer to HEAD has
/// no body, whatever else is wrong with it.
fn unread_framing(head: &[u8]) -> Framing {
    Framing {
        after: After::Close,
        version: Version::Http11,
        head_only: head.starts_with(HEAD),
    }
}
