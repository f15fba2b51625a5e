//! `loiter_log`: lines of the log to a callback. The facade `log` has one logger for the process, and so has this.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};

use super::border::{Fault, Status, attempt};

/// `loiter_log_fn`.
pub(super) type LogFn = unsafe extern "C" fn(
    user: *mut c_void,
    level: c_int,
    target: *const c_char,
    message: *const c_char,
);

/// Where lines go.
struct Sink {
    write: LogFn,
    user: *mut c_void,
    level: LevelFilter,
}

// SAFETY: `user` is only handed back, and the header asks that the callback may be called with it from any thread.
unsafe impl Send for Sink {}
// SAFETY: likewise, from several at a time.
unsafe impl Sync for Sink {}

static SINK: OnceLock<Sink> = OnceLock::new();

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_log(
    write: Option<LogFn>,
    user: *mut c_void,
    level: c_int,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe { attempt(error, error_size, || install(write, user, level)) }
}

fn install(write: Option<LogFn>, user: *mut c_void, level: c_int) -> Result<(), Fault> {
    let write = write.ok_or_else(|| Fault::argument("write", "is NULL"))?;
    let level = LevelFilter::iter()
        .find(|&of| of as c_int == level)
        .ok_or_else(|| Fault::argument("level", "must be from 0 to 5"))?;
    let taken = || Fault::new(Status::Taken, "the process has a log already");
    let sink = Sink { write, user, level };
    SINK.set(sink).map_err(|_| taken())?;
    let sink = SINK.get().expect("it was set");
    log::set_logger(sink).map_err(|_| taken())?;
    log::set_max_level(level);
    Ok(())
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // As in the binary: what the libraries below tell in passing is for their authors, and nothing that we have vetted for what
        // may stand in a log.
        let rest = metadata.target().strip_prefix("loiter");
        let is_ours = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        let most = match is_ours {
            true => self.level,
            false => self.level.min(LevelFilter::Warn),
        };
        metadata.level() <= most
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level() as c_int;
        let target = without_nul(record.target().to_owned());
        let message = without_nul(record.args().to_string());
        // SAFETY: the header asks that it may be called from any thread, with what came with it; the texts live until it returns.
        unsafe { (self.write)(self.user, level, target.as_ptr(), message.as_ptr()) };
    }

    fn flush(&self) {}
}

/// C's texts end at the first NUL, and nobody shall hide what comes behind one.
fn without_nul(text: String) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).expect("they are replaced")
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    unsafe extern "C" fn ignore(_: *mut c_void, _: c_int, _: *const c_char, _: *const c_char) {}

    #[test]
    fn what_is_ours_is_told_and_of_others_their_warnings() {
        let sink = Sink {
            write: ignore,
            user: std::ptr::null_mut(),
            level: LevelFilter::Info,
        };
        let is_told = |target: &str, level| {
            let metadata = Metadata::builder().target(target).level(level).build();
            sink.enabled(&metadata)
        };
        assert!(is_told("loiter", Level::Info));
        assert!(is_told("loiter::server", Level::Info));
        assert!(!is_told("loiter::server", Level::Debug));
        assert!(is_told("mio::poll", Level::Warn));
        assert!(!is_told("mio::poll", Level::Info));
        assert!(!is_told("loitering", Level::Info));
    }
}
