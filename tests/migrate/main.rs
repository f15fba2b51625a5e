//! A database moved from its file to PostgreSQL, and the users of one there.
//!
//! All of it needs PostgreSQL, which `tests/cluster.sh --test migrate -- --ignored` starts; so all of it is ignored without.
//!
//! - `killed`: ends in the middle, and what comes after them.
//! - `refused`: what is no source, and what no target.
//! - `users`: the command, on an address.

mod killed;
mod refused;
#[path = "../serving/mod.rs"]
mod serving;
mod users;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loiter::{MigrateError, Migration};
use rusqlite::Connection;
use serving::{Serving, get, post};
use tempfile::TempDir;

const LOOPS: usize = 1;

/// A file's database, and an address that nothing is at yet.
struct Fixture {
    folder: TempDir,
    from: PathBuf,
    to: PathBuf,
}

impl Fixture {
    /// A database of the newest schema, with nothing in it.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = folder.path().join("chat.db");
        let to = serving::database_in(folder.path());
        assert_ne!(from, to, "LOITER_TEST_POSTGRES is not set");
        let fixture = Self { folder, from, to };
        drop(fixture.serve_file());
        fixture
    }

    fn serve_file(&self) -> Serving {
        serve(&self.from)
    }

    fn migration(&self) -> Migration {
        Migration {
            from: self.from.clone(),
            to: self.to.clone(),
        }
    }

    fn migrate(&self) -> Result<Vec<(&'static str, u64)>, MigrateError> {
        self.migration().run(&false.into(), |_, _, _| ())
    }

    fn source(&self) -> Connection {
        Connection::open(&self.from).expect("a database")
    }

    fn target(&self) -> postgres::Client {
        let address = self.to.to_str().expect("UTF-8");
        postgres::Client::connect(address, postgres::NoTls).expect("PostgreSQL")
    }

    /// More than a batch of each table, and what is rare: a chatroom without a name, one that was emptied, one in which nobody ever spoke, texts
    /// of all kinds, ids whose users and chatrooms are gone.
    fn fill(&self) {
        let rows = "
            CREATE TEMP TABLE n AS WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 6000) SELECT x FROM n;
            INSERT INTO users (name, folded, password, created) SELECT 'N' || x, 'n' || x, 'hash ' || x, x FROM n;
            INSERT INTO sessions SELECT randomblob(32), x, x, x + 1 FROM n;
            INSERT INTO chatrooms (admin, created, name, participants) SELECT x, x, iif(x % 2, 'Zoë ' || x, NULL), 2 FROM n;
            INSERT INTO participants SELECT x, 1, x FROM n;
            INSERT INTO participants SELECT x, 7, x % 6000 + 1 FROM n;
            INSERT INTO messages SELECT 1 + x / 3000, x, 1 + x % 7, 'text ''\\ 🦀 ' || x, x * 10 FROM n;
            UPDATE chatrooms SET oldest_time = 5 WHERE id < 4;
            UPDATE chatrooms SET last_message = 41, last_time = 977 WHERE id = 9;
            INSERT INTO nonces SELECT x % 9, x, 'nonce ' || char(0) || x, x, x FROM n;
            DELETE FROM sessions WHERE user > 5990;
            DELETE FROM participants WHERE chatroom > 5990 OR user > 5990;
            DELETE FROM chatrooms WHERE id > 5990;
            DELETE FROM users WHERE id > 5990;
            DROP TABLE n;";
        self.source().execute_batch(rows).expect("rows");
    }

    /// Every row is in both, and nothing else.
    #[track_caller]
    fn assert_equal(&self) {
        let source = self.source();
        let mut target = self.target();
        for (of_source, of_target) in ROWS {
            let mut statement = source.prepare(of_source).expect(of_source);
            let rows = statement.query_map((), |row| row.get::<_, String>(0));
            let rows: rusqlite::Result<Vec<_>> = rows.expect(of_source).collect();
            let mut expected = rows.expect(of_source);
            let found = target.query(of_target, &[]).expect(of_target);
            let mut found = Vec::from_iter(found.iter().map(|row| row.get::<_, String>(0)));
            expected.sort();
            found.sort();
            assert_eq!(found.len(), expected.len(), "{of_target}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected);
            }
        }
    }
}

