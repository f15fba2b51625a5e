//! Users, for whoever runs the server: added, given another password and listed, on the database itself.
//!
//! What may be done while a server has the database open is decided by what that remembers. Of names and passwords it
//! remembers nothing: it reads them anew for each registration, login and search, so **a user may be added, and users may be
//! listed, at any time**. Who is logged in it does remember, and it would go on taking the sessions that a new password is to
//! end. When that may be changed is up to the database ([`UserTable::check_unserved`]).
//!
//! Nothing here creates a database or brings its schema up to date: both are a server's, and a slip of the path would
//! otherwise make a new one and say that all went well.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use ring::rand::SystemRandom;

use super::error::OpenError;
use super::password::PasswordHash;
use super::sqlite::SqliteUsers;
use crate::config::{Config, is_address};
use crate::model::{BadName, BadPassword, Secret, User, UserId, Username};

/// The users of a database, which may be served meanwhile.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use loiter::{Config, Server, Users};
///
/// let config = Config {
///     database: folder.path().join("chat.db"),
/// #   listen: vec!["127.0.0.1:0".parse()?],
/// #   password_iterations: std::num::NonZeroU32::new(1000).expect("not zero"),
///     ..Config::default()
/// };
/// let _served = Server::bind(config.clone())?;
/// let user = Users::open(&config)?.add("Ann", "correct horse")?;
/// assert_eq!((user.id.get(), &*user.name), (1, "Ann"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Users {
    table: Box<dyn UserTable>,
    iterations: NonZeroU32,
    password_chars_min: usize,
}

/// A user as whoever runs the server sees it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// # let config = loiter::Config {
/// #     password_iterations: std::num::NonZeroU32::new(1000).expect("not zero"),
/// #     ..config
/// # };
/// # drop(loiter::Server::bind(config.clone())?);
/// let mut users = loiter::Users::open(&config)?;
/// users.add("Ann", "correct horse")?;
/// let accounts = users.list(0, 10)?;
/// assert_eq!(&*accounts[0].user.name, "Ann");
/// assert!(accounts[0].created_unix_ms > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The id and the name.
    pub user: User,
    /// When it was registered, in milliseconds since 1970 (UTC).
    pub created_unix_ms: u64,
}

/// Why something was not done. Its `Display` is one line for whoever asked for it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
///
/// # let config = loiter::Config {
/// #     password_iterations: std::num::NonZeroU32::new(1000).expect("not zero"),
/// #     ..config
/// # };
/// # drop(loiter::Server::bind(config.clone())?);
/// let mut users = loiter::Users::open(&config)?;
/// users.add("Ann", "correct horse")?;
/// let taken = users.add("ANN", "battery staple").unwrap_err();
/// assert!(matches!(taken, loiter::UsersError::NameTaken(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum UsersError {
    /// There is no database at this path.
    NoDatabase(PathBuf),
    /// The database has the schema of an older loiter.
    OlderSchema(PathBuf),
    /// The database cannot be opened, read or written.
    Database(OpenError),
    /// The connection to the database was lost before that had confirmed what was to be done: it may have been done.
    OutcomeUnknown(OpenError),
    /// The name breaks a rule.
    BadName(BadName),
    /// The password breaks a rule.
    BadPassword(BadPassword),
    /// Somebody has this name, in whatever case.
    NameTaken(Arc<str>),
    /// Nobody has this name.
    NoUser(Arc<str>),
    /// A loiter serves the database, and would not hear of a changed password.
    Served(PathBuf),
    /// The system gave no random numbers.
    NoRandomness,
}

/// The table of users, in whichever database.
pub(super) trait UserTable: Send {
    fn find(&self, name: &Username) -> Result<Option<User>, UsersError>;

    /// Whether a password may be changed now, as far as servers are concerned.
    fn check_unserved(&self) -> Result<(), UsersError>;

    /// Adds a user who has this hash for a password; [`UsersError::NameTaken`] where the name is.
    fn add(&mut self, name: &Username, hash: &str) -> Result<User, UsersError>;

    /// Gives a user another hash, and ends their sessions. Returns how many those were.
    fn set_password(&mut self, user: UserId, hash: &str) -> Result<usize, UsersError>;

    /// So many users at most whose ids come after this one, in the order of their ids.
    fn list(&self, after: i64, count: u32) -> Result<Vec<Account>, UsersError>;
}

