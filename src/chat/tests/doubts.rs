//! Who may have left a chatroom, where other servers write to the database too.

use super::*;
use crate::job::ServerAnswer;

const OUT: &str = "Fault(NotAParticipant)";

fn since(id: i64) -> Wanted {
    Wanted {
        since: Since::new(id),
        limit: None,
    }
}

fn these() -> Call {
    several(Which::These(vec![room(), another_room()]))
}

/// Of each kind one waits: two polls, two of several chatrooms, and a stream. The store is slow from now on.
fn waiting() -> Loops {
    let mut loops = shared();
    loops.poll(0, 1);
    loops.loaded(0, Ok(2));
    loops.poll_for(0, 2, since(2));
    loops.call(0, 3, these());
    loops.reached(&[(another_room(), 0)]);
    loops.call(0, 4, several(Which::All));
    loops.call(0, 5, stream());
    assert_eq!(loops.heard(), ["5: begins"]);
    loops.slow = Some(VecDeque::new());
    loops
}

impl Loops {
    fn heard_sorted(&mut self) -> Vec<String> {
        let mut heard = self.heard();
        heard.sort();
        heard
    }

    /// The slow store is asked that often for a user.
    fn questions(&self) -> usize {
        self.slow.as_ref().map_or(0, VecDeque::len)
    }

    fn user_unknown(&mut self, fault: Fault) {
        self.slow.as_mut().expect("a slow one").clear();
        let failed = Completion::UserLoaded {
            event_loop: 0,
            user: user().id,
            chatrooms: Err(fault),
        };
        self.complete(0, failed);
    }
}

fn forget_all(loops: &mut Loops) {
    loops.complete(
        0,
        Completion::LoggedOut {
            ticket: Ticket::of_nobody(),
            session: SESSION,
            done: Ok(()),
        },
    );
    loops.heard();
    loops.assert_idle();
}

/// That they had left is heard of behind what has let them in again, at this server.
#[test]
fn who_is_back_by_then_goes_on_waiting() {
    let mut loops = waiting();
    loops.complete(0, came_back());
    loops.complete(0, left());
    loops.catch_up();
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved(3));
    let polls = ["1: 1 2 3", "2: 3", "3: 1 2 3", "4: 1 2 3", "5: 3"];
    assert_eq!(loops.heard_sorted(), polls);
    forget_all(&mut loops);
}

#[test]
fn who_has_left_is_told_nothing_that_is_said_before_that_is_known() {
    let mut loops = waiting();
    loops.chatrooms = vec![another_room()];
    loops.complete(0, left());
    loops.complete(0, saved(3));
    assert_eq!(loops.heard(), [""; 0]);
    loops.catch_up();
    let polls = [1, 2, 3].map(|poll| format!("{poll}: {OUT}"));
    let told = [&polls[..], &["5: ends".to_owned()]].concat();
    assert_eq!(loops.heard_sorted(), told);
    // That of all goes on without it.
    loops.complete(0, saved(4));
    assert_eq!(loops.heard(), [""; 0]);
    loops.complete(0, saved_in(another_room(), 1));
    loops.loaded_in(0, another_room(), Ok(1));
    assert_eq!(loops.heard(), ["4: 8:1"]);
    loops.assert_idle();
}

#[test]
fn what_is_said_before_it_is_known_is_told_once_to_who_is_in_it() {
    let mut loops = waiting();
    loops.complete(0, left());
    loops.complete(0, saved(3));
    loops.complete(0, saved(4));
    assert_eq!(loops.heard(), [""; 0]);
    loops.catch_up();
    let polls = ["1: 1 2 3 4", "2: 3 4", "3: 1 2 3 4", "4: 1 2 3 4", "5: 3 4"];
    assert_eq!(loops.heard_sorted(), polls);
    forget_all(&mut loops);
}

#[test]
fn a_poll_whose_time_is_over_before_it_is_known_ends_then() {
    for (chatrooms, what) in [
        (vec![room(), another_room()], ["1 2", ""]),
        (vec![another_room()], [OUT, OUT]),
    ] {
        let mut loops = shared();
        let poll = Call::InSession(poll_of(room(), Wanted::default()));
        let one = loops.call(0, 1, poll).expect("it waits");
        loops.loaded(0, Ok(2));
        let two = loops.call(0, 2, these()).expect("it waits");
        loops.reached(&[(another_room(), 0)]);
        loops.slow = Some(VecDeque::new());
        loops.chatrooms = chatrooms;
        loops.complete(0, left());
        for key in [one, two] {
            loops.chats[0].time_out(loops.now, key);
        }
        assert_eq!(loops.heard(), [""; 0]);
        loops.catch_up();
        let told = [format!("1: {}", what[0]), format!("2: {}", what[1])];
        assert_eq!(loops.heard_sorted(), told);
        loops.assert_idle();
    }
}

