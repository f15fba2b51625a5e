//! A copy of a database that may be served meanwhile.
//!
//! It is of one moment: a read transaction holds on to what was committed as it began, and the pages are copied from
//! that, some at a time. In WAL mode nobody who writes waits for a reader; all that the server pays is a log that cannot
//! start over until the copy is made. Without that transaction SQLite's backup would begin anew at every commit of the
//! server, and under load never end. `VACUUM INTO` would hold on to the same moment for longer, since it builds
//! each index anew.
//!
//! The copy comes into being beside the place that it is for, under a name of its own and readable to its owner alone: it
//! holds password hashes, session hashes and what people say. Once it has been read through and is on the disk it gets its name, which
//! nobody else's file may have. So whoever sees a file of that name sees a whole copy, and a copy that fails leaves nothing.
//!
//! Nothing here opens the database other than through SQLite (see [`super::database`]): the copy may be made by the
//! process that serves.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::backup::{Backup as Pages, StepResult};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, ffi};

use super::database::{BUSY_TIMEOUT, locate_existing};
use super::{schema, sql};
use crate::config::{is_address, shown};
use crate::store::error::{BackupError, OpenError, no_room};

/// Pages that are copied until it is looked whether to go on: 4 MB.
const PAGES_MAX: i32 = 1000;
/// What SQLite does likewise as it reads a copy through: pages of a tree, or steps of a statement, which are less.
const STEPS_MAX: i32 = 100;
/// What SQLite keeps beside a database has its name and one of these behind it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A copy to be made of a database.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// use loiter::{Backup, Server};
///
/// let copy = Backup {
///     database: config.database.clone(),
///     to: folder.path().join("copy.db"),
/// };
/// // Served or not.
/// let _server = Server::bind(config)?;
/// assert!(copy.run()? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Backup {
    /// The database's file. Of one on PostgreSQL its own `pg_dump` makes copies.
    pub database: PathBuf,
    /// Where the copy is to be. Nothing may be there yet, and its folder must be.
    pub to: PathBuf,
}

impl Backup {
    /// Makes the copy, and returns how many bytes it has.
    ///
    /// It holds all that was acknowledged before this was called, and is on the disk, as is its name, when this returns. The
    /// database may be served meanwhile, by this process or another, whose writes do not wait.
    ///
    /// # Errors
    /// [`BackupError`]. Nothing is left behind of a copy that failed; one that is killed may leave a file whose name begins
    /// as the copy's does and ends in `.partial`.
    pub fn run(&self) -> Result<u64, BackupError> {
        self.run_until(&Arc::default())
    }

    /// As [`Backup::run`], unless `stop` becomes true before all is copied and read through. It is looked at every few megabytes; but not
    /// while the database is locked by another program, which is waited for as long as five seconds.
    ///
    /// # Errors
    /// As [`Backup::run`], and [`BackupError::Stopped`].
    pub fn run_until(&self, stop: &Arc<AtomicBool>) -> Result<u64, BackupError> {
        if is_address(&self.database) {
            return Err(BackupError::IsAddress(shown(&self.database)));
        }
        let place = Place::find(&self.to)?;
        let located = locate_existing(&self.database).map_err(BackupError::Source)?;
        let database = located.map_err(BackupError::NoDatabase)?;
        let source = open(&database)?;
        let partial = Partial::new(&place)?;
        let failed = |source| partial.failed(&place, &database, source);
        copy(source, &partial.path, stop).map_err(failed)?;
        let damage = look_for_damage(&partial.path, stop).map_err(failed)?;
        match damage.as_deref() {
            Some("ok") => partial.put_in_place(&place),
            damage => Err(BackupError::Damaged {
                database,
                damage: damage.unwrap_or("nothing can be read").to_owned(),
            }),
        }
    }
}

/// Where the copy is to be.
struct Place {
    file: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn find(given: &Path) -> Result<Self, BackupError> {
        let of_io = |error| BackupError::of_io(given, error);
        let file = match given.as_os_str().is_empty() {
            true => return Err(BackupError::NoPath),
            false => path::absolute(given).map_err(of_io)?,
        };
        let (Some(folder), Some(_)) = (file.parent(), file.file_name()) else {
            return Err(BackupError::IsFolder(file));
        };
        let place = Self {
            folder: folder.to_owned(),
            file,
        };
        place.refuse_a_part()?;
        place.refuse_taken()?;
        if !place.folder.is_dir() {
            return Err(BackupError::NoFolder(place.file));
        }
        Ok(place)
    }

