//! An engine whose caches are warm, without sockets or disk: what the benchmarks time and the tests of the costs count.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use loiter::arena::Arena;
use loiter::config::Config;
use loiter::engine::{Engine, Output};
use loiter::job::{Completion, Job, RecentRows, Saved, SessionRow};
use loiter::model::{
    ChatroomId, Connection, ConnectionKey, Message, MessageId, Now, Ticket, User, UserId,
};

pub(crate) const NOW: Now = Now {
    monotonic_ms: 1,
    unix_ms: 1_795_420_800_000,
};
pub(crate) const LONGPOLL: &[u8] = b"GET /message/longpoll/?chatroomid=7 HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef0123456789a\r\n\r\n";
pub(crate) const CHATROOMS: &[u8] = b"GET /message/chatrooms/ HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef0123456789a\r\n\r\n";

fn chatroom() -> ChatroomId {
    ChatroomId::new(7).expect("positive")
}

fn message(id: i64) -> Message {
    Message {
        id: MessageId::new(id).expect("positive"),
        chatroom: chatroom(),
        user: User {
            id: UserId::new(1).expect("positive"),
            name: "ann".into(),
        },
        text: "Good morning, everyone! Tea is ready.".into(),
        time_unix_ms: NOW.unix_ms,
    }
}

/// An engine whose caches are warm, and its connections.
pub(crate) struct Warm {
    engine: Engine,
    keys: Vec<ConnectionKey>,
    saved: i64,
}

impl Warm {
    pub(crate) fn new(connections: usize) -> Self {
        let mut arena: Arena<(), Connection> = Arena::default();
        let mut warm = Self {
            engine: Engine::new(&Config::default(), 0),
            keys: (0..connections).map(|_| arena.insert(())).collect(),
            saved: 50,
        };
        for at in 0..connections {
            warm.engine.accept(NOW, warm.keys[at]);
        }
        warm.offer(0, LONGPOLL);
        warm.settle();
        warm.save();
        warm.settle();
        warm
    }

    pub(crate) fn offer(&mut self, at: usize, request: &[u8]) {
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        let input = black_box(request);
        let taken = self.engine.receive(NOW, self.keys[at], input, &origin);
        assert_eq!(taken.consumed, request.len());
    }

    pub(crate) fn save(&mut self) {
        self.saved += 1;
        let completion = Completion::MessageSaved {
            // Another loop's: nobody here is to be answered for it.
            ticket: Ticket {
                connection: self.keys[0],
                exchange: 0,
                event_loop: 1,
            },
            chatroom: chatroom(),
            saved: Ok(Saved::New(message(self.saved))),
        };
        self.engine.complete(NOW, completion);
    }

    /// Serves, answers all jobs, and counts what is sent.
    pub(crate) fn settle(&mut self) -> usize {
        let mut sent = 0;
        loop {
            self.engine.serve(NOW);
            while let Some(output) = self.engine.next_output() {
                match output {
                    Output::Send(_, bytes) => sent += usize::from(!black_box(bytes).is_empty()),
                    Output::Submit(job) => self.store(&job),
                    _ => {}
                }
            }
            if !self.engine.has_work() {
                return sent;
            }
        }
    }

    fn store(&mut self, job: &Job) {
        let completion = match *job {
            Job::FindSession {
                event_loop,
                session,
            } => Completion::SessionFound {
                event_loop,
                session,
                found: Ok(Some(SessionRow {
                    user: message(1).user,
                    used_unix_ms: NOW.unix_ms,
                })),
            },
            Job::LoadUser { event_loop, user } => Completion::UserLoaded {
                event_loop,
                user,
                chatrooms: Ok(vec![chatroom()]),
            },
            Job::LoadChatroom {
                event_loop,
                chatroom,
                ..
            } => Completion::ChatroomLoaded {
                event_loop,
                chatroom,
                loaded: Ok(RecentRows {
                    last: MessageId::new(50),
                    messages: (1..=50).map(message).collect(),
                }),
            },
            _ => unreachable!("{job:?}"),
        };
        self.engine.complete(NOW, completion);
    }
}
