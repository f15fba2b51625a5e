//! Streams, and what is sent behind them and polls, through the engine, on a clock of the test's own; and in a file of its own the drain.

mod draining;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::arena::Arena;
use crate::job::{RecentRows, Saved, SessionRow};
use crate::model::{ChatroomId, Message, MessageId, User, UserId};

struct Driven {
    engine: Engine,
    key: ConnectionKey,
    now: Now,
    sent: Vec<u8>,
    /// An end for each time that one was queued.
    ends: Vec<ConnectionKey>,
    is_closed: bool,
}

const STREAM: &[u8] =
    b"GET /message/stream?chatroomid=7 HTTP/1.1\r\nHost: h\r\nCookie: session=x\r\n\r\n";
const POLL: &[u8] =
    b"GET /message/longpoll?chatroomid=7 HTTP/1.1\r\nHost: h\r\nCookie: session=x\r\n\r\n";

fn user() -> User {
    User {
        id: UserId::new(1).expect("positive"),
        name: "ann".into(),
    }
}

fn room() -> ChatroomId {
    ChatroomId::new(7).expect("positive")
}

impl Driven {
    /// One connection, with a stream that has begun.
    fn streaming() -> Self {
        let mut driven = Self::asked(STREAM);
        let head = driven.sent_at(0);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        driven
    }

    /// One connection, on which this is asked for.
    fn asked(requests: &[u8]) -> Self {
        let mut keys: Arena<(), Connection> = Arena::default();
        let mut driven = Self {
            engine: Engine::new(&Config::default(), 0),
            key: keys.insert(()),
            now: Now::default(),
            sent: Vec::new(),
            ends: Vec::new(),
            is_closed: false,
        };
        driven.engine.accept(driven.now, driven.key);
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        (driven.engine).receive(driven.now, driven.key, requests, &origin);
        driven
    }

    /// What is sent once what is due by then has been done.
    fn sent_at(&mut self, ms: u64) -> String {
        self.now.monotonic_ms = ms;
        self.now.unix_ms = ms;
        self.engine.expire(self.now);
        loop {
            self.engine.serve(self.now);
            let Some(output) = self.engine.next_output() else {
                if self.engine.has_work() {
                    continue;
                }
                return String::from_utf8(std::mem::take(&mut self.sent)).expect("UTF-8");
            };
            match output {
                Output::Send(_, bytes) => self.sent.extend_from_slice(&bytes),
                Output::Finish(key) => self.ends.push(key),
                Output::Close(_) => self.is_closed = true,
                Output::Submit(job) => self.complete(&job),
                _ => {}
            }
        }
    }

    fn complete(&mut self, job: &Job) {
        let event_loop = 0;
        let completion = match *job {
            Job::FindSession { session, .. } => Completion::SessionFound {
                event_loop,
                session,
                found: Ok(Some(SessionRow {
                    user: user(),
                    used_unix_ms: 0,
                })),
            },
            Job::LoadUser { user, .. } => Completion::UserLoaded {
                event_loop,
                user,
                chatrooms: Ok(vec![room()]),
            },
            Job::LoadChatroom { chatroom, .. } => Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded: Ok(RecentRows::default()),
            },
            Job::TouchSessions { .. } => return,
            ref job => panic!("{job:?}"),
        };
        self.engine.complete(self.now, completion);
    }

    fn say(&mut self, id: i64) {
        let completion = Completion::MessageSaved {
            ticket: crate::model::Ticket {
                connection: self.key,
                exchange: 0,
                event_loop: 1,
            },
            chatroom: room(),
            saved: Ok(Saved::New(Message {
                id: MessageId::new(id).expect("positive"),
                chatroom: room(),
                user: user(),
                text: "hi".into(),
                time_unix_ms: 0,
            })),
        };
        self.engine.complete(self.now, completion);
    }
}

const COMMENT: &str = "3\r\n:\n\n\r\n";

