//! How the store's lanes and other loops reach a loop: a box for each loop that they post to, and a wake.
//!
//! **One lock for all boxes.** What is posted is in the boxes of all whom it concerns before any of them can take it.
//! So whatever a client can have learned from one loop is in every other loop's box already, and a loop that takes
//! its box after it has read a client's bytes, and before it acts on them, knows at least what that client knows. With a
//! lock for each box a loop could tell of something that another has yet to hear of.
//!
//! A loop looks at one flag to see whether anything was posted: where nothing was, no lock is taken. The flag is set
//! and taken back under the lock.
//!
//! The boxes have no bound of their own and need none: what is posted are answers to jobs and to loops that wait for
//! them, and what is under way is bounded where it is begun. Posting never fails, and waits for nothing but others
//! that post or take, so nothing can be lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

/// Ends one loop's present wait, or else its next; from any thread.
#[derive(Clone, Debug)]
pub struct Wake(Arc<Waker>);

/// The boxes of all loops.
pub struct PostOffice<T> {
    boxes: Mutex<Vec<Vec<T>>>,
    doors: Vec<Door>,
}

/// What of a box can be reached without the lock.
struct Door {
    has_post: AtomicBool,
    wake: Wake,
}

/// The boxes, while nobody else can post or take.
pub struct Counter<'a, T> {
    boxes: MutexGuard<'a, Vec<Vec<T>>>,
    doors: &'a [Door],
    /// Whose boxes were empty.
    woken: Vec<usize>,
}

impl Wake {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self(waker)
    }

    /// Ends the loop's present wait, or else its next.
    pub fn wake(&self) {
        if let Err(error) = self.0.wake() {
            // It is a write to an eventfd that we hold open: only a bug can fail it.
            log::error!("cannot wake the event loop: {error}");
        }
    }
}

impl<T> PostOffice<T> {
    /// Empty boxes for the loops that these wake, in the order of their numbers.
    pub fn new(wakes: impl IntoIterator<Item = Wake>) -> Self {
        let doors: Vec<Door> = wakes.into_iter().map(Door::new).collect();
        Self {
            boxes: Mutex::new(doors.iter().map(|_| Vec::new()).collect()),
            doors,
        }
    }

    /// How many boxes there are.
    pub fn len(&self) -> usize {
        self.doors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.doors.is_empty()
    }

    /// Lets `post` fill any boxes, in order and at once as all others see it; then wakes their loops, unless an earlier
    /// post already did.
    pub fn post(&self, post: impl FnOnce(&mut Counter<'_, T>)) {
        let mut counter = Counter {
            boxes: self.lock(),
            doors: &self.doors,
            woken: Vec::new(),
        };
        post(&mut counter);
        let Counter { boxes, woken, .. } = counter;
        drop(boxes);
        for at in woken {
            self.doors[at].wake.wake();
        }
    }

    /// Whether something is in this box that was posted before anything that the caller has seen of others.
    pub fn has_post(&self, at: usize) -> bool {
        self.doors[at].has_post.load(Ordering::Acquire)
    }

    /// Takes all that is in a box, behind what `into` holds. For its loop, in every turn: what it leaves wakes nobody again.
    pub fn take(&self, at: usize, into: &mut impl Extend<T>) {
        let mut boxes = self.lock();
        into.extend(boxes[at].drain(..));
        self.doors[at].has_post.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        // Nothing that runs under this lock can leave a box half changed.
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Counter<'_, T> {
    /// Puts items into one box; into none where there is no such box.
    pub fn put(&mut self, at: usize, items: impl IntoIterator<Item = T>) {
        let Some(letters) = self.boxes.get_mut(at) else {
            return;
        };
        let was_empty = letters.is_empty();
        letters.extend(items);
        if was_empty && !letters.is_empty() {
            self.doors[at].has_post.store(true, Ordering::Release);
            self.woken.push(at);
        }
    }

    /// How many boxes there are.
    pub fn boxes(&self) -> usize {
        self.doors.len()
    }
}

impl Door {
    fn new(wake: Wake) -> Self {
        Self {
            has_post: AtomicBool::new(false),
            wake,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    fn office(boxes: usize) -> (Poll, PostOffice<u32>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let wake = Wake::new(Arc::new(waker));
        (poll, PostOffice::new(vec![wake; boxes]))
    }

    fn taken(office: &PostOffice<u32>, at: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        office.take(at, &mut taken);
        taken
    }

    #[test]
    fn each_box_has_what_was_put_there_in_order() {
        let (_poll, office) = office(2);
        office.post(|counter| {
            counter.put(0, [1, 2]);
            counter.put(1, [3]);
            counter.put(7, [9]);
        });
        office.post(|counter| counter.put(0, [4]));
        assert_eq!(taken(&office, 0), [1, 2, 4]);
        assert_eq!(taken(&office, 0), [0; 0]);
        assert_eq!(taken(&office, 1), [3]);
    }

    #[test]
    fn the_flag_says_whether_there_is_post() {
        let (_poll, office) = office(2);
        office.post(|counter| counter.put(1, []));
        assert_eq!([0, 1].map(|at| office.has_post(at)), [false, false]);
        office.post(|counter| counter.put(1, [1]));
        assert_eq!([0, 1].map(|at| office.has_post(at)), [false, true]);
        taken(&office, 1);
        assert!(!office.has_post(1));
    }

    /// Who sees an item in one box finds it in the other, whichever is filled first.
    #[test]
    fn what_is_in_one_box_is_in_all() {
        const ITEMS: u32 = 20_000;
        let (_poll, office) = office(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for item in 0..ITEMS {
                    office.post(|counter| (0..3).for_each(|at| counter.put(at, [item])));
                }
            });
            let (mut here, mut there) = ([0; 2], Vec::new());
            while there.len() < ITEMS as usize {
                for at in [0, 2] {
                    here[at / 2] = taken(&office, at)
                        .last()
                        .map_or(here[at / 2], |last| last + 1);
                    if office.has_post(1) {
                        office.take(1, &mut there);
                    }
                    assert!(there.len() >= here[at / 2] as usize, "told, but not to all");
                }
            }
        });
    }
}
