//! What a batch leaves behind when a part of it fails. Triggers stand in for a disk that fails at a chosen write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::job::{Fault, Job, Saved};
use crate::model::{ChatroomId, ConnectionKey, Secret, SessionHash, Ticket, User, UserId};
use crate::store::lane::{Outlet, Queue};
use crate::store::sqlite::readers;
use crate::store::sqlite::schema;
use crate::store::trouble::Trouble;
use crate::store::write::{NewPassword, NewSession, Raised};
use crate::store::writing::WritingLane;

fn ticket(exchange: u32) -> Ticket {
    Ticket {
        connection: ConnectionKey::from_bits(1 << 32).expect("a key"),
        exchange,
        event_loop: 0,
    }
}

fn chatroom(number: i64) -> ChatroomId {
    ChatroomId::new(number).expect("positive")
}

fn user(number: i64) -> User {
    User {
        id: UserId::new(number).expect("positive"),
        name: "ann".into(),
    }
}

fn say(text: &str) -> Write {
    say_as(1, text, None)
}

fn say_as_stranger() -> Write {
    say_as(2, "x", None)
}

fn say_as(author: i64, text: &str, nonce: Option<&str>) -> Write {
    Write::Job(Job::SaveMessage {
        ticket: ticket(1),
        chatroom: chatroom(1),
        author: user(author),
        text: text.into(),
        nonce: nonce.map(Into::into),
    })
}

fn found_chatroom() -> Write {
    Write::Job(Job::CreateChatroom {
        ticket: ticket(1),
        admin: user(1).id,
        name: None,
    })
}

/// A lane on a database with user 1 in chatroom 1.
fn lane(triggers: &str) -> WritingLane<SqliteWriter> {
    let mut connection = Connection::open_in_memory().expect("memory");
    schema::upgrade(&mut connection).expect("the schema");
    connection
        .execute_batch(
            "INSERT INTO users VALUES (1, 'ann', 'ann', 'few$old$hash', 0);
             INSERT INTO chatrooms (id, admin, created, participants) VALUES (1, 1, 0, 1);
             INSERT INTO participants VALUES (1, 1, 1);",
        )
        .expect("rows");
    connection.execute_batch(triggers).expect("triggers");
    let readers = Arc::new(readers::in_memory(|_| ()));
    let sweeper = Sweeper {
        session_lifetime: Duration::MAX,
        retention: None,
    };
    WritingLane {
        writer: SqliteWriter::new(connection, LogWatch::new(Arc::default(), readers), sweeper),
        queue: Arc::new(Queue::new(1, 0)),
        outlet: Outlet::new(|_| (), |_, _| ()),
        counters: Arc::default(),
        put_off: Vec::new(),
    }
}

/// What became of each write: its message's or chatroom's id (negative for a message that was there before), or why
/// there is none.
fn write(lane: &mut WritingLane<SqliteWriter>, mut batch: Vec<Write>) -> Vec<Result<i64, Fault>> {
    let told = lane.write(&mut batch, &[], &mut Trouble::new("writing"));
    let told = told.into_iter();
    let told = told.map(|completion| match completion {
        Completion::MessageSaved { saved, .. } => saved.map(|saved| match saved {
            Saved::New(message) => message.id.get(),
            Saved::Before(before) => -before.id.get(),
        }),
        Completion::LoggedIn { login, .. } => login.map(|_| 0),
        Completion::PasswordChanged { done, .. } => done.map(|()| 0),
        Completion::ChatroomCreated { chatroom, .. } => chatroom.map(ChatroomId::get),
        Completion::SessionFound { found, .. } => Err(found.expect_err("never read")),
        other => panic!("{other:?}"),
    });
    told.collect()
}

fn count(lane: &WritingLane<SqliteWriter>, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    let row = lane
        .writer
        .connection
        .query_row(&count, (), |row| row.get(0));
    row.expect("a number")
}

const FAILS_AT_BAD: &str = "
    CREATE TRIGGER t AFTER INSERT ON messages WHEN new.text = 'bad'
    BEGIN SELECT raise(ABORT, 'no'); END";

const LOSES_ALL_AT_BAD: &str = "
    CREATE TRIGGER t AFTER INSERT ON messages WHEN new.text = 'bad'
    BEGIN SELECT raise(ROLLBACK, 'no'); END";

const FAILS_AT_PARTICIPANTS: &str = "
    CREATE TRIGGER t BEFORE INSERT ON participants
    BEGIN SELECT raise(ABORT, 'no'); END";

