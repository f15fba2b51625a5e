//! Whoever polls with `since`, and sends with a `nonce`, loses nothing and doubles nothing, whatever befalls the servers.
//!
//! Followers poll one chatroom each, some a message at a time, some all that there is, or fifty on one socket, or hear a stream that they cut every few
//! messages; senders send each message until it is answered. Meanwhile the test does to the servers what it likes. In the end
//! each follower has seen every message of its chatrooms once, in the order of the ids, and every message that anybody has sent is among them.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use loiter_client::strict::PATIENCE;
use loiter_client::{Client, Following, Message, News, Pauses, Stop, Where, Whereabouts};

pub(crate) const SENDERS: usize = 4;

/// What is said in each chatroom when all is over.
const LAST: &str = "the last";

/// Whom a run has, beside the senders, who go around the chatrooms.
pub(crate) struct Cast {
    pub(crate) chatrooms: usize,
    /// Of each sender, at most: see [`Stage::is_enough`].
    pub(crate) messages: usize,
    pub(crate) followers: Vec<Follower>,
}

/// What somebody follows, and how.
#[derive(Clone, Debug)]
pub(crate) enum Follower {
    /// Polls, with a limit.
    Polls(Chatrooms, Option<u8>),
    /// Streams of one chatroom, each cut behind so many messages.
    Streams(u64, usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Chatrooms {
    One(u64),
    These(Vec<u64>),
    All,
}

/// What whoever breaks things sees of a run.
pub(crate) struct Stage<'a> {
    pub(crate) whereabouts: &'a Whereabouts,
    /// A word for each message that is acknowledged.
    pub(crate) acknowledged: Receiver<()>,
    is_enough: &'a AtomicBool,
}

/// What a follower has seen, by chatroom, each message at the place of its id.
type Seen = BTreeMap<u64, Vec<String>>;

impl Stage<'_> {
    /// Waits until so many more have been acknowledged.
    #[track_caller]
    pub(crate) fn await_acknowledged(&self, count: usize) {
        for nth in 0..count {
            let acknowledged = self.acknowledged.recv_timeout(PATIENCE);
            assert!(acknowledged.is_ok(), "{nth} of {count} are acknowledged");
        }
    }

    /// The same, of what is acknowledged from now on.
    #[allow(dead_code, reason = "each target that includes this uses its part")]
    #[track_caller]
    pub(crate) fn await_more(&self, count: usize) {
        self.acknowledged.try_iter().for_each(drop);
        self.await_acknowledged(count);
    }

    /// Nobody sends anything more.
    #[allow(dead_code, reason = "each target that includes this uses its part")]
    pub(crate) fn is_enough(&self) {
        self.is_enough.store(true, Ordering::Relaxed);
    }
}

impl Cast {
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

