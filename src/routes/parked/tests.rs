//! Who is woken, in which order, and that nothing is left behind.

use super::*;
use crate::arena::Arena;
use crate::model::Connection;
use crate::routes::Places;

struct Lot {
    keys: Arena<(), Connection>,
    parked: Parked,
    places: Arc<Places>,
}

impl Lot {
    fn new() -> Self {
        Self {
            keys: Arena::default(),
            parked: Parked::new(1000),
            places: Places::new(1000, usize::MAX),
        }
    }

    /// Parks one, whose number is told with it.
    fn park(&mut self, number: u32, key: u64) -> ParkedKey {
        let connection = self.keys.insert(());
        let parked = (self.parked).park((connection, number), key, Response::empty(204));
        parked.expect("there is room")
    }

    fn wake(&mut self, key: u64, text: &str) {
        let wake = self.places.wake(key, Response::text(text));
        self.parked.wake(wake.expect("there is room"));
    }

    fn told(&mut self) -> Vec<(u32, String)> {
        let told = std::iter::from_fn(|| self.parked.next_told());
        told.map(|told| {
            let body = told.response.body().to_vec();
            (told.exchange, String::from_utf8(body).expect("UTF-8"))
        })
        .collect()
    }

    #[track_caller]
    fn assert_empty(&self) {
        assert_eq!(self.parked.counts(), Counts::default());
        assert_eq!(self.places.taken(), 0);
        assert!(self.parked.by_key.is_empty() && self.parked.unwoken.is_empty());
    }
}

fn all(numbers: impl IntoIterator<Item = u32>, text: &str) -> Vec<(u32, String)> {
    let numbers = numbers.into_iter();
    numbers.map(|number| (number, text.to_owned())).collect()
}

#[test]
fn a_wake_is_for_those_who_were_parked_by_then() {
    let mut lot = Lot::new();
    lot.park(1, 7);
    lot.park(2, 8);
    lot.park(3, 7);
    lot.wake(7, "first");
    lot.park(4, 7);
    lot.wake(7, "second");
    lot.park(5, 7);
    let wanted = [all([1, 3], "first"), all([4], "second")].concat();
    assert_eq!(lot.told(), wanted);
    assert_eq!(lot.parked.counts().requests, 2);
    lot.wake(9, "nobody");
    assert_eq!(lot.told(), []);
    lot.wake(7, "third");
    lot.wake(8, "third");
    assert_eq!(lot.told(), all([5, 2], "third"));
    lot.assert_empty();
}

#[test]
fn keys_are_told_by_turns() {
    let mut lot = Lot::new();
    let slice = u32::try_from(SLICE).expect("small");
    for number in 0..=slice {
        lot.park(number, 1);
    }
    for number in 1000..1002 {
        lot.park(number, 2);
    }
    lot.wake(1, "a");
    lot.wake(2, "b");
    let wanted = [all(0..slice, "a"), all(1000..1002, "b"), all([slice], "a")].concat();
    assert_eq!(lot.told(), wanted);
    lot.assert_empty();
}

#[test]
fn who_is_gone_is_forgotten_before_and_behind_a_wake() {
    let mut lot = Lot::new();
    let parked: Vec<_> = (0..6).map(|number| lot.park(number, 7)).collect();
    assert!(lot.parked.remove(parked[1]).is_some());
    assert!(lot.parked.remove(parked[1]).is_none(), "stale");
    lot.wake(7, "a");
    lot.park(9, 7);
    lot.parked.remove(parked[0]);
    lot.parked.remove(parked[5]);
    assert_eq!(lot.told(), all([2, 3, 4], "a"));
    assert_eq!(lot.parked.counts().requests, 1);
    lot.wake(7, "b");
    assert_eq!(lot.told(), all([9], "b"));
    // All of a topic go while it is being told, and alone.
    let parked = [lot.park(1, 3), lot.park(2, 4)];
    lot.wake(3, "c");
    for parked in parked {
        assert!(lot.parked.remove(parked).is_some());
    }
    assert_eq!(lot.told(), []);
    lot.assert_empty();
}

#[test]
fn no_more_wait_than_may() {
    let mut lot = Lot::new();
    lot.parked.max = 2;
    let first = lot.park(1, 1);
    lot.park(2, 1);
    let connection = lot.keys.insert(());
    let more = |lot: &mut Lot| (lot.parked).park((connection, 3), 1, Response::empty(204));
    assert!(more(&mut lot).is_none());
    lot.parked.remove(first);
    assert!(more(&mut lot).is_some());
}

#[test]
fn the_oldest_key_comes_first() {
    let mut lot = Lot::new();
    lot.park(1, 5);
    lot.park(2, 3);
    lot.park(3, 5);
    assert_eq!(lot.parked.next_key(), Some(5));
    lot.wake(5, "a");
    assert_eq!(lot.parked.next_key(), Some(3));
    lot.wake(3, "b");
    assert_eq!(lot.parked.next_key(), None);
}

#[test]
fn a_parked_request_is_small() {
    assert_eq!(size_of::<Waiting>(), 32);
}
