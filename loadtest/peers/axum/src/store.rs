//! SQLite: one thread that writes, and a pool of connections that read.
//!
//! The writing thread takes all that waits, runs it in one transaction, commits once, and hands the whole batch to a task
//! of the runtime, which publishes it in order. So a sync to disk is shared by all who wait for it, nobody sees a message
//! before it is on disk, and the woken tasks are scheduled from inside the runtime and not from a foreign thread.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{mpsc as async_mpsc, oneshot};

use crate::failure::Failure;
use crate::room::Room;
use crate::session::{Session, Token};

/// Jobs of one transaction, at most.
const BATCH_MAX: usize = 1024;
const READERS: u32 = 4;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, password TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    token BLOB NOT NULL PRIMARY KEY, user INTEGER NOT NULL REFERENCES users (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chatrooms (
    id INTEGER PRIMARY KEY AUTOINCREMENT, admin INTEGER NOT NULL REFERENCES users (id)
) STRICT;
CREATE TABLE IF NOT EXISTS participants (
    chatroom INTEGER NOT NULL, place INTEGER NOT NULL, user INTEGER NOT NULL, PRIMARY KEY (chatroom, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS participants_by_user ON participants (user, chatroom);
CREATE TABLE IF NOT EXISTS messages (
    chatroom INTEGER NOT NULL, id INTEGER NOT NULL, user INTEGER NOT NULL, text TEXT NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (chatroom, id)
) STRICT, WITHOUT ROWID;
";

/// What the writing thread runs within the transaction.
type Job = Box<dyn FnOnce(&mut Writer) -> Done + Send>;
/// What the publishing task runs behind it; hears whether the transaction was committed.
type Done = Box<dyn FnOnce(bool) + Send>;

/// The database.
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    readers: r2d2::Pool<SqliteConnectionManager>,
}

struct Writer {
    connection: Connection,
    /// The newest message's id of each chatroom written to; empty after a rollback.
    last: HashMap<i64, i64>,
}

impl Store {
    /// Opens or creates it. Must be called within the runtime.
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(SCHEMA)?;
        let (jobs, waiting) = mpsc::channel();
        let (publish, mut published) = async_mpsc::unbounded_channel::<(Vec<Done>, bool)>();
        let writer = Writer {
            connection,
            last: HashMap::new(),
        };
        thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer.run(&waiting, &publish))?;
        tokio::spawn(async move {
            while let Some((batch, is_committed)) = published.recv().await {
                for done in batch {
                    done(is_committed);
                }
            }
        });
        // The query opens the write-ahead log, so that no read needs another file once the server is up.
        let readers = SqliteConnectionManager::file(path)
            .with_init(|reader| reader.execute_batch("SELECT 1 FROM sqlite_schema LIMIT 1"));
        let readers = r2d2::Pool::builder().max_size(READERS).build(readers)?;
        Ok(Self { jobs, readers })
    }

    /// Runs `job` in a savepoint of the next transaction; what it made, once that is committed.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let result = writer.in_savepoint(job);
            Box::new(move |is_committed| {
                let _ = reply.send(if is_committed {
                    result
                } else {
                    Err(Failure::StorageFailed)
                });
            })
        });
        self.jobs.send(job).map_err(|_| Failure::StorageFailed)?;
        answer.await.map_err(|_| Failure::StorageFailed)?
    }

    /// Saves a message; the list of most recent messages with it.
    pub(crate) async fn save(
        &self,
        room: Arc<Room>,
        session: Arc<Session>,
        text: String,
    ) -> Result<Bytes, Failure> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let saved = writer.save(room.id, session.user, &text);
            Box::new(move |is_committed| {
                let list = match saved {
                    Ok((id, time)) if is_committed => {
                        let author = (session.user, session.name.as_str());
                        Ok(room.said(message_json(room.id, id, author, &text, time)))
                    }
                    Ok(_) => Err(Failure::StorageFailed),
                    Err(e) => Err(e.into()),
                };
                let _ = reply.send(list);
            })
        });
        self.jobs.send(job).map_err(|_| Failure::StorageFailed)?;
        answer.await.map_err(|_| Failure::StorageFailed)?
    }

    /// Runs `read` on a connection of the pool, on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let readers = self.readers.clone();
        let result = tokio::task::spawn_blocking(move || {
            let connection = readers.get().map_err(|_| Failure::StorageFailed)?;
            Ok(read(&connection)?)
        });
        result.await.map_err(|_| Failure::StorageFailed)?
    }

    pub(crate) async fn session(&self, token: Token) -> Result<Option<Session>, Failure> {
        self.read(move |connection| {
            let sql = "SELECT users.id, users.name FROM sessions JOIN users ON users.id = user WHERE token = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let session = |row: &rusqlite::Row<'_>| {
                Ok(Session {
                    user: row.get(0)?,
                    name: row.get(1)?,
                    token,
                })
            };
            statement.query_row([&token[..]], session).optional()
        })
        .await
    }

    /// A chatroom as it is in the database.
    pub(crate) async fn room(&self, id: i64, recent_max: usize) -> Result<Option<Room>, Failure> {
        self.read(move |connection| {
            let sql = "SELECT admin FROM chatrooms WHERE id = ?1";
            let admin = connection.query_row(sql, [id], |row| row.get(0));
            let Some(admin) = admin.optional()? else {
                return Ok(None);
            };
            let sql = "SELECT user FROM participants WHERE chatroom = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let participants = statement.query_map([id], |row| row.get(0))?;
            let participants = participants.collect::<rusqlite::Result<HashSet<i64>>>()?;
            let sql = "SELECT messages.id, users.id, users.name, text, time FROM messages \
                JOIN users ON users.id = messages.user WHERE chatroom = ?1 ORDER BY messages.id DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let newest = statement.query_map(params![id, recent_max as i64], |row| {
                let name: String = row.get(2)?;
                let text: String = row.get(3)?;
                Ok(message_json(id, row.get(0)?, (row.get(1)?, &name), &text, row.get(4)?))
            })?;
            let mut recent = newest.collect::<rusqlite::Result<VecDeque<String>>>()?;
            recent.make_contiguous().reverse();
            Ok(Some(Room::new(id, admin, participants, recent, recent_max)))
        })
        .await
    }
}

