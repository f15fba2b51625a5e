//! Whoever polls with `since`, and sends with a `nonce`, loses nothing and doubles nothing, however often the server dies.
//!
//! Followers poll one chatroom each, some a message at a time, some all that there is, or fifty on one socket, or hear a stream that they cut every few
//! messages; senders send each message until it is answered. Meanwhile the server is killed and started anew. In the end
//! each follower has seen every message of its chatrooms once, in the order of the ids, and every message that anybody has sent is among them.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use loiter_client::strict::{self, PATIENCE};
use loiter_client::{Client, Following, Message, News, Pauses, Stop, Where, Whereabouts};

use crate::server::{Killed, prepare};

const SENDERS: usize = 4;
/// Of each sender: 20,000 in all.
const MANY: usize = 5_000;
/// What is enough where a run differs from one of many in little.
const SOME: usize = 1_500;
const KILLS: usize = 10;
/// Whom a run has, beside the senders, who go around the chatrooms.
struct Cast {
    chatrooms: usize,
    /// Of each sender.
    messages: usize,
    loops: usize,
    restarts: Restarts,
    followers: Vec<Follower>,
}

/// How a server goes, and where the next one is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restarts {
    /// Killed; the next is somewhere else.
    Elsewhere,
    /// Ended in good order and killed by turns, by a supervisor that keeps the socket.
    OnOneSocket,
}

/// What somebody follows, and how.
#[derive(Clone, Debug)]
enum Follower {
    /// Polls, with a limit.
    Polls(Chatrooms, Option<u8>),
    /// Streams of one chatroom, each cut behind so many messages.
    Streams(u64, usize),
}

#[derive(Clone, Debug)]
enum Chatrooms {
    One(u64),
    These(Vec<u64>),
    All,
}

/// What a follower has seen, by chatroom, each message at the place of its id.
type Seen = BTreeMap<u64, Vec<String>>;

impl Cast {
    /// How many messages a chatroom has in the end.
    fn messages_each(&self) -> usize {
        SENDERS * self.messages / self.chatrooms
    }

    /// How many messages are acknowledged from one restart to the next.
    fn share(&self) -> usize {
        SENDERS * self.messages / (KILLS + 1)
    }

    /// The chatrooms of a follower.
    fn chatrooms_of(&self, follower: &Follower) -> Vec<u64> {
        match follower {
            Follower::Polls(Chatrooms::One(chatroom), _) | Follower::Streams(chatroom, _) => {
                vec![*chatroom]
            }
            Follower::Polls(Chatrooms::These(chatrooms), _) => chatrooms.clone(),
            Follower::Polls(Chatrooms::All, _) => (1..=self.chatrooms as u64).collect(),
        }
    }
}

/// All clients, who are stopped at the end, also when a test fails.
struct Crowd {
    whereabouts: Whereabouts,
    token: String,
    stops: Vec<Stop>,
}

