//! The functions as C calls them, with what C could get wrong. What needs a server is in `tests/capi.sh`, from C.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use super::border::{Fault, Status, attempt};
use super::config::*;
use super::database::*;
use super::logging::*;
use super::routes::*;
use super::server::*;
use crate::Gone;

/// A buffer of the host's for errors.
struct Told([c_char; 300]);

impl Told {
    fn new() -> Self {
        Self([b'?' as c_char; 300])
    }

    fn buffer(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    fn text(&self) -> &str {
        // SAFETY: it was written to, and is terminated.
        let text = unsafe { CStr::from_ptr(self.0.as_ptr()) };
        text.to_str().expect("UTF-8")
    }
}

#[track_caller]
fn assert_told(told: &Told, status: c_int, wanted: Status, text: &str) {
    assert_eq!(status, wanted as c_int, "{}", told.text());
    assert!(told.text().contains(text), "{}", told.text());
}

#[test]
fn settings_are_set_and_faults_are_told() {
    let config = loiter_config_new();
    let set = |name: &CStr, value: &CStr, told: &mut Told| {
        let (name, value) = (name.as_ptr(), value.as_ptr());
        // SAFETY: they are what the header asks for.
        unsafe { loiter_config_set(config, name, value, told.buffer(), 300) }
    };
    let mut told = Told::new();
    let status = set(c"max-connections", c"1000", &mut told);
    assert_told(&told, status, Status::Ok, "");
    assert_eq!(told.text(), "");
    // SAFETY: nobody else has it.
    let limit = unsafe { &*config }.config.max_connections;
    assert_eq!(limit, Some(1000));
    for (name, value, wanted, text) in [
        (
            c"max-head",
            c"x",
            Status::BadSetting,
            "from 1024 to 1048576",
        ),
        (
            c"",
            c"",
            Status::BadSetting,
            "there is no setting ''; there are listen",
        ),
        (c"\xff", c"1", Status::BadArgument, "name is not UTF-8"),
        (
            c"queue",
            c"\xc3\x28",
            Status::BadArgument,
            "value is not UTF-8",
        ),
    ] {
        let status = set(name, value, &mut told);
        assert_told(&told, status, wanted, text);
    }
    // SAFETY: it is ours, and freed once.
    unsafe { loiter_config_free(config) };
}

#[test]
fn nulls_are_errors_or_nothing() {
    let mut told = Told::new();
    let config = loiter_config_new();
    let (name, size) = (c"queue".as_ptr(), 300);
    let mut server = std::ptr::dangling_mut::<LoiterServer>();
    // SAFETY: NULL may stand for each of them.
    unsafe {
        let buffer = told.buffer();
        let status = loiter_config_set(null_mut(), name, name, buffer, size);
        assert_told(&told, status, Status::BadArgument, "config is NULL");
        let status = loiter_config_set(config, null(), name, told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "name is NULL");
        let status = loiter_config_set(config, name, null(), told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "value is NULL");
        let status = loiter_config_set(config, name, null(), null_mut(), size);
        assert_eq!(status, Status::BadArgument as c_int);
        let status = loiter_config_set(config, name, null(), told.buffer(), 0);
        assert_eq!(status, Status::BadArgument as c_int);
        assert_eq!(
            told.text(),
            "value is NULL",
            "nothing is written to no bytes"
        );

        let status = loiter_server_new(null(), null(), 0, &raw mut server, told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "config is NULL");
        assert!(server.is_null());
        let status = loiter_server_new(config, null(), 0, null_mut(), told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        let status = loiter_server_new(config, null(), 1, &raw mut server, told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "sockets is NULL");
        let status = loiter_server_new(config, &-1, 1, &raw mut server, told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "below 0");
        let status = loiter_server_turn(null_mut(), 0, told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        let status = loiter_server_run(null_mut(), told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        let status = loiter_server_metrics(null(), None, null_mut(), told.buffer(), size);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        assert_eq!(loiter_server_fd(null()), -1);
        assert_eq!(loiter_server_timeout_ms(null()), -1);
        assert_eq!(loiter_server_is_done(null()), 0);
        assert_eq!(loiter_server_check_pulse(null()), 0);
        assert_eq!(loiter_server_port(null(), 0), 0);
        assert!(loiter_server_address(null(), 0).is_null());
        assert!(loiter_server_metrics_address(null()).is_null());
        loiter_server_drain(null());
        loiter_server_stop(null());
        loiter_server_wake(null());
        loiter_server_free(null_mut());
        loiter_config_free(null_mut());
        loiter_config_free(config);
    }
}

#[test]
fn nulls_are_errors_or_nothing_for_own_routes_too() {
    let mut told = Told::new();
    let mut response = null_mut();
    let mut size = 7;
    let answer = c"answer".as_ptr();
    // SAFETY: NULL may stand for each of them, and what is freed is freed once.
    unsafe {
        let status = loiter_response_new(
            204,
            null(),
            null(),
            0,
            &raw mut response,
            told.buffer(),
            300,
        );
        assert_told(&told, status, Status::Ok, "");
        let status = loiter_response_add_field(response, null(), answer, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "name is NULL");
        let status = loiter_request_answer(null(), response, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "request is NULL");
        let status = loiter_request_park(null(), 1, 0, response, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "request is NULL");
        let status = loiter_server_wake_parked(null(), 1, response, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        loiter_response_free(response);
        for text in [
            loiter_request_method(null()),
            loiter_request_path(null()),
            loiter_request_query(null()),
            loiter_request_client(null()),
            loiter_request_parameter(null(), answer),
            loiter_request_field(null(), answer),
        ] {
            assert!(text.is_null());
        }
        assert!(loiter_request_body(null(), null_mut()).is_null());
        assert!(loiter_request_body(null(), &raw mut size).is_null());
        assert_eq!(size, 0);
        let status = loiter_backup(null(), answer, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "server is NULL");
        let status = loiter_user_add(null(), answer, answer, null_mut(), told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "config is NULL");
        let status = loiter_user_set_password(null(), answer, answer, told.buffer(), 300);
        assert_told(&told, status, Status::BadArgument, "config is NULL");
    }
}

#[test]
fn a_message_is_cut_between_characters_and_always_ends() {
    for (room, wanted) in [(1, ""), (2, "a"), (3, "a"), (4, "aö"), (9, "aöb")] {
        let mut told = Told::new();
        let fault = || Err(Fault::new(Status::Failed, "aöb"));
        // SAFETY: there is more room than that.
        let status = unsafe { attempt(told.buffer(), room, fault) };
        assert_eq!(status, Status::Failed as c_int);
        assert_eq!(told.text(), wanted);
        let untouched = &told.0[wanted.len() + 1..];
        assert!(untouched.iter().all(|&byte| byte == b'?' as c_char));
    }
}

#[test]
fn a_panic_is_an_error() {
    let mut told = Told::new();
    // SAFETY: there is so much room.
    let status = unsafe { attempt(told.buffer(), 300, || panic!("a {}", "defect")) };
    assert_told(&told, status, Status::Panicked, "loiter panicked: a defect");
    let status = unsafe { attempt(told.buffer(), 300, || std::panic::panic_any(7)) };
    assert_told(&told, status, Status::Panicked, "without a word");
    assert_eq!(super::border::or_else(5, || panic!("a defect")), 5);
}

#[test]
fn settings_have_their_names() {
    let names = (0..).map(|index| loiter_setting_name(index));
    let names = names.take_while(|name| !name.is_null());
    // SAFETY: they are terminated, and there for ever.
    let names = names.map(|name| unsafe { CStr::from_ptr(name) });
    let names = Vec::from_iter(names.map(|name| name.to_str().expect("UTF-8")));
    assert_eq!(names, Vec::from_iter(crate::Config::setting_names()));
}

#[test]
fn the_version_is_the_packages() {
    // SAFETY: it is terminated, and there for ever.
    let version = unsafe { CStr::from_ptr(super::loiter_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_headers_levels_kinds_and_ends_are_ours() {
    let header = include_str!("loiter.h");
    for level in log::LevelFilter::iter() {
        let declared = format!("    LOITER_LOG_{level} = {}", level as c_int);
        assert!(header.contains(&declared), "{declared}");
    }
    for (name, kind) in [
        ("COUNTER", COUNTER),
        ("GAUGE", GAUGE),
        ("GONE_LEFT", how_of(Gone::Left)),
        ("GONE_TIMED_OUT", how_of(Gone::TimedOut)),
        ("GONE_REFUSED", how_of(Gone::Refused)),
        ("GONE_ENDED", how_of(Gone::Ended)),
    ] {
        let declared = format!("    LOITER_{name} = {kind}");
        assert!(header.contains(&declared), "{declared}");
    }
}

/// Keeps the lines that it is told, in a `Mutex<Vec<_>>` behind `user`.
unsafe extern "C" fn keep(
    user: *mut c_void,
    level: c_int,
    target: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the test below hands it one that lives for ever, and the texts are terminated.
    let (lines, target, message) = unsafe {
        (
            &*user.cast::<Lines>(),
            CStr::from_ptr(target).to_owned(),
            CStr::from_ptr(message).to_owned(),
        )
    };
    let mut lines = lines.lock().expect("no panic");
    lines.push((level, target, message));
}

type Lines = std::sync::Mutex<Vec<(c_int, CString, CString)>>;

/// One test, since there is one log for the process.
#[test]
fn lines_of_the_log_are_told_to_the_first_who_asks() {
    static LINES: Lines = Lines::new(Vec::new());
    let mut told = Told::new();
    let user = (&raw const LINES).cast_mut().cast::<c_void>();
    // SAFETY: the callback takes this, which lives for ever; NULL may stand for it.
    let mut install = |write, level| unsafe {
        let status = loiter_log(write, user, level, told.buffer(), 300);
        (status, told.text().to_owned())
    };
    let bad = Status::BadArgument as c_int;
    assert_eq!(install(None, 3), (bad, "write is NULL".to_owned()));
    for level in [-1, 6] {
        let rule = "level must be from 0 to 5".to_owned();
        assert_eq!(install(Some(keep), level), (bad, rule));
    }
    assert_eq!(install(Some(keep), 4), (0, String::new()));
    let (status, text) = install(Some(keep), 4);
    assert_eq!(status, Status::Taken as c_int);
    assert_eq!(text, "the process has a log already");

    log::debug!(target: "loiter::capi", "this, and\0that");
    log::trace!(target: "loiter::capi", "too much");
    log::info!(target: "other", "not ours");
    log::error!(target: "other", "but this");
    let lines = LINES.lock().expect("no panic");
    let ours = |(_, target, _): &&(c_int, CString, CString)| {
        [c"loiter::capi", c"other"].contains(&target.as_c_str())
    };
    let lines = Vec::from_iter(lines.iter().filter(ours).cloned());
    let line = |level, target: &CStr, message: &CStr| (level, target.into(), message.into());
    assert_eq!(
        lines,
        [
            line(4, c"loiter::capi", c"this, and\xef\xbf\xbdthat"),
            line(1, c"other", c"but this"),
        ]
    );
}

#[cfg(debug_assertions)]
#[test]
#[cfg_attr(miri, ignore = "a server has sockets and SQLite")]
fn a_server_that_panics_has_ended_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_in(folder.path());
    let mut told = Told::new();
    // SAFETY: all of it is as the header asks, and freed once, by itself last.
    unsafe {
        (*server).break_it();
        let status = loiter_server_run(server, told.buffer(), 300);
        assert_told(&told, status, Status::Panicked, "event loop 0 panicked: ");
        assert_eq!(loiter_server_is_done(server), 1);
        let status = loiter_server_turn(server, -1, told.buffer(), 300);
        assert_told(&told, status, Status::Ok, "");
        loiter_server_free(server);
    }
}

/// A server on a database in this folder.
fn server_in(folder: &Path) -> *mut LoiterServer {
    let database = folder.join("chat.db");
    let database = CString::new(database.to_str().expect("UTF-8")).expect("no NUL");
    let config = loiter_config_new();
    let mut server = null_mut();
    let mut told = Told::new();
    // SAFETY: all of it is as the header asks.
    unsafe {
        for (name, value) in [(c"listen", c"127.0.0.1:0"), (c"database", &*database)] {
            let (name, value) = (name.as_ptr(), value.as_ptr());
            let status = loiter_config_set(config, name, value, told.buffer(), 300);
            assert_told(&told, status, Status::Ok, "");
        }
        let status = loiter_server_new(config, null(), 0, &raw mut server, told.buffer(), 300);
        assert_told(&told, status, Status::Ok, "");
        loiter_config_free(config);
    }
    server
}

/// `loiter.h` lets anybody ask at any time.
#[test]
#[cfg_attr(miri, ignore = "needs sockets")]
fn whoever_asks_between_turns_makes_no_turn_busy() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server_in(folder.path());
    let is_over = AtomicBool::new(false);
    // SAFETY: it is shared by reference, and freed when nobody has it any more.
    let shared = unsafe { &*server };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // SAFETY: as above.
                    unsafe {
                        loiter_server_is_done(shared);
                        loiter_server_timeout_ms(shared);
                    }
                }
            });
        }
        let mut told = Told::new();
        let turns = (0..2_000).map(|_| {
            // SAFETY: as above.
            unsafe { loiter_server_turn(server, 0, told.buffer(), 300) }
        });
        let busy = turns
            .filter(|&status| status != Status::Ok as c_int)
            .count();
        is_over.store(true, Relaxed);
        assert_eq!(busy, 0);
    });
    // SAFETY: as above.
    unsafe { loiter_server_free(server) };
}