    /// A copy of such a name would be taken for the log of another database, and be written over or removed.
    fn refuse_a_part(&self) -> Result<(), BackupError> {
        let file = self.file.as_os_str().as_bytes();
        for suffix in BESIDE {
            let database = file.strip_suffix(suffix.as_bytes()).map(OsStr::from_bytes);
            if let Some(database) = database.map(Path::new)
                && database.is_file()
            {
                return Err(BackupError::APart {
                    to: self.file.clone(),
                    of: database.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Also a link to nothing is somebody's; and a log that another database of this name has left would be taken for the copy's.
    fn refuse_taken(&self) -> Result<(), BackupError> {
        for suffix in [""].into_iter().chain(BESIDE) {
            let path = named(&self.file, suffix);
            if suffix.is_empty() && path.is_dir() {
                return Err(BackupError::IsFolder(path));
            }
            if path.symlink_metadata().is_ok() {
                return Err(BackupError::Exists(path));
            }
        }
        Ok(())
    }
}

/// The copy while it is not whole yet. What is left of it when it is dropped is removed.
struct Partial {
    path: PathBuf,
}

impl Partial {
    /// A new file, which nobody can have put there for us to write through.
    fn new(place: &Place) -> Result<Self, BackupError> {
        let mut random = [0; 4];
        (SystemRandom::new().fill(&mut random))
            .map_err(|_| BackupError::of_io(&place.file, io::Error::other("no random bytes")))?;
        let suffix = format!(".{:08x}.partial", u32::from_be_bytes(random));
        let path = named(&place.file, &suffix);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(_) => Ok(Self { path }),
            Err(error) => Err(BackupError::of_io(&place.file, error)),
        }
    }

    /// What SQLite's error means for whoever asked for the copy: they know nothing of this file, only of the one that they named.
    fn failed(&self, place: &Place, database: &Path, source: Error) -> BackupError {
        let no_room = match source.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => return BackupError::Stopped,
            Some(ErrorCode::DiskFull) => Some(io::ErrorKind::StorageFull.into()),
            Some(ErrorCode::SystemIoFailure) => self.find_no_room(),
            _ => None,
        };
        if let Some(error) = no_room {
            return BackupError::of_io(&place.file, error);
        }
        BackupError::Copy {
            database: database.to_owned(),
            to: place.file.clone(),
            source: match source {
                Error::SqliteFailure(code, Some(said)) => {
                    let (partial, file) =
                        (self.path.to_string_lossy(), place.file.to_string_lossy());
                    Error::SqliteFailure(code, Some(said.replace(&*partial, &file)))
                }
                other => other,
            },
        }
    }

    /// Why the file cannot grow, if it cannot: SQLite tells of a full disk, but a quota or a limit on the size of files is to it an
    /// error like any other.
    fn find_no_room(&self) -> Option<io::Error> {
        let file = OpenOptions::new().append(true).open(&self.path);
        let grown = file.and_then(|mut file| file.write_all(&[0; 4096]));
        grown.err().filter(|error| no_room(error).is_some())
    }

    /// First the bytes are on the disk, then the name. Returns how many bytes.
    fn put_in_place(self, place: &Place) -> Result<u64, BackupError> {
        let of_io = |error| BackupError::of_io(&place.file, error);
        let file = File::open(&self.path).map_err(of_io)?;
        file.sync_all().map_err(of_io)?;
        match fs::hard_link(&self.path, &place.file) {
            Ok(()) => fs::remove_file(&self.path).map_err(of_io)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(place.file.clone()));
            }
            // A file system without links, where a name that somebody takes in this very moment is theirs no more.
            Err(_) => {
                place.refuse_taken()?;
                fs::rename(&self.path, &place.file).map_err(of_io)?;
            }
        }
        let folder = File::open(&place.folder).map_err(of_io)?;
        folder.sync_all().map_err(of_io)?;
        Ok(file.metadata().map_err(of_io)?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there any more where all went well; beside it is what SQLite left where it did not.
        for suffix in [""].into_iter().chain(BESIDE) {
            let _ = fs::remove_file(named(&self.path, suffix));
        }
    }
}

/// The path with this behind its last name.
fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut named = path.as_os_str().to_owned();
    named.push(suffix);
    PathBuf::from(named)
}

/// The database, in a read transaction. Who may write to it is asked for so much, since a log that a killed server has left is to be
/// read first, and SQLite notes what it has read; else reading is enough.
fn open(database: &Path) -> Result<Connection, BackupError> {
    let of_sqlite = |error| BackupError::Source(OpenError::of_sqlite(database, error));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(database, flags).map_err(of_sqlite)?;
    source.busy_timeout(BUSY_TIMEOUT).map_err(of_sqlite)?;
    source.execute_batch(sql::HOLD_ON).map_err(of_sqlite)?;
    schema::check(&source, database).map_err(BackupError::Source)?;
    if schema::is_empty(&source).map_err(of_sqlite)? {
        let not_ours = OpenError::NotADatabase(database.to_owned());
        return Err(BackupError::Source(not_ours));
    }
    Ok(source)
}

fn copy(source: Connection, to: &Path, stop: &AtomicBool) -> rusqlite::Result<()> {
    let mut copy = open_copy(to)?;
    let pages = Pages::new(&source, &mut copy)?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(failure(ffi::SQLITE_INTERRUPT));
        }
        match pages.step(PAGES_MAX)? {
            StepResult::Done => break,
            StepResult::More => {}
            // Both are ours by now; not to be waited for without an end all the same.
            _ => return Err(failure(ffi::SQLITE_BUSY)),
        }
    }
    drop(pages);
    copy.close().map_err(|(_, error)| error)?;
    source.close().map_err(|(_, error)| error)
}

