//! What a host, its signals and the loops themselves want of the whole server: a wish that every loop looks at once a turn.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::panicked::Panicked;
use crate::runtime::Wake;

/// Tells a server what to do, from any thread.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// let mut server = loiter::Server::bind(config)?;
/// let handle = server.handle();
/// // Of another thread, a signal's say: it need not wait for the server.
/// std::thread::spawn(move || handle.stop());
/// server.run()?;
/// assert!(server.is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    wish: Arc<AtomicU8>,
    /// By the loops' numbers.
    wakes: Arc<[Wake]>,
    pulse: Arc<Pulse>,
    /// What has panicked, the first of them.
    panicked: Arc<OnceLock<Panicked>>,
    /// The loop that is to panic, for tests of what comes then.
    #[cfg(debug_assertions)]
    broken: Arc<std::sync::atomic::AtomicUsize>,
}

/// Signs of life: a number that is asked for, and the last that each loop has given.
struct Pulse {
    asked: AtomicU64,
    given: Box<[AtomicU64]>,
}

/// What is wished for. A later one overrules an earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Serve,
    Drain,
    Stop,
}

const SERVE: u8 = 0;
const DRAIN: u8 = 1;
const STOP: u8 = 2;

impl Handle {
    pub(super) fn new(wakes: impl IntoIterator<Item = Wake>) -> Self {
        let wakes: Arc<[Wake]> = wakes.into_iter().collect();
        Self {
            wish: Arc::default(),
            pulse: Arc::new(Pulse {
                asked: AtomicU64::new(0),
                given: wakes.iter().map(|_| AtomicU64::new(0)).collect(),
            }),
            wakes,
            panicked: Arc::default(),
            #[cfg(debug_assertions)]
            broken: Arc::new(usize::MAX.into()),
        }
    }

    /// Asks for a graceful end: no newcomers, parked polls end with their lists, every request that had come is answered.
    pub fn drain(&self) {
        // A stop that was asked for before stays.
        let _ = (self.wish).compare_exchange(SERVE, DRAIN, Ordering::AcqRel, Ordering::Acquire);
        self.wake_all();
    }

    /// Asks for an end at once. What the store has begun is still finished; what only waits is thrown away unanswered.
    pub fn stop(&self) {
        self.wish.store(STOP, Ordering::Release);
        self.wake_all();
    }

    /// Lets the turn that is waiting go on, or the next return at once.
    pub fn wake(&self) {
        self.wakes[0].wake();
    }

    /// Whether every loop has turned since this was last called, and at all; asks them to turn once more. For a watchdog that calls it
    /// from time to time: no call waits for a loop, and a server that idles turns once for each. A loop that hangs, or a host that
    /// gives no turns, shows in the next call. A loop that has ended counts as one that turns.
    pub fn check_pulse(&self) -> bool {
        let asked = self.pulse.asked.fetch_add(1, Ordering::AcqRel);
        self.wake_all();
        let is_given = |given: &AtomicU64| given.load(Ordering::Acquire) >= asked;
        asked > 0 && self.pulse.given.iter().all(is_given)
    }

    /// A loop turns. Read before its turn's work, so that what is asked for meanwhile takes another.
    pub(super) fn give_pulse(&self, number: usize) {
        let asked = self.pulse.asked.load(Ordering::Acquire);
        self.pulse.given[number].store(asked, Ordering::Release);
    }

    /// A loop has ended: nobody need wait for it.
    pub(super) fn end_pulse(&self, number: usize) {
        self.pulse.given[number].store(u64::MAX, Ordering::Release);
    }

    /// Ends the server because a part of it has panicked.
    pub(super) fn fall(&self, panicked: Panicked) {
        // Whatever panics after the first may do so because of it.
        let _ = self.panicked.set(panicked);
        self.stop();
    }

    /// What has ended the server, if that was a panic.
    pub(super) fn fallen(&self) -> Option<&Panicked> {
        self.panicked.get()
    }

    /// Has a loop panic in its next turn: for tests of what becomes of the server then. Not in a release build.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub fn break_loop(&self, number: usize) {
        self.broken.store(number, Ordering::Release);
        self.wake_all();
    }

    #[cfg(debug_assertions)]
    pub(super) fn assert_whole(&self, number: usize) {
        let broken = self.broken.load(Ordering::Acquire);
        assert_ne!(broken, number, "broken by a test");
    }

    /// As [`Handle::wake`], for the turns of all loops.
    pub(super) fn wake_all(&self) {
        self.wakes.iter().for_each(Wake::wake);
    }

    pub(super) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            DRAIN => Wish::Drain,
            STOP => Wish::Stop,
            _ => Wish::Serve,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
