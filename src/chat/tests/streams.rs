//! Streams.

use super::*;
use crate::job::{MessageBounds, MessageRange, MessageRows};
use crate::model::MessageList;

impl Loops {
    fn stream(&mut self, exchange: u32, since: Option<i64>) -> Option<HeldKey> {
        let call = SessionCall::Stream(StreamCall {
            chatroom: room(),
            since: since.map(|id| Since::new(id).expect("not negative")),
            is_ahead: false,
        });
        self.call(0, exchange, Call::InSession(call))
    }

    /// The store reads what it was asked to, of messages up to `last`, of which those from `first` on are kept.
    fn read(&mut self, first: i64, last: i64) {
        let Some(Job::ReadMessages {
            ticket,
            range,
            limit,
            ..
        }) = self.reads.pop()
        else {
            panic!("nothing to read");
        };
        let MessageRange::After(after) = range else {
            panic!("not what is newer");
        };
        let from = first.max(after.map_or(0, MessageId::get) + 1);
        let told = (from..=last).take(limit as usize).map(message);
        let read = Ok(MessageRows {
            messages: MessageList::from_iter(&told.collect::<Vec<_>>()),
            bounds: MessageBounds {
                first: MessageId::new(first).expect("positive"),
                last: MessageId::new(last),
            },
        });
        let chatroom = room();
        self.complete(
            0,
            Completion::MessagesRead {
                ticket,
                chatroom,
                range,
                read,
            },
        );
    }
}

#[test]
fn it_is_told_each_message_once() {
    let mut loops = Loops::new(1, 0);
    loops.stream(1, Some(1));
    loops.stream(2, None);
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), ["2: begins", "1: begins", "1: 2 3"]);
    loops.complete(0, saved(4));
    loops.complete(0, saved(5));
    let mut heard = loops.heard();
    heard.sort();
    assert_eq!(heard, ["1: 4", "1: 5", "2: 4", "2: 5"]);
    loops.chats[0].drain();
    let mut heard = loops.heard();
    heard.sort();
    assert_eq!(heard, ["1: ends", "2: ends"]);
    loops.stream(3, None);
    assert_eq!(loops.heard(), ["3: begins", "3: ends"]);
    loops.assert_idle();
}

#[test]
fn who_does_not_take_is_told_nothing_and_catches_up() {
    let mut loops = Loops::new(1, 0);
    let slow = loops.stream(1, Some(0)).expect("held");
    loops.loaded(0, Ok(0));
    loops.complete(0, saved(1));
    assert_eq!(loops.heard(), ["1: begins", "1: 1"]);
    loops.chats[0].pause(slow);
    (2..=200).for_each(|id| loops.complete(0, saved(id)));
    assert_eq!(loops.heard(), [""; 0]);
    loops.chats[0].go_on(slow);
    assert_eq!(
        loops.heard(),
        [""; 0],
        "the store reads what is no longer here"
    );
    loops.read(1, 200);
    let batch = |from: i64, to: i64| {
        let ids: Vec<_> = (from..=to).map(|id| id.to_string()).collect();
        format!("1: {}", ids.join(" "))
    };
    assert_eq!(loops.heard(), [batch(2, 65)]);
    loops.read(1, 200);
    assert_eq!(loops.heard(), [batch(66, 129)]);
    // While the store reads it stalls again: what is read then is read anew.
    loops.chats[0].pause(slow);
    loops.read(1, 200);
    assert_eq!(loops.heard(), [""; 0]);
    loops.chats[0].go_on(slow);
    loops.heard();
    loops.read(1, 200);
    assert_eq!(loops.heard(), [batch(130, 193), batch(194, 200)]);
    loops.chats[0].forget(Now::default(), slow);
    loops.assert_idle();
}

