//! Where the database is: a file, or PostgreSQL at an address, which may have a password in it that nobody is shown.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;

const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Whether a database is given by an address, and not by a file's path.
pub(crate) fn is_address(database: &Path) -> bool {
    let is_one = |scheme: &str| SCHEMES.iter().any(|one| scheme.eq_ignore_ascii_case(one));
    scheme(database).is_some_and(is_one)
}

/// Whether it is given by an address of something else, which would be taken for a path otherwise.
pub(crate) fn is_foreign_address(database: &Path) -> bool {
    scheme(database).is_some() && !is_address(database)
}

/// What an address begins with; a path has none.
fn scheme(given: &Path) -> Option<&str> {
    let (scheme, _) = given.to_str()?.split_once("://")?;
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (begins && scheme.bytes().all(is_of_one)).then_some(scheme)
}

/// An address as it may be shown: what stands between the user's name and the host is left out, and so are the parameters.
pub(crate) fn without_password(address: &str) -> String {
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let (before, parameters) = address.split_once('?').unwrap_or((address, ""));
    let Some((before, host)) = before.rsplit_once('@') else {
        // A password with a question mark that is not encoded would look like this: nobody knows where it ends.
        return match parameters.contains('@') {
            true => format!("{}…", &address[..scheme]),
            false => before.to_owned(),
        };
    };
    let user = before.get(scheme..).unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    format!("{}{user}@{host}", &address[..scheme])
}

/// A database as it may be shown, whatever it is given by.
pub(crate) fn shown(database: &Path) -> PathBuf {
    match scheme(database).is_some() {
        true => without_password(&database.to_string_lossy()).into(),
        false => database.to_owned(),
    }
}

impl Config {
    /// The address of the database as it may be shown: without its password, and without its parameters. `None` where it is a file.
    pub fn database_address(&self) -> Option<String> {
        is_address(&self.database).then(|| without_password(&self.database.to_string_lossy()))
    }
}

/// All settings as they are named here, and that none is forgotten.
macro_rules! fields {
    ($config:expr, $f:expr; $($field:ident)*) => {{
        let Config { database, $($field),* } = $config;
        $f.debug_struct("Config")
            .field("database", &shown(database))
            $(.field(stringify!($field), $field))*
            .finish()
    }};
}

/// Of the database's address it has what may be shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fields!(self, f;
            listen recent max_message max_connections max_head max_body header_timeout idle_timeout send_timeout poll_timeout
            keepalive drain_timeout session_lifetime retention max_polls_per_session max_places max_parked max_wakes max_wake_bytes max_unsent
            metrics_addr max_unread password_iterations min_password_length login_attempts send_rate register_rate durability queue
            workers loops secure_cookies allowed_origins trusted_proxies hints ask_every cache_sessions cache_messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (given, expected) in [
            (
                "postgres://ann:s3@cret@db:5432/chat",
                "postgres://ann@db:5432/chat",
            ),
            (
                "postgresql://ann@db/chat?password=secret",
                "postgresql://ann@db/chat",
            ),
            ("postgres://db/chat?user=ann", "postgres://db/chat"),
            ("postgres://ann:se?cret@db/chat", "postgres://…"),
            ("postgres://ann:se/cret@db/chat", "postgres://ann@db/chat"),
            ("postgres://ann:secret@", "postgres://ann@"),
            ("Postgres://ann:secret@db/chat", "Postgres://ann@db/chat"),
            (
                "POSTGRESQL://ann:secret@db/chat",
                "POSTGRESQL://ann@db/chat",
            ),
        ] {
            assert_eq!(without_password(given), expected);
            let config = Config {
                database: given.into(),
                ..Config::default()
            };
            assert_eq!(config.database_address().as_deref(), Some(expected));
            let debug = format!("{config:?}");
            assert!(debug.contains(expected), "{debug}");
            assert!(!debug.contains("cret"), "{debug}");
        }
    }

    #[test]
    fn what_is_an_address_of_something_else_is_no_file() {
        for given in [
            "mysql://ann:secret@db/chat",
            "postgresql+psycopg://ann:secret@db/chat",
            "jdbc:postgresql://ann:secret@db/chat",
            "sqlite:///loiter.db?key=secret",
        ] {
            let config = Config {
                database: given.into(),
                ..Config::default()
            };
            assert!(is_foreign_address(&config.database), "{given}");
            assert_eq!(config.database_address(), None);
            let debug = format!("{config:?}");
            assert!(!debug.contains("secret"), "{debug}");
        }
    }

    #[test]
    fn a_file_is_no_address() {
        for file in [
            "loiter.db",
            "./postgres:/x",
            "postgres:x",
            "./x://y",
            "://y",
            "",
        ] {
            assert!(!is_foreign_address(file.as_ref()), "{file}");
            let config = Config {
                database: file.into(),
                ..Config::default()
            };
            assert_eq!(config.database_address(), None);
            assert!(format!("{config:?}").contains(&format!("database: {file:?}")));
        }
    }
}
