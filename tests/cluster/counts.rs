//! What servers ask of their database, counted by the database itself (pg_stat_statements): while nobody speaks, for a message, for its delivery
//! at another server, for a login.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use loiter::Config;
use loiter_client::strict::PATIENCE;

use crate::serving::{Client, Request, Serving, Session, ending, get, logging_in, polling, saying};
use crate::unsteady::Unsteady;

/// The statements that there are, each by a part of it that no other has before it in this list.
const STATEMENTS: [(&str, &str); 31] = [
    ("BEGIN", "begin"),
    ("COMMIT", "commit"),
    ("SET LOCAL", "set"),
    ("SAVEPOINT", "savepoint"),
    ("RELEASE", "release"),
    ("FOR NO KEY UPDATE) AS verified", "add session"),
    ("ORDER BY id FOR NO KEY UPDATE", "lock chatrooms"),
    (
        "JOIN participants ON participants.user_id = asked",
        "are participants",
    ),
    ("JOIN nonces USING", "find nonces"),
    ("INSERT INTO messages", "add messages"),
    ("UPDATE chatrooms SET last_message", "note last"),
    ("INSERT INTO nonces", "add nonces"),
    ("pg_notify", "notify"),
    ("FROM changes\n WHERE (time >", "ask changes"),
    ("SELECT txid_current_snapshot()", "ask written"),
    ("<> told.message", "ask newer"),
    ("FROM messages WHERE messages.chatroom = told", "fetch news"),
    ("SELECT id, name, password FROM users", "credentials"),
    ("FROM sessions JOIN users", "session"),
    (
        "SELECT chatroom FROM participants WHERE user_id",
        "chatrooms of user",
    ),
    ("WITH others AS", "ask servers"),
    ("INSERT INTO changes", "add changes"),
    ("INSERT INTO answers", "answer"),
    ("DELETE FROM answers USING", "take answers"),
    ("INSERT INTO servers", "say here"),
    ("max(nth.time)", "attempts"),
    ("SELECT id, last_message FROM chatrooms", "last messages"),
    ("ORDER BY messages.id DESC LIMIT", "newest messages"),
    ("ORDER BY participants.place", "participants"),
    ("DELETE FROM", "sweep"),
    ("pg_stat_statements", "counting"),
];

/// How often each statement was executed.
type Counts = BTreeMap<&'static str, i64>;

/// A database of its own, in which all is counted.
struct Counted {
    unsteady: Unsteady,
    name: String,
}

impl Counted {
    fn new() -> Self {
        let unsteady = Unsteady::take();
        let name = unsteady.new_database();
        let create = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements";
        let mut client = unsteady.client("postgres");
        client.batch_execute(create).expect("an extension");
        Self { unsteady, name }
    }

    /// A server that asks by itself as seldom as can be.
    fn server(&self) -> Serving {
        self.server_with(|config| config.ask_every = Duration::from_secs(60))
    }

    fn server_with(&self, set: impl FnOnce(&mut Config)) -> Serving {
        let before = self.all();
        let server = Serving::alone("what it asks is counted", |config| {
            config.database = format!("{}/{}", self.unsteady.address(), self.name).into();
            // Each would load what it needs.
            config.loops = 1;
            set(config);
        });
        // What is done once has been done: it has been swept, and asked what others have changed.
        let begun = Instant::now();
        let has_begun = |all: &Counts| {
            let more =
                |name, count| all.get(name) >= Some(&(before.get(name).unwrap_or(&0) + count));
            more("sweep", 3) && more("ask changes", 2) && more("ask written", 1)
        };
        while !has_begun(&self.all()) {
            assert!(begun.elapsed() < PATIENCE, "nothing is swept");
            thread::yield_now();
        }
        server
    }