/// The rows of each table as texts: SQLite's, PostgreSQL's.
const ROWS: [(&str, &str); 6] = [
    (
        "SELECT concat_ws('|', id, name, folded, password, created) FROM users",
        "SELECT concat_ws('|', id, name, folded, password, created) FROM users",
    ),
    (
        "SELECT concat_ws('|', lower(hex(token)), user, created, last_used) FROM sessions",
        "SELECT concat_ws('|', encode(token, 'hex'), user_id, created, last_used) FROM sessions",
    ),
    (
        "SELECT concat_ws('|', id, admin, created, coalesce(name, '-'), participants, coalesce(oldest_time, '-'),
             coalesce((SELECT max(id) FROM messages WHERE chatroom = chatrooms.id), last_message, 0),
             coalesce((SELECT max(time) FROM messages WHERE chatroom = chatrooms.id), last_time, 0)) FROM chatrooms",
        "SELECT concat_ws('|', id, admin, created, coalesce(name, '-'), participants, coalesce(oldest_time::text, '-'),
             last_message, last_time) FROM chatrooms",
    ),
    (
        "SELECT concat_ws('|', chatroom, place, user) FROM participants",
        "SELECT concat_ws('|', chatroom, place, user_id) FROM participants",
    ),
    (
        "SELECT concat_ws('|', chatroom, id, user, text, time) FROM messages",
        "SELECT concat_ws('|', chatroom, id, user_id, text, time) FROM messages",
    ),
    (
        "SELECT concat_ws('|', chatroom, user, lower(hex(nonce)), message, time) FROM nonces",
        "SELECT concat_ws('|', chatroom, user_id, encode(nonce, 'hex'), message, time) FROM nonces",
    ),
];

fn serve(database: &Path) -> Serving {
    Serving::with(|config| database.clone_into(&mut config.database))
}

/// The binary, with nothing of this process's environment.
fn loiter() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loiter"));
    command.env_clear().stdin(Stdio::null());
    command
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn every_row_is_in_both_and_ids_go_on_where_they_were() {
    let fixture = Fixture::new();
    fixture.fill();
    let counts = fixture.migrate().expect("copied");
    let expected = [
        ("users", 5990),
        ("sessions", 5990),
        ("chatrooms", 5990),
        ("participants", 11_979),
        ("messages", 6000),
        ("nonces", 6000),
    ];
    assert_eq!(counts, expected);
    fixture.assert_equal();
    let serving = serve(&fixture.to);
    let ann = serving.user("ann");
    assert_eq!(ann.userid, 6001);
    assert_eq!(serving.chatroom(&ann), 6001);
}

#[test]
#[ignore = "needs PostgreSQL: tests/cluster.sh"]
fn clients_notice_nothing_but_a_restart() {
    let fixture = Fixture::new();
    let serving = fixture.serve_file();
    let ann = serving.user("Ann");
    let bob = serving.user("bob");
    let chatroom = serving.chatroom(&ann);
    serving.add(&ann, chatroom, &bob);
    serving.say(&ann, chatroom, "hello");
    let nonce = || {
        let path = format!("/message/sendMessage/?chatroomid={chatroom}&message=once&nonce=n1");
        post(&path)
    };
    let sent = serving.ask(&nonce().of(&bob)).ok();
    let history = format!("/message/history/?chatroomid={chatroom}");
    let overview = get("/message/overview/").of(&bob);
    let before = (
        serving.ask(&get(&history).of(&ann)).ok(),
        serving.ask(&overview).ok(),
    );
    drop(serving);
    fixture.migrate().expect("copied");
    fixture.assert_equal();
    let serving = serve(&fixture.to);
    // By the cookies of before.
    let after = (
        serving.ask(&get(&history).of(&ann)).ok(),
        serving.ask(&overview).ok(),
    );
    assert_eq!(after, before);
    assert_eq!(serving.ask(&nonce().of(&bob)).ok(), sent);
    serving.login("ann");
    let said = serving.say(&ann, chatroom, "again").to_string();
    assert!(said.contains("again"), "{said}");
    let mut target = fixture.target();
    let ids = target.query_one("SELECT array_agg(id ORDER BY id) FROM messages", &[]);
    let ids: Vec<i64> = ids.expect("messages").get(0);
    assert_eq!(ids, [1, 2, 3]);
}