#[test]
fn what_is_kept_no_longer_is_told_by_a_status_at_its_beginning() {
    let mut loops = Loops::new(1, 0);
    loops.stream(1, Some(0));
    loops.loaded(0, Ok(400));
    assert_eq!(loops.heard(), [""; 0]);
    loops.read(5, 400);
    let heard = loops.heard();
    assert!(
        heard[0].contains("SinceExpired") && heard.len() == 1,
        "{heard:?}"
    );
    loops.stream(2, Some(401));
    loops.reached(&[(room(), 400)]);
    let heard = loops.heard();
    assert!(
        heard[0].contains("SinceAhead") && heard.len() == 1,
        "{heard:?}"
    );
    // Later it can only end.
    let behind = loops.stream(3, Some(400)).expect("held");
    loops.chats[0].pause(behind);
    (401..=500).for_each(|id| loops.complete(0, saved(id)));
    loops.chats[0].go_on(behind);
    assert_eq!(loops.heard(), ["3: begins"]);
    loops.read(490, 500);
    assert_eq!(loops.heard(), ["3: ends"]);
    loops.assert_idle();
}

#[test]
fn it_ends_with_its_session_and_its_membership() {
    let mut loops = Loops::new(1, 0);
    loops.stream(1, None);
    loops.loaded(0, Ok(0));
    loops.stream(2, None);
    // An endpoll is for polls.
    loops.end_polls(0, 3);
    assert_eq!(loops.heard(), ["1: begins", "2: begins", "3: 0 ended: "]);
    loops.chats[0].complete(Now::default(), left());
    loops.complete(0, saved(1));
    assert_eq!(loops.heard(), ["1: ends", "2: ends"]);
    loops.complete(0, came_back());
    loops.stream(4, None);
    let done = Completion::LoggedOut {
        ticket: ticket(9, 5),
        session: SESSION,
        done: Ok(()),
    };
    loops.chats[0].complete(Now::default(), done);
    loops.complete(0, saved(2));
    assert_eq!(loops.heard(), ["4: begins", "4: ends"]);
    loops.assert_idle();
}

#[test]
fn from_now_is_from_when_it_came() {
    let mut loops = Loops::new(1, 0);
    loops.slow = Some(VecDeque::new());
    loops.stream(1, None);
    loops.complete(0, saved(5));
    loops.catch_up();
    loops.read(1, 5);
    loops.loaded(0, Ok(5));
    assert_eq!(loops.heard(), ["1: begins", "1: 5"]);
    loops.complete(0, saved(6));
    assert_eq!(loops.heard(), ["1: 6"]);
}

#[test]
fn who_is_told_late_is_told_nothing_once_the_session_has_ended() {
    let ended = || Completion::LoggedOut {
        ticket: ticket(9, 0),
        session: SESSION,
        done: Ok(()),
    };
    let mut loops = Loops::new(1, 0);
    let key = loops.stream(1, Some(3)).expect("held");
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), ["1: begins"]);
    loops.chats[0].pause(key);
    loops.complete(0, saved(4));
    // All in one turn: its peer has taken what was sent, and the session ends.
    loops.chats[0].go_on(key);
    loops.chats[0].complete(Now::default(), ended());
    loops.chats[0].complete(Now::default(), saved(5));
    assert_eq!(loops.heard(), ["1: ends"]);
    loops.assert_idle();

    // The same of one for which the store reads.
    let mut loops = Loops::with(Config {
        recent: 1,
        ..Config::default()
    });
    loops.stream(1, Some(0));
    loops.loaded(0, Ok(3));
    assert_eq!(loops.heard(), [""; 0]);
    loops.chats[0].complete(Now::default(), ended());
    loops.read(1, 3);
    assert_eq!(loops.heard(), ["1: Fault(NoSession)"]);
    loops.assert_idle();
}

#[test]
fn what_the_store_has_read_is_the_only_batch_of_its_turn() {
    let mut loops = Loops::new(1, 0);
    loops.stream(1, Some(0));
    loops.loaded(0, Ok(100));
    loops.read(1, 100);
    // The newest 50 are here, but what was sent has to go out first; a wake makes no difference.
    let told = |loops: &mut Loops| loops.answered().into_iter().map(|(.., what)| what);
    let ids = |from: i64, last: i64| {
        let ids = (from..=last).map(|id| id.to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    let first: Vec<String> = told(&mut loops).collect();
    assert_eq!(first, ["begins".to_owned(), ids(1, 64)]);
    loops.chats[0].complete(Now::default(), saved(101));
    assert_eq!(loops.heard(), [format!("1: {}", ids(65, 101))]);
}