    /// A run in the session of somebody who is in chatrooms 1, 2 …; `act` keeps the servers that are to serve to the end.
    pub(crate) fn lose_nothing<T>(&self, token: &str, act: impl FnOnce(&Stage<'_>) -> T) {
        let mut crowd = Crowd {
            token: token.to_owned(),
            whereabouts: Whereabouts::default(),
            stops: Vec::new(),
        };
        let whereabouts = crowd.whereabouts.clone();
        let is_enough = AtomicBool::new(false);
        let (sent, followed) = thread::scope(|scope| {
            let (finish, finished) = mpsc::channel();
            let followers = Vec::from_iter(self.followers.iter().map(|follower| {
                let (client, finish) = (crowd.client(), finish.clone());
                scope.spawn(move || {
                    let seen = follow(client, self, follower);
                    let _ = finish.send(());
                    seen
                })
            }));
            let (acknowledge, acknowledged) = mpsc::channel();
            let senders = Vec::from_iter((0..SENDERS).map(|sender| {
                let (client, acknowledge) = (crowd.client(), acknowledge.clone());
                let is_enough = &is_enough;
                scope.spawn(move || send(client, sender, self, &acknowledge, is_enough))
            }));
            drop((finish, acknowledge));
            let stage = Stage {
                whereabouts: &whereabouts,
                acknowledged,
                is_enough: &is_enough,
            };
            let _servers = act(&stage);
            // All is sent, and nothing is broken any more: whoever waits in vain has missed something.
            stage.acknowledged.iter().for_each(drop);
            let sent = Vec::from_iter(senders.into_iter().map(joined));
            let mut client = crowd.client();
            for chatroom in 1..=self.chatrooms as u64 {
                client.send(chatroom, LAST).expect("sent");
            }
            let has_finished = |_: &_| finished.recv_timeout(PATIENCE).is_ok();
            followers.iter().all(has_finished);
            drop(crowd);
            (sent, Vec::from_iter(followers.into_iter().map(joined)))
        });
        for (seen, follower) in followed.into_iter().zip(&self.followers) {
            for (chatroom, texts) in seen {
                let what = format!("{follower:?} in {chatroom}");
                self.assert_whole(&sent, chatroom, texts, &what);
            }
        }
    }

    /// All that was sent is there, and nothing else, and nothing twice.
    fn assert_whole(&self, sent: &[usize], chatroom: u64, texts: Vec<String>, what: &str) {
        let wanted = sent.iter().enumerate().flat_map(|(sender, &count)| {
            let own = (0..count).filter(move |&n| self.chatroom(n) == chatroom);
            own.map(move |n| format!("{sender}-{n}"))
        });
        let wanted = HashSet::<String>::from_iter(wanted.chain([LAST.to_owned()]));
        assert_eq!(texts.len(), wanted.len(), "{what}");
        let seen = HashSet::from_iter(texts);
        assert_eq!(wanted.difference(&seen).next(), None, "{what}: missed");
    }

    /// Where a sender's nth message goes.
    fn chatroom(&self, n: usize) -> u64 {
        (n % self.chatrooms + 1) as u64
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("done")
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

/// Tells of each message that is acknowledged; returns how many that were.
fn send(
    mut client: Client,
    sender: usize,
    cast: &Cast,
    acknowledged: &Sender<()>,
    is_enough: &AtomicBool,
) -> usize {
    for n in 0..cast.messages {
        if is_enough.load(Ordering::Relaxed) {
            return n;
        }
        let text = format!("{sender}-{n}");
        let sent = client.send_as(&text, cast.chatroom(n), &text);
        sent.unwrap_or_else(|error| panic!("{text}: {error}"));
        // The last ones may come when nobody counts any more.
        let _ = acknowledged.send(());
    }
    cast.messages
}

/// Returns what was said, when it has heard the last of each chatroom.
fn follow(client: Client, cast: &Cast, follower: &Follower) -> Seen {
    let chatrooms = cast.chatrooms_of(follower);
    let mut seen: Seen = chatrooms.iter().map(|&id| (id, Vec::new())).collect();
    let mut open = chatrooms.len();
    let mut take = |message: &Message| {
        let of_chatroom = seen.get_mut(&message.chatroomid).expect("followed");
        assert_eq!(message.id, of_chatroom.len() as u64 + 1, "{message:?}");
        of_chatroom.push(message.message.clone());
        open -= usize::from(message.message == LAST);
        match open {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
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
            poll(client, following, &mut take);
        }
        Follower::Streams(chatroom, cut) => stream(&client, *chatroom, *cut, &mut take),
    }
    seen
}

/// Takes a message, and says whether there are more to come.
type Take<'a> = &'a mut dyn FnMut(&Message) -> ControlFlow<()>;

fn poll(mut client: Client, following: Following, take: Take<'_>) {
    let followed = client.follow(following, |news| {
        let News::Messages(messages) = news else {
            panic!("nothing is removed here, and nothing lost: {news:?}");
        };
        // Behind the last there is nothing.
        messages.iter().map(&mut *take).last().expect("some")
    });
    followed.unwrap_or_else(|error| panic!("{error}"));
}

/// Hears streams one after the other, each from where the one before was cut.
fn stream(client: &Client, chatroom: u64, cut: usize, take: Take<'_>) {
    let mut last = 0;
    while !client.stop().is_stopped() {
        // The server is gone, or will be: the next one finds it.
        let Ok(stream) = client.stream(chatroom, Some(last)) else {
            continue;
        };
        for message in stream.take(cut).map_while(Result::ok) {
            last = message.id;
            if take(&message).is_break() {
                return;
            }
        }
    }
}
