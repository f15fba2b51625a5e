//! SIGTERM and SIGINT: the first drains, a later one stops at once, one later still no longer asks.
//!
//! One wish can arrive as several signals: `timeout` signals its child and then the whole group, a supervisor
//! may signal a group and its main process. So what comes within [`ONE_WISH`] of a signal that counted adds nothing to it.
//!
//! A thread of its own waits for them, so that the loop knows nothing of signals. SIGPIPE
//! needs nothing here: Rust's runtime ignores it, and a write to a closed peer is an error like any other.
//! SIGXFSZ does: see [`outlive_the_file_size_limit`].
//!
//! A command is not a server: it ends at the first, as soon as it has put away what it was making ([`Interrupted`]).

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use loiter::Handle;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
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
    pub(crate) fn to_stop(&self) -> Option<i32> {
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

/// Begins to pass signals on to the server behind `handle`; `drains` is called before the first of them.
///
/// # Errors
/// No thread, or no handler, could be had.
pub(crate) fn watch(handle: Handle, drains: impl Fn() + Send + 'static) -> io::Result<Asked> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let asked = Asked(Arc::default());
    let to_stop = Arc::clone(&asked.0);
    vital("loiter-signals", move || {
        let mut wishes = Wishes::default();
        for signal in signals.forever() {
            let wish = wishes.count(Instant::now());
            if wish == Wish::Drain {
                drains();
            }
            obey(wish, signal, &handle, &to_stop);
        }
    })?;
    Ok(asked)
}

/// Whether a command is to end before it is done.
pub(crate) struct Interrupted {
    flag: Arc<AtomicBool>,
    by_sigint: Arc<AtomicBool>,
}

impl Interrupted {
    /// From now on SIGTERM and SIGINT are noted, and end nothing by themselves.
    ///
    /// # Errors
    /// No handler could be had.
    pub(crate) fn watch() -> io::Result<Self> {
        let interrupted = Self {
            flag: Arc::default(),
            by_sigint: Arc::default(),
        };
        // Handlers run in this order.
        flag::register(SIGINT, Arc::clone(&interrupted.by_sigint))?;
        for signal in [SIGTERM, SIGINT] {
            flag::register(signal, Arc::clone(&interrupted.flag))?;
        }
        Ok(interrupted)
    }

    /// Becomes true when it is.
    pub(crate) fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The signal by which it is, once the flag is true.
    pub(crate) fn signal(&self) -> i32 {
        match self.by_sigint.load(Ordering::Acquire) {
            true => SIGINT,
            false => SIGTERM,
        }
    }
}

/// The status of who ends because of a signal: as a shell reports the death by it, so that nobody takes it for the end of something done.
pub(crate) fn status(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// What people call it.
pub(crate) fn name(signal: i32) -> &'static str {
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

fn obey(wish: Wish, signal: i32, handle: &Handle, to_stop: &AtomicI32) {
    let name = name(signal);
    match wish {
        Wish::Drain => {
            log::info!("{name}: draining; another in a second or later stops at once");
            handle.drain();
        }
        Wish::Stop => {
            log::warn!("{name} while draining: stopping at once");
            to_stop.store(signal, Ordering::Release);
            handle.stop();
        }
        Wish::Die => {
            if let Err(error) = emulate_default_handler(signal) {
                log::error!("{name}: {error}");
            }
        }
        Wish::Same => log::info!("{name}: taken as one with the signal just before"),
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
}
