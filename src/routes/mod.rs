//! A host's own routes beside the API: what it is asked, what it may answer, and who waits for its word.
//!
//! The host gives each event loop a [`Routes`]. That is asked on the loop's own thread, for paths below the prefixes that the
//! host has named and nothing else; what HTTP asks of an answer is the server's business. A request may be parked under a
//! number that means something to the host, with the answer that it gets when its time is over, and is woken by that number
//! from any thread. Nothing here knows what the numbers mean, and nothing of the chat.
//!
//! - `request` and `response` are what goes in and out, `parked` is who waits, `wake` what they are told and how much of that may be under way.
//!
//! **Nobody is passed over.** Whoever looks at the host's state in [`Routes::answer`] and parks is found by each wake
//! that was posted after the state had changed. The look came before the change, or it would have seen it; the change before
//! the wake; and a loop takes its post when no handler of it runs. So by the time that it takes this wake, `answer` has
//! returned and the request is parked. The order is of one thread and one box: no lock of the host's has to be held longer than
//! for the look. (What can happen is the opposite: a change that was seen has its wake still to come. Who parks behind such a
//! look is woken for what they have seen, and must be able to tell.)
//!
//! That needs each wake to be taken some time after it was posted, and no handler to run while it is. So a wake may be late, and one that is posted
//! while an earlier one of its key has yet to be taken may as well not be: whoever it would find, that one finds.

// A peer's numbers come through here: none of them is cut to fit, and no calculation with one can overflow.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod parked;
mod request;
mod response;
mod wake;

use std::fmt;
use std::time::Duration;

pub use parked::{Counts, Parked, ParkedKey, Told};
pub use request::Request;
pub use response::{BadField, Response};
pub use wake::{Places, Wake};

/// What a host answers on its own paths: one for each event loop, called on that loop's thread.
///
/// Whatever it does, nobody else of its loop is served meanwhile: what takes longer than a lookup in memory belongs to a
/// thread of the host's, and its request is parked until that has its result. **A panic ends the whole server**, as one of the
/// server's own parts does. One of its drop, which comes with the server's end, is told to the log and nobody else.
///
/// A closure is one, where nothing is to be said at a drain:
///
/// ```
/// let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// let hello = |request: &loiter::Request<'_>| {
///     let name = request.parameter("name").unwrap_or_else(|| "you".into());
///     loiter::Response::text(format!("Hello, {name}!\n")).into()
/// };
/// let server = loiter::Server::with_routes(config, Vec::new(), &["/hello"], |_, _| hello)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Routes: Send + 'static {
    /// The answer to a request, now or later.
    fn answer(&mut self, request: &Request<'_>) -> Answer;

    /// What those get who are parked under this key when the server drains, or who would be from then on: asked once for all whom the
    /// drain finds waiting there, and again if others come.
    fn at_drain(&mut self, key: u64) -> Response {
        let _ = key;
        let body = r#"{"error":"not_ready","message":"The server is about to end."}"#;
        Response::new(503, "application/json; charset=utf-8", body)
    }

    /// A request for which [`Routes::answer`] gave [`Answer::Park`] has ended, and neither a wake nor [`Routes::at_drain`] has answered it: told once of each
    /// such request, on the thread of its loop, so that a host can let go of what it keeps for it. It is never told of one that was answered, whether its
    /// client has taken that or not, and of none that a failure or a panic of the server has ended.
    ///
    /// Where several wait under a key, which of them it was is not told. It may come behind a call of [`Waker::wake`](crate::Waker::wake) that was
    /// meant for the request: then that did not find it any more. So a host that must not lose what it tells gives each request a key of its own.
    fn gone(&mut self, key: u64, how: Gone) {
        let _ = (key, how);
    }
}

