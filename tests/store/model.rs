//! The store beside the simulator's made-up one: what a job comes to is the same in both, fault for fault.
//!
//! So what the simulator finds with the one holds for the other. Jobs come one by one, or some as one commit, drawn from a seed, by few users about
//! few chatrooms, so that most of what can be refused is.

#[path = "../sim/data.rs"]
#[expect(dead_code, reason = "the simulator's checks use the rest")]
mod data;

use data::{Data, only_reads};
use fastrand::Rng;
use loiter::job::MessageRange;
use loiter::model::{MessageId, Now};

use super::*;

const JOBS: usize = 1500;
const BATCHES: usize = 250;
const BATCH: usize = 12;
const NAMES: [&str; 4] = ["ann", "bob", "cleo", "dora"];

struct Beside {
    rng: Rng,
    fixture: Fixture,
    data: Data,
    now: Now,
    sessions: Vec<SessionHash>,
}

impl Beside {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            fixture: Fixture::new(),
            data: Data {
                session_lifetime_ms: u64::MAX,
                is_shared: !is_file(),
                ..Data::default()
            },
            now: Now::default(),
            sessions: vec![SessionHash([0; 32])],
        }
    }

    /// Now and then one whom there is not, or not yet.
    fn user(&mut self) -> User {
        let account = self.data.users.get(self.rng.usize(..NAMES.len()));
        account.map_or_else(nobody, |account| account.user.clone())
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.rng.usize(..NAMES.len())]
    }

    fn chatroom(&mut self) -> ChatroomId {
        ChatroomId::new(self.rng.i64(1..=4)).expect("positive")
    }

    fn whom(&mut self) -> Whom {
        match self.rng.u8(..5) {
            0 => Whom::Nobody,
            1 | 2 => Whom::Id(self.user().id),
            _ => Whom::Name(self.name().into()),
        }
    }

    fn password(&mut self) -> Secret {
        Secret(["password", "another"][self.rng.usize(..2)].into())
    }

    fn message(&mut self) -> Option<MessageId> {
        MessageId::new(self.rng.i64(0..40))
    }

    fn read(&mut self) -> Job {
        let (ticket, chatroom) = (ticket(1), self.chatroom());
        let user = self.user().id;
        match self.rng.u8(..9) {
            7 => Job::FindSession {
                event_loop: 0,
                session: self.session(),
            },
            0 => Job::LoadUser {
                event_loop: 0,
                user,
            },
            1 => Job::LoadChatroom {
                event_loop: 0,
                chatroom,
                recent: self.rng.u32(..6),
            },
            2 => Job::ListParticipants {
                ticket,
                chatroom,
                user,
            },
            3 => Job::ListOverview { ticket, user },
            4 => Job::FindUsers {
                ticket,
                user,
                prefix: self.name()[..1].to_owned(),
                limit: self.rng.u32(1..3),
            },
            6 => Job::ReadNewest {
                ticket,
                user,
                chatrooms: (0..3).map(|_| self.chatroom()).collect(),
            },
            5 => {
                let pair = |_| (self.chatroom(), self.message());
                let mut since: Vec<_> = (0..3).map(pair).collect();
                since.sort();
                since.dedup_by_key(|&mut (chatroom, _)| chatroom);
                Job::ReadNews {
                    ticket,
                    user,
                    since,
                    limit: self.rng.u32(..6),
                }
            }
            _ => Job::ReadMessages {
                ticket,
                chatroom,
                user,
                range: match (self.rng.bool(), self.message()) {
                    (true, id) => MessageRange::After(id),
                    (false, id) => MessageRange::Before(id),
                },
                limit: self.rng.u32(..6),
            },
        }
    }

    fn write(&mut self) -> Job {
        let (ticket, chatroom) = (ticket(1), self.chatroom());
        let user = self.user();
        let name = |rng: &mut Rng| {
            let name = ["Tea", "coffee"][rng.usize(..2)];
            ChatroomName::parse(name).expect("a good name")
        };
        match self.rng.u8(..20) {
            0 => register(self.name(), "password"),
            1 => Job::LogIn {
                ticket,
                customer: here(),
                folded: Some(self.name().into()),
                password: self.password(),
            },
            2 => Job::LogOut {
                ticket,
                session: self.session(),
            },
            3 => Job::ChangePassword {
                ticket,
                customer: here(),
                session: self.session(),
                user: user.id,
                password: self.password(),
                new: self.password(),
            },
            4 if user != nobody() => Job::CreateChatroom {
                ticket,
                admin: user.id,
                name: self.rng.bool().then(|| name(&mut self.rng)),
            },
            5 => Job::RenameChatroom {
                ticket,
                chatroom,
                admin: user.id,
                name: name(&mut self.rng),
            },
            6..9 => Job::AddParticipant {
                ticket,
                chatroom,
                admin: user.id,
                whom: self.whom(),
            },
            9..12 => Job::RemoveParticipant {
                ticket,
                chatroom,
                by: user.id,
                whom: self.whom(),
            },
            _ => Job::SaveMessage {
                ticket,
                chatroom,
                author: user,
                text: "x".into(),
                nonce: self.rng.bool().then(|| self.rng.u8(..9).to_string().into()),
            },
        }
    }

    fn session(&mut self) -> SessionHash {
        self.sessions[self.rng.usize(..self.sessions.len())]
    }

    fn job(&mut self) -> Job {
        match self.rng.u8(..3) {
            0 => self.read(),
            _ => self.write(),
        }
    }

    /// Both do the same; the time and a session's token are the real one's.
    fn step(&mut self) {
        let before = self.rng.clone();
        let job = self.job();
        self.rng = before;
        let twin = self.job();
        let question = format!("{job:?}");
        let told = self.fixture.ask(job);
        self.compare(&told, twin, &question);
    }

    /// Some writes that are one commit, in which each finds what those before it have done.
    fn batch(&mut self) {
        let (mut jobs, mut twins) = (Vec::new(), Vec::new());
        while jobs.len() < BATCH {
            let before = self.rng.clone();
            let job = self.write();
            let after = std::mem::replace(&mut self.rng, before);
            let twin = self.write();
            self.rng = after;
            // Those have a password to be hashed first, and do not wait together.
            if !matches!(
                job,
                Job::Register { .. } | Job::LogIn { .. } | Job::ChangePassword { .. }
            ) {
                jobs.push(job);
                twins.push(twin);
            }
        }
        let question = format!("{jobs:?}");
        assert!(self.fixture.store().submit_all(jobs).is_empty());
        for twin in twins {
            let told = self.fixture.next();
            self.compare(&told, twin, &question);
        }
    }

    fn compare(&mut self, told: &Completion, twin: Job, question: &str) {
        let mut token = String::new();
        match told {
            Completion::MessageSaved {
                saved: Ok(Saved::New(message)),
                ..
            } => self.now.unix_ms = message.time_unix_ms,
            Completion::LoggedIn {
                login: Ok((_, new)),
                ..
            } => {
                self.sessions.push(hash_of(new));
                token = new.0.to_string();
            }
            _ => {}
        }
        let expected = self.model(twin, &token);
        assert_eq!(without_use(told), without_use(&expected), "{question}");
    }

    fn model(&mut self, job: Job, token: &str) -> Completion {
        match job {
            read if only_reads(&read) => self.data.read(self.now, read),
            write => {
                let told = self.data.write(self.now, token, write);
                told.expect("it wants an answer")
            }
        }
    }
}

/// As text, without the time of a session's last use.
fn without_use(completion: &Completion) -> String {
    let text = format!("{completion:?}");
    match text.split_once("used_unix_ms: ") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{after}")
        }
        None => text,
    }
}

impl Beside {
    /// Three users, who are known to both.
    fn of_three(seed: u64) -> Self {
        let mut beside = Self::new(seed);
        for name in &NAMES[..3] {
            let user = beside.fixture.user(name);
            assert_eq!(beside.data.add_user(name, "password"), user);
        }
        beside
    }
}

#[test]
fn every_job_comes_to_what_the_simulator_takes_it_for() {
    for seed in 0..4 {
        let mut beside = Beside::of_three(seed);
        (0..JOBS).for_each(|_| beside.step());
    }
}

#[test]
fn jobs_of_one_commit_come_to_what_they_would_one_by_one() {
    for seed in 0..4 {
        let mut beside = Beside::of_three(seed);
        for _ in 0..BATCHES {
            beside.batch();
            beside.step();
        }
    }
}