#[test]
fn a_silent_stream_shows_that_it_is_one() {
    let mut driven = Driven::streaming();
    assert_eq!(driven.sent_at(14_900), "");
    assert_eq!(driven.sent_at(15_200), COMMENT);
    assert_eq!(driven.sent_at(25_000), "");
    driven.say(1);
    assert!(driven.sent_at(25_000).contains("\r\nid: 1\ndata: {"));
    // That was a sign too.
    assert_eq!(driven.sent_at(30_500), "");
    assert_eq!(driven.sent_at(40_200), COMMENT);
    assert_eq!(driven.sent_at(55_400), COMMENT);
}

#[test]
fn one_that_is_not_taken_is_told_nothing_until_it_is_given_up() {
    let mut driven = Driven::streaming();
    driven.say(1);
    assert!(driven.sent_at(1_000).contains("id: 1\n"));
    driven.engine.stalled(driven.now, driven.key);
    driven.say(2);
    assert_eq!(driven.sent_at(30_900), "", "no comment either");
    driven.engine.drained(driven.now, driven.key);
    assert!(driven.sent_at(30_900).contains("id: 2\n"));
    assert_eq!(driven.sent_at(46_200), COMMENT);
    driven.engine.stalled(driven.now, driven.key);
    assert_eq!(driven.sent_at(76_000), "");
    assert!(!driven.is_closed);
    assert_eq!(driven.sent_at(76_400), "");
    assert!(driven.is_closed);
    assert_eq!(driven.engine.counts().held, 0);
    assert_eq!(driven.engine.counts().followers, (0, 0));
}

#[test]
fn one_that_begins_behind_an_answer_which_is_not_taken_waits_for_that() {
    let mut driven = Driven::asked(&[b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", STREAM].concat());
    // The answer does not go out, and the stream waits for its session.
    driven.engine.stalled(driven.now, driven.key);
    let begun = driven.sent_at(0);
    assert!(begun.contains("text/event-stream"), "{begun}");
    driven.say(1);
    assert_eq!(driven.sent_at(100), "");
    driven.engine.drained(driven.now, driven.key);
    assert!(driven.sent_at(100).contains("id: 1\n"));
}

#[test]
fn what_is_sent_behind_one_waits_or_ends_it() {
    let mut driven = Driven::streaming();
    driven.engine.flooded(driven.now, driven.key);
    driven.say(1);
    assert_eq!(driven.sent_at(100), "");
    driven.engine.finished(driven.now, driven.key);
    driven.sent_at(200);
    assert!(driven.is_closed);
    let mut driven = Driven::streaming();
    driven.engine.hung_up(driven.now, driven.key);
    driven.engine.finished(driven.now, driven.key);
    driven.sent_at(300);
    assert!(driven.is_closed);
    assert_eq!(driven.engine.counts().held, 0);
}

#[test]
fn what_is_sent_behind_one_that_has_hung_up_is_answered_no_more() {
    for asked in [POLL, STREAM] {
        let mut driven = Driven::asked(asked);
        driven.sent_at(0);
        assert_eq!(driven.engine.counts().held, 1);
        driven.engine.hung_up(driven.now, driven.key);
        driven.engine.flooded(driven.now, driven.key);
        assert_eq!(driven.sent_at(100), "");
        assert_eq!((driven.ends.len(), driven.is_closed), (1, false));
        driven.engine.finished(driven.now, driven.key);
        driven.sent_at(200);
        assert!(driven.is_closed);
        assert_eq!(driven.engine.counts().held, 0);
    }
}

#[test]
fn much_behind_a_poll_ends_it_with_one_answer() {
    let mut driven = Driven::asked(POLL);
    driven.sent_at(0);
    for _ in 0..2 {
        driven.engine.flooded(driven.now, driven.key);
    }
    let answer = driven.sent_at(100);
    assert_eq!(answer.matches("HTTP/1.1 400 ").count(), 1, "{answer}");
    assert_eq!((driven.ends.len(), driven.is_closed), (1, false));
    assert_eq!(driven.engine.counts().held, 0);
}
