//! Whom a host wakes, on the way to the loops: a box for each, beside the one for all other post.
//!
//! **A key stands in a box once.** A wake behind another of its key would find nobody there: whoever was parked by then is taken by the first,
//! which is told when no handler runs, and whoever comes behind that has looked at what the host had changed before either. So it is
//! not put there at all, whatever it would have said, and a host that wakes one key without pause keeps one wake in each box.
//!
//! **A turn takes so many and no more**, and neither input nor other post waits for the rest: a host can wake faster than any loop takes. Whoever
//! parks before such a wake is told may be answered by it. That is what a host reckons with in any case (see [`crate::routes`]); that
//! nobody is passed over needs no more than that a wake is told some time after it was posted.
//!
//! Up to that bound the order is that of all post: a wake is in all boxes at once, and a loop takes its box after it has read a client's bytes and
//! before its engine has them.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::waker::NotWoken;
use crate::engine::Engine;
use crate::routes::{Places, Response, Wake};
use crate::runtime;

/// Wakes that a loop is told of in one turn: about a tenth of a millisecond. How many of those who wait are answered is bounded by itself.
pub(super) const WAKES_PER_TURN: usize = 1024;
/// … and those that it takes under the lock at a time, for which whoever wakes waits.
const TAKEN_AT_ONCE: usize = 64;

/// The boxes of all loops.
pub(super) struct Wakes {
    places: Arc<Places>,
    untold: Mutex<Vec<Untold>>,
    /// Loops that wait for that lock.
    waiting: AtomicUsize,
    doors: Vec<Door>,
}

/// What was posted to one loop and not taken.
#[derive(Default)]
struct Untold {
    wakes: VecDeque<Arc<Wake>>,
    /// Theirs.
    keys: HashSet<u64>,
    /// The loop has ended.
    is_closed: bool,
}

/// What of a box can be reached without the lock.
struct Door {
    has_wakes: AtomicBool,
    wake: runtime::Wake,
}

/// One loop's box. Closed when it is dropped.
pub(super) struct WakeBox {
    all: Arc<Wakes>,
    number: usize,
    /// How many may still be told in this turn.
    left: usize,
    /// Taken, and about to be told: room that is used again.
    taken: Vec<Arc<Wake>>,
}

impl Wakes {
    /// Empty boxes for the loops that these wake, in the order of their numbers.
    pub(super) fn new(
        places: Arc<Places>,
        loops: impl IntoIterator<Item = runtime::Wake>,
    ) -> Arc<Self> {
        let door = |wake| Door {
            has_wakes: AtomicBool::new(false),
            wake,
        };
        let doors = Vec::from_iter(loops.into_iter().map(door));
        let untold = doors.iter().map(|_| Untold::default()).collect();
        Arc::new(Self {
            places,
            untold: Mutex::new(untold),
            waiting: AtomicUsize::new(0),
            doors,
        })
    }

    /// How many are under way, of all that may be.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The box of the loop with this number.
    pub(super) fn of_loop(self: &Arc<Self>, number: usize) -> WakeBox {
        WakeBox {
            all: Arc::clone(self),
            number,
            left: 0,
            taken: Vec::new(),
        }
    }

    /// Puts a wake into each box where none of its key is, and wakes those loops that had none.
    ///
    /// # Errors
    /// It is in no box.
    pub(super) fn post(&self, key: u64, response: Response) -> Result<(), NotWoken> {
        let mut woken = Vec::new();
        let mut boxes = self.lock_behind_loops();
        if boxes.iter().all(|of| of.is_closed) {
            return Err(NotWoken::Ended);
        }
        let wants = |of: &Untold| !of.is_closed && !of.keys.contains(&key);
        if !boxes.iter().any(wants) {
            return Ok(());
        }
        let wake = self.places.wake(key, response).ok_or(NotWoken::TooMany)?;
        for (at, of) in boxes.iter_mut().enumerate().filter(|(_, of)| wants(of)) {
            if of.wakes.is_empty() {
                self.doors[at].has_wakes.store(true, Ordering::Release);
                woken.push(at);
            }
            of.keys.insert(key);
            of.wakes.push_back(Arc::clone(&wake));
        }
        drop(boxes);
        for at in woken {
            self.doors[at].wake.wake();
        }
        Ok(())
    }