/// A message in a chatroom that they are in for certain ends a poll of both, which would tell of the other too.
#[test]
fn a_poll_of_several_is_told_of_none_while_one_is_in_doubt() {
    let mut loops = waiting();
    loops.chatrooms = vec![another_room()];
    loops.complete(0, left());
    loops.complete(0, saved(3));
    loops.complete(0, saved_in(another_room(), 1));
    loops.loaded_in(0, another_room(), Ok(1));
    assert_eq!(loops.heard(), [""; 0]);
    loops.catch_up();
    let heard = loops.heard_sorted();
    assert_eq!(heard[2..4], [format!("3: {OUT}"), "4: 8:1".to_owned()]);
    loops.assert_idle();
}

#[test]
fn who_waits_where_it_cannot_be_found_out_is_to_ask_again() {
    let mut loops = waiting();
    loops.poll_in(another_room(), 0, 6);
    loops.loaded_in(0, another_room(), Ok(0));
    loops.complete(0, left());
    loops.complete(0, saved(3));
    loops.user_unknown(Fault::StorageFailed);
    let failed = [1, 2, 3].map(|poll| format!("{poll}: Fault(StorageFailed)"));
    let others = ["4: ".to_owned(), "5: ends".to_owned()];
    assert_eq!(loops.heard_sorted(), [&failed[..], &others].concat());
    // Nothing is known of them now: what is heard next asks again.
    loops.chatrooms = Vec::new();
    loops.complete(0, left_from(another_room()));
    assert_eq!(loops.questions(), 1);
    loops.catch_up();
    assert_eq!(loops.heard(), [format!("6: {OUT}")]);
    loops.assert_idle();
}

#[test]
fn the_store_is_asked_once_for_all_polls_and_not_for_who_has_none() {
    let mut loops = shared();
    many_parked(&mut loops);
    loops.slow = Some(VecDeque::new());
    loops.complete(0, left());
    loops.complete(0, saved(2));
    while loops.chats[0].has_work() {
        loops.carry_out(0);
    }
    assert_eq!((loops.questions(), loops.answered()), (1, vec![]));
    let stranger = Completion::ParticipantRemoved {
        ticket: Ticket::of_nobody(),
        chatroom: room(),
        removed: Ok(RemovedRow {
            left: UserId::new(5).expect("positive"),
            was_in_it: true,
            chatroom: room_row(),
        }),
    };
    loops.complete(0, stranger);
    assert_eq!(loops.questions(), 1);
    loops.catch_up();
    assert_eq!(loops.heard().len(), 300);
    loops.assert_idle();
}

/// What was read before it was heard of may be from before it happened.
#[test]
fn what_was_being_read_then_is_read_once_more() {
    let mut loops = waiting();
    loops.complete(0, came_into(another_room()));
    loops.chatrooms = vec![another_room()];
    loops.complete(0, left());
    loops.complete(0, saved(3));
    assert_eq!(loops.questions(), 1);
    loops.catch_up();
    assert_eq!(loops.heard_sorted()[0], format!("1: {OUT}"));
}

#[test]
fn an_endpoll_of_who_may_have_left_is_answered_when_that_is_known() {
    for (chatrooms, what) in [(vec![room()], "1 ended: 1 2"), (vec![another_room()], OUT)] {
        let mut loops = shared();
        loops.poll(0, 1);
        loops.loaded(0, Ok(2));
        loops.end_polls(0, 2);
        assert_eq!(loops.heard(), ["1: 1 2"]);
        loops.slow = Some(VecDeque::new());
        loops.chatrooms = chatrooms;
        loops.complete(0, left());
        let ticket = ticket(0, 2);
        let answer = Ok(ServerAnswer::default());
        loops.complete(0, Completion::ServersAnswered { ticket, answer });
        assert_eq!(loops.heard(), [""; 0]);
        loops.catch_up();
        assert_eq!(loops.heard(), [format!("2: {what}")]);
        loops.assert_idle();
    }
}
