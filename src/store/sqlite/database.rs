//! The database's file: its writing connection, its pool of reading ones. Its lock is in `lock`.
//!
//! The order of a start is: the path, the lock, then SQLite. Whoever closes a file loses all the locks that its
//! process has on it, also those that SQLite took (POSIX, fcntl); so nothing here opens the database other
//! than through SQLite, unless it is the lock's holder and SQLite has not begun.
//!
//! Every name is that of a file: `:memory:` and `file:…`, which SQLite would take for something else, are made
//! absolute first. A database in memory would be lost in silence at the server's end.

use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::ScheduledThreadPool;

use super::lock::Lock;
use super::readers::Pool;
use super::{schema, sql};
use crate::config::{Durability, is_foreign_address, shown};
use crate::store::error::OpenError;
use crate::store::job_error::JobError;

/// How long we wait for a lock that another program has on the database.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long SQLite by itself waits for it once the store is open: what [`outwait`] takes the rest in.
pub(super) const BUSY_STEP: Duration = Duration::from_millis(100);

/// Prepared statements kept with each connection: more than there are.
const STATEMENTS_MAX: usize = 64;

/// The least that a SQLite database has, unless it is empty: one page, of the smallest size that there is.
pub(super) const DATABASE_BYTES_MIN: u64 = 512;

/// Pages of a database that is read through at each start: 256 MB, about half a second where the system has them in memory.
const LOOKED_AT_MAX: i64 = 64 * 1024;

/// Files that a writing connection has open at most while it is set up: the database, the write-ahead log and its
/// index, and a journal or a folder to sync.
const WRITER_FILES: usize = 4;

/// Files that another connection adds to that: the database and the log, whose index all share.
const OTHER_FILES: usize = 2;

/// A database that nobody else serves.
pub(super) struct Database {
    path: PathBuf,
    /// Whether its file is to go with us, if nothing is in it: it was made, and is not open yet.
    goes: bool,
    /// The file itself, locked. Closed behind the last connection: whoever closes a file loses SQLite's locks on it.
    _held: File,
    lock: Lock,
}

impl Database {
    /// Finds and locks the database, and creates it, readable only to its owner, where it is missing.
    pub(super) fn claim(given: &Path) -> Result<Self, OpenError> {
        let path = locate(given)?;
        refuse_no_file(&path)?;
        let lock = lock(&path)?;
        let goes = create(&path)?;
        let held = hold(&path)?;
        Ok(Self {
            path,
            goes,
            _held: held,
            lock,
        })
    }

    /// Makes sure that files can still be opened for a writer, for checkpoints and for so many readers.
    ///
    /// SQLite does not say why it cannot open a file, and the pool tries for five seconds; the system
    /// says at once that there are too many.
    pub(super) fn check_descriptors(&self, readers: usize) -> Result<(), OpenError> {
        let wanted = readers
            .saturating_add(1)
            .saturating_mul(OTHER_FILES)
            .saturating_add(WRITER_FILES);
        let spare: io::Result<Vec<File>> = (0..wanted).map(|_| self.lock.try_clone()).collect();
        match spare {
            Ok(_) => Ok(()),
            Err(error) => Err(OpenError::of_io(&self.path, error)),
        }
    }

