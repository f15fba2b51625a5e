//! What can go wrong at the start, told to a person once.

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

/// Why a store could not be opened. Its `Display` is one line for whoever started the server.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// use loiter::{OpenError, Server, StartError};
///
/// std::fs::write(&config.database, "Dear diary, today somebody took me for a database.".repeat(100))?;
/// let refused = Server::bind(config);
/// assert!(matches!(refused, Err(StartError::Open(OpenError::NotADatabase(_)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum OpenError {
    /// A newer loiter has written the database.
    NewerSchema {
        /// The database's file.
        database: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this loiter knows.
        known: i64,
    },
    /// The file is not a SQLite database.
    NotADatabase(PathBuf),
    /// The file is the SQLite database of another application.
    Foreign(PathBuf),
    /// The file is a database that is not whole.
    Damaged {
        /// The database's file.
        database: PathBuf,
        /// The first thing that SQLite found.
        damage: String,
    },
    /// The path is empty.
    NoPath,
    /// The database is given by an address, here without its password, of something that is not PostgreSQL.
    ForeignAddress(PathBuf),
    /// The path is that of a folder.
    IsFolder(PathBuf),
    /// The path is that of something else that is no regular file, such as a device.
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is: "a device", "a pipe", "a socket".
        kind: &'static str,
    },
    /// The folder that the database of this path should be in does not exist.
    NoFolder(PathBuf),
    /// There is no room on the disk for what is written beside the database as it is opened.
    DiskFull(PathBuf),
    /// The file, or the folder that it is in, is not writable.
    NotWritable(PathBuf),
    /// Another loiter serves the database.
    Served(PathBuf),
    /// Another program has been writing to the database for longer than we wait.
    Locked(PathBuf),
    /// The file could not be reached otherwise.
    Io {
        /// What was opened.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite could not read or write the database otherwise.
    Sqlite {
        /// The database's file.
        database: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database's address is none.
    #[cfg(feature = "postgres")]
    BadAddress {
        /// The address, without its password.
        database: String,
        /// What is wrong with it.
        why: String,
    },
    /// The database could not be reached, or did not do what was asked.
    #[cfg(feature = "postgres")]
    Postgres {
        /// The database's address, without its password.
        database: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What hints are to travel by cannot be used.
    #[cfg(feature = "postgres")]
    BadHints {
        /// Its address, without its password.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// The database is given by an address, and this loiter is built without what it would take.
    NotBuilt(PathBuf),
    /// The pool of reading connections could not be filled.
    Pool {
        /// The database's file.
        database: PathBuf,
        /// What the pool said.
        source: r2d2::Error,
    },
    /// No thread could be started.
    Thread(io::Error),
}

/// Why a copy of a database could not be made. Its `Display` is one line for whoever asked for it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use loiter::{Backup, BackupError};
///
/// let copy = Backup {
///     database: folder.path().join("missing.db"),
///     to: folder.path().join("copy.db"),
/// };
/// assert!(matches!(copy.run(), Err(BackupError::NoDatabase(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum BackupError {
    /// There is no database at this path.
    NoDatabase(PathBuf),
    /// The database is given by this address, here without its password.
    IsAddress(PathBuf),
    /// The database cannot be opened.
    Source(OpenError),
    /// The path of the copy is empty.
    NoPath,
    /// There is something where the copy should be.
    Exists(PathBuf),
    /// There is a folder where the copy should be.
    IsFolder(PathBuf),
    /// The copy is named as SQLite names what it keeps beside another file.
    APart {
        /// Where the copy should be.
        to: PathBuf,
        /// The other file.
        of: PathBuf,
    },
    /// The folder that the copy of this path should be in does not exist.
    NoFolder(PathBuf),
    /// The copy could not be written or given its name.
    Io {
        /// What was written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The pages could not be read or written.
    Copy {
        /// The database's file.
        database: PathBuf,
        /// The copy's.
        to: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Whoever asked for the copy wanted it no more.
    Stopped,
    /// The database is damaged, and a copy of it worth nothing.
    Damaged {
        /// The database's file.
        database: PathBuf,
        /// The first thing that SQLite found.
        damage: String,
    },
}

/// Why nothing more can be written, where the system's error says that it is for want of room.
pub(super) fn no_room(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull => Some("the disk is full"),
        io::ErrorKind::QuotaExceeded => Some("the quota of the disk is used up"),
        io::ErrorKind::FileTooLarge => Some("a file may not be so large"),
        _ => None,
    }
}

fn extended_code(error: &rusqlite::Error) -> Option<c_int> {
    error.sqlite_error().map(|error| error.extended_code)
}

impl BackupError {
    pub(super) fn of_io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatabase(path) => write!(f, "there is no database {}", path.display()),
            Self::IsAddress(address) => write!(
                f,
                "the database {} is no file: PostgreSQL's pg_dump makes a copy of it",
                address.display()
            ),
            Self::Source(error) => error.fmt(f),
            Self::NoPath => f.write_str("the path of the copy is empty"),
            Self::Stopped => f.write_str("the copy was stopped, and nothing is left of it"),
            Self::Exists(path) => write!(
                f,
                "{} is there already, and is not written over",
                path.display()
            ),
            Self::IsFolder(path) => write!(
                f,
                "{} is a folder: give the copy a name in it, such as {}",
                path.display(),
                path.join("loiter.db").display()
            ),
            Self::APart { to, of } => write!(
                f,
                "{} would be taken for what SQLite keeps beside {}: choose another name",
                to.display(),
                of.display()
            ),
            Self::NoFolder(path) => {
                write!(f, "the folder of {} does not exist", path.display())
            }
            Self::Io { path, source } => {
                let path = path.display();
                match no_room(source) {
                    Some(why) => write!(f, "cannot write {path}: {why}"),
                    None => write!(f, "cannot write {path}: {source}"),
                }
            }
            Self::Copy {
                database,
                to,
                source,
            } => write!(
                f,
                "cannot copy the database {} to {}: {source}",
                database.display(),
                to.display()
            ),
            Self::Damaged { database, damage } => {
                write!(
                    f,
                    "the database {} is damaged: {damage}",
                    database.display()
                )
            }
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            Self::Copy { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl OpenError {
    /// What the system's `source` means for whoever opened `path`.
    pub(super) fn of_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable(path)
            }
            io::ErrorKind::IsADirectory => Self::IsFolder(path),
            io::ErrorKind::StorageFull => Self::DiskFull(path),
            _ => Self::Io { path, source },
        }
    }

    /// What SQLite's `source` means for whoever opened `database`.
    pub(super) fn of_sqlite(database: &Path, source: rusqlite::Error) -> Self {
        let database = database.to_owned();
        // The memory that is shared is a file, which is only written to so that it finds room.
        if extended_code(&source) == Some(ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::DiskFull(database);
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull(database),
            Some(ErrorCode::NotADatabase) => Self::NotADatabase(database),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable(database)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked(database),
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                database,
                damage: source.to_string(),
            },
            _ => Self::Sqlite { database, source },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerSchema {
                database,
                found,
                known,
            } => write!(
                f,
                "the database {} has schema version {found}, and this loiter knows versions up to {known}: use a newer loiter",
                database.display()
            ),
            Self::NotADatabase(path) => write!(f, "{} is not a database", path.display()),
            Self::ForeignAddress(address) => write!(
                f,
                "{} is not the address of a database that loiter can use: that begins with postgres:// or postgresql://, and a file is given by its path alone",
                address.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{} is the database of another application",
                path.display()
            ),
            Self::Damaged { database, damage } => write!(
                f,
                "the database {} is damaged, and is left as it is: {}",
                database.display(),
                damage.replace('\n', " ")
            ),
            Self::NoPath => f.write_str("the path of the database is empty"),
            Self::IsFolder(path) => {
                write!(
                    f,
                    "the database {} is a folder: it must be a file, such as {}",
                    path.display(),
                    path.join("loiter.db").display()
                )
            }
            Self::NotAFile { path, kind } => write!(
                f,
                "the database {} is {kind}: it must be a regular file, or a path where nothing is yet",
                path.display()
            ),
            Self::NoFolder(path) => write!(
                f,
                "the folder of the database {} does not exist",
                path.display()
            ),
            Self::DiskFull(path) => write!(f, "the disk of {} is full", path.display()),
            Self::NotWritable(path) => write!(
                f,
                "{} is not writable, and the database must be",
                path.display()
            ),
            Self::Served(path) => {
                write!(f, "another loiter serves the database {}", path.display())
            }
            Self::Locked(path) => write!(
                f,
                "another program keeps the database {} locked",
                path.display()
            ),
            Self::Io { path, source } => write!(f, "cannot open {}: {source}", path.display()),
            Self::Sqlite { database, source } => {
                write!(
                    f,
                    "cannot use the database {}: {source}",
                    database.display()
                )
            }
            Self::Pool { database, source } => {
                write!(
                    f,
                    "cannot read the database {}: {source}",
                    database.display()
                )
            }
            #[cfg(feature = "postgres")]
            Self::BadAddress { database, why } => {
                write!(f, "the address of the database {database} is not right: {why}")
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { database, source } => {
                write!(f, "cannot use the database {database}: {}", whole(&**source))
            }
            #[cfg(feature = "postgres")]
            Self::BadHints { address, why } => {
                write!(f, "cannot use the address of hints {address}: {why}")
            }
            Self::NotBuilt(_) => f.write_str("this loiter is built without PostgreSQL (feature postgres), and its database must be a file"),
            Self::Thread(source) => write!(f, "cannot start a thread for the store: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::Thread(source) => Some(source),
            Self::Sqlite { source, .. } => Some(source),
            Self::Pool { source, .. } => Some(source),
            #[cfg(feature = "postgres")]
            Self::Postgres { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

/// An error with what it comes from, which it does not say by itself.
#[cfg(feature = "postgres")]
pub(super) fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_told = source.to_string();
        if !told.contains(&source_told) {
            told = format!("{told}: {source_told}");
        }
        next = source.source();
    }
    told
}
