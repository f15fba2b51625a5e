//! Whoever polls with `since`, and sends with a `nonce`, loses nothing and doubles nothing, however often the server dies.
//!
//! Followers poll one chatroom each, some a message at a time, some all that there is; senders send each message until it
//! is answered. Meanwhile the server is killed and started anew. In the end each follower has seen every message of its
//! chatroom once, in the order of the ids, and every message that anybody has sent is among them.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Condvar, Mutex};
use std::thread;

use crate::server::{Answer, Client, Killed, prepare};

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
    place: Mutex<Place>,
    changed: Condvar,
}

#[derive(Clone, Default)]
struct Place {
    address: String,
    /// How many there were.
    number: usize,
    /// There will be no other.
    is_last: bool,
}

impl Whereabouts {
    fn set(&self, address: &str) {
        let mut place = self.place.lock().expect("never poisoned");
        place.number += 1;
        address.clone_into(&mut place.address);
        self.changed.notify_all();
    }

    /// Waits for an address beyond the first `known`; `None` when there will be none.
    fn beyond(&self, known: usize) -> Option<Place> {
        let place = self.place.lock().expect("never poisoned");
        let is_old = |place: &mut Place| place.number <= known && !place.is_last;
        let place = self.changed.wait_while(place, is_old);
        let place = place.expect("never poisoned").clone();
        (place.number > known).then_some(place)
    }

    fn end(&self) {
        self.place.lock().expect("never poisoned").is_last = true;
        self.changed.notify_all();
    }

    /// Does one thing after the other, each as often as it takes.
    fn persist<T>(
        &self,
        cookie: &str,
        mut next: impl FnMut() -> Option<T>,
        mut ask: impl FnMut(&mut Client, &T) -> io::Result<()>,
    ) {
        let (mut known, mut client) = (0, None);
        while let Some(one) = next() {
            loop {
                let mut connected = match client.take() {
                    Some(client) => client,
                    None => {
                        let Some(place) = self.beyond(known) else {
                            return;
                        };
                        known = place.number;
                        match Client::connect(&place.address, cookie) {
                            Ok(client) => client,
                            Err(_) => continue,
                        }
                    }
                };
                if ask(&mut connected, &one).is_ok() {
                    client = Some(connected);
                    break;
                }
            }
        }
    }

    /// Tells of each message that is acknowledged.
    fn send(&self, cookie: &str, sender: usize, acknowledged: &Sender<()>) {
        let mut texts = (0..MESSAGES).map(|n| (n % CHATROOMS + 1, format!("{sender}-{n}")));
        let send = |client: &mut Client, (chatroom, text): &(usize, String)| {
            let target = format!(
                "/message/sendMessage/?chatroomid={chatroom}&message={text}&nonce={text}&limit=1"
            );
            assert_ok(&client.post(&target)?);
            // The last ones may come when nobody counts any more.
            let _ = acknowledged.send(());
            Ok(())
        };
        self.persist(cookie, || texts.next(), send);
    }

    /// Returns what was said.
    fn follow(&self, cookie: &str, chatroom: usize, limit: Option<u8>) -> Vec<String> {
        let seen = Mutex::new(Vec::new());
        let limit = limit.map_or_else(String::new, |limit| format!("&limit={limit}"));
        let next = || {
            let since = seen.lock().expect("never poisoned").len();
            (since < SENDERS * MESSAGES / CHATROOMS).then_some(since)
        };
        let poll = |client: &mut Client, since: &usize| {
            let target = format!("/message/longpoll/?chatroomid={chatroom}&since={since}{limit}");
            let answer = client.get(&target)?;
            assert_ok(&answer);
            let mut seen = seen.lock().expect("never poisoned");
            for message in answer.body.as_array().expect("a list") {
                assert_eq!(message["id"], seen.len() + 1, "in {chatroom}{limit}");
                seen.push(message["message"].as_str().expect("a text").to_owned());
            }
            Ok(())
        };
        self.persist(cookie, next, poll);
        seen.into_inner().expect("never poisoned")
    }
}

fn assert_ok(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Ends all that wait for a server, also when a test fails.
struct End<'a>(&'a Whereabouts);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Kills the server whenever another share of the messages has been acknowledged.
fn serve(
    database: &Path,
    loops: usize,
    whereabouts: &Whereabouts,
    acknowledged: &Receiver<()>,
) -> Killed {
    let mut server = Killed::start(database, loops);
    whereabouts.set(&server.address);
    for _ in 0..KILLS {
        let share = SENDERS * MESSAGES / (KILLS + 1);
        assert_eq!(acknowledged.iter().take(share).count(), share);
        server.kill();
        server = Killed::start(database, loops);
        whereabouts.set(&server.address);
    }
    server
}

fn nobody_misses_or_doubles_a_message(loops: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("loiter.db");
    let cookie = &prepare(&database, CHATROOMS as i64);
    let whereabouts = &Whereabouts::default();
    let followed = thread::scope(|scope| {
        let followers = Vec::from_iter((0..).zip(LIMITS).map(|(n, limit)| {
            scope.spawn(move || whereabouts.follow(cookie, n % CHATROOMS + 1, limit))
        }));
        let (acknowledge, acknowledged) = mpsc::channel();
        for sender in 0..SENDERS {
            let acknowledge = acknowledge.clone();
            scope.spawn(move || whereabouts.send(cookie, sender, &acknowledge));
        }
        drop(acknowledge);
        let end = End(whereabouts);
        let _server = serve(&database, loops, whereabouts, &acknowledged);
        // All is sent, and nobody is killed any more: whoever waits in vain has missed something.
        acknowledged.iter().for_each(drop);
        drop(end);
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
