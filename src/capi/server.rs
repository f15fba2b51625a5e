//! `loiter_server`: a server, and what may be asked of it from which thread.
//!
//! All functions but `loiter_server_free` share it, so none can invalidate what another looks at: a turn is announced, and who finds one
//! announced is told so (`LOITER_BUSY`) and does not wait, since it may be the very thread that makes it, within a callback. Whoever asks between
//! turns has the server for a moment, for which a turn and the next question wait. What signal handlers may call takes no lock.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use super::border::{Fault, Status, attempt, items, or_else, shared};
use super::config::LoiterConfig;
use super::routes::OwnRoutes;
use crate::{Handle, MetricKind, Metrics, Sample, Server, Waker};

/// `loiter_server`.
pub(super) struct LoiterServer {
    server: Mutex<Server>,
    /// A turn is under way, or about to be: it has the server, or waits for a question's end.
    is_turning: AtomicBool,
    handle: Handle,
    waker: Waker,
    metrics: Metrics,
    database: PathBuf,
    descriptor: RawFd,
    addresses: Vec<Address>,
    metrics_address: Option<CString>,
}

struct Address {
    text: CString,
    port: u16,
}

/// `loiter_metric_fn`.
pub(super) type MetricFn = unsafe extern "C" fn(
    user: *mut c_void,
    name: *const c_char,
    labels: *const c_char,
    kind: c_int,
    value: f64,
);

/// `enum loiter_metric_kind`.
pub(super) const COUNTER: c_int = 0;
pub(super) const GAUGE: c_int = 1;

