//! The end of a store is bounded, whatever waits.

use super::*;

/// Far less than what waits would take, and far more than the end may.
const END_MAX: Duration = Duration::from_secs(4);

/// A store of which one write waits for the lock of another program, and one for that write.
fn waiting_for_a_lock() -> (Fixture, OtherProgram) {
    let mut fixture = Fixture::with(|config| config.queue = 1);
    let ann = fixture.user("ann");
    let chatroom = fixture.chatroom(&ann);
    let mut other = fixture.other_program();
    other.lock();
    fixture.submit(say(chatroom, &ann, "begun"));
    let deadline = Instant::now() + PATIENCE;
    // There is a place once the first is taken.
    let mut job = say(chatroom, &ann, "not begun");
    while let Err(back) = fixture.store().submit(job) {
        assert!(Instant::now() < deadline, "nothing is begun");
        job = back;
    }
    (fixture, other)
}

#[test]
fn passwords_that_wait_are_not_hashed_after_the_end() {
    let mut fixture = Fixture::with(|config| {
        config.password_iterations = NonZeroU32::new(2_000_000).expect("not zero");
    });
    for _ in 0..32 {
        fixture.submit(Job::LogIn {
            ticket: ticket(1),
            customer: here(),
            folded: None,
            password: Secret("x".into()),
        });
    }
    let start = Instant::now();
    drop(fixture.store.take());
    assert!(start.elapsed() < END_MAX, "{:?}", start.elapsed());
}

#[test]
fn another_programs_lock_is_not_waited_for_after_the_end() {
    let (mut fixture, other) = waiting_for_a_lock();
    let start = Instant::now();
    let store = fixture.store.take().expect("open");
    store.close(start + Duration::from_millis(100));
    assert!(start.elapsed() < END_MAX, "{:?}", start.elapsed());
    // Nothing was saved, and nothing was said to be.
    let told: Vec<_> = fixture.posts.try_iter().flatten().collect();
    let [Completion::MessageSaved { saved, .. }] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(*saved, Err(Fault::StorageFailed));
    drop(other);
    let count = "SELECT count(*) FROM messages";
    assert_eq!(fixture.other_program().number(count), 0);
}

#[test]
fn what_can_be_done_before_the_end_is_done() {
    let (mut fixture, mut other) = waiting_for_a_lock();
    fixture.store().finish_by(Instant::now() + PATIENCE);
    let late = Job::LoadUser {
        event_loop: 0,
        user: nobody().id,
    };
    assert!(fixture.store().submit(late).is_err());
    other.unlock();
    for id in [1, 2] {
        let message = new_message(fixture.next()).expect("saved");
        assert_eq!(message.id.get(), id);
    }
    fixture.close();
}
