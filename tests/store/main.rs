//! The store from outside: real databases, real threads, each completion awaited.
//!
//! It is on SQLite; with tests/cluster.sh, but for what is about the file itself, on PostgreSQL.

/// Takes a field of the one completion that is expected.
macro_rules! field {
    ($completion:expr, $variant:ident, $field:ident) => {
        match $completion {
            Completion::$variant { $field, .. } => $field,
            other => panic!("expected {}, not {other:?}", stringify!($variant)),
        }
    };
}
mod batches;
mod bounded;
mod chatrooms;
mod clock;
mod damage;
#[path = "../serving/database.rs"]
mod database;
mod ending;
mod failures;
mod jobs;
mod lanes;
mod leaving;
mod messages;
mod model;
mod nonces;
mod opening;
mod passwords;
mod retention;
mod together;
mod turns;
mod upgrade;
mod users;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use loiter::arena::Key;
use loiter::config::{Config, Durability};
use loiter::job::{
    AddedRow, ChatroomRow, Completion, Fault, Job, RecentRows, RemovedRow, Saved, SessionRow, Whom,
};
use loiter::model::{
    ChatroomId, ChatroomName, Customer, Message, Secret, SessionHash, Ticket, User, UserId,
    Username, fold,
};
use loiter::store::Store;
use rusqlite::Connection;
use tempfile::TempDir;

use database::{OtherProgram, is_file};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store in a folder of its own, and what it has posted.
struct Fixture {
    config: Config,
    store: Option<Store>,
    posts: Receiver<Vec<Completion>>,
    unread: VecDeque<Completion>,
    posts_read: usize,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        set(&mut config);
        let (store, posts) = open(&config);
        Self {
            config,
            store: Some(store),
            posts,
            unread: VecDeque::new(),
            posts_read: 0,
            folder,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    fn close(&mut self) {
        let store = self.store.take().expect("open");
        store.close(Instant::now() + PATIENCE);
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        let (store, posts) = open(&self.config);
        (self.store, self.posts) = (Some(store), posts);
    }

    /// Beside the store, to look and to meddle.
    fn other_program(&self) -> OtherProgram {
        OtherProgram::on(&self.config.database)
    }

    /// The file itself.
    fn sqlite(&self) -> Connection {
        Connection::open(&self.config.database).expect("the database")
    }

    fn submit(&self, job: Job) {
        self.store().submit(job).expect("room in the queue");
    }

    fn next(&mut self) -> Completion {
        loop {
            if let Some(completion) = self.unread.pop_front() {
                return completion;
            }
            self.unread = self
                .posts
                .recv_timeout(PATIENCE)
                .expect("a completion")
                .into();
            self.posts_read += 1;
        }
    }

    fn ask(&mut self, job: Job) -> Completion {
        self.submit(job);
        self.next()
    }

    fn register(&mut self, name: &str, password: &str) -> Result<User, Fault> {
        let job = register(name, password);
        field!(self.ask(job), Registered, user)
    }

    fn user(&mut self, name: &str) -> User {
        self.register(name, "password").expect("a new user")
    }

    fn log_in(&mut self, name: &str, password: &str) -> Result<(User, Secret), Fault> {
        let job = Job::LogIn {
            ticket: ticket(1),
            customer: here(),
            folded: Some(fold(name).into()),
            password: Secret(password.into()),
        };
        field!(self.ask(job), LoggedIn, login)
    }

    fn session(&mut self, session: SessionHash) -> Option<SessionRow> {
        let found = field!(
            self.ask(Job::FindSession {
                event_loop: 0,
                session
            }),
            SessionFound,
            found
        );
        found.expect("a read")
    }

    fn chatroom(&mut self, admin: &User) -> ChatroomId {
        let job = Job::CreateChatroom {
            ticket: ticket(1),
            admin: admin.id,
            name: None,
        };
        field!(self.ask(job), ChatroomCreated, chatroom).expect("a chatroom")
    }

    fn add(&mut self, chatroom: ChatroomId, admin: &User, name: &str) -> Result<AddedRow, Fault> {
        self.add_whom(chatroom, admin, Whom::Name(fold(name).into()))
    }

    fn add_whom(
        &mut self,
        chatroom: ChatroomId,
        admin: &User,
        whom: Whom,
    ) -> Result<AddedRow, Fault> {
        let job = Job::AddParticipant {
            ticket: ticket(1),
            chatroom,
            admin: admin.id,
            whom,
        };
        field!(self.ask(job), ParticipantAdded, added)
    }

    fn remove(&mut self, chatroom: ChatroomId, by: &User, whom: Whom) -> Result<RemovedRow, Fault> {
        let job = Job::RemoveParticipant {
            ticket: ticket(1),
            chatroom,
            by: by.id,
            whom,
        };
        field!(self.ask(job), ParticipantRemoved, removed)
    }

    fn probe(&mut self) -> Result<(), Fault> {
        let job = Job::Probe { ticket: ticket(1) };
        field!(self.ask(job), Probed, done)
    }

    fn say(&mut self, chatroom: ChatroomId, author: &User, text: &str) -> Result<Message, Fault> {
        new_message(self.ask(say(chatroom, author, text)))
    }

    fn recent(&mut self, chatroom: ChatroomId, recent: u32) -> RecentRows {
        let job = Job::LoadChatroom {
            event_loop: 0,
            chatroom,
            recent,
        };
        field!(self.ask(job), ChatroomLoaded, loaded).expect("a read")
    }

    fn find(&mut self, prefix: &str, limit: u32) -> Vec<String> {
        let job = Job::FindUsers {
            ticket: ticket(1),
            user: UserId::new(1).expect("positive"),
            prefix: fold(prefix),
            limit,
        };
        let users = field!(self.ask(job), UsersFound, users).expect("a read");
        users.iter().map(|user| user.name.to_string()).collect()
    }
}

fn config(folder: &TempDir) -> Config {
    Config {
        database: database::in_folder(folder.path(), "loiter.db"),
        // What only a power failure could tell apart is not worth a sync here.
        durability: Durability::Normal,
        password_iterations: NonZeroU32::new(1000).expect("not zero"),
        // Several servers count together, in their store; here each password is tried.
        login_attempts: 0,
        ..Config::default()
    }
}

fn open(config: &Config) -> (Store, Receiver<Vec<Completion>>) {
    let (posts, received) = mpsc::channel();
    let store = Store::open(config, move |mut completions| {
        completions.retain(is_asked_for);
        if !completions.is_empty() {
            // A test that has seen enough does not listen.
            let _ = posts.send(completions);
        }
    });
    (store.expect("a store"), received)
}

/// Not so what another store on the same database has done, of which `tests/cluster` tells.
fn is_asked_for(completion: &Completion) -> bool {
    let ticket = match completion {
        Completion::MessageSaved { ticket, .. }
        | Completion::LoggedOut { ticket, .. }
        | Completion::PasswordChanged { ticket, .. }
        | Completion::ParticipantAdded { ticket, .. }
        | Completion::ParticipantRemoved { ticket, .. } => ticket,
        _ => return true,
    };
    *ticket != Ticket::of_nobody()
}

/// Holds the thread that posts first, until it is let go: what is submitted meanwhile to its lane waits.
struct Hold {
    entered: Receiver<()>,
    let_go: Sender<()>,
}

impl Hold {
    /// As [`open`].
    fn open(config: &Config) -> (Store, Receiver<Vec<Completion>>, Self) {
        let (posts, received) = mpsc::channel();
        let (enter, entered) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let first = Mutex::new(Some((enter, wait)));
        let store = Store::open(config, move |completions| {
            // A statement of its own, so that the other lanes' threads need not wait for the lock.
            let held = first.lock().expect("no panic").take();
            if let Some((enter, wait)) = held {
                enter.send(()).expect("the test listens");
                // Also when the test ends early.
                let _ = wait.recv();
            }
            let _ = posts.send(completions);
        });
        (store.expect("a store"), received, Self { entered, let_go })
    }

