//! The chat cores of several loops beside one another: boxes are filled here as the server fills them.

mod doubts;
mod endpolls;
mod heard;
mod leaving;
mod logins;
mod missed;
mod nonces;
mod passwords;
mod presence;
mod readiness;
mod reads;
mod sessions;
mod several;
mod shared;
mod since;
mod strangers;
mod streams;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::job::{
    AddedRow, ChatroomRow, Completion, LOGINS_LOOP, RecentRows, RemovedRow, Saved, ServerQuestion,
    SessionRow,
};
use crate::model::{
    ChatroomId, Connection, ConnectionKey, Message, MessageId, Secret, User, UserId,
};

const SESSION: SessionHash = SessionHash([7; 32]);

fn user() -> User {
    User {
        id: UserId::new(1).expect("positive"),
        name: "ann".into(),
    }
}

/// A session of the user with this id, who is not ann.
fn session_of(user: u8) -> SessionHash {
    SessionHash([200 + user; 32])
}

fn whose(session: SessionHash) -> User {
    match session.0[0] {
        0..=200 => user(),
        n => User {
            id: UserId::new(i64::from(n) - 200).expect("positive"),
            name: "somebody".into(),
        },
    }
}

fn room() -> ChatroomId {
    ChatroomId::new(7).expect("positive")
}

fn another_room() -> ChatroomId {
    ChatroomId::new(8).expect("positive")
}

fn message(id: i64) -> Message {
    message_in(room(), id)
}

fn message_in(chatroom: ChatroomId, id: i64) -> Message {
    Message {
        id: MessageId::new(id).expect("positive"),
        chatroom,
        user: user(),
        text: "hi".into(),
        time_unix_ms: 0,
    }
}

fn saved(id: i64) -> Completion {
    saved_in(room(), id)
}

fn saved_in(chatroom: ChatroomId, id: i64) -> Completion {
    Completion::MessageSaved {
        ticket: ticket(9, 0),
        chatroom,
        saved: Ok(Saved::New(message_in(chatroom, id))),
    }
}

fn poll_of(chatroom: ChatroomId, wanted: Wanted) -> SessionCall {
    SessionCall::Poll(PollCall {
        chatroom,
        wanted,
        timeout_s: None,
        is_over: false,
        is_ahead: false,
    })
}

fn room_row() -> ChatroomRow {
    ChatroomRow {
        admin: UserId::new(2).expect("positive"),
        name: None,
        participants: Vec::new(),
    }
}

fn left() -> Completion {
    left_from(room())
}

fn left_from(chatroom: ChatroomId) -> Completion {
    Completion::ParticipantRemoved {
        ticket: ticket(9, 0),
        chatroom,
        removed: Ok(RemovedRow {
            left: user().id,
            was_in_it: true,
            chatroom: room_row(),
        }),
    }
}

fn came_back() -> Completion {
    came_into(room())
}

fn came_into(chatroom: ChatroomId) -> Completion {
    Completion::ParticipantAdded {
        ticket: ticket(9, 0),
        chatroom,
        added: Ok(AddedRow {
            joined: user().id,
            last: MessageId::new(5),
            chatroom: room_row(),
        }),
    }
}

fn ticket(event_loop: u16, exchange: u32) -> Ticket {
    let mut keys: Arena<(), Connection> = Arena::default();
    let connection: ConnectionKey = keys.insert(());
    Ticket {
        connection,
        exchange,
        event_loop,
    }
}

/// So many loops, and what has been answered: loop, exchange, and what.
struct Loops {
    chats: Vec<Chat>,
    answers: Vec<(u16, u32, String)>,
    told: VecDeque<(usize, Notice)>,
    /// Chatrooms that the store has been asked for, by loop.
    loads: Vec<u16>,
    logins: Vec<Ticket>,
    probes: Vec<Ticket>,
    /// Messages that the store is to read.
    reads: Vec<Job>,
    /// Those that the user is in, as the store has it.
    chatrooms: Vec<ChatroomId>,
    /// What the store has yet to say of sessions and users, where it is slow.
    slow: Option<VecDeque<(u16, Completion)>>,
    /// Whether the store knows the session.
    has_session: bool,
    /// Whose calls they are.
    session: SessionHash,
    now: Now,
    /// What the other servers were asked.
    asked: Vec<ServerQuestion>,
    /// What the store has been asked for lists of participants.
    listings: Vec<Ticket>,
}

impl Loops {
    fn new(loops: u16, login_attempts: u32) -> Self {
        Self::with(Config {
            loops: loops.into(),
            login_attempts,
            ..Config::default()
        })
    }

