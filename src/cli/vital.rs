//! Threads without which the process could not be ended, or not be watched: the panic of one is the end of all.
//!
//! Without it a server might serve on that hears no signal any more. What a panic leaves behind is not to be trusted, not even
//! to be dropped, which may wait for threads; all that was acknowledged is on disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::{io, thread};

/// The status of a server of which some part has panicked: that which Rust gives a process whose main thread has.
pub(crate) const PANICKED: i32 = 101;

/// Starts such a thread. The reason of its panic is on standard error by then.
pub(crate) fn vital(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            exit(PANICKED);
        }
    };
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(guarded).map(drop)
}

/// Has a part of a server panic that `LOITER_TEST_BREAK` names: `vital`, `checkpoint`, or an event loop's number. For tests of what comes then; not in
/// a release build.
#[cfg(debug_assertions)]
pub(crate) fn break_if_asked(server: &loiter::Server) {
    match std::env::var("LOITER_TEST_BREAK").as_deref() {
        Ok("vital") => {
            vital("loiter-vital", || panic!("broken by a test")).expect("a thread");
        }
        Ok("checkpoint") => server.break_checkpoints(),
        Ok(number) => (server.handle()).break_loop(number.parse().expect("a loop's number")),
        Err(_) => {}
    }
}