impl Users {
    /// Opens `config.database`. Of the other settings those of new passwords hold: `password_iterations` and `min_password_length`.
    ///
    /// # Errors
    /// [`UsersError`], where there is no database that a loiter of this version has served.
    pub fn open(config: &Config) -> Result<Self, UsersError> {
        Ok(Self {
            table: open_table(config)?,
            iterations: config.password_iterations,
            password_chars_min: config.min_password_length,
        })
    }

    /// Whether [`Users::add`] would take this name, before anybody is asked for a password.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_new(&self, name: &str) -> Result<(), UsersError> {
        let name = Username::parse(name).map_err(UsersError::BadName)?;
        match self.table.find(&name)? {
            Some(user) => Err(UsersError::NameTaken(user.name)),
            None => Ok(()),
        }
    }

    /// Whether [`Users::set_password`] would take this name, before anybody is asked for a password.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_known(&self, name: &str) -> Result<User, UsersError> {
        let user = self.known(name)?;
        self.table.check_unserved()?;
        Ok(user)
    }

    /// Adds a user, as a registration does.
    ///
    /// # Errors
    /// [`UsersError`], with nothing changed but for what [`UsersError::OutcomeUnknown`] says.
    pub fn add(&mut self, name: &str, password: &str) -> Result<User, UsersError> {
        let name = Username::parse(name).map_err(UsersError::BadName)?;
        let hash = self.hash(password)?;
        self.table.add(&name, &hash)
    }

    /// Gives a user another password, and ends all sessions of theirs. Returns how many those were.
    ///
    /// Of a database in a file nobody may be serving it. Servers on PostgreSQL may: each goes on taking such a session for as long as it
    /// remembers that without looking.
    ///
    /// # Errors
    /// [`UsersError`], with nothing changed but for what [`UsersError::OutcomeUnknown`] says.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<usize, UsersError> {
        let user = self.known(name)?;
        let hash = self.hash(password)?;
        self.table.set_password(user.id, &hash)
    }

    /// So many users at most whose ids come after this one, in the order of their ids. From the first with 0.
    ///
    /// # Errors
    /// [`UsersError::Database`].
    pub fn list(&self, after: i64, count: u32) -> Result<Vec<Account>, UsersError> {
        self.table.list(after, count)
    }

    fn known(&self, name: &str) -> Result<User, UsersError> {
        let parsed = Username::parse(name).map_err(UsersError::BadName)?;
        let user = self.table.find(&parsed)?;
        user.ok_or_else(|| UsersError::NoUser(parsed.shown().clone()))
    }

    fn hash(&self, password: &str) -> Result<String, UsersError> {
        let password = Secret::new_password(password, self.password_chars_min);
        let password = password.map_err(UsersError::BadPassword)?;
        let hash = PasswordHash::new(&password.0, self.iterations, &SystemRandom::new());
        Ok(hash.map_err(|_| UsersError::NoRandomness)?.to_text())
    }
}

fn open_table(config: &Config) -> Result<Box<dyn UserTable>, UsersError> {
    if is_address(&config.database) {
        #[cfg(feature = "postgres")]
        return Ok(Box::new(super::postgres::PostgresUsers::open(config)?));
        #[cfg(not(feature = "postgres"))]
        return Err(UsersError::Database(OpenError::NotBuilt(
            crate::config::shown(&config.database),
        )));
    }
    Ok(Box::new(SqliteUsers::open(config)?))
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatabase(path) => write!(f, "there is no database {}", path.display()),
            Self::OlderSchema(path) => write!(
                f,
                "the database {} is that of an older loiter: start this one once, which brings it up to date",
                path.display()
            ),
            Self::Database(error) => error.fmt(f),
            Self::OutcomeUnknown(error) => write!(f, "it may have been done, or not; {error}"),
            Self::BadName(rule) => write!(f, "the name {rule}"),
            Self::BadPassword(rule) => write!(f, "the password {rule}"),
            Self::NameTaken(name) => write!(f, "there is a user {name} already"),
            Self::NoUser(name) => write!(f, "there is no user {name}"),
            Self::Served(path) => write!(
                f,
                "a loiter serves the database {}, and would go on taking the sessions that a new password ends: stop it first",
                path.display()
            ),
            Self::NoRandomness => f.write_str("the system gave no random numbers"),
        }
    }
}

impl std::error::Error for UsersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) | Self::OutcomeUnknown(error) => Some(error),
            Self::BadName(rule) => Some(rule),
            Self::BadPassword(rule) => Some(rule),
            _ => None,
        }
    }
}
