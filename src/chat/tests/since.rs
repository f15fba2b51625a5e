//! Polls that know more than their loop has heard of: a load, or a read of another, had seen a commit that was still to be told.

use super::*;

fn since(id: i64) -> Wanted {
    Wanted {
        since: Since::new(id),
        limit: None,
    }
}

#[test]
fn what_a_poll_has_already_does_not_end_it_when_it_is_heard_of() {
    let mut loops = Loops::new(1, 0);
    loops.poll_for(0, 1, since(2));
    // The store is ahead of what it has told.
    loops.loaded(0, Ok(2));
    loops.poll(0, 2);
    loops.complete(0, saved(1));
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(0, 2, "1 2")]);
    loops.complete(0, saved(3));
    assert_eq!(loops.answered(), [answer(0, 1, "3")]);
    loops.assert_idle();
}

#[test]
fn what_is_loaded_anew_is_told_once() {
    let mut loops = Loops::new(1, 0);
    loops.poll_for(0, 1, since(2));
    loops.loaded(0, Ok(2));
    // Heard of, and before the wake is served somebody asks since what the loop has not heard of yet.
    loops.poll_for(0, 2, since(3));
    loops.chats[0].complete(Now::default(), saved(2));
    loops.reached(&[(room(), 3)]);
    assert_eq!(loops.loads, [0, 0]);
    loops.loaded(0, Ok(3));
    assert_eq!(loops.answered(), [answer(0, 1, "3")]);
    loops.poll_for(0, 1, since(3));
    loops.complete(0, saved(3));
    assert_eq!(loops.answered(), []);
    loops.complete(0, saved(4));
    assert_eq!(loops.answered(), [answer(0, 2, "4"), answer(0, 1, "4")]);
    loops.assert_idle();
}

#[test]
fn who_has_left_is_told_so_though_there_is_nothing_new() {
    let mut loops = Loops::new(1, 0);
    loops.poll_for(0, 1, since(2));
    loops.loaded(0, Ok(2));
    loops.chats[0].complete(Now::default(), left());
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(0, 1, "Fault(NotAParticipant)")]);
    loops.assert_idle();
}

#[test]
fn since_is_ahead_only_of_what_the_store_has() {
    let mut loops = Loops::new(1, 0);
    loops.poll(0, 1);
    loops.loaded(0, Ok(1));
    // It has read the second message, which is still to be told here.
    loops.poll_for(0, 2, since(2));
    loops.poll_for(0, 3, since(9));
    loops.reached(&[(room(), 2)]);
    assert_eq!(
        loops.answered(),
        [answer(0, 3, "SinceAhead { chatroom: None, last: 2 }")]
    );
    assert_eq!(loops.loads, [0], "the list stays for all others");
    loops.reached(&[(room(), 2)]);
    assert_eq!(loops.loads, [0, 0]);
    loops.loaded(0, Ok(2));
    loops.complete(0, saved(2));
    assert_eq!(loops.answered(), [answer(0, 1, "1 2")]);
    loops.complete(0, saved(3));
    assert_eq!(loops.answered(), [answer(0, 2, "3")]);
    loops.assert_idle();
}

/// A read as slow as that is told behind all three.
#[test]
fn what_is_gone_when_a_sender_speaks_is_not_in_their_list() {
    let mut loops = Loops::new(1, 0);
    let send = SessionCall::Send {
        chatroom: room(),
        text: "hi".into(),
        nonce: None,
        limit: None,
    };
    loops.call(0, 1, Call::InSession(send));
    // Where a poll is parked the list is to be had.
    loops.poll(0, 2);
    assert_eq!(loops.loads, [0]);
    loops.complete(0, saved(5));
    let first = MessageId::new(6).expect("positive");
    let chatroom = room();
    loops.complete(0, Completion::MessagesExpired { chatroom, first });
    loops.complete(
        0,
        Completion::MessageSaved {
            ticket: ticket(0, 1),
            chatroom,
            saved: Ok(Saved::New(message(6))),
        },
    );
    loops.loaded(0, Ok(4));
    assert_eq!(loops.heard(), ["1: sent 6: 6", "2: 6"]);
}

#[test]
fn what_is_gone_is_in_no_list_that_had_to_be_read_twice() {
    let mut loops = Loops::new(1, 0);
    loops.poll(0, 1);
    loops.complete(0, saved(4));
    let (chatroom, first) = (room(), MessageId::new(5));
    let first = first.expect("positive");
    loops.complete(0, Completion::MessagesExpired { chatroom, first });
    loops.complete(0, saved(5));
    // What does not follow it is told of by now.
    loops.loaded(0, Ok(1));
    assert_eq!(loops.loads, [0, 0]);
    let loaded = Ok(RecentRows {
        last: Some(first),
        messages: vec![message(5)],
    });
    loops.complete(
        0,
        Completion::ChatroomLoaded {
            event_loop: 0,
            chatroom,
            loaded,
        },
    );
    assert_eq!(loops.heard(), ["1: 5"]);
}
