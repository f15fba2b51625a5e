//! Several servers on one PostgreSQL: what is written through one of them is told by all. Run by `tests/cluster.sh`, which has a database for it.
//!
//! - Here: servers in this process, two or three on a schema of their own.
//! - `faults`: three processes behind nginx, while one thing after another breaks, and nobody loses or doubles a message.
//! - `figures`: how much later a message comes to another server; it measures.
//! - `counts`: what they ask of the database.
//! - `asked`: whom one waits for that has asked the others.
//! - `hints`: those from an address of their own.
//! - `locks`: what somebody else has locked in the database.
//! - `promoted`, `gone_back`, `standby`: a PostgreSQL that another one follows.
//! - `nodes`, `nginx`, `unsteady`: those processes, what is before them, and the PostgreSQL behind them.

mod asked;
mod counts;
mod faults;
mod figures;
#[path = "../lossless/mod.rs"]
mod lossless;
mod nginx;
mod nodes;
#[path = "../crash/server.rs"]
mod server;
mod tls;
mod unsteady;
mod upgrade;

mod deaf;
mod failover;
mod frozen;
mod gone_back;
mod hints;
mod late;
mod locks;
mod parked;
mod promoted;
#[cfg(feature = "redis")]
mod redis;
#[path = "../serving/mod.rs"]
mod serving;
mod standby;
mod usual;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loiter::Config;
use loiter::config::Hints;
use serde_json::{Value, json};
use serving::{Serving, Session, adding, get, polling, post, saying};

/// Event loops of each server: what is told has to reach all of them.
pub(crate) const LOOPS: usize = 2;

/// Long enough that what is told was told by a hint, and nobody has asked.
const SELDOM: Duration = Duration::from_secs(60);

/// Several servers on the same database.
fn servers<const N: usize>(set: impl Fn(&mut Config)) -> [Serving; N] {
    let first = Serving::with(&set);
    let database = first.database();
    let mut first = Some(first);
    std::array::from_fn(|_| {
        first.take().unwrap_or_else(|| {
            Serving::with(|config| {
                config.database = database.clone();
                set(config);
            })
        })
    })
}

fn hinting(config: &mut Config) {
    config.ask_every = SELDOM;
}

fn asking(config: &mut Config) {
    config.hints = Hints::None;
}

fn since(session: &Session, chatroom: i64, id: i64) -> serving::Request {
    polling(session, chatroom).with("since", id)
}

fn ids(list: &Value) -> Vec<i64> {
    let list = list.as_array().expect("a list").iter();
    list.map(|message| message["id"].as_i64().expect("an id"))
        .collect()
}

fn a_poll_on_one_is_woken_by_a_message_on_another(set: fn(&mut Config)) {
    let [one, other] = servers(set);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let id = one.chatroom(&ann);
    one.ask(&adding(&ann, id, bob.userid)).ok();
    let mut poll = other.poll(&bob, id);
    let mut following = other.connect();
    following.park(&bob, &since(&bob, id, 0));
    let said = one.say(&ann, id, "hi");
    assert_eq!(poll.answer().ok(), said);
    assert_eq!(following.answer().ok(), said);
    // … and back, to one that has loaded the chatroom before.
    let mut poll = one.connect();
    poll.park(&ann, &since(&ann, id, 1));
    let said = other.say(&bob, id, "hello");
    assert_eq!(ids(&said), [1, 2]);
    assert_eq!(ids(&poll.answer().ok()), [2]);
}

#[test]
fn a_hint_wakes_polls_on_another_server() {
    a_poll_on_one_is_woken_by_a_message_on_another(hinting);
}

#[test]
fn asking_alone_wakes_polls_on_another_server() {
    a_poll_on_one_is_woken_by_a_message_on_another(asking);
}

