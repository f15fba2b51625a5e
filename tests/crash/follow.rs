//! Whoever polls with `since`, and sends with a `nonce`, loses nothing and doubles nothing, however often the server dies.
//!
//! Followers poll one chatroom each, some a message at a time, some all that there is; senders send each message until it
//! is answered. Meanwhile the server is killed and started anew. In the end each follower has seen every message of its
//! chatroom once, in the order of the ids, and every message that anybody has sent is among them.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use loiter_client::strict::PATIENCE;
use loiter_client::{Client, Following, News, Pauses, Place, Stop};

use crate::server::{Killed, prepare};

const CHATROOMS: usize = 2;
const SENDERS: usize = 4;
/// Of each sender.
const MESSAGES: usize = 5_000;
const KILLS: usize = 10;
/// Each follower's limit; the chatrooms take turns.
const LIMITS: [Option<u8>; 8] = [
    None,
    None,
    Some(1),
    Some(3),
    Some(17),
    Some(64),
    Some(200),
    Some(200),
];

/// Where the server is, now that it is somewhere else again.
#[derive(Default)]
struct Whereabouts {
    place: Mutex<Where>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
enum Where {
    /// It will be somewhere. Nobody tries where it was: somebody else may be there by now.
    #[default]
    Nowhere,
    At(SocketAddr),
    Gone,
}

impl Whereabouts {
    fn set(&self, place: Where) {
        *self.place() = place;
        self.changed.notify_all();
    }

    fn find(&self) -> io::Result<Vec<SocketAddr>> {
        let is_nowhere = |place: &mut Where| matches!(place, Where::Nowhere);
        let place = self.changed.wait_while(self.place(), is_nowhere);
        match *place.expect("never poisoned") {
            Where::At(address) => Ok(vec![address]),
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn place(&self) -> MutexGuard<'_, Where> {
        self.place.lock().expect("never poisoned")
    }
}

/// All clients, who are stopped at the end, also when a test fails.
struct Crowd {
    whereabouts: Arc<Whereabouts>,
    token: String,
    stops: Vec<Stop>,
}

impl Crowd {
    fn client(&mut self) -> Client {
        let whereabouts = Arc::clone(&self.whereabouts);
        let pauses = Pauses {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(20),
        };
        let client = Client::new(Place::found_by("loiter", move || whereabouts.find()))
            .with_session(&self.token)
            .with_patience(PATIENCE)
            .with_pauses(pauses);
        self.stops.push(client.stop());
        client
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stops.iter().for_each(Stop::stop);
        self.whereabouts.set(Where::Gone);
    }
}

/// Tells of each message that is acknowledged.
fn send(mut client: Client, sender: usize, acknowledged: &Sender<()>) {
    for n in 0..MESSAGES {
        let (chatroom, text) = (n % CHATROOMS + 1, format!("{sender}-{n}"));
        let sent = client.send_as(&text, chatroom as u64, &text);
        sent.unwrap_or_else(|error| panic!("{text}: {error}"));
        // The last ones may come when nobody counts any more.
        let _ = acknowledged.send(());
    }
}

/// Returns what was said.
fn follow(mut client: Client, chatroom: usize, limit: Option<u8>) -> Vec<String> {
    let chatroom = chatroom as u64;
    let mut following = Following::of([chatroom]).since(chatroom, 0).strict();
    if let Some(limit) = limit {
        following = following.limit(limit);
    }
    let mut seen = Vec::new();
    let followed = client.follow(following, |news| {
        let News::Messages(messages) = news else {
            panic!("nothing is removed here, and nothing lost: {news:?}");
        };
        for message in messages {
            assert_eq!(message.id, seen.len() as u64 + 1, "{message:?}");
            seen.push(message.message.clone());
        }
        match seen.len() < SENDERS * MESSAGES / CHATROOMS {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    followed.unwrap_or_else(|error| panic!("in {chatroom}: {error}"));
    seen
}

/// Kills the server whenever another share of the messages has been acknowledged.
fn serve(
    database: &Path,
    loops: usize,
    whereabouts: &Whereabouts,
    acknowledged: &Receiver<()>,
) -> Killed {
    let mut server = Killed::start(database, loops);
    whereabouts.set(Where::At(server.address));
    for _ in 0..KILLS {
        let share = SENDERS * MESSAGES / (KILLS + 1);
        assert_eq!(acknowledged.iter().take(share).count(), share);
        whereabouts.set(Where::Nowhere);
        server.kill();
        server = Killed::start(database, loops);
        whereabouts.set(Where::At(server.address));
    }
    server
}

fn nobody_misses_or_doubles_a_message(loops: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let mut crowd = Crowd {
        token: prepare(&database, CHATROOMS as u64),
        whereabouts: Arc::default(),
        stops: Vec::new(),
    };
    let followed = thread::scope(|scope| {
        let (finish, finished) = mpsc::channel();
        let followers = Vec::from_iter((0..).zip(LIMITS).map(|(n, limit)| {
            let (client, finish) = (crowd.client(), finish.clone());
            scope.spawn(move || {
                let seen = follow(client, n % CHATROOMS + 1, limit);
                let _ = finish.send(());
                seen
            })
        }));
        let (acknowledge, acknowledged) = mpsc::channel();
        for sender in 0..SENDERS {
            let (client, acknowledge) = (crowd.client(), acknowledge.clone());
            scope.spawn(move || send(client, sender, &acknowledge));
        }
        drop((finish, acknowledge));
        let _server = serve(&database, loops, &crowd.whereabouts, &acknowledged);
        // All is sent, and nobody is killed any more: whoever waits in vain has missed something.
        acknowledged.iter().for_each(drop);
        let has_finished = |_: &_| finished.recv_timeout(PATIENCE).is_ok();
        followers.iter().all(has_finished);
        drop(crowd);
        let join = |follower: thread::ScopedJoinHandle<'_, _>| follower.join().expect("done");
        Vec::from_iter(followers.into_iter().map(join))
    });
    for (n, texts) in followed.iter().enumerate() {
        let wanted = (0..SENDERS).flat_map(|sender| {
            let own = (0..MESSAGES).filter(move |message| message % CHATROOMS == n % CHATROOMS);
            own.map(move |message| format!("{sender}-{message}"))
        });
        let wanted = HashSet::<String>::from_iter(wanted);
        let seen = HashSet::from_iter(texts.iter().cloned());
        let missed = wanted.difference(&seen).next();
        assert_eq!(missed, None, "follower {n}");
        assert_eq!(texts.len(), wanted.len(), "follower {n}");
    }
}

#[test]
fn nobody_misses_or_doubles_a_message_with_one_loop() {
    nobody_misses_or_doubles_a_message(1);
}

#[test]
fn nobody_misses_or_doubles_a_message_with_three_loops() {
    nobody_misses_or_doubles_a_message(3);
}
