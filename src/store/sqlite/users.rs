//! Users, for whoever runs the server: added, given another password and listed, on the database itself.
//!
//! What may be done while a server has the database open is decided by what that remembers. Of names and passwords it
//! remembers nothing: it reads them anew for each registration, login and search, so **a user may be added, and users may be
//! listed, at any time**. Who is logged in it does remember, and it would go on taking the sessions that a new password is to
//! end. So **a password is changed only while nobody serves**, which the lock beside the database tells, and keeps so
//! until it is done.
//!
//! Nothing here creates a database or brings its schema up to date: both are a server's, and a slip of the path would
//! otherwise make a new one and say that all went well.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::SystemRandom;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::database::{self, BUSY_TIMEOUT};
use super::writes::insert_user;
use super::{rows, schema, sql};
use crate::config::Config;
use crate::model::{BadName, BadPassword, Secret, User, Username};
use crate::store::clock::system_unix_ms;
use crate::store::error::{JobError, OpenError};
use crate::store::password::PasswordHash;

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
    connection: Connection,
    database: PathBuf,
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

impl Users {
    /// Opens `config.database`. Of the other settings those of new passwords hold: `password_iterations` and `min_password_length`.
    ///
    /// # Errors
    /// [`UsersError`], where there is no database that a loiter of this version has served.
    pub fn open(config: &Config) -> Result<Self, UsersError> {
        let located = database::locate_existing(&config.database).map_err(UsersError::Database)?;
        let database = located.map_err(UsersError::NoDatabase)?;
        let of_sqlite = |error| UsersError::of_sqlite(&database, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&database, flags).map_err(of_sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(of_sqlite)?;
        let set_up = [
            sql::SET_UP_WRITER,
            database::synchronous(config.durability),
            sql::LOG_AHEAD,
        ];
        for statements in set_up {
            connection.execute_batch(statements).map_err(of_sqlite)?;
        }
        refuse_other_schemas(&connection, &database)?;
        Ok(Self {
            connection,
            database,
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
        match self.find(&name)? {
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
        // Let go of at once: whoever is asked may take their time, and a server is not to wait for that.
        database::lock(&self.database).map_err(UsersError::of_lock)?;
        Ok(user)
    }

    /// Adds a user, as a registration does.
    ///
    /// # Errors
    /// [`UsersError`], with nothing changed.
    pub fn add(&mut self, name: &str, password: &str) -> Result<User, UsersError> {
        let name = Username::parse(name).map_err(UsersError::BadName)?;
        let hash = self.hash(password)?;
        let database = &self.database;
        let of_sqlite = |error| UsersError::of_sqlite(database, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(of_sqlite)?;
        refuse_other_schemas(&transaction, database)?;
        let added = insert_user(&transaction, &name, &hash, system_unix_ms());
        let user = added.map_err(|error| match error {
            JobError::Sqlite(error) => of_sqlite(error),
            // Nothing else is refused to one who adds a user.
            _ => UsersError::NameTaken(name.shown().clone()),
        })?;
        transaction.commit().map_err(of_sqlite)?;
        Ok(user)
    }

    /// Gives a user another password, and ends all sessions of theirs. Returns how many those were.
    ///
    /// # Errors
    /// [`UsersError`], with nothing changed.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<usize, UsersError> {
        let user = self.known(name)?.id.get();
        let hash = self.hash(password)?;
        // No server starts until all is done.
        let _lock = database::lock(&self.database).map_err(UsersError::of_lock)?;
        let database = &self.database;
        let of_sqlite = |error| UsersError::of_sqlite(database, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(of_sqlite)?;
        refuse_other_schemas(&transaction, database)?;
        let change = || {
            transaction.execute(sql::SET_PASSWORD, (user, &hash))?;
            transaction.execute(sql::REMOVE_SESSIONS_OF_USER, (user,))
        };
        let ended = change().map_err(of_sqlite)?;
        transaction.commit().map_err(of_sqlite)?;
        Ok(ended)
    }

    /// So many users at most whose ids come after this one, in the order of their ids. From the first with 0.
    ///
    /// # Errors
    /// [`UsersError::Database`].
    pub fn list(&self, after: i64, count: u32) -> Result<Vec<Account>, UsersError> {
        let list = || -> rusqlite::Result<Vec<Account>> {
            let mut statement = self.connection.prepare_cached(sql::USERS_AFTER)?;
            let accounts = statement.query_map((after, count), |row| {
                Ok(Account {
                    user: rows::user(row, 0)?,
                    created_unix_ms: rows::unix_ms(row, 2)?,
                })
            })?;
            accounts.collect()
        };
        list().map_err(|error| UsersError::of_sqlite(&self.database, error))
    }

    fn known(&self, name: &str) -> Result<User, UsersError> {
        let parsed = Username::parse(name).map_err(UsersError::BadName)?;
        let user = self.find(&parsed)?;
        user.ok_or_else(|| UsersError::NoUser(parsed.shown().clone()))
    }

    fn find(&self, name: &Username) -> Result<Option<User>, UsersError> {
        self.connection
            .query_row(sql::CREDENTIALS, (&**name.folded(),), |row| {
                rows::user(row, 0)
            })
            .optional()
            .map_err(|error| UsersError::of_sqlite(&self.database, error))
    }

    fn hash(&self, password: &str) -> Result<String, UsersError> {
        let password = Secret::new_password(password, self.password_chars_min);
        let password = password.map_err(UsersError::BadPassword)?;
        let hash = PasswordHash::new(&password.0, self.iterations, &SystemRandom::new());
        Ok(hash.map_err(|_| UsersError::NoRandomness)?.to_text())
    }
}

/// What an older loiter has made is for a server to bring up to date, and what a newer one has made is not ours to change.
fn refuse_other_schemas(connection: &Connection, database: &Path) -> Result<(), UsersError> {
    schema::check(connection, database).map_err(UsersError::Database)?;
    match schema::is_newest(connection) {
        Ok(true) => Ok(()),
        Ok(false) => Err(UsersError::OlderSchema(database.to_owned())),
        Err(error) => Err(UsersError::of_sqlite(database, error)),
    }
}

impl UsersError {
    fn of_sqlite(database: &Path, source: rusqlite::Error) -> Self {
        Self::Database(OpenError::of_sqlite(database, source))
    }

    fn of_lock(error: OpenError) -> Self {
        match error {
            OpenError::Served(database) => Self::Served(database),
            other => Self::Database(other),
        }
    }
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
            Self::Database(error) => Some(error),
            Self::BadName(rule) => Some(rule),
            Self::BadPassword(rule) => Some(rule),
            _ => None,
        }
    }
}
