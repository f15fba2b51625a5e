//! Ctrl-C and its kin: what a run has started ends, and what it has laid down goes, before the program does.
//!
//! Children are in process groups of their own, so that a terminal's Ctrl-C reaches this program alone, which ends them in
//! good order: workers by the end of their input, a server of our own by SIGTERM.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;
use crate::progress::say;

/// Something that has to be ended.
pub(crate) trait Ending: Send + Sync {
    /// Ends it; the second time nothing happens.
    fn end(&self);
}

static STARTED: Once = Once::new();
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static ENDINGS: Mutex<Vec<Weak<dyn Ending>>> = Mutex::new(Vec::new());

/// Starts something that has to be ended when a signal comes. One that comes meanwhile waits until it is remembered, and behind one
/// nothing is started: else it would outlive this program.
pub(crate) fn started<T: Ending + 'static>(
    start: impl FnOnce() -> Result<T, Error>,
) -> Result<Arc<T>, Error> {
    let mut endings = ENDINGS.lock().unwrap_or_else(PoisonError::into_inner);
    if has_come() {
        return Err(Error::Host("interrupted".into()));
    }
    let what = Arc::new(start()?);
    let ending: Arc<dyn Ending> = what.clone();
    endings.retain(|ending| ending.strong_count() > 0);
    endings.push(Arc::downgrade(&ending));
    Ok(what)
}

/// Begins to listen for signals.
pub(crate) fn listen() -> Result<(), Error> {
    let mut result = Ok(());
    STARTED.call_once(|| {
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]);
        result = signals
            .map_err(Error::io("listen for signals"))
            .map(|signals| {
                thread::spawn(move || wait(signals));
            });
    });
    result
}

fn wait(mut signals: Signals) {
    let Some(signal) = signals.forever().next() else {
        return;
    };
    INTERRUPTED.store(true, Ordering::SeqCst);
    say("loiter-loadtest: interrupted, ending what was started");
    // The lock is not held while something ends: it may be ending already, elsewhere.
    let endings = ENDINGS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    for ending in endings.iter().filter_map(Weak::upgrade) {
        ending.end();
    }
    process::exit(128 + signal);
}

/// Whether a signal has come. What fails then fails because of it.
pub(crate) fn has_come() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Ending for Nothing {
        fn end(&self) {}
    }

    #[test]
    fn a_signal_waits_until_what_is_being_started_is_remembered() {
        let nothing = started(|| {
            assert!(ENDINGS.try_lock().is_err());
            Ok(Nothing)
        });
        let nothing: Weak<dyn Ending> = Arc::downgrade(&nothing.unwrap()) as Weak<dyn Ending>;
        let endings = ENDINGS.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(endings.iter().any(|ending| ending.ptr_eq(&nothing)));
    }

    #[test]
    fn what_fails_to_start_is_not_remembered() {
        let failed = started(|| Err::<Nothing, _>(Error::Host("no".into())));
        assert_eq!(failed.err().unwrap().to_string(), "no");
    }
}
