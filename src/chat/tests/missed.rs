//! A server that has not heard of the others for too long: nothing that it remembers holds.

use super::*;

/// Ann's session, her chatrooms and what was said in one of them are remembered, and nobody waits.
fn remembering() -> Loops {
    let mut loops = shared();
    loops.poll_for(0, 1, since(2));
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), ["1: 3"]);
    loops.loads.clear();
    loops
}

fn since(id: i64) -> Wanted {
    Wanted {
        since: Since::new(id),
        limit: None,
    }
}

#[test]
fn who_waits_is_to_ask_again() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(3));
    loops.call(0, 2, several(Which::All));
    loops.reached(&[(another_room(), 0)]);
    loops.call(0, 3, stream());
    assert_eq!(loops.heard(), ["3: begins"]);
    loops.has_session = false;
    loops.complete(0, Completion::ChangesMissed);
    let mut heard = loops.heard();
    heard.sort();
    let failed = ["1", "2"].map(|poll| format!("{poll}: Fault(StorageFailed)"));
    assert_eq!(heard, [&failed[..], &["3: ends".to_owned()]].concat());
    loops.poll(0, 4);
    assert_eq!(loops.heard(), ["4: Fault(NoSession)"]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered.0, 0);
}

/// Also where a message comes before those who wait have been told.
#[test]
fn nobody_hears_who_may_have_been_removed() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(3));
    loops.chats[0].complete(loops.now, Completion::ChangesMissed);
    loops.complete(0, saved(4));
    assert_eq!(loops.heard(), ["1: Fault(StorageFailed)"]);
    loops.loaded(0, Ok(4));
    loops.assert_idle();
}

#[test]
fn a_session_that_nobody_waits_in_is_looked_up_anew() {
    let mut loops = remembering();
    loops.complete(0, Completion::ChangesMissed);
    loops.has_session = false;
    loops.poll(0, 2);
    assert_eq!(loops.heard(), ["2: Fault(NoSession)"]);
}

#[test]
fn who_was_removed_meanwhile_is_out() {
    let mut loops = remembering();
    loops.complete(0, Completion::ChangesMissed);
    loops.chatrooms = vec![another_room()];
    loops.poll(0, 2);
    assert_eq!(loops.heard(), ["2: Fault(NotAParticipant)"]);
}

#[test]
fn what_has_expired_meanwhile_is_in_no_list() {
    let mut loops = remembering();
    loops.complete(0, Completion::ChangesMissed);
    loops.poll_for(0, 2, since(1));
    assert_eq!(loops.loads, [0]);
    assert_eq!(loops.heard(), [""; 0]);
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), ["2: 2 3"]);
    loops.assert_idle();
}

/// What was asked for before, and is told behind it.
#[test]
fn a_session_that_was_being_looked_up_is_looked_up_once_more() {
    let mut loops = shared();
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    loops.complete(0, Completion::ChangesMissed);
    loops.has_session = false;
    loops.catch_up();
    assert_eq!(loops.heard(), ["1: Fault(NoSession)"]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered.0, 0);
}

#[test]
fn chatrooms_of_a_user_that_were_being_read_are_read_once_more() {
    let mut loops = shared();
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    let next = |loops: &mut Loops| {
        let said = loops.slow.as_mut().and_then(VecDeque::pop_front);
        said.expect("it is asked").1
    };
    let session = next(&mut loops);
    loops.complete(0, session);
    let before = next(&mut loops);
    loops.complete(0, Completion::ChangesMissed);
    loops.chatrooms = vec![another_room()];
    // The session is there again before it comes.
    loops.poll(0, 2);
    let session = next(&mut loops);
    loops.complete(0, session);
    loops.complete(0, before);
    loops.catch_up();
    let mut heard = loops.heard();
    heard.sort();
    let out = [1, 2].map(|poll| format!("{poll}: Fault(NotAParticipant)"));
    assert_eq!(heard, out);
    loops.assert_idle();
}

#[test]
fn a_list_that_was_being_read_is_read_once_more() {
    let mut loops = shared();
    loops.poll_for(0, 1, since(1));
    loops.complete(0, Completion::ChangesMissed);
    loops.loaded(0, Ok(2));
    assert_eq!((loops.heard().len(), loops.loads.len()), (0, 2));
    loops.complete(0, saved(4));
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), ["1: 2 3 4"]);
    assert_eq!(loops.loads.len(), 2);
    loops.assert_idle();
}

#[test]
fn a_list_that_cannot_be_read_once_more_is_given_up() {
    let mut loops = shared();
    loops.poll_for(0, 1, since(1));
    loops.complete(0, Completion::ChangesMissed);
    loops.loaded(0, Err(Fault::StorageFailed));
    assert_eq!(loops.heard(), ["1: Fault(StorageFailed)"]);
    assert_eq!(loops.loads.len(), 1);
    loops.assert_idle();
}

#[test]
fn an_endpoll_that_is_under_way_does_not_say_what_it_has_done() {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(2));
    loops.end_polls(0, 2);
    assert_eq!(loops.heard(), ["1: 1 2"]);
    loops.complete(0, Completion::ChangesMissed);
    let (ticket, answer) = (ticket(0, 2), Ok(Default::default()));
    loops.complete(0, Completion::ServersAnswered { ticket, answer });
    assert_eq!(loops.heard(), ["2: Fault(OutcomeUnknown)"]);
    loops.assert_idle();
}

/// As where another database leads by now, which lacks the last.
#[test]
fn what_has_the_id_of_a_message_that_is_gone_is_told() {
    let mut loops = remembering();
    loops.complete(0, Completion::ChangesMissed);
    loops.poll_for(0, 2, since(2));
    loops.loaded(0, Ok(2));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), ["2: 3"]);
    loops.assert_idle();
}

/// Nor does a poll of several take it for something that it has missed.
#[test]
fn a_message_that_is_gone_is_no_news() {
    let mut loops = remembering();
    loops.poll(0, 2);
    loops.complete(0, saved(4));
    assert_eq!(loops.heard().len(), 1);
    loops.complete(0, Completion::ChangesMissed);
    let since = Since::new(3).expect("not negative");
    let call = SeveralCall {
        chatrooms: Which::These(vec![room()]),
        since: Some(vec![(room(), since)]),
        limit: None,
        timeout_s: None,
        is_over: false,
        is_ahead: false,
    };
    loops.call(
        0,
        3,
        Call::InSession(SessionCall::PollSeveral(Box::new(call))),
    );
    loops.reached(&[(room(), 3)]);
    assert_eq!(loops.reads.len(), 0, "{:?}", loops.reads);
    loops.complete(0, saved(4));
    loops.loaded(0, Ok(4));
    assert_eq!(loops.heard(), ["3: 4"]);
}