    /// Waits until the lane is held.
    fn entered(&self) {
        self.entered.recv_timeout(PATIENCE).expect("a post");
    }

    fn let_go(&self) {
        self.let_go.send(()).expect("the lane waits");
    }
}

fn ticket(exchange: u32) -> Ticket {
    Ticket {
        connection: Key::from_bits(7 << 32 | 3).expect("a key"),
        exchange,
        event_loop: 0,
    }
}

/// Who asks, where that is all the same.
fn here() -> Customer {
    customer(1)
}

fn customer(number: u8) -> Customer {
    IpAddr::from([203, 0, 113, number]).into()
}

fn register(name: &str, password: &str) -> Job {
    Job::Register {
        ticket: ticket(1),
        customer: here(),
        name: Username::parse(name).expect("a good name"),
        password: Secret(password.into()),
    }
}

fn say(chatroom: ChatroomId, author: &User, text: &str) -> Job {
    Job::SaveMessage {
        ticket: ticket(1),
        chatroom,
        author: author.clone(),
        text: text.into(),
        nonce: None,
    }
}

/// The message of a completion that can only tell of a new one.
fn new_message(completion: Completion) -> Result<Message, Fault> {
    field!(completion, MessageSaved, saved).map(|saved| match saved {
        Saved::New(message) => message,
        Saved::Before(before) => panic!("{} was there before", before.id),
    })
}

fn hash_of(token: &Secret) -> SessionHash {
    let hash = ring::digest::digest(&ring::digest::SHA256, token.0.as_bytes());
    SessionHash(hash.as_ref().try_into().expect("32 bytes"))
}

/// An id that nothing has.
fn nobody() -> User {
    User {
        id: UserId::new(i64::MAX).expect("positive"),
        name: "nobody".into(),
    }
}

fn nowhere() -> ChatroomId {
    ChatroomId::new(i64::MAX).expect("positive")
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| &*user.name).collect()
}
