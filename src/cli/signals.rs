//! SIGTERM, SIGINT and SIGHUP: the first drains, a later one stops at once, one later still no longer asks.
//!
//! SIGHUP is what a process gets whose terminal is closed. Whoever starts us by `nohup` has it ignored, and means that: see [`ending`].
//!
//! One wish can arrive as several signals: `timeout` signals its child and then the whole group, a supervisor
//! may signal a group and its main process. So what comes within [`ONE_WISH`] of a signal that counted adds nothing to it.
//!
//! A thread of its own waits for them, so that the loop knows nothing of signals. SIGPIPE
//! needs nothing here: Rust's runtime ignores it, and a write to a closed peer is an error like any other.
//! SIGXFSZ does: see [`outlive_the_file_size_limit`].
//!
//! A command is not a server: it ends at the first, as soon as it has put away what it was making ([`Interrupted`]).

use std::ffi::c_int;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use loiter::Handle;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::vital::vital;

/// How close together signals are one wish. Far longer than any supervisor takes to signal twice, and
/// hardly longer than a person takes to see that the first was heard.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Whether a later signal cut the drain short.
pub(crate) struct Asked(Arc<AtomicI32>);

impl Asked {
    /// The signal at which the server stopped without having drained.
    pub(crate) fn to_stop(&self) -> Option<c_int> {
        Some(self.0.load(Ordering::Acquire)).filter(|&signal| signal != 0)
    }
}

/// Has a write beyond the limit on the size of files (`ulimit -f`) fail as one on a full disk does.
///
/// The signal that comes with it would otherwise end the process, and everybody's polls with it. A handler that does
/// nothing of use keeps that away.
///
/// # Errors
/// No handler could be had.
pub(crate) fn outlive_the_file_size_limit() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signals that end us. SIGHUP only where it is known not to have been ignored from the start on: else it is left as it is.
fn ending() -> impl Iterator<Item = c_int> + Clone {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hangup = (is_ignored(&status, SIGHUP) == Some(false)).then_some(SIGHUP);
    [SIGTERM, SIGINT].into_iter().chain(hangup)
}

/// Whether a process of this `/proc/PID/status` ignores a signal. To ask the system itself would take unsafe code.
fn is_ignored(status: &str, signal: c_int) -> Option<bool> {
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(ignored >> (signal - 1) & 1 == 1)
}

/// Begins to pass signals on to the server behind `handle`, whose drain takes so long at most; `drains` is called before the first of them.
///
/// # Errors
/// No thread, or no handler, could be had.
pub(crate) fn watch(
    handle: Handle,
    drain_timeout: Duration,
    drains: impl Fn() + Send + 'static,
) -> io::Result<Asked> {
    let mut signals = Signals::new(ending())?;
    let asked = Asked(Arc::default());
    let to_stop = Arc::clone(&asked.0);
    vital("loiter-signals", move || {
        let mut wishes = Wishes::default();
        for signal in signals.forever() {
            let wish = wishes.count(Instant::now());
            if wish == Wish::Drain {
                drains();
            }
            log_wish(wish, name(signal), drain_timeout);
            obey(wish, signal, &handle, &to_stop);
        }
    })?;
    Ok(asked)
}

/// Whether a command is to end before it is done.
pub(crate) struct Interrupted {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interrupted {
    /// From now on signals that would end it are noted, and end nothing by themselves.
    ///
    /// # Errors
    /// No handler could be had.
    pub(crate) fn watch() -> io::Result<Self> {
        let interrupted = Self {
            flag: Arc::default(),
            signal: Arc::default(),
        };
        for signal in ending() {
            // Handlers run in this order.
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&interrupted.signal), number)?;
            flag::register(signal, Arc::clone(&interrupted.flag))?;
        }
        Ok(interrupted)
    }

    /// Becomes true when it is.
    pub(crate) fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The signal by which it is, once the flag is true.
    pub(crate) fn signal(&self) -> c_int {
        c_int::try_from(self.signal.load(Ordering::Acquire)).unwrap_or_default()
    }
}

/// The status of who ends because of a signal: as a shell reports the death by it, so that nobody takes it for the end of something done.
pub(crate) fn status(signal: c_int) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// What people call it.
pub(crate) fn name(signal: c_int) -> &'static str {
    signal_name(signal).unwrap_or("signal")
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Drain,
    Stop,
    /// The loop no longer turns; the operator must not need to know of SIGKILL.
    Die,
    /// What the one just before asked for.
    Same,
}

/// The signals so far.
#[derive(Default)]
struct Wishes {
    /// The last that counted: what it asked for, and when it came.
    last: Option<(Wish, Instant)>,
}

impl Wishes {
    fn count(&mut self, now: Instant) -> Wish {
        let wish = match self.last {
            None => Wish::Drain,
            Some((_, at)) if now.duration_since(at) < ONE_WISH => return Wish::Same,
            Some((Wish::Drain, _)) => Wish::Stop,
            Some(_) => Wish::Die,
        };
        self.last = Some((wish, now));
        wish
    }
}

/// Before it is obeyed, so that the end is not told first.
fn log_wish(wish: Wish, name: &str, drain_timeout: Duration) {
    match wish {
        Wish::Drain => log::info!(
            "{name}: draining; requests under way have {} s at most, and another signal, a second later or more, stops at once",
            drain_timeout.as_secs()
        ),
        Wish::Stop => log::warn!("{name} while draining: stopping at once"),
        Wish::Die => log::warn!("{name} while stopping: ending without any order"),
        Wish::Same => log::info!("{name}: taken as one with the signal just before"),
    }
}

fn obey(wish: Wish, signal: c_int, handle: &Handle, to_stop: &AtomicI32) {
    match wish {
        Wish::Drain => handle.drain(),
        Wish::Stop => {
            to_stop.store(signal, Ordering::Release);
            handle.stop();
        }
        Wish::Die => {
            if let Err(error) = emulate_default_handler(signal) {
                log::error!("{}: {error}", name(signal));
            }
        }
        Wish::Same => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_close_together_are_one_wish() {
        let start = Instant::now();
        let mut wishes = Wishes::default();
        for (at_ms, wish) in [
            (0, Wish::Drain),
            (0, Wish::Same),
            (600, Wish::Same),
            // Counted from the first of them, so that whoever goes on asking is heard.
            (1200, Wish::Stop),
            (1201, Wish::Same),
            (2200, Wish::Die),
        ] {
            let now = start + Duration::from_millis(at_ms);
            assert_eq!(wishes.count(now), wish, "{at_ms} ms");
        }
    }

    #[test]
    fn what_is_ignored_is_a_bit_of_what_the_system_says() {
        let status = |ignored| {
            format!(
                "Name:\tloiter\nSigBlk:\t{0}1\nSigIgn:\t{ignored}\nSigCgt:\t{0}1\n",
                "0".repeat(15)
            )
        };
        for (ignored, signal, expected) in [
            ("0000000000000001", SIGHUP, Some(true)),
            ("0000000000001000", SIGHUP, Some(false)),
            ("0000000000004000", SIGTERM, Some(true)),
            ("ffffffffffffffff", SIGHUP, Some(true)),
            ("many", SIGHUP, None),
        ] {
            assert_eq!(is_ignored(&status(ignored), signal), expected, "{ignored}");
        }
        assert_eq!(is_ignored("", SIGHUP), None, "where there is no /proc");
    }
}