#[test]
fn a_failing_write_leaves_the_batch_alone() {
    let mut lane = lane(FAILS_AT_BAD);
    let told = write(
        &mut lane,
        vec![say("a"), say("bad"), say_as_stranger(), say("b")],
    );
    assert_eq!(
        told,
        [
            Ok(1),
            Err(Fault::StorageFailed),
            Err(Fault::NotAParticipant),
            Ok(2)
        ]
    );
    assert_eq!(count(&lane, "messages"), 2);
}

#[test]
fn a_message_whose_nonce_cannot_be_kept_is_taken_back() {
    let mut lane = lane(
        "CREATE TRIGGER t BEFORE INSERT ON nonces WHEN new.nonce = 'bad'
         BEGIN SELECT raise(ABORT, 'no'); END",
    );
    let told = write(
        &mut lane,
        vec![
            say_as(1, "a", Some("good")),
            say_as(1, "b", Some("bad")),
            say_as(1, "c", Some("good")),
            say("d"),
        ],
    );
    assert_eq!(told, [Ok(1), Err(Fault::StorageFailed), Ok(-1), Ok(2)]);
    assert_eq!(count(&lane, "messages"), 2);
}

#[test]
fn a_nonce_of_a_batch_that_is_lost_does_not_count() {
    let mut lane = lane(LOSES_ALL_AT_BAD);
    let batch = vec![say_as(1, "a", Some("n")), say("bad")];
    let failed = Err(Fault::StorageFailed);
    assert_eq!(write(&mut lane, batch), [failed, failed]);
    assert_eq!(write(&mut lane, vec![say_as(1, "a", Some("n"))]), [Ok(1)]);
}

/// The mark of the password that user 1 begins with.
const OLD: &str = "$old$";
const NEW: &str = "$new$";

/// Session 1 stays.
fn change_password(verified: &str) -> Write {
    Write::Password(NewPassword {
        ticket: ticket(1),
        session: SessionHash([1; 32]),
        user: user(1).id,
        verified: verified.to_owned(),
        password: "few$new$hash".to_owned(),
    })
}

fn log_in(verified: &str) -> Write {
    log_in_raising(verified, None)
}

fn log_in_raising(verified: &str, raised: Option<Raised>) -> Write {
    // Any that are not there yet.
    static SESSIONS: AtomicU8 = AtomicU8::new(9);
    Write::Session(NewSession {
        ticket: ticket(1),
        user: user(1),
        token: Secret("token".into()),
        session: SessionHash([SESSIONS.fetch_add(1, Ordering::Relaxed); 32]),
        verified: verified.to_owned(),
        raised,
    })
}

fn password(lane: &WritingLane<SqliteWriter>) -> String {
    let password = "SELECT password FROM users";
    let password = lane
        .writer
        .connection
        .query_row(password, (), |row| row.get(0));
    password.expect("user 1")
}

#[test]
fn a_password_that_was_changed_after_it_was_verified_opens_nothing() {
    let mut lane = lane("");
    let stale = [change_password("$other$"), log_in("$other$")];
    let refused = Err(Fault::BadCredentials);
    assert_eq!(write(&mut lane, stale.into()), [refused, refused]);
    assert_eq!(count(&lane, "sessions"), 0);
    let batch = vec![
        log_in(OLD),
        change_password(OLD),
        log_in(OLD),
        change_password(OLD),
    ];
    assert_eq!(write(&mut lane, batch), [Ok(0), Ok(0), refused, refused]);
    assert_eq!(count(&lane, "sessions"), 0, "the login before has ended");
}

#[test]
fn a_hash_is_raised_once_and_never_brings_an_old_password_back() {
    let mut lane = lane("");
    let raise = || {
        let [before, after] = ["few$old$hash", "more$old$hash"].map(str::to_owned);
        log_in_raising(OLD, Some(Raised { before, after }))
    };
    assert_eq!(write(&mut lane, vec![raise()]), [Ok(0)]);
    assert_eq!(password(&lane), "more$old$hash");
    // They were verified before that: the password is the same.
    let batch = vec![raise(), log_in(OLD), change_password(OLD)];
    assert_eq!(write(&mut lane, batch), [Ok(0); 3]);
    let refused = Err(Fault::BadCredentials);
    assert_eq!(
        write(&mut lane, vec![raise(), log_in(NEW)]),
        [refused, Ok(0)]
    );
    assert_eq!(password(&lane), "few$new$hash");
}

