//! A changed password, and the sessions that it ends.

use super::*;

fn password_changed() -> Completion {
    Completion::PasswordChanged {
        ticket: ticket(9, 0),
        user: user().id,
        session: SessionHash([8; 32]),
        ended: None,
        done: Ok(()),
    }
}

#[test]
fn the_others_of_a_changed_password_hear_nothing_more_however_many_they_are() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.chats[0].complete(Now::default(), password_changed());
    // Before it has ended here the session is good for nothing.
    loops.poll(0, 400);
    loops.complete(0, saved(2));
    assert!(loops.chats[0].has_work(), "they have not all ended yet");
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let answered = loops.answered();
    assert_eq!(answered.len(), polls as usize + 1);
    for (_, exchange, what) in answered {
        assert_eq!(what, "Fault(NoSession)", "{exchange}");
    }
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered, (0, 0, 1));
}

#[test]
fn a_session_that_was_read_before_the_password_changed_is_none() {
    let mut loops = Loops::new(1, 0);
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    loops.complete(0, password_changed());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NoSession)")]);
    // So is one whose user was being loaded.
    loops.poll(0, 2);
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    loops.complete(0, session_found);
    loops.has_session = false;
    loops.complete(0, password_changed());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 2, "Fault(NoSession)")]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered.1, 0);
}

#[test]
fn however_many_sessions_end_with_a_password_none_hears_more() {
    const SESSIONS: u8 = 200;
    let mut loops = Loops::new(1, 0);
    // They end in the order in which they came, and are woken in that in which they polled.
    for n in (8..=SESSIONS).rev() {
        loops.session = SessionHash([n; 32]);
        loops.call(0, 0, Call::InSession(SessionCall::Chatrooms));
    }
    loops.answered();
    for n in 8..=SESSIONS {
        loops.session = SessionHash([n; 32]);
        loops.poll(0, n.into());
    }
    loops.loaded(0, Ok(1));
    loops.chats[0].complete(Now::default(), password_changed());
    loops.chats[0].complete(Now::default(), saved(2));
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let mut answered = loops.answered();
    answered.retain(|(.., what)| what != "Fault(NoSession)");
    assert_eq!(answered, [answer(0, 8, "1 2")]);
    loops.assert_idle();
    assert_eq!(loops.chats[0].counts().remembered, (1, 1, 1));
}

/// Another server has made the second one since the password was changed.
#[test]
fn where_it_is_said_which_sessions_have_ended_no_other_does() {
    let mut loops = Loops::new(1, 0);
    let since = SessionHash([9; 32]);
    for (exchange, session) in [(1, SESSION), (2, since)] {
        loops.session = session;
        loops.poll(0, exchange);
    }
    loops.loaded(0, Ok(1));
    let changed = Completion::PasswordChanged {
        ticket: ticket(9, 0),
        user: user().id,
        session: SessionHash([8; 32]),
        ended: Some([SESSION, SessionHash([6; 32])].into()),
        done: Ok(()),
    };
    loops.complete(0, changed);
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NoSession)")]);
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(0, 2, "1 2")]);
    loops.assert_idle();
}