impl Crowd {
    fn client(&mut self) -> Client {
        let pauses = Pauses {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(20),
        };
        let client = Client::new(self.whereabouts.place())
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
fn send(mut client: Client, sender: usize, cast: &Cast, acknowledged: &Sender<()>) {
    for n in 0..cast.messages {
        let (chatroom, text) = (n % cast.chatrooms + 1, format!("{sender}-{n}"));
        let sent = client.send_as(&text, chatroom as u64, &text);
        sent.unwrap_or_else(|error| panic!("{text}: {error}"));
        // The last ones may come when nobody counts any more.
        let _ = acknowledged.send(());
    }
}

/// Returns what was said.
fn follow(client: Client, cast: &Cast, follower: &Follower) -> Seen {
    let chatrooms = cast.chatrooms_of(follower);
    let mut seen: Seen = chatrooms.iter().map(|&id| (id, Vec::new())).collect();
    let wanted = cast.messages_each() * chatrooms.len();
    let mut take = |message: &Message| {
        let of_chatroom = seen.get_mut(&message.chatroomid).expect("followed");
        assert_eq!(message.id, of_chatroom.len() as u64 + 1, "{message:?}");
        of_chatroom.push(message.message.clone());
    };
    match follower {
        Follower::Polls(polled, limit) => {
            let following = match polled {
                Chatrooms::All => Following::all(),
                Chatrooms::One(_) | Chatrooms::These(_) => Following::of(chatrooms.clone()),
            };
            let mut following = following.strict();
            for chatroom in chatrooms {
                following = following.since(chatroom, 0);
            }
            if let Some(limit) = limit {
                following = following.limit(*limit);
            }
            poll(client, following, wanted, &mut take);
        }
        Follower::Streams(chatroom, cut) => stream(&client, *chatroom, *cut, wanted, &mut take),
    }
    seen
}

fn poll(mut client: Client, following: Following, wanted: usize, take: &mut dyn FnMut(&Message)) {
    let mut taken = 0;
    let followed = client.follow(following, |news| {
        let News::Messages(messages) = news else {
            panic!("nothing is removed here, and nothing lost: {news:?}");
        };
        messages.iter().for_each(&mut *take);
        taken += messages.len();
        match taken < wanted {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    followed.unwrap_or_else(|error| panic!("{error}"));
}

/// Hears streams one after the other, each from where the one before was cut.
fn stream(
    client: &Client,
    chatroom: u64,
    cut: usize,
    wanted: usize,
    take: &mut dyn FnMut(&Message),
) {
    let (mut last, mut taken) = (0, 0);
    while taken < wanted && !client.stop().is_stopped() {
        // The server is gone, or will be: the next one finds it.
        let Ok(stream) = client.stream(chatroom, Some(last)) else {
            continue;
        };
        for message in stream.take(cut.min(wanted - taken)).map_while(Result::ok) {
            take(&message);
            (last, taken) = (message.id, taken + 1);
        }
    }
}

/// Kills the server whenever another share of the messages has been acknowledged.
fn serve(
    database: &Path,
    cast: &Cast,
    whereabouts: &Whereabouts,
    acknowledged: &Receiver<()>,
) -> Killed {
    let mut server = Killed::start(database, cast.loops);
    whereabouts.set(Where::At(server.address));
    for _ in 0..KILLS {
        let share = cast.share();
        assert_eq!(acknowledged.iter().take(share).count(), share);
        whereabouts.set(Where::Nowhere);
        server.kill();
        server = Killed::start(database, cast.loops);
        whereabouts.set(Where::At(server.address));
    }
    server
}

/// Restarts the server likewise, on a socket that is kept. Nobody may be refused, least of all while there is no server.
fn serve_on_one_socket(
    database: &Path,
    cast: &Cast,
    whereabouts: &Whereabouts,
    acknowledged: &Receiver<()>,
) -> Killed {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    let mut server = Killed::on(&socket, database, cast.loops);
    assert_eq!(server.address, address);
    whereabouts.set(Where::At(address));
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let knocks = scope.spawn(|| knock(address, &has_ended));
        // Also when a test fails.
        let end = End(&has_ended);
        for restart in 0..KILLS {
            let share = cast.share();
            assert_eq!(acknowledged.iter().take(share).count(), share);
            match restart % 2 {
                0 => server.end(),
                _ => server.kill(),
            }
            let mut between = strict::Client::connect(address);
            between.send(strict::get("/healthz").bytes());
            server = Killed::on(&socket, database, cast.loops);
            between.answer().ok();
        }
        drop(end);
        let knocks = knocks.join().expect("nobody was refused");
        assert!(knocks > KILLS, "{knocks} only");
        server
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects again and again, and asks something; returns how often.
fn knock(address: SocketAddr, has_ended: &AtomicBool) -> usize {
    let mut knocks = 0;
    while !has_ended.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).expect("never refused");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        // The server may die with the request in hand; what counts is that the connection was to be had.
        let sent = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
        let _ = sent.and_then(|()| stream.read_to_end(&mut Vec::new()));
        knocks += 1;
    }
    knocks
}

fn nobody_misses_or_doubles_a_message(cast: &Cast) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let mut crowd = Crowd {
        token: prepare(&database, cast.chatrooms as u64),
        whereabouts: Whereabouts::default(),
        stops: Vec::new(),
    };
    let followed = thread::scope(|scope| {
        let (finish, finished) = mpsc::channel();
        let followers = Vec::from_iter(cast.followers.iter().map(|follower| {
            let (client, finish) = (crowd.client(), finish.clone());
            scope.spawn(move || {
                let seen = follow(client, cast, follower);
                let _ = finish.send(());
                seen
            })
        }));
        let (acknowledge, acknowledged) = mpsc::channel();
        for sender in 0..SENDERS {
            let (client, acknowledge) = (crowd.client(), acknowledge.clone());
            scope.spawn(move || send(client, sender, cast, &acknowledge));
        }
        drop((finish, acknowledge));
        let serve = match cast.restarts {
            Restarts::Elsewhere => serve,
            Restarts::OnOneSocket => serve_on_one_socket,
        };
        let _server = serve(&database, cast, &crowd.whereabouts, &acknowledged);
        // All is sent, and nobody is killed any more: whoever waits in vain has missed something.
        acknowledged.iter().for_each(drop);
        let has_finished = |_: &_| finished.recv_timeout(PATIENCE).is_ok();
        followers.iter().all(has_finished);
        drop(crowd);
        let join = |follower: thread::ScopedJoinHandle<'_, _>| follower.join().expect("done");
        Vec::from_iter(followers.into_iter().map(join))
    });
    for (seen, follower) in followed.into_iter().zip(&cast.followers) {
        for (chatroom, texts) in seen {
            let wanted = (0..SENDERS).flat_map(|sender| {
                let own =
                    (0..cast.messages).filter(move |n| (n % cast.chatrooms + 1) as u64 == chatroom);
                own.map(move |n| format!("{sender}-{n}"))
            });
            let wanted = HashSet::<String>::from_iter(wanted);
            assert_eq!(texts.len(), wanted.len(), "{follower:?} in {chatroom}");
            let seen = HashSet::from_iter(texts);
            let missed = wanted.difference(&seen).next();
            assert_eq!(missed, None, "{follower:?} in {chatroom}");
        }
    }
}

/// Two chatrooms, each polled with different limits.
fn polls_of_one(loops: usize) -> Cast {
    let limits = [
        None,
        None,
        Some(1),
        Some(3),
        Some(17),
        Some(64),
        Some(200),
        Some(200),
    ];
    let chatrooms = [1, 2].into_iter().cycle();
    let followers = chatrooms.zip(limits);
    Cast {
        chatrooms: 2,
        messages: MANY,
        loops,
        restarts: Restarts::Elsewhere,
        followers: followers
            .map(|(id, limit)| Follower::Polls(Chatrooms::One(id), limit))
            .collect(),
    }
}

/// Fifty chatrooms on one socket, all of them or some.
fn polls_of_fifty(loops: usize) -> Cast {
    let all = [None, Some(1), Some(7), Some(200)];
    let all = all.map(|limit| Follower::Polls(Chatrooms::All, limit));
    let some = Follower::Polls(Chatrooms::These((10..30).collect()), None);
    Cast {
        chatrooms: 50,
        messages: MANY,
        loops,
        restarts: Restarts::Elsewhere,
        followers: all.into_iter().chain([some]).collect(),
    }
}

/// Two chatrooms, each heard by streams that are cut every few messages.
fn streams(loops: usize) -> Cast {
    let cuts = [
        (1, 1),
        (2, 3),
        (1, 7),
        (2, 40),
        (1, usize::MAX),
        (2, usize::MAX),
    ];
    Cast {
        chatrooms: 2,
        messages: MANY,
        loops,
        restarts: Restarts::Elsewhere,
        followers: cuts.map(|(id, cut)| Follower::Streams(id, cut)).into(),
    }
}

#[test]
fn nobody_misses_or_doubles_a_message_with_one_loop() {
    nobody_misses_or_doubles_a_message(&polls_of_one(1));
}

#[test]
fn nobody_misses_or_doubles_a_message_with_three_loops() {
    nobody_misses_or_doubles_a_message(&polls_of_one(3));
}

#[test]
fn nobody_misses_a_message_or_is_refused_on_one_socket_with_one_loop() {
    let restarts = Restarts::OnOneSocket;
    nobody_misses_or_doubles_a_message(&Cast {
        restarts,
        messages: SOME,
        ..polls_of_one(1)
    });
}

#[test]
fn nobody_misses_a_message_or_is_refused_on_one_socket_with_three_loops() {
    let restarts = Restarts::OnOneSocket;
    nobody_misses_or_doubles_a_message(&Cast {
        restarts,
        messages: SOME,
        ..polls_of_one(3)
    });
}

#[test]
fn nobody_misses_or_doubles_a_message_of_fifty_chatrooms_with_one_loop() {
    nobody_misses_or_doubles_a_message(&polls_of_fifty(1));
}

#[test]
fn nobody_misses_or_doubles_a_message_of_fifty_chatrooms_with_three_loops() {
    let messages = SOME;
    nobody_misses_or_doubles_a_message(&Cast {
        messages,
        ..polls_of_fifty(3)
    });
}

#[test]
fn nobody_misses_or_doubles_an_event_with_one_loop() {
    nobody_misses_or_doubles_a_message(&streams(1));
}

#[test]
fn nobody_misses_or_doubles_an_event_with_three_loops() {
    let messages = SOME;
    nobody_misses_or_doubles_a_message(&Cast {
        messages,
        ..streams(3)
    });
}