impl Writer {
    fn run(
        mut self,
        waiting: &mpsc::Receiver<Job>,
        publish: &async_mpsc::UnboundedSender<(Vec<Done>, bool)>,
    ) {
        while let Ok(first) = waiting.recv() {
            let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
            let mut done = vec![first(&mut self)];
            while done.len() < BATCH_MAX
                && let Ok(job) = waiting.try_recv()
            {
                done.push(job(&mut self));
            }
            let committed = begun.and_then(|()| self.connection.execute_batch("COMMIT"));
            if let Err(e) = &committed {
                eprintln!("storage: {e}");
                let _ = self.connection.execute_batch("ROLLBACK");
                self.last.clear();
            }
            if publish.send((done, committed.is_ok())).is_err() {
                return;
            }
        }
    }

    fn in_savepoint<T>(
        &mut self,
        job: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.connection.execute_batch("SAVEPOINT job")?;
        let result = job(&self.connection);
        if result.is_err() {
            self.connection.execute_batch("ROLLBACK TO job")?;
        }
        self.connection.execute_batch("RELEASE job")?;
        result
    }

    /// The new message's id and time.
    fn save(&mut self, chatroom: i64, user: i64, text: &str) -> rusqlite::Result<(i64, i64)> {
        let last = match self.last.get(&chatroom) {
            Some(last) => *last,
            None => {
                let sql = "SELECT coalesce(max(id), 0) FROM messages WHERE chatroom = ?1";
                self.connection
                    .query_row(sql, [chatroom], |row| row.get(0))?
            }
        };
        let (id, time) = (last + 1, now_ms());
        let sql =
            "INSERT INTO messages (chatroom, id, user, text, time) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(params![chatroom, id, user, text, time])?;
        self.last.insert(chatroom, id);
        Ok((id, time))
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as i64
}

fn message_json(chatroom: i64, id: i64, author: (i64, &str), text: &str, time_ms: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(time_ms.unsigned_abs());
    let time = humantime::format_rfc3339_millis(time);
    let (user, name) = (author.0, serde_json::Value::from(author.1));
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"id":{id},"chatroomid":{chatroom},"userid":{user},"username":{name},"message":{text},"time":"{time}"}}"#
    )
}