    fn all(&self) -> Counts {
        let calls = "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON oid = dbid
            WHERE datname = $1 AND calls > 0";
        let mut client = self.unsteady.client("postgres");
        let mut counts = Counts::new();
        for row in client.query(calls, &[&self.name]).expect("counted") {
            let (query, calls): (String, i64) = (row.get(0), row.get(1));
            let name = STATEMENTS.iter().find(|(part, _)| query.contains(part));
            // What is done at the start, and never again, needs no name.
            *counts
                .entry(name.map_or("other", |(_, name)| name))
                .or_default() += calls;
        }
        counts
    }

    /// What is executed while something is done.
    fn during(&self, act: impl FnOnce()) -> Counts {
        let before = self.all();
        act();
        let mut counts = self.all();
        for (name, count) in &mut counts {
            *count -= before.get(name).unwrap_or(&0);
        }
        counts.retain(|_, count| *count > 0);
        counts
    }
}

#[track_caller]
fn assert_counts(counts: &Counts, wanted: &[(&'static str, i64)]) {
    assert_eq!(*counts, Counts::from_iter(wanted.iter().copied()));
}

/// Ann, at a server that knows her and her chatroom.
fn ann(server: &Serving) -> (Session, i64) {
    let ann = server.user("ann");
    let id = server.chatroom(&ann);
    server.say(&ann, id, "before");
    (ann, id)
}

#[test]
fn a_batch_is_told_once_whatever_is_in_it() {
    const SENDERS: usize = 60;
    let counted = Counted::new();
    let server = counted.server();
    let (ann, id) = ann(&server);
    let other = server.chatroom(&ann);
    let mut lock = counted.unsteady.client(&counted.name);
    let counts = counted.during(|| {
        lock.batch_execute("BEGIN; LOCK TABLE chatrooms IN EXCLUSIVE MODE")
            .expect("a lock");
        // The first are in a batch that waits for the lock, and all others in those that come behind it.
        let mut senders: Vec<Client> = (0..SENDERS).map(|_| server.connect()).collect();
        for (at, sender) in senders.iter_mut().enumerate() {
            sender.send(saying(&ann, [id, other][at % 2], "hi").bytes());
        }
        server.warm(&ann);
        lock.batch_execute("ROLLBACK").expect("unlocked");
        for sender in &mut senders {
            sender.answer().ok();
        }
    });
    let batches = counts["add messages"];
    assert!(batches < SENDERS as i64 / 4, "{counts:?}");
    assert_eq!(counts["notify"], batches, "{counts:?}");
}

#[test]
fn a_message_costs_so_much() {
    const MANY: i64 = 20;
    let counted = Counted::new();
    let server = counted.server();
    let (ann, id) = ann(&server);
    let counts = counted.during(|| {
        (0..MANY).for_each(|_| drop(server.say(&ann, id, "hi")));
    });
    let message = [
        ("begin", MANY),
        ("set", 3 * MANY),
        ("lock chatrooms", MANY),
        ("are participants", MANY),
        ("add messages", MANY),
        ("note last", MANY),
        ("notify", MANY),
        ("commit", MANY),
    ];
    assert_counts(&counts, &message);
    let counts = counted.during(|| {
        for n in 0..MANY {
            server.ask(&saying(&ann, id, "hi").with("nonce", n)).ok();
        }
    });
    let nonces = [("find nonces", MANY), ("add nonces", MANY)];
    assert_counts(&counts, &[&message[..], &nonces].concat());
}

#[test]
fn a_delivery_at_another_server_costs_one_question() {
    const MANY: i64 = 20;
    let counted = Counted::new();
    let [one, other] = [(); 2].map(|()| counted.server());
    let (ann, id) = ann(&one);
    let mut polls: Vec<Client> = (0..3).map(|_| other.connect()).collect();
    let mut last = 1;
    let mut deliver = || {
        for poll in &mut polls {
            poll.park(&ann, &polling(&ann, id).with("since", last));
        }
        one.say(&ann, id, "hi");
        last += 1;
        for poll in &mut polls {
            poll.answer().ok();
        }
    };
    // What is loaded once is here by now.
    deliver();
    let counts = counted.during(|| (0..MANY).for_each(|_| deliver()));
    assert_eq!(counts["fetch news"], MANY, "{counts:?}");
    let of_messages = [
        "begin",
        "set",
        "lock chatrooms",
        "are participants",
        "add messages",
        "note last",
        "notify",
        "commit",
    ];
    // Where a poll is parked its session's chatrooms are asked for before, which are as new as the database.
    let others = Vec::from_iter(counts.keys().filter(|name| !of_messages.contains(name)));
    assert_eq!(others, [&"chatrooms of user", &"fetch news"]);
    assert_eq!(counts["chatrooms of user"], 3 * MANY);
}

#[test]
fn a_login_costs_so_much() {
    const MANY: i64 = 10;
    let counted = Counted::new();
    let server = counted.server();
    ann(&server);
    let mut sessions = Vec::new();
    let counts = counted.during(|| {
        for _ in 0..MANY {
            sessions.push(Session::of(&server.ask(&logging_in("ann"))));
        }
    });
    assert_counts(
        &counts,
        &[
            ("attempts", MANY),
            ("credentials", MANY),
            ("begin", MANY),
            ("set", 3 * MANY),
            ("savepoint", MANY),
            ("add session", MANY),
            ("release", MANY),
            ("commit", MANY),
        ],
    );
    // What comes first in a session looks it up, also at a server that has never heard of it.
    let elsewhere = counted.server();
    elsewhere.warm(&sessions[0]);
    let counts = counted.during(|| {
        for session in &sessions[1..] {
            elsewhere.ask(&get("/whoami/").of(session)).ok();
        }
    });
    assert_counts(&counts, &[("session", MANY - 1)]);
}

#[test]
fn what_is_asked_of_other_servers_costs_each_of_them_an_answer() {
    const MANY: i64 = 10;
    let counted = Counted::new();
    let servers = [(); 3].map(|()| counted.server());
    let (ann, id) = ann(&servers[0]);
    let presence = get("/message/presence/").with("chatroomid", id).of(&ann);
    for once in [&presence, &ending(&ann, id)] {
        servers[0].ask(once).ok();
    }
    let ask = |request: &Request| {
        counted.during(|| (0..MANY).for_each(|_| drop(servers[0].ask(request).ok())))
    };
    let asked = [
        // The server that asks, and the two others: each in a transaction of its own, none of which waits for the disk.
        ("begin", 3 * MANY),
        ("set", 4 * 3 * MANY),
        ("savepoint", 3 * MANY),
        ("ask servers", MANY),
        ("answer", 2 * MANY),
        ("release", 3 * MANY),
        ("notify", 3 * MANY),
        ("commit", 3 * MANY),
        ("ask changes", 2 * MANY),
    ];
    let mut counts = ask(&presence);
    // Answers may come one by one.
    let taken = |counts: &mut Counts| {
        let taken = counts.remove("take answers").expect("they are taken");
        assert!((MANY..=2 * MANY).contains(&taken), "{taken}");
    };
    taken(&mut counts);
    assert_counts(
        &counts,
        &[&asked[..], &[("participants", 3 * MANY)]].concat(),
    );
    let mut counts = ask(&ending(&ann, id));
    taken(&mut counts);
    assert_counts(&counts, &asked);
}

#[test]
fn who_waits_costs_three_statements_for_each_time_it_is_asked() {
    const TIMES: i64 = 20;
    let counted = Counted::new();
    let server = counted.server_with(|config| config.ask_every = Duration::from_millis(100));
    let (ann, id) = ann(&server);
    let mut poll = server.poll(&ann, id);
    let counts = counted.during(|| {
        let begun = Instant::now();
        let asked = || counted.all().get("ask written").copied().unwrap_or(0);
        let before = asked();
        while asked() < before + TIMES {
            assert!(begun.elapsed() < PATIENCE, "it does not ask");
            thread::yield_now();
        }
    });
    poll.assert_silent();
    assert!(
        (TIMES..=TIMES + 2).contains(&counts["ask written"]),
        "{counts:?}"
    );
    for also in ["ask changes", "say here"] {
        assert!(
            (counts[also] - counts["ask written"]).abs() <= 1,
            "{counts:?}"
        );
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
}
