//! SIGTERM and SIGINT: the first drains, the second stops at once, the third no longer asks.
//!
//! A thread of its own waits for them, so that the loop knows nothing of signals. SIGPIPE
//! needs nothing here: Rust's runtime ignores it, and a write to a closed peer is an error like any other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use loiter::Handle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

/// Whether a second signal cut the drain short.
pub(crate) struct Asked(Arc<AtomicI32>);

impl Asked {
    /// The signal at which the server stopped without having drained.
    pub(crate) fn to_stop(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Acquire)).filter(|&signal| signal != 0)
    }
}

/// Begins to pass signals on to the server behind `handle`.
///
/// # Errors
/// No thread, or no handler, could be had.
pub(crate) fn watch(handle: Handle) -> io::Result<Asked> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let asked = Asked(Arc::default());
    let to_stop = Arc::clone(&asked.0);
    thread::Builder::new()
        .name("loiter-signals".to_owned())
        .spawn(move || {
            for (before, signal) in signals.forever().enumerate() {
                pass_on(before, signal, &handle, &to_stop);
            }
        })?;
    Ok(asked)
}

/// Does what `signal` asks for after `before` others.
fn pass_on(before: usize, signal: i32, handle: &Handle, to_stop: &AtomicI32) {
    let name = signal_name(signal).unwrap_or("signal");
    match before {
        0 => {
            log::info!("{name}: draining; a second signal stops at once");
            handle.drain();
        }
        1 => {
            log::warn!("{name} while draining: stopping at once");
            to_stop.store(signal, Ordering::Release);
            handle.stop();
        }
        // The loop no longer turns; the operator must not need to know of SIGKILL.
        _ => {
            if let Err(error) = emulate_default_handler(signal) {
                log::error!("{name}: {error}");
            }
        }
    }
}