#[test]
fn a_password_is_not_changed_where_sessions_cannot_be_ended() {
    let mut lane = lane(
        "INSERT INTO sessions VALUES (x'02', 1, 0, 0);
         CREATE TRIGGER t BEFORE DELETE ON sessions BEGIN SELECT raise(ABORT, 'no'); END",
    );
    let told = write(&mut lane, vec![change_password(OLD), say("a")]);
    assert_eq!(told, [Err(Fault::StorageFailed), Ok(1)]);
    assert_eq!(password(&lane), "few$old$hash");
}

#[test]
fn half_a_write_is_taken_back() {
    let mut lane = lane(FAILS_AT_PARTICIPANTS);
    let told = write(&mut lane, vec![say("a"), found_chatroom(), say("b")]);
    assert_eq!(told, [Ok(1), Err(Fault::StorageFailed), Ok(2)]);
    assert_eq!(count(&lane, "chatrooms"), 1);
    lane.writer
        .connection
        .execute_batch("DROP TRIGGER t")
        .expect("gone");
    assert_eq!(write(&mut lane, vec![found_chatroom()]), [Ok(2)]);
}

#[test]
fn a_lost_transaction_fails_the_batch_and_not_the_next() {
    let mut lane = lane(LOSES_ALL_AT_BAD);
    let batch = vec![
        say("a"),
        say_as_stranger(),
        say("bad"),
        say("b"),
        found_chatroom(),
    ];
    let failed = Err(Fault::StorageFailed);
    let refused = Err(Fault::NotAParticipant);
    assert_eq!(
        write(&mut lane, batch),
        [failed, refused, failed, failed, failed]
    );
    assert_eq!(count(&lane, "messages"), 0);
    assert_eq!(write(&mut lane, vec![say("a")]), [Ok(1)]);
}

#[test]
fn a_commit_that_fails_is_rolled_back() {
    // A deferred foreign key is checked by COMMIT, which then leaves the transaction open.
    let mut lane = lane(
        "PRAGMA foreign_keys = ON;
         CREATE TABLE d (x INTEGER REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER t AFTER INSERT ON messages WHEN new.text = 'bad'
         BEGIN INSERT INTO d VALUES (99); END",
    );
    let told = write(&mut lane, vec![say("a"), say_as_stranger(), say("bad")]);
    let failed = Err(Fault::StorageFailed);
    assert_eq!(told, [failed, Err(Fault::NotAParticipant), failed]);
    assert!(lane.writer.connection.is_autocommit());
    assert_eq!(count(&lane, "messages"), 0);
    assert_eq!(write(&mut lane, vec![say("a")]), [Ok(1)]);
}

#[test]
fn a_panic_is_the_jobs_alone() {
    let mut lane = lane("");
    // A read in the writing lane is a defect, and so panics.
    let stray = Write::Job(Job::FindSession {
        event_loop: 0,
        session: SessionHash([0; 32]),
    });
    let told = write(&mut lane, vec![say("a"), stray, say("b")]);
    assert_eq!(told, [Ok(1), Err(Fault::StorageFailed), Ok(2)]);
}

#[test]
fn what_was_taken_back_is_not_remembered() {
    let failed = Err(Fault::StorageFailed);
    let mut lane = lane(LOSES_ALL_AT_BAD);
    assert_eq!(write(&mut lane, vec![say("a"), say("b")]), [Ok(1), Ok(2)]);
    assert_eq!(
        write(&mut lane, vec![say("c"), say("bad")]),
        [failed, failed]
    );
    assert_eq!(write(&mut lane, vec![say("c"), say("d")]), [Ok(3), Ok(4)]);
}

#[test]
fn who_is_removed_is_not_remembered() {
    let mut lane = lane(
        "INSERT INTO users VALUES (2, 'bob', 'bob', '', 0); INSERT INTO participants VALUES (1, 2, 2)",
    );
    let from_bob = || say_as(2, "x", None);
    assert_eq!(
        write(&mut lane, vec![from_bob(), from_bob()]),
        [Ok(1), Ok(2)]
    );
    let remove = Job::RemoveParticipant {
        ticket: ticket(1),
        chatroom: chatroom(1),
        by: user(2).id,
        whom: crate::job::Whom::Id(user(2).id),
    };
    lane.write(
        &mut vec![from_bob(), Write::Job(remove)],
        &[],
        &mut Trouble::new("writing"),
    );
    assert_eq!(
        write(&mut lane, vec![from_bob()]),
        [Err(Fault::NotAParticipant)]
    );
    assert_eq!(write(&mut lane, vec![say("x")]), [Ok(4)]);
}
