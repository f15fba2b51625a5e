//! How a host's threads reach those who are parked at its own routes, at whichever loop they are.

use std::error;
use std::fmt;
use std::sync::Arc;

use super::handle::{Handle, Wish};
use super::wakes::Wakes;
use crate::routes::Response;

/// Answers those who are parked under a key, from any thread. Copies are of the same server.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// use loiter::{NotWoken, Response};
///
/// let server = loiter::Server::bind(config)?;
/// let waker = server.waker();
/// let elsewhere = std::thread::spawn(move || waker.wake(7, Response::text("It is done.")));
/// assert_eq!(elsewhere.join().expect("it does not panic"), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Waker {
    wakes: Arc<Wakes>,
    control: Handle,
}

/// Why nobody was woken.
///
/// ```
/// let reason = loiter::NotWoken::TooMany.to_string();
/// assert_eq!(reason, "as many wakes are under way as max_wakes and max_wake_bytes allow");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWoken {
    /// As many wakes are under way as [`Config::max_wakes`](crate::Config::max_wakes) allows, or they keep as many bytes as
    /// [`Config::max_wake_bytes`](crate::Config::max_wake_bytes) allows. Those who wait go on waiting.
    TooMany,
    /// The server has ended, or is being stopped.
    Ended,
}

impl Waker {
    pub(super) fn new(wakes: &Arc<Wakes>, control: &Handle) -> Self {
        Self {
            wakes: Arc::clone(wakes),
            control: control.clone(),
        }
    }

    /// Answers all who are parked under `key` now, at all loops; whoever parks later waits for the next wake. It is no matter whether anybody is.
    ///
    /// Returns at once: each loop answers them in its own turns, in slices between which it serves everybody else. Wakes are
    /// told in the order in which they were posted; those of different keys by turns. While one of this key has not been told yet at a loop, it stands
    /// there for this one too, whose response nobody gets: all whom this would find are answered by that.
    ///
    /// Change what a handler looks at, and wake then: so nobody who has looked before the change and parked is passed
    /// over. Who has looked after the change may be woken by it too, all the more where a host wakes more keys than the loops can be told of:
    /// a loop takes 1,024 in a turn, and lets nobody else wait for the rest.
    ///
    /// # Errors
    /// [`NotWoken`]: nobody is woken, at no loop.
    pub fn wake(&self, key: u64, response: Response) -> Result<(), NotWoken> {
        if self.control.wish() == Wish::Stop {
            return Err(NotWoken::Ended);
        }
        self.wakes.post(key, response)
    }

    /// How many wakes are under way, of [`Config::max_wakes`](crate::Config::max_wakes).
    pub fn under_way(&self) -> usize {
        self.wakes.places().taken()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker")
            .field("under_way", &self.under_way())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NotWoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "as many wakes are under way as max_wakes and max_wake_bytes allow",
            Self::Ended => "the server has ended",
        })
    }
}

impl error::Error for NotWoken {}
