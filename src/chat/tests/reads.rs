//! Polls whose list the store is reading.

use super::*;
use crate::job::{MessageBounds, MessageRange, MessageRows, News};

impl Loops {
    /// One that reaches back further than is remembered; the store is asked.
    fn poll_long_ago(&mut self, exchange: u32) {
        let wanted = Wanted {
            since: Since::new(1),
            limit: None,
        };
        self.poll_for(0, exchange, wanted);
        assert!(matches!(self.reads[..], [Job::ReadMessages { .. }]));
        self.reads.clear();
    }

    /// The store has read for it.
    fn read_long_ago(&mut self, exchange: u32) {
        let rows = MessageRows {
            messages: [&message(2)].into_iter().collect(),
            bounds: MessageBounds {
                first: message(1).id,
                last: Some(message(2).id),
            },
        };
        let completion = Completion::MessagesRead {
            ticket: ticket(0, exchange),
            chatroom: room(),
            range: MessageRange::After(MessageId::new(1)),
            read: Ok(rows),
        };
        self.complete(0, completion);
    }
}

fn remembers_nothing() -> Loops {
    remembers_nothing_with(Config::default())
}

fn remembers_nothing_with(config: Config) -> Loops {
    let mut loops = Loops::with(Config {
        recent: 1,
        cache_messages: 0,
        ..config
    });
    loops.poll(0, 1);
    let rows = RecentRows {
        last: MessageId::new(5),
        messages: vec![message(5)],
    };
    let completion = Completion::ChatroomLoaded {
        event_loop: 0,
        chatroom: room(),
        loaded: Ok(rows),
    };
    loops.complete(0, completion);
    loops
}

fn logged_out() -> Completion {
    Completion::LoggedOut {
        ticket: ticket(9, 0),
        session: SESSION,
        done: Ok(()),
    }
}

fn password_changed(kept: SessionHash) -> Completion {
    Completion::PasswordChanged {
        ticket: ticket(9, 0),
        user: user().id,
        session: kept,
        ended: None,
        done: Ok(()),
    }
}

#[test]
fn what_is_being_read_for_a_session_that_ends_is_for_nobody() {
    for end in [logged_out(), password_changed(SessionHash([8; 32]))] {
        let mut loops = remembers_nothing();
        loops.poll_long_ago(2);
        loops.complete(0, end);
        let refused = [2, 1].map(|exchange| answer(0, exchange, "Fault(NoSession)"));
        assert_eq!(loops.answered(), refused);
        assert_eq!(
            loops.chats[0].counts().reads,
            1,
            "the store has not answered"
        );
        loops.read_long_ago(2);
        assert_eq!(loops.answered(), []);
        assert_eq!(loops.chats[0].counts().reads, 0);
    }
}

/// It may have ended long before it is read.
#[test]
fn what_is_being_read_while_nothing_is_heard_for_too_long_is_for_nobody() {
    let mut loops = remembers_nothing_with(Config {
        database: "postgres://nowhere".into(),
        ..Config::default()
    });
    loops.poll_long_ago(2);
    loops.complete(0, Completion::ChangesMissed);
    let failed = [2, 1].map(|exchange| answer(0, exchange, "Fault(StorageFailed)"));
    assert_eq!(loops.answered(), failed);
    loops.read_long_ago(2);
    assert_eq!(loops.answered(), []);
    assert_eq!(loops.chats[0].counts().reads, 0);
}

#[test]
fn what_is_being_read_for_a_session_that_stays_is_its_own() {
    let mut loops = remembers_nothing();
    loops.poll_long_ago(2);
    loops.complete(0, password_changed(SESSION));
    loops.read_long_ago(2);
    assert_eq!(loops.answered(), [answer(0, 2, "2")]);
    assert_eq!(loops.chats[0].counts().reads, 0);
}

#[test]
fn who_leaves_a_chatroom_while_it_is_read_waits_in_all_others_all_the_same() {
    for (which, what) in [
        (Which::All, ""),
        (
            Which::These(vec![room(), another_room()]),
            "Fault(NotAParticipant)",
        ),
    ] {
        let mut loops = remembers_nothing();
        let since = |id| Since::new(id).expect("not negative");
        let call = SeveralCall {
            chatrooms: which,
            since: Some(vec![(room(), since(1))]),
            limit: None,
            timeout_s: None,
            is_over: false,
            is_ahead: false,
        };
        let call = SessionCall::PollSeveral(Box::new(call));
        loops.call(0, 2, Call::InSession(call));
        assert!(matches!(loops.reads[..], [Job::ReadNews { .. }]));
        // The store has removed them already, and is yet to tell.
        let read: Result<News, Fault> = Err(Fault::NotAParticipant);
        let ticket = ticket(0, 2);
        loops.complete(0, Completion::NewsRead { ticket, read });
        assert_eq!(loops.answered(), [answer(0, 2, what)]);
    }
}