/// "ok", or the first thing that is wrong.
fn look_for_damage(copy: &Path, stop: &Arc<AtomicBool>) -> rusqlite::Result<Option<String>> {
    let copy = open_copy(copy)?;
    let stop = Arc::clone(stop);
    copy.progress_handler(STEPS_MAX, Some(move || stop.load(Ordering::Relaxed)))?;
    let found = copy.query_row(sql::LOOK_FOR_DAMAGE, (), |row| row.get(0))?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(found)
}

fn open_copy(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags)?;
    copy.execute_batch(sql::SET_UP_COPY)?;
    Ok(copy)
}

fn failure(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_copy_and_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::find(&folder.path().join("copy.db")).expect("nothing there");
        let partial = Partial::new(&place).expect("a file");
        let told = |code, said: &str| {
            let said = said.replace("FILE", &partial.path.display().to_string());
            let source = Error::SqliteFailure(ffi::Error::new(code), Some(said));
            let failed = partial.failed(&place, Path::new("/chat.db"), source);
            let told = failed.to_string();
            told.replace(&folder.path().display().to_string(), "")
        };
        assert_eq!(
            told(ffi::SQLITE_FULL, "database or disk is full"),
            "cannot write /copy.db: the disk is full"
        );
        assert_eq!(
            told(ffi::SQLITE_CANTOPEN, "no such file: FILE"),
            "cannot copy the database /chat.db to /copy.db: no such file: /copy.db"
        );
        // There is room: so it is something else.
        assert_eq!(
            told(ffi::SQLITE_IOERR_WRITE, "disk I/O error"),
            "cannot copy the database /chat.db to /copy.db: disk I/O error"
        );
    }

    #[test]
    fn a_disk_that_is_full_is_said_to_be() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            let source = Error::SqliteFailure(ffi::Error::new(code), None);
            let told = OpenError::of_sqlite(Path::new("/chat.db"), source).to_string();
            assert_eq!(told, "the disk of /chat.db is full");
        }
    }
    #[test]
    fn one_that_is_stopped_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = crate::config::Config {
            database: folder.path().join("chat.db"),
            ..Default::default()
        };
        drop(crate::store::Store::open(&config, |_| ()).expect("a database"));
        let backup = Backup {
            database: config.database,
            to: folder.path().join("copy.db"),
        };
        let stopped = backup.run_until(&Arc::new(true.into()));
        assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
        let files = fs::read_dir(folder.path()).expect("a folder");
        let names = Vec::from_iter(files.map(|file| file.expect("a file").file_name()));
        let is_ours = |name: &OsStr| name.as_bytes().starts_with(b"copy.db");
        assert!(!names.iter().any(|name| is_ours(name)), "{names:?}");
        assert!(backup.run().is_ok());
    }

    #[test]
    fn it_stops_as_it_reads_through_the_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("copy.db");
        let copy = Connection::open(&path).expect("a database");
        let rows = "
            CREATE TABLE t (x);
            WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000)
            INSERT INTO t SELECT zeroblob(3000) FROM n";
        copy.execute_batch(rows).expect("a thousand pages");
        drop(copy);
        let read = |stop: bool| look_for_damage(&path, &Arc::new(stop.into()));
        assert_eq!(read(false), Ok(Some("ok".to_owned())));
        let code = read(true).expect_err("stopped").sqlite_error_code();
        assert_eq!(code, Some(ErrorCode::OperationInterrupted));
    }
}
