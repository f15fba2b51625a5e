//! Which paths are the host's own: those below the prefixes that it has named.
//!
//! Named, and not all that the API leaves over: what the API comes to have next year must not be something that a host has long
//! been answering, and who mistypes a path of the API is to be told so by the API.

use std::collections::BTreeSet;
use std::error;
use std::fmt;

use super::operations::OPERATIONS;
use crate::web;

/// The prefixes of a host's own paths.
#[derive(Clone, Debug, Default)]
pub struct Prefixes(Box<[Box<str>]>);

/// Why a prefix cannot be one of a host's own paths. `Display` names it and says what is allowed.
///
/// ```
/// # let config = loiter::Config::default();
/// let nothing = |_: &loiter::Request<'_>| loiter::Response::empty(204).into();
/// let refused = loiter::Server::with_routes(config, Vec::new(), &["/message/mine"], |_, _| nothing);
/// let reason = refused.unwrap_err().to_string();
/// assert!(reason.starts_with("\"/message/mine\" cannot be a host's own: its first part must be none of the server's"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPrefix {
    prefix: String,
    rule: String,
}

const FORM_RULE: &str =
    "it must be / or begin with one, and have parts of letters, digits and -._~, but for . and ..";

impl Prefixes {
    /// Those of a host. `/` stands for whatever the server itself has not.
    ///
    /// # Errors
    /// The first that is none, or that is the server's: paths are compared as they are sent, so that a prefix must be of characters that
    /// nobody has to encode.
    pub fn new(prefixes: &[&str]) -> Result<Self, BadPrefix> {
        let own: Result<_, _> = prefixes.iter().map(|prefix| check(prefix)).collect();
        own.map(Self)
    }

    /// Whether a path is one of them or below one.
    pub(super) fn have(&self, path: &str) -> bool {
        self.0.iter().any(|prefix| {
            let rest = path.strip_prefix(&**prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// The prefix as paths are compared with it: the root is what all paths begin with.
fn check(prefix: &str) -> Result<Box<str>, BadPrefix> {
    let bad = |rule: String| BadPrefix {
        prefix: prefix.to_owned(),
        rule,
    };
    if prefix == "/" {
        return Ok("".into());
    }
    let is_good = |part: &str| {
        let mut bytes = part.bytes();
        !matches!(part, "" | "." | "..")
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    let parts = prefix.strip_prefix('/').map(|rest| rest.split('/'));
    let Some(mut parts) = parts.filter(|parts| parts.clone().all(is_good)) else {
        return Err(bad(FORM_RULE.to_owned()));
    };
    let servers = servers_parts();
    match parts.next().is_some_and(|first| servers.contains(first)) {
        true => {
            let servers = Vec::from_iter(servers).join(", ");
            Err(bad(format!(
                "its first part must be none of the server's, which are {servers}"
            )))
        }
        false => Ok(prefix.into()),
    }
}

/// The first parts of all paths of the server's.
fn servers_parts() -> BTreeSet<&'static str> {
    let calls = OPERATIONS.iter().map(|operation| operation.path);
    let first = |path: &'static str| path.split('/').nth(1);
    calls.chain(web::paths()).filter_map(first).collect()
}

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be a host's own: {}", self.prefix, self.rule)
    }
}

impl error::Error for BadPrefix {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_at_a_prefix_or_below() {
        let prefixes = Prefixes::new(&["/builds", "/a/b"]).expect("good");
        for (path, is_own) in [
            ("/builds", true),
            ("/builds/", true),
            ("/builds/7/log", true),
            ("/buildsx", false),
            ("/build", false),
            ("/Builds", false),
            ("/%62uilds", false),
            ("//builds", false),
            ("/a", false),
            ("/a/b", true),
            ("/a/bc", false),
            ("/", false),
            ("*", false),
            ("builds:443", false),
        ] {
            assert_eq!(prefixes.have(path), is_own, "{path}");
        }
        let all = Prefixes::new(&["/"]).expect("good");
        for (path, is_own) in [("/", true), ("/x/y", true), ("*", false), ("h:443", false)] {
            assert_eq!(all.have(path), is_own, "{path}");
        }
        assert!(!Prefixes::default().have("/"));
    }

    #[test]
    fn what_the_server_has_is_refused_with_all_that_it_has() {
        for prefix in ["/message", "/message/x", "/login", "/whoami/me", "/healthz"] {
            let bad = Prefixes::new(&["/good", prefix]).expect_err("the server's");
            let reason = bad.to_string();
            assert!(
                reason.starts_with(&format!("{prefix:?} cannot")),
                "{reason}"
            );
            assert!(reason.contains("login, logout, "), "{reason}");
        }
        for operation in &OPERATIONS {
            assert!(Prefixes::new(&[operation.path]).is_err());
        }
        for path in web::paths().filter(|path| !path.is_empty()) {
            assert!(Prefixes::new(&[path]).is_err());
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for prefix in [
            "", "builds", "/builds/", "//", "/a//b", "/.", "/a/..", "/a?b", "/a#b", "/a b", "/%41",
            "/ä", "*",
        ] {
            let bad = Prefixes::new(&[prefix]).expect_err(prefix);
            assert!(bad.to_string().ends_with(FORM_RULE), "{bad}");
        }
    }
}
