//! What the engine itself costs where the design counts on it being cheap: parking a poll on a warm connection,
//! waking a chatroom (for each delivery), rendering the list that all of its polls share, a small call.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loiter::api::{Outcome, Renderer, Route};
use loiter::arena::Arena;
use loiter::chat::Reply;
use loiter::config::Config;
use loiter::engine::{Engine, Output};
use loiter::http::{After, Framing, Version};
use loiter::job::{Completion, Job, RecentRows, SessionRow};
use loiter::model::{
    ChatroomId, Connection, ConnectionKey, Message, MessageId, Now, Ticket, User, UserId,
};

const NOW: Now = Now {
    monotonic_ms: 1,
    unix_ms: 1_795_420_800_000,
};
const POLLS: usize = 1_000;
const LONGPOLL: &[u8] = b"GET /message/longpoll/?chatroomid=7 HTTP/1.1\r\n\
    Host: localhost:8000\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef0123456789a\r\n\r\n";
const CHATROOMS: &[u8] = b"GET /message/chatrooms/ HTTP/1.1\r\n\
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
struct Warm {
    engine: Engine,
    keys: Vec<ConnectionKey>,
    saved: i64,
}

impl Warm {
    fn new(connections: usize) -> Self {
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

    fn offer(&mut self, at: usize, request: &[u8]) {
        let origin = || IpAddr::V4(Ipv4Addr::LOCALHOST);
        let input = black_box(request);
        let taken = self.engine.receive(NOW, self.keys[at], input, &origin);
        assert_eq!(taken.consumed, request.len());
    }

    fn save(&mut self) {
        self.saved += 1;
        let completion = Completion::MessageSaved {
            // Another loop's: nobody here is to be answered for it.
            ticket: Ticket {
                connection: self.keys[0],
                exchange: 0,
                event_loop: 1,
            },
            chatroom: chatroom(),
            message: Ok(message(self.saved)),
        };
        self.engine.complete(NOW, completion);
    }

    /// Serves, answers all jobs, and counts what is sent.
    fn settle(&mut self) -> usize {
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
            Job::FindSession { session } => Completion::SessionFound {
                session,
                found: Ok(Some(SessionRow {
                    user: message(1).user,
                    used_unix_ms: NOW.unix_ms,
                })),
            },
            Job::LoadUser { user } => Completion::UserLoaded {
                user,
                chatrooms: Ok(vec![chatroom()]),
            },
            Job::LoadChatroom { chatroom, .. } => Completion::ChatroomLoaded {
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

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(POLLS as u64));
    group.bench_function("park", |b| {
        b.iter_batched_ref(
            || Warm::new(POLLS),
            |warm| (0..POLLS).for_each(|at| warm.offer(at, LONGPOLL)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("wake", |b| {
        b.iter_batched_ref(
            || {
                let mut warm = Warm::new(POLLS);
                (0..POLLS).for_each(|at| warm.offer(at, LONGPOLL));
                warm
            },
            |warm| {
                warm.save();
                assert_eq!(warm.settle(), POLLS);
            },
            BatchSize::PerIteration,
        );
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("chatrooms", |b| {
        let mut warm = Warm::new(1);
        b.iter(|| {
            warm.offer(0, CHATROOMS);
            assert_eq!(warm.settle(), 1);
        });
    });
    group.finish();
}

fn render(c: &mut Criterion) {
    let list: Arc<[u8]> = {
        let one = r#"{"id":12,"chatroomid":7,"userid":1,"username":"ann","message":"Good morning, everyone! Tea is ready.","time":"2026-11-23T08:00:00.000Z"}"#;
        format!("[{}]", vec![one; 50].join(",")).into_bytes().into()
    };
    let mut renderer = Renderer::new(&Config::default());
    let framing = Framing {
        after: After::KeepAlive,
        version: Version::Http11,
        head_only: false,
    };
    let outcome = Outcome::Replied(Route::Longpoll, Reply::Messages(list));
    c.bench_function("render/50 messages", |b| {
        b.iter(|| {
            renderer.forget();
            renderer.render(NOW, black_box(&outcome), framing).len()
        });
    });
    c.bench_function("render/shared", |b| {
        b.iter(|| renderer.render(NOW, black_box(&outcome), framing).len());
    });
}

criterion_group!(benches, engine, render);
criterion_main!(benches);
