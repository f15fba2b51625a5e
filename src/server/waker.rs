//! How a host's threads reach those who are parked at its own routes, at whichever loop they are.

use std::error;
use std::fmt;
use std::sync::Arc;

use super::handle::{Handle, Wish};
use super::letters::Letter;
use crate::routes::{Places, Response};
use crate::runtime::PostOffice;

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
    office: Arc<PostOffice<Letter>>,
    control: Handle,
    places: Arc<Places>,
}

/// Why nobody was woken.
///
/// ```
/// let reason = loiter::NotWoken::TooMany.to_string();
/// assert_eq!(reason, "as many wakes are under way as max_wakes allows");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWoken {
    /// As many wakes are under way as [`Config::max_wakes`](crate::Config::max_wakes) allows. Those who wait go on waiting.
    TooMany,
    /// The server has ended, or is being stopped.
    Ended,
}

impl Waker {
    pub(super) fn new(
        office: &Arc<PostOffice<Letter>>,
        control: &Handle,
        wakes_max: usize,
    ) -> Self {
        Self {
            office: Arc::clone(office),
            control: control.clone(),
            places: Places::new(wakes_max),
        }
    }

    /// Answers all who are parked under `key` now, at all loops; whoever parks later waits for the next wake. It is no matter whether anybody is.
    ///
    /// Returns at once: each loop answers them in its own turns, in slices between which it serves everybody else. Wakes are
    /// told in the order in which they were posted; those of different keys by turns.
    ///
    /// Change what a handler looks at, and wake then: so nobody who has looked before the change and parked is passed
    /// over. Who has looked after the change may be woken by it too.
    ///
    /// # Errors
    /// [`NotWoken`]: nobody is woken, at no loop.
    pub fn wake(&self, key: u64, response: Response) -> Result<(), NotWoken> {
        if self.control.wish() == Wish::Stop {
            return Err(NotWoken::Ended);
        }
        let wake = self.places.wake(key, response).ok_or(NotWoken::TooMany)?;
        self.office.post(|counter| {
            let boxes = 0..counter.boxes();
            boxes.for_each(|at| counter.put(at, [Letter::Wake(Arc::clone(&wake))]));
        });
        Ok(())
    }

    /// How many wakes are under way, of [`Config::max_wakes`](crate::Config::max_wakes).
    pub fn under_way(&self) -> usize {
        self.places.taken()
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
            Self::TooMany => "as many wakes are under way as max_wakes allows",
            Self::Ended => "the server has ended",
        })
    }
}

impl error::Error for NotWoken {}