    /// The only connection that writes, to a database of the newest schema. From here on it stays, as what stands beside it does.
    pub(super) fn writer(&mut self, durability: Durability) -> Result<Connection, OpenError> {
        let of_sqlite = |error| OpenError::of_sqlite(&self.path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut writer = Connection::open_with_flags(&self.path, flags).map_err(of_sqlite)?;
        writer.busy_timeout(BUSY_TIMEOUT).map_err(of_sqlite)?;
        writer
            .execute_batch(sql::SET_UP_WRITER)
            .map_err(of_sqlite)?;
        schema::check(&writer, &self.path)?;
        let is_new = schema::is_empty(&writer).map_err(of_sqlite)?;
        self.look_for_damage(&writer)?;
        log_ahead(&writer, durability).map_err(of_sqlite)?;
        schema::upgrade(&mut writer).map_err(of_sqlite)?;
        if is_new {
            // The schema goes into the file, which alone would else be taken for a new database.
            let emptied = writer.query_row(sql::EMPTY_LOG, (), |_| Ok(()));
            emptied.map_err(of_sqlite)?;
        }
        log_opened(&writer, &self.path, is_new).map_err(of_sqlite)?;
        writer.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        writer.busy_timeout(BUSY_STEP).map_err(of_sqlite)?;
        self.goes = false;
        self.lock.keep();
        Ok(writer)
    }

    /// Refuses what is damaged, where looking takes no time that anybody would notice. A larger database is read through by
    /// whoever makes a copy of it (see [`super::backup`]).
    fn look_for_damage(&self, writer: &Connection) -> Result<(), OpenError> {
        let look = || {
            let pages: i64 = writer.query_row(sql::COUNT_PAGES, (), |row| row.get(0))?;
            match pages > LOOKED_AT_MAX {
                true => Ok(None),
                false => writer.query_row(sql::LOOK_QUICKLY_FOR_DAMAGE, (), |row| row.get(0)),
            }
        };
        let found: Option<String> =
            look().map_err(|error| OpenError::of_sqlite(&self.path, error))?;
        match found.filter(|found| found != "ok") {
            None => Ok(()),
            Some(damage) => Err(OpenError::Damaged {
                database: self.path.clone(),
                damage,
            }),
        }
    }

    /// A connection for checkpoints beside the writer's, once that has set the database up.
    pub(super) fn checkpointer(&self, durability: Durability) -> Result<Connection, OpenError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY_STEP)?;
            connection.execute_batch(sql::SET_UP_READER)?;
            connection.execute_batch(synchronous(durability))?;
            Ok(connection)
        };
        open().map_err(|error| OpenError::of_sqlite(&self.path, error))
    }

    /// Reading connections, all of them open: a thread never waits for one, nor for a free file descriptor.
    pub(super) fn readers(&self, count: usize) -> Result<Pool, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let manager = SqliteConnectionManager::file(&self.path)
            .with_flags(flags)
            .with_init(|reader| {
                reader.busy_timeout(BUSY_TIMEOUT)?;
                reader.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
                reader.execute_batch(sql::SET_UP_READER)?;
                reader.busy_timeout(BUSY_STEP)
            });
        // A connection to a local file does not go stale: nothing to test, nothing to replace. The pool's thread opens them, and has
        // nothing to do from then on; by default there were three.
        let opener = ScheduledThreadPool::builder()
            .num_threads(1)
            .thread_name_pattern("loiter-pool")
            .build();
        Pool::builder()
            .thread_pool(Arc::new(opener))
            .max_size(u32::try_from(count).unwrap_or(u32::MAX))
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(BUSY_TIMEOUT)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build(manager)
            .map_err(|source| OpenError::Pool {
                database: self.path.clone(),
                source,
            })
    }
}

/// A file that we have made, and that is no database yet, is nobody's.
impl Drop for Database {
    fn drop(&mut self) {
        if self.goes && fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Tries again while another program has the lock, for as long as the `patience` lasts, or until `is_over`.
///
/// SQLite's own wait cannot be cut short, and at the store's end nobody should have to sit it out.
pub(super) fn outwait<T>(
    patience: Duration,
    is_over: impl Fn() -> bool,
    mut attempt: impl FnMut() -> Result<T, JobError>,
) -> Result<T, JobError> {
    let give_up_at = Instant::now() + patience;
    loop {
        match attempt() {
            Err(error) if error.is_busy() && Instant::now() < give_up_at && !is_over() => {}
            attempted => return attempted,
        }
    }
}

/// The one path of a file that may be given by several: two of them must not find two locks.
///
/// A link to a file that is not there yet is followed by hand. It ends somewhere: of links that lead in a circle, or
/// too far, the system says that they do.
fn locate(given: &Path) -> Result<PathBuf, OpenError> {
    refuse_no_path(given)?;
    let of_io = |error| OpenError::of_io(given, error);
    let path = path::absolute(given).map_err(of_io)?;
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        located => return located.map_err(of_io),
    }
    let means_folder = given.as_os_str().as_encoded_bytes().ends_with(b"/");
    let (Some(folder), Some(name), false) = (path.parent(), path.file_name(), means_folder) else {
        return Err(OpenError::IsFolder(path));
    };
    match folder.canonicalize() {
        Ok(folder) => match folder.join(name).read_link() {
            Ok(target) => locate(&folder.join(target)),
            Err(_) => Ok(folder.join(name)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::NoFolder(path.to_owned()))
        }
        Err(error) => Err(OpenError::of_io(folder, error)),
    }
}

/// As [`locate`], of a database that is there; `Err` within with the path where none is.
///
/// Unlike a server, who asks for this makes no database of a file that is missing or empty: there would be nothing in it, and all would seem to
/// have gone well.
pub(super) fn locate_existing(given: &Path) -> Result<Result<PathBuf, PathBuf>, OpenError> {
    let of_io = |error| OpenError::of_io(given, error);
    refuse_no_path(given)?;
    let path = path::absolute(given).map_err(of_io)?;
    let path = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(path)),
        located => located.map_err(of_io)?,
    };
    refuse_no_file(&path)?;
    let metadata = fs::metadata(&path).map_err(of_io)?;
    if metadata.len() < DATABASE_BYTES_MIN {
        return Err(OpenError::NotADatabase(path));
    }
    Ok(Ok(path))
}

/// Who gives an address of something else is not to find a folder of its name missing.
fn refuse_no_path(given: &Path) -> Result<(), OpenError> {
    if given.as_os_str().is_empty() {
        return Err(OpenError::NoPath);
    }
    match is_foreign_address(given) {
        true => Err(OpenError::ForeignAddress(shown(given))),
        false => Ok(()),
    }
}