/// How a request has ended that a host had parked and nobody has answered.
///
/// ```
/// use std::collections::HashMap;
/// use std::time::Duration;
///
/// use loiter::{Answer, Gone, Request, Response, Routes};
///
/// /// Work for those who wait, each under a key of its own.
/// #[derive(Default)]
/// struct Desk {
///     next: u64,
///     wanted: HashMap<u64, Vec<u8>>,
/// }
///
/// impl Routes for Desk {
///     fn answer(&mut self, request: &Request<'_>) -> Answer {
///         self.next += 1;
///         self.wanted.insert(self.next, request.body().to_vec());
///         Answer::park(self.next, Duration::from_secs(30), Response::empty(204))
///     }
///
///     fn gone(&mut self, key: u64, how: Gone) {
///         // Nobody needs to begin with it any more.
///         self.wanted.remove(&key);
///         if how == Gone::Refused {
///             eprintln!("more wait than may");
///         }
///     }
/// }
/// # Desk::default().gone(1, Gone::Left);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its client has hung up, or cannot be reached any more, or has sent so much behind it that the server has ended it (400 or 503).
    Left,
    /// It has waited long enough, and got what it was to get then.
    TimedOut,
    /// It got 503 and never waited: as many did as [`Config::max_parked`](crate::Config::max_parked) allows.
    Refused,
    /// The server has ended before it could be answered: it was stopped or dropped, or its drain took longer than it may.
    Ended,
}

impl<F> Routes for F
where
    F: FnMut(&Request<'_>) -> Answer + Send + 'static,
{
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        self(request)
    }
}

/// What becomes of a request.
///
/// ```
/// use loiter::{Answer, Response};
/// use std::time::Duration;
///
/// fn state(seen: u64, now: u64) -> Answer {
///     match seen == now {
///         false => Response::text(now.to_string()).into(),
///         // Nothing new: whoever changes it wakes this key.
///         true => Answer::park(7, Duration::from_secs(30), Response::empty(204)),
///     }
/// }
/// assert!(matches!(state(1, 2), Answer::Now(_)));
/// assert!(matches!(state(2, 2), Answer::Park { key: 7, .. }));
/// ```
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is answered at once.
    Now(Response),
    /// It waits under a key.
    Park {
        /// What wakes it. Keys are the host's own, the same at all loops; as many requests as want to may wait under one.
        key: u64,
        /// How long it waits at most, to an eighth of a second; [`Duration::MAX`] is for ever.
        at_most: Duration,
        /// What it gets if nothing has woken it by then.
        then: Response,
    },
}

impl Answer {
    /// An answer that comes when somebody wakes `key`, or else is `then`, after `at_most`.
    pub fn park(key: u64, at_most: Duration, then: Response) -> Self {
        Self::Park { key, at_most, then }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Now(response)
    }
}

/// A host's handler at one loop, and who waits for its word.
pub struct Own {
    handler: Box<dyn Routes>,
    parked: Parked,
    is_draining: bool,
}

impl Own {
    /// A handler nobody has asked yet. `parked_max` requests may wait at a time.
    pub fn new(handler: Box<dyn Routes>, parked_max: usize) -> Self {
        Self {
            handler,
            parked: Parked::new(parked_max),
            is_draining: false,
        }
    }

    /// What the host answers.
    pub fn answer(&mut self, request: &Request<'_>) -> Answer {
        self.handler.answer(request)
    }

    /// Who waits.
    pub fn parked(&mut self) -> &mut Parked {
        &mut self.parked
    }

    /// Somebody waits no more, and the host has not answered: what there was to be told when the time is over. `None` for a stale key.
    pub fn forget(&mut self, parked: ParkedKey, how: Gone) -> Option<Response> {
        let (key, then) = self.parked.remove(parked)?;
        self.handler.gone(key, how);
        Some(then)
    }

    /// Somebody was to wait under this key and does not.
    pub fn turn_away(&mut self, key: u64, how: Gone) {
        self.handler.gone(key, how);
    }

    /// Nobody will be answered any more: tells the host of all who wait.
    pub fn end(mut self) {
        for key in self.parked.keys() {
            self.handler.gone(key, Gone::Ended);
        }
    }

    /// How many wait, and for what.
    pub fn counts(&self) -> Counts {
        self.parked.counts()
    }

    /// From here on whoever is parked, or comes to be, has come to their end.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether [`Own::serve`] has somebody to tell something.
    pub fn has_work(&self) -> bool {
        self.parked.has_woken() || (self.is_draining && self.parked.counts().requests > 0)
    }

    /// Somebody who has been woken, or whom the drain has come to, and what they are told: each time another, by turns of the keys.
    pub fn next_told(&mut self) -> Option<Told> {
        while self.is_draining
            && !self.parked.has_woken()
            && let Some(key) = self.parked.next_key()
        {
            let response = self.handler.at_drain(key);
            self.parked.wake(Wake::of_nobody(key, response));
        }
        self.parked.next_told()
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own")
            .field("parked", &self.parked)
            .field("is_draining", &self.is_draining)
            .finish_non_exhaustive()
    }
}
