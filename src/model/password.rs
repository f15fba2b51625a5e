//! The rules of a new password.

use std::fmt;
use std::ops::RangeInclusive;

use super::Secret;

/// Bytes that a password may have.
pub const PASSWORD_BYTES: RangeInclusive<usize> = 1..=1024;

/// Why a text is no new password. Its `Display` is a sentence's end: "must …".
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let config = loiter::Config {
/// #     listen: vec!["127.0.0.1:0".parse()?],
/// #     database: folder.path().join("chat.db"),
/// #     ..loiter::Config::default()
/// # };
/// # drop(loiter::Server::bind(config.clone())?);
///
/// use loiter::{BadPassword, Users, UsersError};
///
/// let refused = Users::open(&config)?.add("Ann", "");
/// assert!(matches!(refused, Err(UsersError::BadPassword(BadPassword::Length))));
/// assert_eq!(BadPassword::Length.to_string(), "must have 1 to 1024 bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPassword {
    /// No bytes, or more than 1024.
    Length,
    /// Fewer characters than this, which are what the settings ask for.
    Short(usize),
}

impl Secret {
    /// Checks a new password, which is to have so many characters at least. What it is made of is its owner's affair.
    ///
    /// # Errors
    /// [`BadPassword`] says which rule `given` breaks.
    pub fn new_password(given: &str, chars_min: usize) -> Result<Self, BadPassword> {
        if !PASSWORD_BYTES.contains(&given.len()) {
            return Err(BadPassword::Length);
        }
        if given.chars().count() < chars_min {
            return Err(BadPassword::Short(chars_min));
        }
        Ok(Self(given.into()))
    }
}

impl fmt::Display for BadPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("must have 1 to 1024 bytes"),
            Self::Short(chars_min) => write!(f, "must have at least {chars_min} characters"),
        }
    }
}

impl std::error::Error for BadPassword {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_bounded_in_bytes_and_in_characters() {
        let checked = |given: &str, chars_min| Secret::new_password(given, chars_min).err();
        assert_eq!(checked("", 1), Some(BadPassword::Length));
        assert_eq!(checked(&"x".repeat(1025), 1), Some(BadPassword::Length));
        assert_eq!(checked(&"x".repeat(1024), 1024), None);
        assert_eq!(checked("äöü", 4), Some(BadPassword::Short(4)));
        assert_eq!(checked("\0 \n", 3), None);
    }
}
