//! What is answered when all servers have heard of it.

use super::*;
use crate::job::ServerAnswer;

impl Loops {
    /// The store has told what came of it, and the others are being asked.
    fn told(&mut self, completion: Completion) {
        self.complete(0, completion);
        assert_eq!(self.heard(), [""; 0], "not all have heard of it");
        assert_eq!(self.asked, [ServerQuestion::HaveHeard]);
    }

    fn all_have_heard(&mut self, exchange: u32) -> Vec<String> {
        let ticket = ticket(0, exchange);
        let answer = Ok(ServerAnswer::default());
        self.complete(0, Completion::ServersAnswered { ticket, answer });
        self.heard()
    }
}

fn removed(exchange: u32, removed: Result<bool, Fault>) -> Completion {
    Completion::ParticipantRemoved {
        ticket: ticket(0, exchange),
        chatroom: room(),
        removed: removed.map(|was_in_it| RemovedRow {
            left: user().id,
            was_in_it,
            chatroom: room_row(),
        }),
    }
}

fn logged_out(exchange: u32, done: Result<(), Fault>) -> Completion {
    Completion::LoggedOut {
        ticket: ticket(0, exchange),
        session: SESSION,
        done,
    }
}

/// Another server has removed them, and waits for the others itself.
#[test]
fn a_removal_of_who_was_out_already_is() {
    for was_in_it in [false, true] {
        let mut loops = shared();
        loops.told(removed(1, Ok(was_in_it)));
        let heard = loops.all_have_heard(1);
        assert!(heard[0].starts_with("1: Chatroom("), "{heard:?}");
    }
}

/// The one that asks may be the last to hear of what another has done.
#[test]
fn who_was_out_already_is_out_here_too() {
    for was_in_it in [false, true] {
        let mut loops = shared();
        loops.poll(0, 2);
        loops.loaded(0, Ok(1));
        loops.chatrooms = vec![another_room()];
        loops.complete(0, removed(1, Ok(was_in_it)));
        loops.complete(0, saved(2));
        assert_eq!(loops.heard(), ["2: Fault(NotAParticipant)"]);
    }
}

#[test]
fn who_is_told_that_they_had_left_is_out_everywhere() {
    let mut loops = shared();
    loops.told(removed(1, Err(Fault::NotAParticipant)));
    assert_eq!(loops.all_have_heard(1), ["1: Fault(NotAParticipant)"]);
}

#[test]
fn a_second_logout_is_as_well() {
    for (done, what) in [
        (Ok(()), "1: LoggedOut"),
        (Err(Fault::NoSession), "1: Fault(NoSession)"),
    ] {
        let mut loops = shared();
        loops.told(logged_out(1, done));
        assert_eq!(loops.all_have_heard(1), [what]);
    }
}

#[test]
fn what_has_failed_is_told_at_once() {
    let mut loops = shared();
    loops.complete(0, removed(1, Err(Fault::NotAdmin)));
    loops.complete(0, logged_out(2, Err(Fault::StorageFailed)));
    let told = ["1: Fault(NotAdmin)", "2: Fault(StorageFailed)"];
    assert_eq!(
        (loops.heard(), &loops.asked[..]),
        (told.map(str::to_owned).into(), &[][..])
    );
}

#[test]
fn where_there_are_no_others_nobody_is_asked() {
    let mut loops = Loops::new(1, 0);
    loops.complete(0, removed(1, Err(Fault::NotAParticipant)));
    loops.complete(0, logged_out(2, Err(Fault::NoSession)));
    let told = ["1: Fault(NotAParticipant)", "2: Fault(NoSession)"];
    assert_eq!(
        (loops.heard(), &loops.asked[..]),
        (told.map(str::to_owned).into(), &[][..])
    );
}