impl LoiterServer {
    fn new(config: &LoiterConfig, sockets: &[c_int]) -> Result<Self, Fault> {
        let sockets: Result<_, _> = sockets.iter().copied().map(copy_of).collect();
        let (settings, sockets) = (config.config.clone(), sockets?);
        let database = settings.database.clone();
        let server = match &config.routes {
            None => Server::with_listeners(settings, sockets)?,
            Some(OwnRoutes { prefixes, handler }) => {
                let prefixes = Vec::from_iter(prefixes.iter().map(String::as_str));
                Server::with_routes(settings, sockets, &prefixes, |_, _| *handler)?
            }
        };
        let addresses = server.addresses().iter();
        Ok(Self {
            handle: server.handle(),
            waker: server.waker(),
            database,
            metrics: server.metrics(),
            descriptor: server.as_raw_fd(),
            addresses: addresses
                .map(|address| Address {
                    text: written(*address),
                    port: address.port(),
                })
                .collect(),
            metrics_address: metrics_address(&server).map(written),
            server: Mutex::new(server),
            is_turning: AtomicBool::new(false),
        })
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// Has its loop panic in the next turn.
    #[cfg(all(test, debug_assertions))]
    pub(super) fn break_it(&self) {
        self.handle.break_loop(0);
    }

    /// For one who turns.
    fn turn<T>(&self, turn: impl FnOnce(&mut Server) -> T) -> Result<T, Fault> {
        if self.is_turning.swap(true, Ordering::Acquire) {
            return Err(Fault::new(Status::Busy, "the server is in a turn already"));
        }
        let _turning = Turning(&self.is_turning);
        // A turn that panics has ended the server, which then knows it.
        let server = self.server.lock();
        Ok(turn(&mut server.unwrap_or_else(PoisonError::into_inner)))
    }

    /// What the server says between two turns; nothing within one.
    fn ask<T>(&self, ask: impl Fn(&Server) -> T) -> Option<T> {
        while !self.is_turning.load(Ordering::Acquire) {
            match self.server.try_lock() {
                Ok(server) => return Some(ask(&server)),
                Err(TryLockError::Poisoned(poisoned)) => return Some(ask(&poisoned.into_inner())),
                // Somebody else asks, or a turn is just beginning.
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
        None
    }
}

/// Says at its end that the turn is over.
struct Turning<'a>(&'a AtomicBool);

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A socket for us, beside the host's own.
fn copy_of(descriptor: c_int) -> Result<TcpListener, Fault> {
    if descriptor < 0 {
        return Err(Fault::argument("sockets", "has a descriptor below 0"));
    }
    // SAFETY: it is not -1, and is only borrowed for the call that copies it, which fails for one that is not open.
    let theirs = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let copied = theirs.try_clone_to_owned();
    copied.map(TcpListener::from).map_err(|error| {
        let message = format!("cannot listen on the descriptor {descriptor}: {error}");
        Fault::new(Status::CannotListen, message)
    })
}

#[cfg(feature = "metrics")]
fn metrics_address(server: &Server) -> Option<SocketAddr> {
    server.metrics_address()
}

#[cfg(not(feature = "metrics"))]
fn metrics_address(_: &Server) -> Option<SocketAddr> {
    None
}

fn written(address: SocketAddr) -> CString {
    CString::new(address.to_string()).expect("it has no NUL")
}

/// What `poll` takes: whole milliseconds, rounded up, so that it does not end just before; -1 is for ever.
fn milliseconds(timeout: Option<Duration>) -> c_int {
    let Some(timeout) = timeout else { return -1 };
    let whole = timeout.as_nanos().div_ceil(1_000_000);
    c_int::try_from(whole).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_new(
    config: *const LoiterConfig,
    sockets: *const c_int,
    socket_count: usize,
    server: *mut *mut LoiterServer,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks. Of `server` nothing is read.
    unsafe {
        attempt(error, error_size, || {
            if server.is_null() {
                return Err(Fault::argument("server", "is NULL"));
            }
            server.write(ptr::null_mut());
            let config = shared(config, "config")?;
            let sockets = items(sockets, socket_count, "sockets")?;
            let made = LoiterServer::new(config, sockets)?;
            server.write(Box::into_raw(Box::new(made)));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_free(server: *mut LoiterServer) {
    if !server.is_null() {
        or_else((), || {
            // SAFETY: it came from `loiter_server_new`, is freed once, and no call with it is under way.
            let server = unsafe { Box::from_raw(server) };
            // For good: what callbacks ask of it on its way out is refused as within a turn.
            server.is_turning.store(true, Ordering::Release);
            drop(server);
        });
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_turn(
    server: *mut LoiterServer,
    timeout_ms: c_int,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
            shared(server, "server")?.turn(|server| server.turn(timeout))??;
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_run(
    server: *mut LoiterServer,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            shared(server, "server")?.turn(Server::run)??;
            Ok(())
        })
    }
}

/// What a server has to say, or what is said for a NULL and a panic.
///
/// # Safety
/// As for [`shared`].
unsafe fn of<T>(
    server: *const LoiterServer,
    otherwise: T,
    ask: impl FnOnce(&LoiterServer) -> Option<T>,
) -> T {
    // SAFETY: as the caller says.
    let server = unsafe { server.as_ref() };
    or_else(None, || server.and_then(ask)).unwrap_or(otherwise)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_fd(server: *const LoiterServer) -> c_int {
    // SAFETY: the pointer is as the header asks.
    unsafe { of(server, -1, |server| Some(server.descriptor)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_timeout_ms(server: *const LoiterServer) -> c_int {
    // SAFETY: the pointer is as the header asks.
    unsafe {
        of(server, -1, |server| {
            server.ask(|server| milliseconds(server.poll_timeout()))
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_is_done(server: *const LoiterServer) -> c_int {
    // SAFETY: the pointer is as the header asks.
    unsafe {
        of(server, 0, |server| {
            server.ask(|server| c_int::from(server.is_done()))
        })
    }
}

/// Tells the server something; nobody, for a NULL.
///
/// # Safety
/// As for [`shared`].
unsafe fn ask_for(server: *const LoiterServer, wish: fn(&Handle)) {
    // SAFETY: as the caller says.
    if let Some(server) = unsafe { server.as_ref() } {
        or_else((), || wish(&server.handle));
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_drain(server: *const LoiterServer) {
    // SAFETY: the pointer is as the header asks.
    unsafe { ask_for(server, Handle::drain) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_stop(server: *const LoiterServer) {
    // SAFETY: the pointer is as the header asks.
    unsafe { ask_for(server, Handle::stop) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_wake(server: *const LoiterServer) {
    // SAFETY: the pointer is as the header asks.
    unsafe { ask_for(server, Handle::wake) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_check_pulse(server: *const LoiterServer) -> c_int {
    // SAFETY: the pointer is as the header asks.
    unsafe {
        of(server, 0, |server| {
            Some(c_int::from(server.handle.check_pulse()))
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_address(
    server: *const LoiterServer,
    index: usize,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks. What it yields lives as long as the server.
    unsafe {
        of(server, ptr::null(), |server| {
            server.addresses.get(index).map(|of| of.text.as_ptr())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_port(
    server: *const LoiterServer,
    index: usize,
) -> u16 {
    // SAFETY: the pointer is as the header asks.
    unsafe {
        of(server, 0, |server| {
            server.addresses.get(index).map(|of| of.port)
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_metrics_address(
    server: *const LoiterServer,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks. What it yields lives as long as the server.
    unsafe {
        of(server, ptr::null(), |server| {
            server.metrics_address.as_deref().map(|of| of.as_ptr())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_metrics(
    server: *const LoiterServer,
    visit: Option<MetricFn>,
    user: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let server = shared(server, "server")?;
            let visit = visit.ok_or_else(|| Fault::argument("visit", "is NULL"))?;
            server.metrics.visit(|sample| {
                let name = CString::new(sample.name).expect("it has no NUL");
                let labels = CString::new(labels(sample)).expect("they have no NUL");
                let kind = match sample.kind {
                    MetricKind::Counter => COUNTER,
                    MetricKind::Gauge => GAUGE,
                };
                // The callback is the host's, called as the header says; the texts live until it returns.
                visit(user, name.as_ptr(), labels.as_ptr(), kind, sample.value);
            });
            Ok(())
        })
    }
}

/// As they stand between braces in the text for Prometheus. None of ours has anything in it that would have to be escaped.
fn labels(sample: &Sample<'_>) -> String {
    let mut text = String::new();
    for (name, value) in sample.labels {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"{value}\"");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_ends_no_sooner_than_what_it_is_for() {
        for (timeout, ms) in [
            (None, -1),
            (Some(Duration::ZERO), 0),
            (Some(Duration::from_nanos(1)), 1),
            (Some(Duration::from_micros(1_000)), 1),
            (Some(Duration::from_micros(1_001)), 2),
            (Some(Duration::MAX), c_int::MAX),
        ] {
            assert_eq!(milliseconds(timeout), ms, "{timeout:?}");
        }
    }
}
