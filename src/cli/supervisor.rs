//! What a supervisor is told: that we serve, that we end, how we are, and that no loop hangs (systemd's sd_notify(3)).
//!
//! A supervisor names a socket of datagrams in `NOTIFY_SOCKET`; without one nothing is told. Where it has set `WATCHDOG_USEC` it wants to hear
//! from us that often, and restarts us when it does not. The sign is given only while every event loop turns: a
//! thread of its own asks them (`Handle::check_pulse`), so a process of which only the loops hang is found out.

use std::env::{self, VarError};
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use loiter::Handle;

use super::vital::vital;

/// What of the watchdog's time goes by between two signs: each tells of the quarter before, and one may come late.
const SIGNS: u32 = 4;

/// How long a supervisor may take nothing before it is not told.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much longer than the drain the end may take: what was begun at the disk is finished.
const END: Duration = Duration::from_secs(5);

/// The way to the supervisor, if there is one.
#[derive(Clone)]
pub(crate) struct Supervisor(Option<Arc<Way>>);

struct Way {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Supervisor {
    /// The one that this process's environment names.
    ///
    /// # Errors
    /// What is wrong with it, in one line: whoever wants to be told would wait in vain.
    pub(crate) fn of_process() -> Result<Self, String> {
        let given = match env::var("NOTIFY_SOCKET") {
            Ok(given) if !given.is_empty() => given,
            Ok(_) | Err(VarError::NotPresent) => return Ok(Self(None)),
            Err(VarError::NotUnicode(given)) => given.to_string_lossy().into_owned(),
        };
        let way = Way::to(&given)
            .map_err(|error| format!("invalid value '{given}' for NOTIFY_SOCKET: {error}"))?;
        Ok(Self(Some(Arc::new(way))))
    }

    /// We serve: those who wait for that may go on.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// We end, and may take so long for it, whatever the supervisor allows otherwise.
    pub(crate) fn stopping(&self, drain_timeout: Duration) {
        let end_us = drain_timeout.saturating_add(END).as_micros();
        let most_s = drain_timeout.as_secs();
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={end_us}\nSTATUS=draining, for {most_s} s at most"
        ));
    }

    /// We cannot start, or go on.
    pub(crate) fn failed(&self, reason: &str) {
        self.tell(&format!("STATUS={reason}"));
    }

    /// Begins to give signs of life, if they are wanted.
    ///
    /// # Errors
    /// What of `WATCHDOG_USEC` is wrong, or that no thread could be had.
    pub(crate) fn watch_over(&self, handle: Handle) -> Result<(), String> {
        let every = watchdog(process::id(), |name| env::var(name))?;
        let Some(every) = every.filter(|_| self.0.is_some()) else {
            return Ok(());
        };
        let supervisor = self.clone();
        let watch = move || {
            let mut hangs = false;
            // The first only asks.
            handle.check_pulse();
            loop {
                thread::park_timeout(every / SIGNS);
                if handle.check_pulse() {
                    supervisor.tell("WATCHDOG=1");
                    hangs = false;
                } else if !std::mem::replace(&mut hangs, true) {
                    log::warn!(
                        "not every event loop turns; no sign of life is given until they do"
                    );
                }
            }
        };
        vital("loiter-watchdog", watch).map_err(|error| format!("cannot keep watch: {error}"))
    }

    fn tell(&self, state: &str) {
        if let Some(way) = &self.0
            && let Err(error) = way.socket.send_to_addr(state.as_bytes(), &way.to)
        {
            log::warn!("the supervisor is not told {state:?}: {error}");
        }
    }
}

impl Way {
    fn to(given: &str) -> io::Result<Self> {
        let to = match given.strip_prefix('@') {
            Some(name) => in_the_abstract(name)?,
            None if given.starts_with('/') => SocketAddr::from_pathname(given)?,
            None => return Err(io::Error::other("must be a path, or @ and a name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, to })
    }
}

#[cfg(target_os = "linux")]
fn in_the_abstract(name: &str) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn in_the_abstract(_: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How often the supervisor wants a sign of life from the process of this id; `None` if it wants none.
fn watchdog(
    process: u32,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Option<Duration>, String> {
    let Ok(given) = variable("WATCHDOG_USEC") else {
        return Ok(None);
    };
    // It may be meant for a process around us.
    if variable("WATCHDOG_PID").is_ok_and(|id| id.parse() != Ok(process)) {
        return Ok(None);
    }
    let every_us = given.parse().ok().filter(|&every_us| every_us > 0);
    every_us
        .map(|every_us| Some(Duration::from_micros(every_us)))
        .ok_or_else(|| format!("invalid value '{given}' for WATCHDOG_USEC: must be 1 at least"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_for_whoever_wants_them_of_us() {
        let wanted = |usec: &'static str, pid: Option<&'static str>| {
            watchdog(7, move |name| match name {
                "WATCHDOG_USEC" => Ok(usec.to_owned()),
                _ => pid.map(str::to_owned).ok_or(VarError::NotPresent),
            })
        };
        let half = Some(Duration::from_millis(500));
        assert_eq!(wanted("500000", Some("7")), Ok(half));
        assert_eq!(wanted("500000", None), Ok(half));
        assert_eq!(wanted("500000", Some("8")), Ok(None));
        for usec in ["0", "-1", "soon", ""] {
            let refusal = wanted(usec, Some("7")).expect_err(usec);
            assert!(refusal.contains("WATCHDOG_USEC"), "{refusal}");
        }
        assert_eq!(watchdog(7, |_| Err(VarError::NotPresent)), Ok(None));
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        assert!(Way::to("/run/some/notify").is_ok());
        for given in ["notify", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            assert!(Way::to(given).is_err(), "{given}");
        }
    }
}
