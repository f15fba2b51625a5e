//! A program's own routes: what its callbacks are called with, and what they answer.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::time::Duration;

use super::border::{Fault, Status, attempt, exclusive, items, or_else, shared, text};
use super::config::LoiterConfig;
use super::server::LoiterServer;
use crate::{Answer, BadField, Gone, NotWoken, Request, Response, Routes};

/// `loiter_answer_fn`.
pub(super) type AnswerFn =
    unsafe extern "C" fn(user: *mut c_void, request: *const LoiterRequest<'_>);
/// `loiter_gone_fn`.
pub(super) type GoneFn = unsafe extern "C" fn(user: *mut c_void, key: u64, how: c_int);

/// `loiter_response`.
pub(super) struct LoiterResponse(Response);

/// `loiter_request`: of one call of the callback, on its thread.
pub(super) struct LoiterRequest<'a> {
    request: &'a Request<'a>,
    /// What was asked for, as C takes it.
    texts: RefCell<Vec<CString>>,
    answer: Cell<Option<Answer>>,
}

/// Where a program answers, and by what.
#[derive(Clone)]
pub(super) struct OwnRoutes {
    pub(super) prefixes: Vec<String>,
    pub(super) handler: Handler,
}

/// A program's callbacks.
#[derive(Clone, Copy)]
pub(super) struct Handler {
    answer: AnswerFn,
    gone: Option<GoneFn>,
    user: *mut c_void,
}

// SAFETY: `user` is only handed back, and the header asks that the callbacks may be called with it from any thread, several at a time.
unsafe impl Send for Handler {}

impl Routes for Handler {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        let asked = LoiterRequest {
            request,
            texts: RefCell::default(),
            answer: Cell::default(),
        };
        // SAFETY: the header asks that it may be called with what came with it; the request is there until it returns.
        unsafe { (self.answer)(self.user, &raw const asked) };
        asked.answer.take().unwrap_or_else(|| {
            let message = "The program has not said what to answer.";
            Response::error(500, "not_answered", message).into()
        })
    }

    fn gone(&mut self, key: u64, how: Gone) {
        if let Some(gone) = self.gone {
            // SAFETY: as above.
            unsafe { gone(self.user, key, how_of(how)) };
        }
    }
}

/// `enum loiter_gone`.
pub(super) const fn how_of(how: Gone) -> c_int {
    match how {
        Gone::Left => 0,
        Gone::TimedOut => 1,
        Gone::Refused => 2,
        Gone::Ended => 3,
    }
}

impl LoiterRequest<'_> {
    /// A text that is there until the callback returns; NULL for what C cannot be told, since it has a NUL in it.
    fn keep(&self, text: &str) -> *const c_char {
        let Ok(text) = CString::new(text) else {
            return ptr::null();
        };
        let mut texts = self.texts.borrow_mut();
        texts.push(text);
        texts.last().map_or(ptr::null(), |text| text.as_ptr())
    }
}

impl From<BadField> for Fault {
    fn from(error: BadField) -> Self {
        Self::new(Status::BadArgument, error.to_string())
    }
}

