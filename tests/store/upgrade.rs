//! A database that an older loiter has written, with something in every table: all of it is there, and goes on.
//!
//! The old schema stands here as text of its own. It must not follow the store's.

use super::*;

/// Version 1, as it was.
const VERSION_1: &str = "
CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL, created INTEGER NOT NULL) STRICT;
CREATE TABLE sessions (token BLOB NOT NULL PRIMARY KEY, user INTEGER NOT NULL REFERENCES users (id),
    created INTEGER NOT NULL, last_used INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_last_use ON sessions (last_used);
CREATE TABLE chatrooms (id INTEGER PRIMARY KEY AUTOINCREMENT, admin INTEGER NOT NULL REFERENCES users (id),
    created INTEGER NOT NULL) STRICT;
CREATE TABLE participants (chatroom INTEGER NOT NULL REFERENCES chatrooms (id), place INTEGER NOT NULL,
    user INTEGER NOT NULL REFERENCES users (id), PRIMARY KEY (chatroom, place)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX participants_by_user ON participants (user, chatroom);
CREATE TABLE messages (chatroom INTEGER NOT NULL, id INTEGER NOT NULL, user INTEGER NOT NULL, text TEXT NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (chatroom, id)) STRICT, WITHOUT ROWID;
PRAGMA application_id = 0x6c6f6974;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
";

/// Three have registered and two are in the second chatroom; users 2 and 9 have gone, as far as ids tell.
const ROWS: &str = "
INSERT INTO users VALUES (1, 'Ann', 'ann', 'HASH', 5), (3, 'bob', 'bob', 'HASH', 6), (9, 'carl', 'carl', 'HASH', 6);
INSERT INTO chatrooms VALUES (1, 1, 7), (2, 3, 7);
INSERT INTO participants VALUES (1, 1, 1), (2, 1, 3), (2, 2, 1);
INSERT INTO messages VALUES (2, 1, 3, 'one', 1700000000000), (2, 2, 1, 'two', 1700000001000),
    (2, 3, 3, 'three', 1700000002000);
";

/// As a store of today stores it, which takes those of the first version as they are.
fn password_hash() -> String {
    let mut fixture = Fixture::new();
    fixture.user("somebody");
    let hash = "SELECT password FROM users";
    fixture
        .sqlite()
        .query_row(hash, (), |row| row.get(0))
        .expect("a hash")
}

fn older() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = Connection::open(folder.path().join("loiter.db")).expect("a database");
    sqlite.execute_batch(VERSION_1).expect("the schema");
    let rows = ROWS.replace("HASH", &password_hash());
    sqlite.execute_batch(&rows).expect("rows");
    let session = hash_of(&Secret("token".into()));
    let insert = "INSERT INTO sessions VALUES (?1, 3, ?2, ?2)";
    sqlite
        .execute(insert, (session.0, i64::MAX / 2))
        .expect("a session");
    folder
}

#[test]
fn a_database_of_version_1_goes_on_with_all_that_it_has() {
    let folder = older();
    let mut fixture = Fixture::with(|config| config.database = folder.path().join("loiter.db"));
    assert_eq!(fixture.find("", 9), ["Ann", "bob", "carl"]);
    let (ann, _) = fixture.log_in("ann", "password").expect("the old password");
    let row = fixture.session(hash_of(&Secret("token".into())));
    assert_eq!(row.expect("the old session").user.id.get(), 3);
    let second = ChatroomId::new(2).expect("positive");
    let recent = fixture.recent(second, 50);
    let texts: Vec<&str> = recent
        .messages
        .iter()
        .map(|message| &*message.text)
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(recent.messages[0].time_unix_ms, 1_700_000_000_000);
    assert_eq!(
        fixture.say(second, &ann, "four").expect("saved").id.get(),
        4
    );
    let overview = field!(
        fixture.ask(Job::ListOverview {
            ticket: ticket(1),
            user: ann.id
        }),
        OverviewListed,
        chatrooms
    );
    let overview = overview.expect("a read");
    let rooms: Vec<_> = (overview.iter())
        .map(|row| {
            (
                row.chatroom.get(),
                row.participants,
                row.last.map(|id| id.get()),
            )
        })
        .collect();
    assert_eq!(rooms, [(2, 2, Some(4)), (1, 1, None)]);
    // No id is given twice.
    assert_eq!(fixture.user("dora").id.get(), 10);
    assert_eq!(fixture.chatroom(&ann).get(), 3);
    let check = fixture.sqlite();
    let check = check.pragma_query_value(None, "integrity_check", |row| row.get(0));
    assert_eq!(check, Ok("ok".to_owned()));
}

#[test]
fn what_is_too_old_goes_also_from_an_upgraded_database() {
    let folder = older();
    let mut fixture = Fixture::with(|config| {
        config.database = folder.path().join("loiter.db");
        config.retention = Some(Duration::from_secs(3600));
    });
    let told = fixture.next();
    let Completion::MessagesExpired { chatroom, first } = told else {
        panic!("{told:?}");
    };
    assert_eq!((chatroom.get(), first.get()), (2, 4));
}

/// The newest version that this knows the older ones of.
#[test]
fn every_older_version_stands_here() {
    let fixture = Fixture::new();
    let version = fixture
        .sqlite()
        .pragma_query_value(None, "user_version", |row| row.get(0));
    assert_eq!(
        version,
        Ok(2),
        "a database of each older version belongs here"
    );
}
