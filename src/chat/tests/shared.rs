//! Where other servers write to the database too: what they have written is told late, twice, and in any order.

use super::*;

#[test]
fn a_poll_of_several_chatrooms_waits_until_it_is_known_how_far_they_are() {
    let mut loops = shared();
    let both = Which::These(vec![room(), another_room()]);
    loops.call(0, 1, several(both));
    loops.reached(&[(room(), 3), (another_room(), 0)]);
    // Another server had written that before.
    loops.complete(0, saved(3));
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved(4));
    assert_eq!(loops.heard(), ["1: 1 2 3 4"]);
    loops.assert_idle();
}

#[test]
fn a_stream_begins_when_it_is_known_where() {
    let mut loops = shared();
    let key = loops.call(0, 1, stream()).expect("it waits");
    assert_eq!(loops.heard(), [""; 0]);
    loops.loaded(0, Ok(2));
    assert_eq!(loops.heard(), ["1: begins"]);
    // This server's own is told before what another had written.
    loops.complete(0, saved(4));
    loops.loaded(0, Ok(4));
    assert_eq!(loops.heard(), ["1: 3 4"]);
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), [""; 0]);
    loops.chats[0].forget(loops.now, key);
    loops.assert_idle();
}

#[test]
fn what_is_told_once_more_wakes_nobody() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(2));
    loops.complete(0, saved(2));
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), ["1: 1 2 3"]);
    loops.poll(0, 2);
    loops.complete(0, saved(2));
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved(4));
    assert_eq!(loops.heard(), ["2: 1 2 3 4"]);
    loops.assert_idle();
}

#[test]
fn who_has_left_is_not_brought_back_by_what_is_told_late() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(1));
    // Let in by another server, and removed by this one, which is told first.
    loops.chatrooms = vec![another_room()];
    loops.complete(0, left());
    loops.complete(0, came_back());
    assert_eq!(loops.heard(), ["1: Fault(NotAParticipant)"]);
    loops.poll(0, 2);
    assert_eq!(loops.heard(), ["2: Fault(NotAParticipant)"]);
    loops.assert_idle();
}

#[test]
fn who_was_let_in_is_there_whatever_is_told_late() {
    let mut loops = shared();
    loops.slow = Some(VecDeque::new());
    loops.chatrooms = vec![another_room()];
    loops.call(0, 1, several(Which::All));
    loops.catch_up();
    loops.reached(&[(another_room(), 0)]);
    loops.chatrooms = vec![room(), another_room()];
    loops.complete(0, came_back());
    // While the store is asked, that they had left before.
    loops.complete(0, left());
    loops.catch_up();
    loops.loaded(0, Ok(5));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved(6));
    assert_eq!(loops.heard(), ["1: 1 2 3 4 5 6"]);
    loops.assert_idle();
}

/// Its server hears of both only then.
#[test]
fn what_was_said_since_somebody_was_let_in_is_theirs_to_hear() {
    let mut loops = shared();
    loops.slow = Some(VecDeque::new());
    loops.chatrooms = vec![another_room()];
    loops.call(0, 1, several(Which::All));
    loops.catch_up();
    loops.reached(&[(another_room(), 0)]);
    loops.chatrooms = vec![room(), another_room()];
    loops.complete(0, came_back());
    loops.catch_up();
    loops.loaded(0, Ok(7));
    let heard = loops.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].ends_with("6 7"), "{heard:?}");
    loops.assert_idle();
}

#[test]
fn a_poll_of_all_ends_where_it_cannot_be_said_which_those_are() {
    let mut loops = shared();
    loops.call(0, 1, several(Which::All));
    loops.reached(&[(room(), 0), (another_room(), 0)]);
    loops.slow = Some(VecDeque::new());
    loops.complete(0, came_into(ChatroomId::new(9).expect("positive")));
    let failed = Completion::UserLoaded {
        event_loop: 0,
        user: user().id,
        chatrooms: Err(Fault::StorageFailed),
    };
    loops.complete(0, failed);
    assert_eq!(loops.heard(), ["1: "]);
    loops.assert_idle();
}

#[test]
fn who_hears_of_nothing_answers_nothing_from_memory() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(2));
    loops.poll(0, 2);
    loops.chats[0].set_deaf(true);
    loops.poll(0, 3);
    loops.call(0, 4, Call::InSession(SessionCall::Chatrooms));
    let failed = |exchange| answer(0, exchange, "Fault(StorageFailed)");
    assert_eq!(loops.answered(), [failed(3), failed(4)]);
    loops.chats[0].set_deaf(false);
    loops.complete(0, saved(3));
    let mut answered = loops.answered();
    answered.sort();
    assert_eq!(answered, [answer(0, 1, "1 2 3"), answer(0, 2, "1 2 3")]);
    loops.assert_idle();
}

/// What it waits for is known of before its list is here.
#[test]
fn who_has_read_on_is_not_told_what_was_before() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.complete(0, saved(4));
    let both = Which::These(vec![room(), another_room()]);
    loops.call(0, 2, several(both));
    loops.reached(&[(room(), 5), (another_room(), 0)]);
    // Another server has written 5, of which this one has not heard.
    loops.complete(0, saved(6));
    loops.loaded(0, Ok(4));
    assert_eq!(loops.heard(), [""; 0]);
    loops.loaded(0, Ok(6));
    assert_eq!(loops.heard(), ["1: 1 2 3 4 5 6", "2: 1 2 3 4 5 6"]);
    loops.assert_idle();
}
