//! Listening sockets that a supervisor has opened for us: systemd's socket activation (sd_listen_fds(3)).
//!
//! The supervisor keeps them open while we are restarted, so that who comes meanwhile waits and is not refused.
//! `LISTEN_PID` says whom they are for, `LISTEN_FDS` how many they are, from descriptor 3 on, and `LISTEN_FDNAMES`
//! what the supervisor calls them. All of them serve the API.

use std::env::{self, VarError};
use std::net::TcpListener;
use std::process;

use listenfd::ListenFd;

/// The first descriptor that a supervisor hands over.
const FIRST: usize = 3;

/// More than anybody listens on; less than what only a slip would say.
const SOCKETS_MAX: usize = 128;

/// The sockets that were handed to this process, if any were. To be called once, before there are threads: it clears the
/// variables.
///
/// # Errors
/// What of them is wrong, in one line.
pub(crate) fn sockets() -> Result<Vec<TcpListener>, String> {
    let count = count(process::id(), |name| env::var(name))?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut handed = ListenFd::from_env();
    let take = |at: usize| {
        let socket = handed.take_tcp_listener(at).transpose();
        let socket = socket.unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into()));
        socket.map_err(|error| {
            let named = names.get(at).filter(|name| !name.is_empty());
            let named = named.map(|name| format!(" ({name})")).unwrap_or_default();
            format!(
                "cannot listen on descriptor {}{named}, which LISTEN_FDS hands over: {error}",
                FIRST + at
            )
        })
    };
    (0..count).map(take).collect()
}

/// How many sockets are for the process of this id.
fn count(
    process: u32,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<usize, String> {
    // A supervisor's shell may have passed on what was meant for itself.
    let is_ours = variable("LISTEN_PID").is_ok_and(|id| id.parse() == Ok(process));
    if !is_ours {
        return Ok(0);
    }
    let given = match variable("LISTEN_FDS") {
        Ok(given) => given,
        Err(VarError::NotPresent) => return Ok(0),
        Err(VarError::NotUnicode(given)) => given.to_string_lossy().into_owned(),
    };
    let count = given.parse().ok().filter(|&count| count <= SOCKETS_MAX);
    count.ok_or_else(|| {
        format!("invalid value '{given}' for LISTEN_FDS: must be from 0 to {SOCKETS_MAX}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pid: Option<&str>, fds: Option<&str>) -> Result<usize, String> {
        let given = |value: Option<&str>| value.map(str::to_owned).ok_or(VarError::NotPresent);
        count(7, |name| match name {
            "LISTEN_PID" => given(pid),
            "LISTEN_FDS" => given(fds),
            other => panic!("{other} is not asked for"),
        })
    }

    #[test]
    fn only_what_is_for_this_process_counts() {
        assert_eq!(counted(Some("7"), Some("2")), Ok(2));
        assert_eq!(counted(Some("7"), Some("0")), Ok(0));
        for (pid, fds) in [
            (None, None),
            (None, Some("2")),
            (Some("8"), Some("2")),
            (Some("8"), Some("many")),
            (Some(""), Some("2")),
            (Some("7"), None),
        ] {
            assert_eq!(counted(pid, fds), Ok(0), "{pid:?} {fds:?}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused_by_name() {
        for fds in ["", "-1", "two", "129", "99999999999999999999"] {
            let refusal = counted(Some("7"), Some(fds)).expect_err(fds);
            assert!(refusal.contains("LISTEN_FDS") && refusal.contains("0 to 128"));
        }
    }
}
