//! All SQL, as named constants: the schema by version, then what the lanes run.
//!
//! Nothing here knows a Rust type. A statement's comment names its parameters in their order, and after the
//! arrow the columns of its rows.
//!
//! Two tables carry the load, and their keys are chosen for it:
//!
//! - `messages` is clustered by `(chatroom, id)`: the newest of a chatroom are one range, and its highest id
//!   is one step down the tree. It refers to no other table, since a foreign key would look up what
//!   [`NEWEST_MESSAGE_FOR`] has just checked, once more for each message.
//! - `participants` is clustered by `(chatroom, place)`, the order in which it is listed; the other way round,
//!   `(user, chatroom)` is unique, and answers both "which chatrooms" and "is he in it".

/// The steps from an empty file to the newest schema. Step `n` (from 0) makes version `n + 1` of version `n`.
///
/// A step that was ever released is never changed: the next version is one more constant here.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// AUTOINCREMENT keeps ids of users and chatrooms from being used again.
///
/// A table without rowid declares its key's columns first, in the key's order. It is stored in that order anyway;
/// where the two differ, `PRAGMA integrity_check` of older SQLites (3.40, Debian 12's) takes one column for another,
/// and reports damage that is none.
const VERSION_1: &str = "
CREATE TABLE users (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT    NOT NULL,
    folded   TEXT    NOT NULL UNIQUE,
    password TEXT    NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token     BLOB    NOT NULL PRIMARY KEY,
    user      INTEGER NOT NULL REFERENCES users (id),
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_last_use ON sessions (last_used);

CREATE TABLE chatrooms (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    admin   INTEGER NOT NULL REFERENCES users (id),
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE participants (
    chatroom INTEGER NOT NULL REFERENCES chatrooms (id),
    place    INTEGER NOT NULL,
    user     INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (chatroom, place)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX participants_by_user ON participants (user, chatroom);

CREATE TABLE messages (
    chatroom INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    text     TEXT    NOT NULL,
    time     INTEGER NOT NULL,
    PRIMARY KEY (chatroom, id)
) STRICT, WITHOUT ROWID;
";

/// A chatroom's name is null where it has none, and `participants` says how many are in it; a nonce is of one user in one chatroom.
///
/// None of a chatroom's messages is older than `oldest_time`, which is null where it has none. `last_message` and `last_time` are of the newest that it
/// had when it was emptied.
///
/// `probes` has one row: what is written where it only matters that something is.
const VERSION_2: &str = "
ALTER TABLE chatrooms ADD COLUMN name TEXT;
ALTER TABLE chatrooms ADD COLUMN participants INTEGER NOT NULL DEFAULT 0;

UPDATE chatrooms SET participants =
    (SELECT count(*) FROM participants WHERE participants.chatroom = chatrooms.id);

ALTER TABLE chatrooms ADD COLUMN oldest_time INTEGER;
ALTER TABLE chatrooms ADD COLUMN last_message INTEGER;
ALTER TABLE chatrooms ADD COLUMN last_time INTEGER;

UPDATE chatrooms SET oldest_time =
    (SELECT time FROM messages WHERE chatroom = chatrooms.id ORDER BY messages.id LIMIT 1);

CREATE INDEX chatrooms_by_oldest_time ON chatrooms (oldest_time) WHERE oldest_time IS NOT NULL;

CREATE TABLE nonces (
    chatroom INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    nonce    TEXT    NOT NULL,
    message  INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    PRIMARY KEY (chatroom, user, nonce)
) STRICT, WITHOUT ROWID;

CREATE INDEX nonces_by_time ON nonces (time);

CREATE INDEX sessions_by_user ON sessions (user);

CREATE TABLE probes (
    count INTEGER NOT NULL
) STRICT;

INSERT INTO probes (count) VALUES (0);
";

/// For a connection that writes, before it is known whose database it is: nothing in it changes the file.
///
/// `temp_store`: a statement's journal stays in memory, so that a full disk cannot fail a rollback.
/// `cache_size`: 16 MiB (a negative number is in KiB); many busy chatrooms are many leaves of `messages`.
pub(super) const SET_UP_WRITER: &str = "
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
";

/// For the writer of a database that is known to be ours.
///
/// When there are checkpoints is our own affair (see [`super::checkpoint`]). A log that long reads have let grow
/// beyond 64 MiB is cut back when it starts over.
pub(super) const LOG_AHEAD: &str = "
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 67108864;
";

/// For a connection that only reads. The query opens the write-ahead log and its index, so that no read
/// needs another file descriptor once the server is up.
pub(super) const SET_UP_READER: &str = "
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
SELECT 1 FROM sqlite_schema LIMIT 1;
";

pub(super) const JOURNAL_MODE: &str = "PRAGMA journal_mode = WAL";
pub(super) const SYNCHRONOUS_FULL: &str = "PRAGMA synchronous = FULL";
pub(super) const SYNCHRONOUS_NORMAL: &str = "PRAGMA synchronous = NORMAL";
pub(super) const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
pub(super) const MOVE_LOG: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// The same, and waits for those who write or read from the log, as long as the connection waits for anybody.
pub(super) const LEAVE_LOG: &str = "PRAGMA wal_checkpoint(RESTART)";
/// As a checkpoint that does nothing: busy, pages in the log, pages of them that are moved.
pub(super) const LOOK_AT_LOG: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Begins a read transaction, and has it hold on to what is committed now.
pub(super) const HOLD_ON: &str = "
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
BEGIN;
SELECT 1 FROM sqlite_schema LIMIT 1;
";

/// For a file that is nobody's yet: it is synced as a whole when it is written, and worth nothing before.
pub(super) const SET_UP_COPY: &str = "
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA synchronous = OFF;
PRAGMA journal_mode = OFF;
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
";

/// → "ok", or what is wrong
pub(super) const LOOK_FOR_DAMAGE: &str = "PRAGMA integrity_check(1)";

/// The same without comparing indexes with their tables.
pub(super) const LOOK_QUICKLY_FOR_DAMAGE: &str = "PRAGMA quick_check(1)";

pub(super) const COUNT_PAGES: &str = "PRAGMA page_count";
pub(super) const PAGE_BYTES: &str = "PRAGMA page_size";
pub(super) const COUNT_TABLES: &str = "SELECT count(*) FROM sqlite_schema";

/// Another number whenever somebody else has written, with another connection.
pub(super) const DATA_VERSION: &str = "PRAGMA data_version";

pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const SAVEPOINT: &str = "SAVEPOINT job";
pub(super) const RELEASE: &str = "RELEASE job";
pub(super) const UNDO_TO_SAVEPOINT: &str = "ROLLBACK TO job";

/// token → user, name, last use
pub(super) const SESSION: &str = "
SELECT users.id, users.name, sessions.last_used
FROM sessions JOIN users ON users.id = sessions.user
WHERE sessions.token = ?1";

/// user → chatrooms
pub(super) const CHATROOMS_OF_USER: &str = "
SELECT chatroom FROM participants WHERE user = ?1 ORDER BY chatroom";

/// chatroom, count → the newest messages, newest first
pub(super) const NEWEST_MESSAGES: &str = "
SELECT messages.id, users.id, users.name, messages.text, messages.time
FROM messages JOIN users ON users.id = messages.user
WHERE messages.chatroom = ?1
ORDER BY messages.id DESC LIMIT ?2";

/// chatroom, who asks → the oldest message that is kept or the next to come, the newest ever; no row for one who is not
/// in it
pub(super) const MESSAGE_BOUNDS_FOR: &str = "
SELECT coalesce((SELECT min(id) FROM messages WHERE chatroom = ?1), chatrooms.last_message + 1, 1),
       coalesce((SELECT max(id) FROM messages WHERE chatroom = ?1), chatrooms.last_message)
FROM participants JOIN chatrooms ON chatrooms.id = participants.chatroom
WHERE participants.user = ?2 AND participants.chatroom = ?1";

/// chatroom → the newest message that it had when it was emptied
pub(super) const LAST_MESSAGE: &str = "SELECT last_message FROM chatrooms WHERE id = ?1";

/// chatroom → the newest message ever, if there was one
pub(super) const NEWEST_MESSAGE: &str = "
SELECT coalesce((SELECT max(id) FROM messages WHERE chatroom = ?1),
                (SELECT last_message FROM chatrooms WHERE id = ?1))";

/// chatroom, id, id, count → the oldest messages that are newer than the first and not newer than the second, oldest first
pub(super) const MESSAGES_BETWEEN: &str = "
SELECT messages.id, users.id, users.name, messages.text, messages.time
FROM messages JOIN users ON users.id = messages.user
WHERE messages.chatroom = ?1 AND messages.id > ?2 AND messages.id <= ?3
ORDER BY messages.id LIMIT ?4";

/// first folded name, first folded name beyond, count → users
pub(super) const USERS_IN_RANGE: &str = "
SELECT id, name FROM users
WHERE folded >= ?1 AND folded < ?2
ORDER BY folded LIMIT ?3";

/// chatroom → users
pub(super) const PARTICIPANTS: &str = "
SELECT users.id, users.name
FROM participants JOIN users ON users.id = participants.user
WHERE participants.chatroom = ?1
ORDER BY participants.place";

/// chatroom, who asks → users; none at all for one who is not in it
pub(super) const PARTICIPANTS_FOR: &str = "
SELECT users.id, users.name
FROM participants JOIN users ON users.id = participants.user
WHERE participants.chatroom = ?1
  AND EXISTS (SELECT 1 FROM participants WHERE user = ?2 AND chatroom = ?1)
ORDER BY participants.place";

/// user → chatroom, its name, admin, count of participants and newest message
///
/// The newest message of each is two steps down the tree of `messages`: as dear as a column of `chatrooms` would be to
/// each message that is written, and far fewer overviews are read.
pub(super) const OVERVIEW: &str = "
SELECT chatrooms.id, chatrooms.name, chatrooms.admin, chatrooms.participants,
       coalesce(newest.id, chatrooms.last_message)
FROM participants AS place
JOIN chatrooms ON chatrooms.id = place.chatroom
LEFT JOIN messages AS newest ON newest.chatroom = place.chatroom
    AND newest.id = (SELECT max(id) FROM messages WHERE chatroom = place.chatroom)
WHERE place.user = ?1
ORDER BY coalesce(newest.time, chatrooms.last_time) DESC, chatrooms.id DESC";

/// folded name → user
pub(super) const USER_BY_NAME: &str = "SELECT id FROM users WHERE folded = ?1";

/// user → user, if there is one
pub(super) const USER_BY_ID: &str = "SELECT id FROM users WHERE id = ?1";

/// user, count → the users that come after it, and when they were registered
pub(super) const USERS_AFTER: &str = "
SELECT id, name, created FROM users WHERE id > ?1 ORDER BY id LIMIT ?2";

/// folded name → user, name, password
pub(super) const CREDENTIALS: &str = "SELECT id, name, password FROM users WHERE folded = ?1";

/// name, folded name, password, now
pub(super) const ADD_USER: &str = "
INSERT INTO users (name, folded, password, created) VALUES (?1, ?2, ?3, ?4)";

/// user → password
pub(super) const PASSWORD_OF_USER: &str = "SELECT password FROM users WHERE id = ?1";

/// user, password
pub(super) const SET_PASSWORD: &str = "UPDATE users SET password = ?2 WHERE id = ?1";

/// user, password, the mark of the password before; changes nothing if that is another by now
pub(super) const CHANGE_PASSWORD: &str = "
UPDATE users SET password = ?2 WHERE id = ?1 AND instr(password, ?3) > 0";

/// user, the password's hash with more iterations, the one with fewer; changes nothing if that is another by now
pub(super) const RAISE_PASSWORD: &str = "
UPDATE users SET password = ?2 WHERE id = ?1 AND password = ?3";

/// user
pub(super) const REMOVE_SESSIONS_OF_USER: &str = "DELETE FROM sessions WHERE user = ?1";

/// user, token
pub(super) const REMOVE_OTHER_SESSIONS: &str = "
DELETE FROM sessions WHERE user = ?1 AND token <> ?2";

/// token, user, now, the mark of the password that was verified; adds nothing if that is another by now
pub(super) const ADD_SESSION: &str = "
INSERT INTO sessions (token, user, created, last_used)
SELECT ?1, id, ?3, ?3 FROM users WHERE id = ?2 AND instr(password, ?4) > 0";

/// token
pub(super) const REMOVE_SESSION: &str = "DELETE FROM sessions WHERE token = ?1";

/// token, time
pub(super) const TOUCH_SESSION: &str = "
UPDATE sessions SET last_used = ?2 WHERE token = ?1 AND last_used < ?2";

/// the last use before which a session has expired, count
pub(super) const REMOVE_EXPIRED_SESSIONS: &str = "
DELETE FROM sessions WHERE token IN
    (SELECT token FROM sessions WHERE last_used < ?1 ORDER BY last_used LIMIT ?2)";

/// admin, name, now
pub(super) const ADD_CHATROOM: &str = "
INSERT INTO chatrooms (admin, name, created) VALUES (?1, ?2, ?3)";

/// chatroom, admin, name; changes nothing if the user is not the chatroom's admin
pub(super) const RENAME_CHATROOM: &str = "
UPDATE chatrooms SET name = ?3 WHERE id = ?1 AND admin = ?2";

/// chatroom → admin, name
pub(super) const CHATROOM: &str = "SELECT admin, name FROM chatrooms WHERE id = ?1";

/// chatroom, user → a row if the user is the chatroom's admin
pub(super) const IS_ADMIN: &str = "SELECT 1 FROM chatrooms WHERE id = ?1 AND admin = ?2";

/// chatroom, user
pub(super) const ADD_PARTICIPANT: &str = "
INSERT INTO participants (chatroom, user, place)
VALUES (?1, ?2, 1 + (SELECT coalesce(max(place), 0) FROM participants WHERE chatroom = ?1))
ON CONFLICT (user, chatroom) DO NOTHING";

/// chatroom, user
pub(super) const REMOVE_PARTICIPANT: &str = "
DELETE FROM participants WHERE user = ?2 AND chatroom = ?1";

/// chatroom, user → whether the user is its admin, how many are in it; no row if the user is not
pub(super) const STANDING_OF_PARTICIPANT: &str = "
SELECT chatrooms.admin = ?2, chatrooms.participants
FROM participants JOIN chatrooms ON chatrooms.id = participants.chatroom
WHERE participants.user = ?2 AND participants.chatroom = ?1";

/// chatroom, how many have joined, less those who have left
pub(super) const COUNT_PARTICIPANTS: &str = "
UPDATE chatrooms SET participants = participants + ?2 WHERE id = ?1";

/// chatroom, user → the chatroom's newest message and its time, null where it has none; no row if the user is not in it
pub(super) const NEWEST_MESSAGE_FOR: &str = "
SELECT newest.id, newest.time
FROM participants LEFT JOIN messages AS newest ON newest.chatroom = ?1
    AND newest.id = (SELECT max(id) FROM messages WHERE chatroom = ?1)
WHERE participants.user = ?2 AND participants.chatroom = ?1";

/// chatroom, now → the next message's id and time, of a chatroom that has no messages. To be run before its first: should that not
/// be written after all, it costs the sweep a look.
pub(super) const BEGIN_MESSAGES: &str = "
UPDATE chatrooms SET oldest_time = max(?2, coalesce(last_time, 0)) WHERE id = ?1
RETURNING 1 + coalesce(last_message, 0), oldest_time";

/// chatroom, id, user, text, time
pub(super) const ADD_MESSAGE: &str = "
INSERT INTO messages (chatroom, id, user, text, time) VALUES (?1, ?2, ?3, ?4, ?5)";

/// chatroom, user, nonce, the time before which it does not count → the message that was sent with it
pub(super) const MESSAGE_OF_NONCE: &str = "
SELECT message FROM nonces WHERE chatroom = ?1 AND user = ?2 AND nonce = ?3 AND time >= ?4";

/// chatroom, user, nonce, message, time; takes the place of one that no longer counts
pub(super) const ADD_NONCE: &str = "
INSERT INTO nonces (chatroom, user, nonce, message, time) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (chatroom, user, nonce) DO UPDATE SET message = excluded.message, time = excluded.time";

/// the time before which a nonce does not count, count
pub(super) const REMOVE_OLD_NONCES: &str = "
DELETE FROM nonces WHERE (chatroom, user, nonce) IN
    (SELECT chatroom, user, nonce FROM nonces WHERE time < ?1 ORDER BY time LIMIT ?2)";

/// time → the chatroom whose messages may be the oldest, if they may be older than that
pub(super) const CHATROOM_WITH_OLD_MESSAGES: &str = "
SELECT id FROM chatrooms WHERE oldest_time < ?1 ORDER BY oldest_time LIMIT 1";

/// chatroom, count → the oldest messages and their times, oldest first
pub(super) const OLDEST_MESSAGES: &str = "
SELECT id, time FROM messages WHERE chatroom = ?1 ORDER BY id LIMIT ?2";

/// chatroom, message; removes it and those before it
pub(super) const REMOVE_MESSAGES_UNTIL: &str = "
DELETE FROM messages WHERE chatroom = ?1 AND id <= ?2";

/// chatroom, time
pub(super) const NOTE_OLDEST: &str = "UPDATE chatrooms SET oldest_time = ?2 WHERE id = ?1";

/// chatroom, message, time
pub(super) const NOTE_LAST: &str = "
UPDATE chatrooms SET last_message = ?2, last_time = ?3 WHERE id = ?1";

pub(super) const PROBE: &str = "UPDATE probes SET count = count + 1";

/// Of each table that is copied elsewhere: the key's first number, its second, its bytes, count → the rows that come behind that key, in its
/// order. A table that has less of a key has no use for the rest.
#[cfg(feature = "postgres")]
pub(super) const ROWS_AFTER: [&str; 6] = [
    "SELECT id, name, folded, password, created FROM users WHERE id > ?1 ORDER BY id LIMIT ?4",
    "SELECT token, user, created, last_used FROM sessions WHERE token > ?3 ORDER BY token LIMIT ?4",
    "SELECT chatrooms.id, admin, created, name, participants,
            coalesce(newest.id, last_message, 0), coalesce(newest.time, last_time, 0), oldest_time
     FROM chatrooms
     LEFT JOIN messages AS newest ON newest.chatroom = chatrooms.id
         AND newest.id = (SELECT max(id) FROM messages WHERE chatroom = chatrooms.id)
     WHERE chatrooms.id > ?1 ORDER BY chatrooms.id LIMIT ?4",
    "SELECT chatroom, place, user FROM participants
     WHERE (chatroom, place) > (?1, ?2) ORDER BY chatroom, place LIMIT ?4",
    "SELECT chatroom, id, user, text, time FROM messages
     WHERE (chatroom, id) > (?1, ?2) ORDER BY chatroom, id LIMIT ?4",
    "SELECT chatroom, user, CAST(nonce AS BLOB), message, time FROM nonces
     WHERE (chatroom, user, nonce) > (?1, ?2, CAST(?3 AS TEXT)) ORDER BY chatroom, user, nonce LIMIT ?4",
];

/// Of each table that is copied elsewhere: → its rows
#[cfg(feature = "postgres")]
pub(super) const COUNT_ROWS: [&str; 6] = [
    "SELECT count(*) FROM users",
    "SELECT count(*) FROM sessions",
    "SELECT count(*) FROM chatrooms",
    "SELECT count(*) FROM participants",
    "SELECT count(*) FROM messages",
    "SELECT count(*) FROM nonces",
];

/// → the last id that was given to a user, and to a chatroom
#[cfg(feature = "postgres")]
pub(super) const LAST_IDS: &str = "
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'users'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'chatrooms'), 0)";