/// A folder, a device and the like can be no database, and nothing is to be written beside them.
fn refuse_no_file(path: &Path) -> Result<(), OpenError> {
    let kind = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(|error| OpenError::of_io(path, error))?,
    };
    let kind = match kind.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => return Err(OpenError::IsFolder(path.to_owned())),
        kind => name_of(kind),
    };
    Err(OpenError::NotAFile {
        path: path.to_owned(),
        kind,
    })
}

/// What people call what is no file and no folder.
fn name_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "no file",
    }
}

/// Takes the lock of a database that is a file or nothing yet.
pub(super) fn lock(database: &Path) -> Result<Lock, OpenError> {
    // SQLite writes other files beside the database.
    if let Some(folder) = database.parent() {
        refuse_read_only(folder)?;
    }
    Lock::take(database)
}

/// Makes the file where it is missing, and says whether it has.
///
/// SQLite would create it readable to everyone whom the umask lets; it holds what people say to one another.
fn create(database: &Path) -> Result<bool, OpenError> {
    refuse_lost(database)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(database) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            refuse_read_only(database)?;
            refuse_scrap(database)?;
            Ok(false)
        }
        Err(error) => Err(OpenError::of_io(database, error)),
    }
}

/// Locks the database's own file beside SQLite, which locks parts of it and by other means: so it is served once also where it has two names,
/// and where the lock beside it was removed. It is open before SQLite opens it and until after SQLite has closed it.
fn hold(database: &Path) -> Result<File, OpenError> {
    let of_io = |error| OpenError::of_io(database, error);
    let file = File::open(database).map_err(of_io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Served(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(of_io(error)),
    }
}

/// SQLite looks into files that could be a database. Shorter ones are none, but to it one of a single byte is
/// empty, and it would write over it.
fn refuse_scrap(database: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(database).map_err(|error| OpenError::of_io(database, error))?;
    if (1..DATABASE_BYTES_MIN).contains(&metadata.len()) {
        return Err(OpenError::NotADatabase(database.to_owned()));
    }
    Ok(())
}

/// A log is written when the database has a page at least. SQLite would remove one beside an empty database, and with it
/// what may be all that is left.
fn refuse_lost(database: &Path) -> Result<(), OpenError> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes(database) > 0 || bytes(Path::new(&log)) == 0 {
        return Ok(());
    }
    Err(OpenError::Damaged {
        database: database.to_owned(),
        damage: "it is missing or empty, and the write-ahead log beside it is not".to_owned(),
    })
}

/// What is marked read-only is refused also where we are root and the system would let us write: somebody meant it.
fn refuse_read_only(path: &Path) -> Result<(), OpenError> {
    let metadata = fs::metadata(path).map_err(|error| OpenError::of_io(path, error))?;
    if metadata.permissions().readonly() {
        return Err(OpenError::NotWritable(path.to_owned()));
    }
    Ok(())
}

/// Whoever has mistaken the path is to see it: a server makes what is missing, and says nothing else of it.
fn log_opened(writer: &Connection, path: &Path, is_new: bool) -> rusqlite::Result<()> {
    let path = path.display();
    if is_new {
        log::info!("made a new database at {path}");
        return Ok(());
    }
    // What is in the write-ahead log still counts, unlike by the file's length.
    let pages: i64 = writer.query_row(sql::COUNT_PAGES, (), |row| row.get(0))?;
    let page_bytes: i64 = writer.query_row(sql::PAGE_BYTES, (), |row| row.get(0))?;
    log::info!("opened {path} ({} bytes)", pages * page_bytes);
    Ok(())
}

fn log_ahead(writer: &Connection, durability: Durability) -> rusqlite::Result<()> {
    // A file system without shared memory keeps another mode, in which readers and the writer wait for each other:
    // correct, only slower.
    let mode: String = writer.query_row(sql::JOURNAL_MODE, (), |row| row.get(0))?;
    if mode != "wal" {
        log::warn!(
            "the database's file system allows no write-ahead log, only \"{mode}\": expect less speed"
        );
    }
    writer.execute_batch(synchronous(durability))?;
    writer.execute_batch(sql::LOG_AHEAD)
}

pub(super) fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Full => sql::SYNCHRONOUS_FULL,
        Durability::Normal => sql::SYNCHRONOUS_NORMAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_a_file() {
        for name in [":memory:", "file:x?mode=memory", "x.db"] {
            let path = locate(Path::new(name)).expect(name);
            assert!(path.is_absolute());
            assert!(path.ends_with(name));
        }
    }

    #[test]
    fn two_paths_to_a_file_are_one() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        let straight = folder.path().join("x.db");
        let around = folder.path().join("sub/../x.db");
        let located = locate(&straight).expect("new");
        assert_eq!(locate(&around).expect("new"), located);
        File::create(&straight).expect("a file");
        assert_eq!(locate(&around).expect("there"), located);
    }
}