    fn with(config: Config) -> Self {
        let numbers = 0..u16::try_from(config.loops).expect("few");
        Self {
            chats: numbers.map(|n| Chat::new(&config, n)).collect(),
            answers: Vec::new(),
            told: VecDeque::new(),
            loads: Vec::new(),
            logins: Vec::new(),
            probes: Vec::new(),
            reads: Vec::new(),
            chatrooms: vec![room(), another_room()],
            slow: None,
            has_session: true,
            session: SESSION,
            now: Now::default(),
            asked: Vec::new(),
            listings: Vec::new(),
        }
    }

    fn call(&mut self, event_loop: u16, exchange: u32, call: Call) -> Option<HeldKey> {
        let chat = &mut self.chats[usize::from(event_loop)];
        let ticket = ticket(event_loop, exchange);
        let key = chat.call(self.now, ticket, Some(self.session), call);
        self.carry_out(event_loop);
        key
    }

    fn poll(&mut self, event_loop: u16, exchange: u32) {
        self.poll_in(room(), event_loop, exchange);
    }

    fn poll_for(&mut self, event_loop: u16, exchange: u32, wanted: Wanted) {
        let poll = poll_of(room(), wanted);
        self.call(event_loop, exchange, Call::InSession(poll));
    }

    fn poll_in(&mut self, chatroom: ChatroomId, event_loop: u16, exchange: u32) {
        let poll = poll_of(chatroom, Wanted::default());
        self.call(event_loop, exchange, Call::InSession(poll));
    }

    fn end_polls(&mut self, event_loop: u16, exchange: u32) {
        let end = SessionCall::EndPolls {
            chatroom: room(),
            limit: None,
        };
        self.call(event_loop, exchange, Call::InSession(end));
    }

    fn complete(&mut self, event_loop: u16, completion: Completion) {
        self.chats[usize::from(event_loop)].complete(self.now, completion);
        self.carry_out(event_loop);
    }

    /// What the store has loaded for a loop.
    fn loaded(&mut self, event_loop: u16, loaded: Result<i64, Fault>) {
        self.loaded_in(event_loop, room(), loaded);
    }

    fn loaded_in(&mut self, event_loop: u16, chatroom: ChatroomId, loaded: Result<i64, Fault>) {
        let loaded = loaded.map(|last| RecentRows {
            last: MessageId::new(last),
            messages: (1..=last).map(|id| message_in(chatroom, id)).collect(),
        });
        let completion = Completion::ChatroomLoaded {
            event_loop,
            chatroom,
            loaded,
        };
        self.complete(event_loop, completion);
    }

    /// The store says how far the chatrooms reach that it was asked for.
    fn reached(&mut self, newest: &[(ChatroomId, i64)]) {
        let Some(Job::ReadNewest {
            ticket, chatrooms, ..
        }) = self.reads.pop()
        else {
            panic!("it was not asked: {:?}", self.reads);
        };
        let asked: Vec<_> = newest.iter().map(|&(of, _)| of).collect();
        assert_eq!(chatrooms, asked);
        let newest = newest.iter().map(|&(of, last)| (of, MessageId::new(last)));
        let read = Ok(newest.collect());
        self.complete(ticket.event_loop, Completion::NewestRead { ticket, read });
    }

    /// Hands the next notice to those whom it is for.
    fn deliver(&mut self) {
        let (to, notice) = self.told.pop_front().expect("told");
        self.chats[to].hear(self.now, notice);
        self.carry_out(u16::try_from(to).expect("few"));
    }

    fn deliver_all(&mut self) {
        while !self.told.is_empty() {
            self.deliver();
        }
    }

    fn carry_out(&mut self, event_loop: u16) {
        let at = usize::from(event_loop);
        self.chats[at].end_input();
        self.chats[at].serve(self.now, 100);
        while let Some(output) = self.chats[at].next_output() {
            match output {
                Output::Answer(ticket, reply) => {
                    assert_eq!(ticket.event_loop, event_loop, "the connection is elsewhere");
                    let answer = (event_loop, ticket.exchange, shown(&reply));
                    self.answers.push(answer);
                }
                Output::Stream(ticket, part) => {
                    assert_eq!(ticket.event_loop, event_loop, "the connection is elsewhere");
                    let part = match part {
                        Streamed::Begin => "begins".to_owned(),
                        Streamed::Events(events) => {
                            let ids = events.iter().map(|(id, _)| id.to_string());
                            ids.collect::<Vec<_>>().join(" ")
                        }
                        Streamed::End => "ends".to_owned(),
                    };
                    self.answers.push((event_loop, ticket.exchange, part));
                }
                Output::Tell(Audience::One(to), notice) => {
                    self.told.push_back((to.into(), notice));
                }
                Output::Tell(Audience::All, notice) => {
                    let others = (0..self.chats.len()).filter(|&other| other != at);
                    self.told.extend(others.map(|to| (to, notice.clone())));
                }
                Output::Submit(job) => self.submit(event_loop, job),
            }
        }
    }