    /// For who posts. A lock is anybody's who comes at the right moment, and threads that wake without pause come at every moment: so they let those go
    /// first behind whom everybody else stands. (With four such threads on two cores others are answered within 0.04 ms by it, and within 1.9 ms without; medians.)
    fn lock_behind_loops(&self) -> MutexGuard<'_, Vec<Untold>> {
        while self.waiting.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        self.lock()
    }

    /// For a loop.
    fn lock_as_loop(&self) -> MutexGuard<'_, Vec<Untold>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let boxes = self.lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        boxes
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Untold>> {
        // Nothing that runs under this lock can leave a box half changed.
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WakeBox {
    /// A new turn: as many may be told again.
    pub(super) fn begin_turn(&mut self) {
        self.left = WAKES_PER_TURN;
    }

    /// Whether there are wakes that the engine has not been told.
    pub(super) fn has_untold(&self) -> bool {
        self.all.doors[self.number]
            .has_wakes
            .load(Ordering::Acquire)
    }

    /// Tells the engine what has come, as far as this turn may. Not while a handler runs.
    pub(super) fn tell(&mut self, engine: &mut Engine) {
        while self.left > 0 && self.has_untold() {
            self.take(self.left.min(TAKEN_AT_ONCE));
            self.left -= self.taken.len();
            // From here until they are told no handler runs: else somebody might park behind a key that is no more in the box, and not be found.
            self.taken.drain(..).for_each(|wake| engine.wake(wake));
        }
    }

    fn take(&mut self, max: usize) {
        let mut boxes = self.all.lock_as_loop();
        let of = &mut boxes[self.number];
        let count = of.wakes.len().min(max);
        for wake in of.wakes.drain(..count) {
            of.keys.remove(&wake.key());
            self.taken.push(wake);
        }
        let has_wakes = !of.wakes.is_empty();
        self.all.doors[self.number]
            .has_wakes
            .store(has_wakes, Ordering::Relaxed);
    }

    /// Its loop has ended: lets go of what was not told, and takes no more, however long somebody keeps a way to wake.
    pub(super) fn close(&self) {
        let closed = Untold {
            is_closed: true,
            ..Untold::default()
        };
        let mut boxes = self.all.lock_as_loop();
        let untold = std::mem::replace(&mut boxes[self.number], closed);
        self.all.doors[self.number]
            .has_wakes
            .store(false, Ordering::Relaxed);
        drop(boxes);
        drop(untold);
    }
}

impl Drop for WakeBox {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::runtime::Reactor;

    /// Boxes of two loops that do not turn.
    fn wakes(max: usize) -> (Vec<Reactor>, Arc<Wakes>) {
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            loops: 2,
            ..Config::default()
        };
        let reactors = Reactor::bind(&config, Vec::new(), b"").expect("loopback");
        let loops = Vec::from_iter(reactors.iter().map(Reactor::waker));
        (reactors, Wakes::new(Places::new(max, usize::MAX), loops))
    }

    fn text(wakes: &Wakes, key: u64, text: &str) -> Result<(), NotWoken> {
        wakes.post(key, Response::text(text))
    }

    fn taken(of: &mut WakeBox) -> Vec<(u64, Vec<u8>)> {
        of.take(usize::MAX);
        let taken = of.taken.drain(..);
        taken
            .map(|wake| (wake.key(), wake.response().body().to_vec()))
            .collect()
    }

    #[test]
    fn a_key_stands_in_a_box_once_with_what_was_said_first() {
        let (_reactors, wakes) = wakes(2);
        let mut boxes = [wakes.of_loop(0), wakes.of_loop(1)];
        for said in ["first", "second"] {
            assert_eq!(text(&wakes, 7, said), Ok(()));
        }
        assert_eq!(wakes.places().taken(), 1);
        assert_eq!(taken(&mut boxes[0]), [(7, b"first".to_vec())]);
        assert!(!boxes[0].has_untold() && boxes[1].has_untold());
        // One box has had the first, and takes another.
        assert_eq!(text(&wakes, 7, "third"), Ok(()));
        assert_eq!(taken(&mut boxes[0]), [(7, b"third".to_vec())]);
        assert_eq!(taken(&mut boxes[1]), [(7, b"first".to_vec())]);
        assert_eq!(wakes.places().taken(), 0);
    }

    #[test]
    fn what_is_merged_needs_no_place() {
        let (_reactors, wakes) = wakes(2);
        assert_eq!(text(&wakes, 1, ""), Ok(()));
        assert_eq!(text(&wakes, 2, ""), Ok(()));
        assert_eq!(text(&wakes, 3, ""), Err(NotWoken::TooMany));
        assert_eq!(text(&wakes, 1, ""), Ok(()));
    }

    #[test]
    fn a_loop_that_has_ended_keeps_nothing() {
        let (_reactors, wakes) = wakes(2);
        let mut boxes = [wakes.of_loop(0), wakes.of_loop(1)];
        assert_eq!(text(&wakes, 1, ""), Ok(()));
        boxes[0].close();
        assert_eq!(taken(&mut boxes[1]).len(), 1);
        assert_eq!(wakes.places().taken(), 0);
        // Others may turn still.
        assert_eq!(text(&wakes, 1, ""), Ok(()));
        assert!(!boxes[0].has_untold() && boxes[1].has_untold());
        drop(boxes);
        assert_eq!(wakes.places().taken(), 0);
        assert_eq!(text(&wakes, 1, ""), Err(NotWoken::Ended));
    }

    #[test]
    fn a_turn_tells_so_many_and_in_order() {
        let (_reactors, wakes) = wakes(usize::MAX);
        let mut of = wakes.of_loop(0);
        let mut engine = Engine::new(&Config::default(), 0);
        let more = 10;
        let count = 2 * WAKES_PER_TURN + more;
        for key in 0..count as u64 {
            text(&wakes, key, "").expect("there is room");
        }
        let left = |wakes: &Wakes| wakes.lock()[0].wakes.len();
        for wanted in [WAKES_PER_TURN + more, more, 0] {
            of.begin_turn();
            // However often it is asked within a turn.
            (0..3).for_each(|_| of.tell(&mut engine));
            assert_eq!(left(&wakes), wanted);
            let next = wakes.lock()[0].wakes.front().map(|wake| wake.key());
            assert_eq!(next, (wanted > 0).then_some((count - wanted) as u64));
            assert_eq!(of.has_untold(), wanted > 0);
        }
    }
}
