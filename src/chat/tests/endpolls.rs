//! Endpolls over several loops, and what they must not pass by.

use super::*;

#[test]
fn an_endpoll_ends_the_polls_of_all_loops_and_is_answered_last() {
    let mut loops = Loops::new(3, 0);
    (0..3).for_each(|n| loops.poll(n, 1));
    loops.poll(2, 2);
    (0..3).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    assert_eq!(loops.answered(), [answer(1, 1, "1")]);
    loops.deliver_all();
    let wanted = [
        answer(0, 1, "1"),
        answer(2, 1, "1"),
        answer(2, 2, "1"),
        answer(1, 5, "4 ended: 1"),
    ];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn each_loop_gives_its_own_list_and_the_caller_the_newest() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    loops.poll(1, 1);
    (0..2).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    // Here a message has come before the other's poll is to end, and there too before it is answered.
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(1, 1, "1"), answer(0, 1, "1 2")]);
    loops.poll(0, 2);
    loops.deliver();
    loops.complete(1, saved(2));
    loops.deliver_all();
    let wanted = [answer(0, 2, "1 2"), answer(1, 5, "2 ended: 1 2")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn a_loop_without_the_list_loads_it_before_it_ends_polls() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    assert_eq!(loops.loads, [0]);
    // Its load is on its way, and what is heard meanwhile waits for it.
    loops.complete(0, saved(2));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    loops.deliver();
    assert_eq!(loops.answered(), []);
    loops.loaded(0, Ok(2));
    loops.deliver_all();
    // Woken by the message or ended for the asker, and never with a list without it.
    let answered = loops.answered();
    assert_eq!(answered[0], answer(0, 1, "1 2"));
    assert_eq!((answered.len(), answered[1].1), (2, 5));
    loops.assert_idle();
}

#[test]
fn a_loop_that_cannot_load_keeps_its_polls_and_the_caller_is_told() {
    let mut loops = Loops::new(2, 0);
    loops.poll(0, 1);
    loops.loaded(0, Err(Fault::StorageFailed));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    loops.deliver();
    loops.loaded(0, Err(Fault::Overloaded));
    loops.deliver_all();
    let failed = [answer(1, 5, "Fault(OutcomeUnknown)")];
    assert_eq!(loops.answered(), failed);
    assert_eq!(loops.chats[0].counts().held, 1);
    // It is asked again for who comes later.
    loops.end_polls(1, 6);
    loops.deliver();
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    assert_eq!(
        loops.answered(),
        [answer(0, 1, "1"), answer(1, 6, "1 ended: 1")]
    );
    loops.assert_idle();
}

#[test]
fn an_endpoll_is_under_way_until_all_have_told() {
    let mut loops = Loops::new(3, 0);
    loops.poll(2, 1);
    (1..3).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    loops.loaded(1, Ok(1));
    assert_eq!(loops.chats[1].counts().sweeps, 1);
    loops.deliver_all();
    assert_eq!(loops.answered()[1], answer(1, 5, "1 ended: 1"));
    loops.assert_idle();
}

#[test]
fn an_endpoll_waits_for_the_polls_that_came_before_it() {
    for caller in [0, 1] {
        let mut loops = Loops::new(2, 0);
        // Warm there.
        loops.end_polls(0, 1);
        loops.loaded(0, Ok(1));
        loops.deliver_all();
        loops.answered();
        // Cold here: two polls wait for their session, and then for its user.
        loops.slow = Some(VecDeque::new());
        loops.poll(1, 2);
        loops.poll(1, 3);
        loops.end_polls(caller, 4);
        loops.deliver_all();
        assert_eq!(loops.answered(), []);
        loops.catch_up();
        loops.loaded(1, Ok(1));
        loops.deliver_all();
        let answers = loops.answered();
        assert!(answers.contains(&answer(1, 2, "1")), "{answers:?}");
        assert!(answers.contains(&answer(1, 3, "1")), "{answers:?}");
        assert_eq!(answers.last(), Some(&answer(caller, 4, "2 ended: 1")));
        loops.assert_idle();
    }
}

#[test]
fn an_endpoll_passes_by_nobody_who_is_about_to_park() {
    let mut loops = Loops::new(1, 0);
    // The chatroom is warm, the session is not.
    loops.end_polls(0, 1);
    loops.loaded(0, Ok(1));
    let forgotten = Completion::LoggedOut {
        ticket: ticket(9, 0),
        session: SESSION,
        done: Ok(()),
    };
    loops.complete(0, forgotten);
    loops.answered();
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 2);
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    // Before the poll that waited for it is begun again, the endpoll comes.
    loops.chats[0].complete(Now::default(), session_found);
    loops.end_polls(0, 3);
    loops.catch_up();
    let wanted = [answer(0, 2, "1"), answer(0, 3, "1 ended: 1")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn an_endpoll_of_a_session_that_is_gone_finds_nothing_to_end_elsewhere() {
    let mut loops = Loops::new(2, 0);
    loops.end_polls(0, 1);
    loops.loaded(0, Ok(1));
    loops.deliver_all();
    loops.answered();
    loops.slow = Some(VecDeque::new());
    loops.poll(1, 2);
    loops.end_polls(0, 3);
    loops.deliver_all();
    let gone = Completion::SessionFound {
        event_loop: 1,
        session: SESSION,
        found: Ok(None),
    };
    loops.complete(1, gone);
    loops.deliver_all();
    let wanted = [answer(1, 2, "Fault(NoSession)"), answer(0, 3, "0 ended: 1")];
    assert_eq!(loops.answered(), wanted);
    loops.assert_idle();
}

#[test]
fn who_leaves_while_their_polls_are_ended_gets_no_list() {
    let mut loops = Loops::new(2, 0);
    (0..2).for_each(|n| loops.poll(n, 1));
    (0..2).for_each(|n| loops.loaded(n, Ok(1)));
    loops.end_polls(1, 5);
    (0..2).for_each(|n| loops.complete(n, left()));
    (0..2).for_each(|n| loops.complete(n, saved(2)));
    loops.deliver_all();
    let answered = loops.answered();
    assert_eq!(answered[2], answer(1, 5, "Fault(NotAParticipant)"));
    assert_eq!(answered.len(), 3);
    loops.assert_idle();
}

#[test]
fn a_callers_list_is_no_longer_than_asked_for_while_the_chatroom_is_loaded_anew() {
    let mut loops = Loops::new(2, 0);
    loops.poll(1, 1);
    loops.loaded(1, Ok(3));
    let end = SessionCall::EndPolls {
        chatroom: room(),
        limit: Limit::new(2),
    };
    loops.call(1, 5, Call::InSession(end));
    // Message 4 has not been heard of.
    loops.complete(1, saved(5));
    loops.deliver_all();
    let wanted = [answer(1, 1, "1 2 3"), answer(1, 5, "1 ended: 2 3")];
    assert_eq!(loops.answered(), wanted);
}
