//! Why PostgreSQL has not answered, or has refused.

use std::time::Duration;
use std::{fmt, io};

use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::store::error::whole;

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::store) enum Error {
    /// The database has refused, or the connection is lost.
    Postgres(tokio_postgres::Error),
    /// It has not answered for so long.
    Silent(Duration),
    /// The connection was lost before.
    Closed,
    /// … in a commit, so that nobody knows what became of that.
    LostInCommit(Box<Error>),
    /// There are more rows than there can be, or none.
    OtherRows,
    /// No connection can be made: there is nobody, or the system gives nothing for it.
    Io(io::Error),
    /// It is another database than this address led to before: the address, without its password.
    Elsewhere(String),
    /// It can be written to, or cannot, and the address wants the other.
    Other(TargetSessionAttrs),
}

impl Error {
    /// What the database has said, if it was that.
    fn told(&self) -> Option<&DbError> {
        match self {
            Self::Postgres(error) => error.as_db_error(),
            _ => None,
        }
    }

    /// The code of that.
    pub(in crate::store) fn code(&self) -> Option<&SqlState> {
        self.told().map(DbError::code)
    }

    /// Whether the database has not answered in time, so that another connection to it would not help.
    pub(in crate::store) fn is_silence(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::LostInCommit(error) => error.is_silence(),
            _ => false,
        }
    }

    /// Whether the connection is of no use any more. The client does not say so by itself. One to a database that may only be read from, as a
    /// former primary may, is none to write on: another may lead elsewhere.
    pub(in crate::store) fn is_of_a_lost_connection(&self) -> bool {
        match (self, self.told()) {
            (Self::OtherRows, _) => false,
            (_, None) => true,
            (_, Some(told)) => {
                // A pooler tells it in one way only.
                let is_last_word = match told.parsed_severity() {
                    Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
                    None => matches!(told.severity(), "FATAL" | "PANIC"),
                };
                // … or calls it an error, of the class that is about connections.
                is_last_word
                    || told.code().code().starts_with("08")
                    || *told.code() == SqlState::READ_ONLY_SQL_TRANSACTION
            }
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Without the details of what the database says: they may quote a row, which nobody's log should have.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(error) => match error.as_db_error() {
                Some(told) => write!(f, "{} ({})", told.message(), told.code().code()),
                None => f.write_str(&whole(error)),
            },
            Self::LostInCommit(error) => {
                write!(
                    f,
                    "in a commit, of which nobody knows whether it was done: {error}"
                )
            }
            Self::Silent(time) => write!(f, "it has not answered for {:.1} s", time.as_secs_f32()),
            Self::OtherRows => {
                f.write_str("it has answered with another number of rows than there can be")
            }
            Self::Closed => f.write_str("the connection was lost"),
            Self::Io(error) => error.fmt(f),
            Self::Elsewhere(address) => write!(
                f,
                "{address} leads to another database (or schema) than it did, which is not used"
            ),
            Self::Other(TargetSessionAttrs::ReadOnly) => f.write_str("it can be written to"),
            Self::Other(_) => f.write_str("it cannot be written to"),
        }
    }
}

impl std::error::Error for Error {}
