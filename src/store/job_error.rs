//! What can go wrong in a job, told to the chat core as a [`Fault`] and to the log.

use std::fmt;
use std::path::PathBuf;

use rusqlite::ErrorCode;
#[cfg(feature = "postgres")]
use tokio_postgres::error::SqlState;

#[cfg(feature = "postgres")]
use super::error::whole;
#[cfg(feature = "postgres")]
use super::postgres;
use crate::job::Fault;
#[cfg(feature = "postgres")]
use crate::model::ChatroomId;

/// Why a job was not done.
#[derive(Debug)]
pub(super) enum JobError {
    /// The job's own condition does not hold: an ordinary answer, and nothing to log.
    Refused(Fault),
    /// The database's file is no longer at this path.
    Removed(PathBuf),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// PostgreSQL failed, or the connection to it.
    #[cfg(feature = "postgres")]
    Postgres(postgres::Error),
    /// There is no connection to PostgreSQL, and it is too early to try again.
    #[cfg(feature = "postgres")]
    Unreachable,
    /// What was committed before is still waited for by a standby that does not confirm it; so would be what is committed now.
    #[cfg(feature = "postgres")]
    StandbyAwaited,
    /// The database lacks messages that it had: another one leads, or it has lost them.
    #[cfg(feature = "postgres")]
    GoneBack,
    /// The Redis that hints travel by failed, or the connection to it: its address without the password, and how.
    #[cfg(feature = "redis")]
    Redis(String),
    /// Another program has locked a chatroom.
    #[cfg(feature = "postgres")]
    Locked(ChatroomId),
    /// What other servers write cannot be asked for, so that what is remembered may not hold.
    #[cfg(feature = "postgres")]
    Deaf,
    /// A column of what the database has answered cannot be read as what it should be.
    #[cfg(feature = "postgres")]
    BadColumn(tokio_postgres::Error),
    /// A number in the database cannot be what it should be: the column that has it.
    #[cfg(feature = "postgres")]
    BadNumber(Box<str>),
    /// No reading connection was free.
    Pool(r2d2::Error),
    /// What is stored as a password's hash is none.
    BadHash,
    /// The system gave no random numbers.
    NoRandomness,
    /// The job ran into a defect of ours.
    Panicked,
}

impl JobError {
    /// What the chat core is told.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Refused(fault) => *fault,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres::Error::LostInCommit(_)) => Fault::OutcomeUnknown,
            _ => Fault::StorageFailed,
        }
    }

    /// Whether another program has a lock that it may give up, so that to try again could help.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => error.code().is_some_and(|code| {
                *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED
            }),
            _ => false,
        }
    }

    /// Whether another program has what one write needs, and no other: to try that again could help.
    pub(super) fn is_of_a_locked_row(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Locked(_) => true,
            _ => false,
        }
    }

    /// Whether the connection is of no use any more.
    #[cfg(feature = "postgres")]
    pub(super) fn is_of_a_lost_connection(&self) -> bool {
        match self {
            Self::Postgres(error) => error.is_of_a_lost_connection(),
            _ => false,
        }
    }

    /// Whether the database has not answered in time, so that another connection to it would not help.
    #[cfg(feature = "postgres")]
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.is_silence())
    }
}

impl From<rusqlite::Error> for JobError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

#[cfg(feature = "postgres")]
impl From<postgres::Error> for JobError {
    fn from(error: postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for JobError {
    /// Of a column: what is asked of the database itself fails in the client's own way.
    fn from(error: tokio_postgres::Error) -> Self {
        Self::BadColumn(error)
    }
}

/// For the log: SQLite's messages name tables and columns, never what is in them.
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(fault) => write!(f, "refused: {fault:?}"),
            Self::Removed(path) => write!(
                f,
                "the database {} was removed, or is another file by now: what is written is lost when this server ends",
                path.display()
            ),
            Self::Sqlite(error) => error.fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => error.fmt(f),
            #[cfg(feature = "postgres")]
            Self::Unreachable => f.write_str("there is no connection to the database"),
            #[cfg(feature = "postgres")]
            Self::StandbyAwaited => f.write_str(
                "a standby does not confirm what was committed before (synchronous_standby_names), so nothing more is",
            ),
            #[cfg(feature = "postgres")]
            Self::GoneBack => f.write_str(
                "the database lacks messages that were acknowledged: what was remembered of it is forgotten",
            ),
            #[cfg(feature = "redis")]
            Self::Redis(why) => f.write_str(why),
            #[cfg(feature = "postgres")]
            Self::Locked(chatroom) => write!(
                f,
                "another program keeps the row of chatroom {} locked (see pg_locks): what is to be written there fails after 5 s",
                chatroom.get()
            ),
            #[cfg(feature = "postgres")]
            Self::Deaf => f.write_str(
                "what other servers write cannot be asked for: see what is said of hints",
            ),
            #[cfg(feature = "postgres")]
            Self::BadColumn(error) => f.write_str(&whole(error)),
            #[cfg(feature = "postgres")]
            Self::BadNumber(column) => {
                write!(f, "the number in column {column} cannot be what it should be")
            }
            Self::Pool(error) => error.fmt(f),
            Self::BadHash => f.write_str("a stored password hash is damaged"),
            Self::NoRandomness => f.write_str("the system gave no random numbers"),
            Self::Panicked => f.write_str("a job panicked"),
        }
    }
}
