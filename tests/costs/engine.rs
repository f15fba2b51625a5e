//! The engine alone: allocations for each poll and delivery, and bytes for each parked poll.

use allocation_counter::measure;
use loiter::arena::Arena;
use loiter::config::Config;
use loiter::engine::{Engine, Output};
use loiter::model::Connection;

use crate::warm::{CHATROOMS, LONGPOLL, NOW, Warm};

/// What the engine keeps of a parked poll, 32 bytes, and the chat core, 40; a place in the queue of deadlines, 12; and 8 of
/// this test's own for its key.
const PARKED_BYTES: f64 = 92.0;

/// Parks a poll on each connection.
fn park(warm: &mut Warm, polls: usize) {
    (0..polls).for_each(|at| warm.offer(at, LONGPOLL));
}

/// Saves a message, and lets all polls have it.
fn wake(warm: &mut Warm) -> usize {
    warm.save();
    warm.settle()
}

/// An engine in which so many polls have been parked and woken before, so that its queues have their size.
fn warmed(polls: usize) -> Warm {
    let mut warm = Warm::new(polls);
    for _ in 0..3 {
        park(&mut warm, polls);
        assert_eq!(wake(&mut warm), polls);
    }
    warm
}

#[test]
fn a_poll_parks_on_a_warm_connection_without_an_allocation() {
    let mut warm = warmed(100);
    let counted = measure(|| park(&mut warm, 100));
    assert_eq!(counted.count_total, 0);
    assert_eq!(wake(&mut warm), 100, "they were parked");
}

#[test]
fn a_delivery_beyond_the_first_of_a_wake_costs_no_allocation() {
    let wake_of = |polls: usize| {
        let mut warm = warmed(polls);
        park(&mut warm, polls);
        let counted = measure(|| assert_eq!(wake(&mut warm), polls));
        counted.count_total
    };
    let first = wake_of(1);
    assert!(first > 0, "a list and an answer are rendered");
    assert_eq!(wake_of(200), first);
}

#[test]
fn a_wake_allocates_a_list_and_an_answer_and_little_else() {
    let mut warm = warmed(1);
    park(&mut warm, 1);
    let counted = measure(|| assert_eq!(wake(&mut warm), 1));
    assert!(counted.count_total <= WAKE_ALLOCATIONS_MAX, "{counted:?}");
}

/// The message's own text and name, and the list and the answer, each with the count of those who share it.
const WAKE_ALLOCATIONS_MAX: u64 = 6;

#[test]
fn a_small_call_allocates_its_answer_and_little_else() {
    let mut warm = warmed(1);
    warm.offer(0, CHATROOMS);
    warm.settle();
    let counted = measure(|| {
        warm.offer(0, CHATROOMS);
        assert_eq!(warm.settle(), 1);
    });
    assert!(counted.count_total <= CALL_ALLOCATIONS_MAX, "{counted:?}");
}

/// The ids, their JSON, the answer.
const CALL_ALLOCATIONS_MAX: u64 = 3;

#[test]
fn a_parked_poll_keeps_what_its_slots_take_and_no_buffer() {
    // Tables double, so between two powers of two, beyond what they begin with, all that is new is in use.
    const FEW: usize = 1 << 15;
    const MANY: usize = 2 * FEW;
    let bytes = |polls: usize| {
        let mut warm = None;
        let counted = measure(|| {
            let mut parked = warmed(polls);
            park(&mut parked, polls);
            warm = Some(parked);
        });
        counted.bytes_current
    };
    let each = (bytes(MANY) - bytes(FEW)) as f64 / (MANY - FEW) as f64;
    assert!((each - PARKED_BYTES).abs() < 1.0, "{each} bytes");
}

#[test]
fn those_who_come_and_go_leave_nothing_behind() {
    let mut engine = Engine::new(&Config::default(), 0);
    let mut keys: Arena<(), Connection> = Arena::default();
    let mut now = NOW;
    let mut visit = || {
        now.monotonic_ms += 1;
        let key = keys.insert(());
        engine.accept(now, key);
        engine.gone(now, key);
        assert!(matches!(engine.next_output(), Some(Output::Close(closed)) if closed == key));
        keys.remove(key);
    };
    (0..100).for_each(|_| visit());
    let counted = measure(|| (0..10_000).for_each(|_| visit()));
    assert_eq!(counted.bytes_current, 0);
}