/// The other has loaded none of the chatrooms, and need not.
fn a_poll_of_all_on_one_is_woken_by_a_message_on_another(set: fn(&mut Config)) {
    let [one, other] = servers(set);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let id = one.chatroom(&ann);
    one.ask(&adding(&ann, id, bob.userid)).ok();
    let of_all = get("/message/longpoll").of(&bob).with("chatroomid", "all");
    let mut poll = other.connect();
    poll.park(&bob, &of_all.with("since", format!("{id}:0")));
    let said = one.say(&ann, id, "hi");
    assert_eq!(poll.answer().ok(), said);
}

#[test]
fn a_hint_wakes_polls_of_all_on_another_server() {
    a_poll_of_all_on_one_is_woken_by_a_message_on_another(hinting);
}

#[test]
fn asking_alone_wakes_polls_of_all_on_another_server() {
    a_poll_of_all_on_one_is_woken_by_a_message_on_another(asking);
}

#[test]
fn a_session_that_has_ended_has_ended_everywhere() {
    sessions_end_everywhere(hinting);
}

fn sessions_end_everywhere(set: impl Fn(&mut Config)) {
    let [one, other] = servers(set);
    let ann = one.user("ann");
    let id = one.chatroom(&ann);
    let mut poll = other.poll(&ann, id);
    one.ask(&post("/logout").of(&ann)).ok();
    poll.answer().assert_failed(401, "no_session");
    other
        .ask(&get("/message/chatrooms").of(&ann))
        .assert_failed(401, "no_session");
}

#[test]
fn who_joins_and_leaves_does_so_everywhere() {
    whoever_joins_and_leaves_does_so_everywhere(hinting);
}

fn whoever_joins_and_leaves_does_so_everywhere(set: impl Fn(&mut Config)) {
    let [one, other] = servers(set);
    let (ann, bob) = (one.user("ann"), other.user("bob"));
    let id = one.chatroom(&ann);
    other
        .ask(&polling(&bob, id))
        .assert_failed(500, "not_a_participant");
    one.ask(&adding(&ann, id, bob.userid)).ok();
    // What is told of it is on its way, to each loop by itself: this connection's is asked.
    let mut poll = other.connect();
    while poll.ask(&get("/message/chatrooms").of(&bob)).ok() != json!([id]) {}
    poll.park(&bob, &since(&bob, id, 0));
    poll.assert_silent();
    let leave = post("/message/removeFromChatroom").of(&ann);
    one.ask(
        &leave
            .with("chatroomid", id)
            .with("usertoremove", bob.userid),
    )
    .ok();
    poll.answer().assert_failed(500, "not_a_participant");
}

/// Senders at all servers, followers that go to another server with each poll: each hears everything, once, in order.
#[test]
fn what_is_followed_from_server_to_server_has_no_gap() {
    const EACH: usize = 100;
    let servers: [Serving; 3] = servers(|config| config.hints = Hints::Notify);
    let ann = servers[0].user("ann");
    let id = servers[0].chatroom(&ann);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let senders: Vec<_> = servers
            .iter()
            .map(|server| {
                let ann = &ann;
                scope.spawn(move || {
                    for n in 0..EACH {
                        server.ask(&saying(ann, id, &format!("{n}"))).ok();
                    }
                })
            })
            .collect();
        let last = (servers.len() * EACH) as i64;
        let followers: Vec<_> = (0..3)
            .map(|at| {
                let (servers, ann, is_over) = (&servers, &ann, &is_over);
                scope.spawn(move || {
                    let mut heard = Vec::new();
                    let mut server = at;
                    while heard.last() != Some(&last) && !is_over.load(Ordering::Relaxed) {
                        let newest = heard.last().copied().unwrap_or(0);
                        let poll = since(ann, id, newest).with("timeout", 5);
                        heard.extend(ids(&servers[server].ask(&poll).ok()));
                        server = (server + 1) % servers.len();
                    }
                    heard
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("all sent");
        }
        for follower in followers {
            let heard = follower.join().expect("all heard");
            assert_eq!(heard, Vec::from_iter(1..=last));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