    /// What the store knows of a session or a user.
    fn found(&mut self, event_loop: u16, completion: Completion) {
        match &mut self.slow {
            Some(slow) => slow.push_back((event_loop, completion)),
            None => self.complete(event_loop, completion),
        }
    }

    /// The slow store says all that it has been asked, and what that makes it be asked.
    fn catch_up(&mut self) {
        while let Some((event_loop, completion)) =
            self.slow.as_mut().expect("a slow one").pop_front()
        {
            self.complete(event_loop, completion);
        }
    }

    /// Sessions and users are found at once, unless the store is slow; the rest waits for the test.
    fn submit(&mut self, event_loop: u16, job: Job) {
        match job {
            Job::FindSession {
                event_loop: asker,
                session,
            } => {
                assert_eq!(asker, event_loop);
                let row = SessionRow {
                    user: whose(session),
                    used_unix_ms: 0,
                };
                let completion = Completion::SessionFound {
                    event_loop,
                    session,
                    found: Ok(self.has_session.then_some(row)),
                };
                self.found(event_loop, completion);
            }
            Job::LoadUser { user, .. } => {
                let completion = Completion::UserLoaded {
                    event_loop,
                    user,
                    chatrooms: Ok(self.chatrooms.clone()),
                };
                self.found(event_loop, completion);
            }
            Job::LoadChatroom { .. } => self.loads.push(event_loop),
            Job::Probe { ticket } => self.probes.push(ticket),
            Job::AskServers { question, .. } => self.asked.push(question),
            Job::ListParticipants { ticket, .. } => self.listings.push(ticket),
            Job::LogIn { ticket, .. } => {
                assert_eq!(event_loop, LOGINS_LOOP);
                self.logins.push(ticket);
            }
            Job::ReadMessages { .. } | Job::ReadNews { .. } | Job::ReadNewest { .. } => {
                self.reads.push(job);
            }
            _ => {}
        }
    }

    fn answered(&mut self) -> Vec<(u16, u32, String)> {
        std::mem::take(&mut self.answers)
    }

    /// What has been answered at the one loop once it has nothing left to do.
    fn heard(&mut self) -> Vec<String> {
        self.carry_out(0);
        while self.chats[0].has_work() {
            self.carry_out(0);
        }
        let answered = self.answered().into_iter();
        answered
            .map(|(_, exchange, what)| format!("{exchange}: {what}"))
            .collect()
    }

    #[track_caller]
    fn assert_idle(&self) {
        for chat in &self.chats {
            let Counts {
                held,
                logins,
                sweeps,
                followers,
                ..
            } = chat.counts();
            assert_eq!((held, logins, sweeps, followers), (0, 0, 0, (0, 0)));
        }
    }
}

/// Of a server that shares its database with others.
fn shared() -> Loops {
    Loops::with(Config {
        database: "postgres://nowhere".into(),
        ..Config::default()
    })
}

fn several(chatrooms: Which) -> Call {
    let call = SeveralCall {
        chatrooms,
        since: None,
        limit: None,
        timeout_s: None,
        is_over: false,
        is_ahead: false,
    };
    Call::InSession(SessionCall::PollSeveral(Box::new(call)))
}

fn stream() -> Call {
    Call::InSession(SessionCall::Stream(StreamCall {
        chatroom: room(),
        since: None,
        is_ahead: false,
    }))
}

/// Ids of a list, or what else it is.
fn shown(reply: &Reply) -> String {
    let ids = |list: &[u8]| {
        let list: serde_json::Value = serde_json::from_slice(list).expect("JSON");
        let ids = list.as_array().expect("a list").iter();
        let id = |message: &serde_json::Value| match message["chatroomid"].as_i64() {
            Some(7) => message["id"].to_string(),
            Some(other) => format!("{other}:{}", message["id"]),
            None => unreachable!("every message has one"),
        };
        ids.map(id).collect::<Vec<_>>().join(" ")
    };
    match reply {
        Reply::Messages(list) => ids(list),
        Reply::Sent { id, messages } => format!("sent {id}: {}", ids(messages)),
        Reply::Ended { polls, messages } => format!("{polls} ended: {}", ids(messages)),
        Reply::Users(users) => {
            let ids = users.iter().map(|user| user.id.to_string());
            format!("users {}", ids.collect::<Vec<_>>().join(" "))
        }
        Reply::Failed(failure) => format!("{failure:?}"),
        reply => format!("{reply:?}"),
    }
}

fn answer(event_loop: u16, exchange: u32, what: &str) -> (u16, u32, String) {
    (event_loop, exchange, what.to_owned())
}

/// More polls than one turn serves, parked.
fn many_parked(loops: &mut Loops) -> u32 {
    loops.poll(0, 1);
    loops.loaded(0, Ok(1));
    (2..=300).for_each(|exchange| loops.poll(0, exchange));
    assert_eq!(loops.answered(), []);
    300
}
