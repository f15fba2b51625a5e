//! What a message costs on its way to the disk, by how many are committed together.
//!
//! `lane` sends a batch through a [`Store`] and waits for the last completion; `bare` writes the same rows with
//! plain prepared inserts, in as many commits. Their difference is the price of the queue, the checks and the
//! completions; the bigger the batch, the less both owe to the sync.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use loiter::arena::Key;
use loiter::config::{Config, Durability};
use loiter::job::{Completion, Job};
use loiter::model::{ChatroomId, Secret, Ticket, User, Username};
use loiter::store::Store;
use rusqlite::Connection;

const BATCHES: [u64; 5] = [1, 8, 32, 64, 256];
const TEXT: &str = "a message of a hundred bytes or so, which is what people say to one another most of the time, I think";

struct Lane {
    store: Store,
    posts: Receiver<Vec<Completion>>,
    author: User,
    chatroom: ChatroomId,
    _folder: tempfile::TempDir,
}

impl Lane {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config {
            database: folder.path().join("loiter.db"),
            durability,
            password_iterations: 1000.try_into().expect("not zero"),
            ..Config::default()
        };
        let (post, posts) = mpsc::channel();
        let store = Store::open(&config, move |completions| {
            post.send(completions).expect("the bench listens");
        })
        .expect("a store");
        let next = || posts.recv().expect("a post").remove(0);

        let name = Username::parse("ann").expect("a name");
        let password = Secret("x".into());
        let register = Job::Register {
            ticket: ticket(),
            customer: IpAddr::from([127, 0, 0, 1]).into(),
            name,
            password,
        };
        store.submit(register).expect("room");
        let Completion::Registered {
            user: Ok(author), ..
        } = next()
        else {
            panic!("no user");
        };
        let create = Job::CreateChatroom {
            ticket: ticket(),
            admin: author.id,
            name: None,
        };
        store.submit(create).expect("room");
        let Completion::ChatroomCreated {
            chatroom: Ok(chatroom),
            ..
        } = next()
        else {
            panic!("no chatroom");
        };
        Self {
            store,
            posts,
            author,
            chatroom,
            _folder: folder,
        }
    }

    fn say(&self, messages: u64) {
        let job = || Job::SaveMessage {
            ticket: ticket(),
            chatroom: self.chatroom,
            author: self.author.clone(),
            text: TEXT.into(),
            nonce: None,
        };
        // As an event loop does with what came in one turn.
        let refused = self.store.submit_all((0..messages).map(|_| job()));
        assert!(refused.is_empty(), "there is room");
        let mut told = 0;
        while told < messages {
            told += black_box(self.posts.recv().expect("a post")).len() as u64;
        }
    }
}

fn ticket() -> Ticket {
    Ticket {
        connection: Key::from_bits(1 << 32).expect("a key"),
        exchange: 1,
        event_loop: 0,
    }
}

struct Bare {
    connection: Connection,
    last: i64,
    _folder: tempfile::TempDir,
}

impl Bare {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = Connection::open(folder.path().join("bare.db")).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 CREATE TABLE messages (
                     chatroom INTEGER NOT NULL, id INTEGER NOT NULL, user INTEGER NOT NULL,
                     text TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (chatroom, id)
                 ) STRICT, WITHOUT ROWID;",
            )
            .expect("a table");
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        connection
            .pragma_update(None, "synchronous", synchronous)
            .expect("a pragma");
        Self {
            connection,
            last: 0,
            _folder: folder,
        }
    }

    fn say(&mut self, messages: u64) {
        let transaction = self.connection.transaction().expect("begun");
        let mut insert = transaction
            .prepare_cached("INSERT INTO messages VALUES (1, ?1, 1, ?2, 0)")
            .expect("prepared");
        for _ in 0..messages {
            self.last += 1;
            insert.execute((self.last, TEXT)).expect("inserted");
        }
        drop(insert);
        transaction.commit().expect("committed");
    }
}

fn commit(criterion: &mut Criterion) {
    for (durability, name) in [(Durability::Full, "full"), (Durability::Normal, "normal")] {
        let mut group = criterion.benchmark_group(format!("commit/{name}"));
        let lane = Lane::new(durability);
        let mut bare = Bare::new(durability);
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new("lane", batch), |bencher| {
                bencher.iter(|| lane.say(batch));
            });
            group.bench_function(BenchmarkId::new("bare", batch), |bencher| {
                bencher.iter(|| bare.say(batch));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, commit);
criterion_main!(benches);
