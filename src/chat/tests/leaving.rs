//! Who has left a chatroom, and their polls.

use super::*;

#[test]
fn who_has_left_hears_nothing_that_is_said_then() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.chats[0].complete(Now::default(), left());
    loops.complete(0, saved(2));
    // The first turn has begun both with the wake and with what ends them.
    let first = loops.answered();
    assert!((65..200).contains(&first.len()), "{}", first.len());
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let rest = loops.answered();
    assert_eq!(first.len() + rest.len(), polls as usize);
    for (_, exchange, what) in first.iter().chain(&rest) {
        assert_eq!(what, "Fault(NotAParticipant)", "{exchange}");
    }
    loops.poll(0, 400);
    assert_eq!(loops.answered(), [answer(0, 400, "Fault(NotAParticipant)")]);
    loops.assert_idle();
}

#[test]
fn who_is_back_before_their_polls_have_ended_polls_anew() {
    let mut loops = Loops::new(1, 0);
    let polls = many_parked(&mut loops);
    loops.complete(0, left());
    loops.complete(0, came_back());
    assert!(loops.chats[0].has_work(), "they have not all ended yet");
    // This one waits for that, and the endpoll for it.
    loops.poll(0, 400);
    loops.end_polls(0, 401);
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let mut answered = loops.answered();
    let own = answered.split_off(polls as usize);
    for (_, exchange, what) in &answered {
        assert_eq!(what, "Fault(NotAParticipant)", "{exchange}");
    }
    assert_eq!(own, [answer(0, 400, "1"), answer(0, 401, "1 ended: 1")]);
    loops.assert_idle();
}

#[test]
fn who_leaves_again_and_again_is_gone_in_the_end() {
    let mut loops = Loops::new(1, 0);
    many_parked(&mut loops);
    loops.complete(0, left());
    loops.complete(0, came_back());
    loops.poll(0, 400);
    loops.complete(0, left());
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    let answered = loops.answered();
    let refused = "Fault(NotAParticipant)";
    assert!(answered.iter().all(|(.., what)| what == refused));
    assert!(answered.contains(&answer(0, 400, refused)));
    assert_eq!(answered.len(), 301);
    loops.assert_idle();
}

#[test]
fn a_poll_that_waits_for_its_user_while_they_leave_does_not_park() {
    let mut loops = Loops::new(1, 0);
    loops.slow = Some(VecDeque::new());
    loops.poll(0, 1);
    // Its session is found, and its user asked for before they left.
    let asked = loops.slow.as_mut().and_then(VecDeque::pop_front);
    let (_, session_found) = asked.expect("asked");
    loops.complete(0, session_found);
    loops.complete(0, left());
    loops.catch_up();
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NotAParticipant)")]);
    loops.assert_idle();
}