impl From<NotWoken> for Fault {
    fn from(error: NotWoken) -> Self {
        let status = match error {
            NotWoken::TooMany => Status::TooMany,
            NotWoken::Ended => Status::Ended,
        };
        Self::new(status, error.to_string())
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_config_set_routes(
    config: *mut LoiterConfig,
    prefixes: *const *const c_char,
    prefix_count: usize,
    answer: Option<AnswerFn>,
    gone: Option<GoneFn>,
    user: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks, and nobody else has this configuration meanwhile.
    unsafe {
        attempt(error, error_size, || {
            let config = exclusive(config, "config")?;
            let prefixes = items(prefixes, prefix_count, "prefixes")?.iter();
            let copied = prefixes.map(|&prefix| Ok(text(prefix, "a prefix")?.to_owned()));
            let prefixes = copied.collect::<Result<Vec<String>, Fault>>()?;
            config.routes = match (prefixes.is_empty(), answer) {
                (true, _) => None,
                (false, None) => return Err(Fault::argument("answer", "is NULL")),
                (false, Some(answer)) => Some(OwnRoutes {
                    prefixes,
                    handler: Handler { answer, gone, user },
                }),
            };
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_response_new(
    status: c_int,
    media_type: *const c_char,
    body: *const c_void,
    body_size: usize,
    response: *mut *mut LoiterResponse,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks. Of `response` nothing is read.
    unsafe {
        attempt(error, error_size, || {
            if response.is_null() {
                return Err(Fault::argument("response", "is NULL"));
            }
            response.write(ptr::null_mut());
            let status = u16::try_from(status).unwrap_or(0);
            let body = items(body.cast::<u8>(), body_size, "body")?;
            let made = match media_type.is_null() {
                true if !body.is_empty() => Err("a body needs a media type".to_owned()),
                true => Response::checked_empty(status),
                false => Response::checked(status, text(media_type, "media_type")?, body),
            };
            let made = made.map_err(|rule| Fault::new(Status::BadArgument, rule))?;
            response.write(Box::into_raw(Box::new(LoiterResponse(made))));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_response_add_field(
    response: *mut LoiterResponse,
    name: *const c_char,
    value: *const c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks, and nobody else has this response meanwhile.
    unsafe {
        attempt(error, error_size, || {
            let response = exclusive(response, "response")?;
            let with = response.0.clone();
            response.0 = with.with_field(text(name, "name")?, text(value, "value")?)?;
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_response_free(response: *mut LoiterResponse) {
    if !response.is_null() {
        // SAFETY: it came from `loiter_response_new`, and is freed once.
        or_else((), || drop(unsafe { Box::from_raw(response) }));
    }
}

/// What a request has to say; NULL for NULL.
///
/// # Safety
/// As for [`shared`], on the thread of the callback.
unsafe fn told(
    request: *const LoiterRequest<'_>,
    tell: impl FnOnce(&LoiterRequest<'_>) -> *const c_char,
) -> *const c_char {
    // SAFETY: as the caller says.
    let request = unsafe { request.as_ref() };
    or_else(ptr::null(), || request.map_or(ptr::null(), tell))
}

/// As [`told`], of something that has a name.
///
/// # Safety
/// As there; and as for [`text`].
unsafe fn told_of(
    request: *const LoiterRequest<'_>,
    name: *const c_char,
    tell: impl FnOnce(&LoiterRequest<'_>, &str) -> *const c_char,
) -> *const c_char {
    // SAFETY: as the caller says.
    unsafe {
        let name = text(name, "name");
        told(request, |request| {
            name.map_or(ptr::null(), |name| tell(request, name))
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_method(
    request: *const LoiterRequest<'_>,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks.
    unsafe { told(request, |of| of.keep(of.request.method())) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_path(
    request: *const LoiterRequest<'_>,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks.
    unsafe { told(request, |of| of.keep(of.request.path())) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_query(
    request: *const LoiterRequest<'_>,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks.
    unsafe { told(request, |of| of.keep(of.request.query())) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_client(
    request: *const LoiterRequest<'_>,
) -> *const c_char {
    // SAFETY: the pointer is as the header asks.
    unsafe { told(request, |of| of.keep(&of.request.client().to_string())) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_parameter(
    request: *const LoiterRequest<'_>,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        told_of(request, name, |of, name| {
            let value = of.request.parameter(name);
            value.map_or(ptr::null(), |value| of.keep(&value))
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_field(
    request: *const LoiterRequest<'_>,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        told_of(request, name, |of, name| {
            let value = of.request.field(name);
            value.map_or(ptr::null(), |value| of.keep(value))
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_body(
    request: *const LoiterRequest<'_>,
    size: *mut usize,
) -> *const c_void {
    // SAFETY: the pointers are as the header asks; of `size` nothing is read.
    unsafe {
        let body = request.as_ref().map(|of| of.request.body());
        if !size.is_null() {
            size.write(body.map_or(0, <[u8]>::len));
        }
        body.map_or(ptr::null(), |body| body.as_ptr().cast())
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_answer(
    request: *const LoiterRequest<'_>,
    response: *const LoiterResponse,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let request = shared(request, "request")?;
            let response = shared(response, "response")?.0.clone();
            request.answer.set(Some(Answer::Now(response)));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_request_park(
    request: *const LoiterRequest<'_>,
    key: u64,
    at_most_ms: c_int,
    then: *const LoiterResponse,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let request = shared(request, "request")?;
            let then = shared(then, "then")?.0.clone();
            let at_most = u64::try_from(at_most_ms).map_or(Duration::MAX, Duration::from_millis);
            request.answer.set(Some(Answer::park(key, at_most, then)));
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_server_wake_parked(
    server: *const LoiterServer,
    key: u64,
    response: *const LoiterResponse,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let server = shared(server, "server")?;
            let response = shared(response, "response")?.0.clone();
            server.waker().wake(key, response)?;
            Ok(())
        })
    }
}
