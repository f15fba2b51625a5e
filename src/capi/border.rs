//! What crosses between C and Rust: pointers, texts, errors.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, slice};

use crate::config::BadSetting;
use crate::{Panicked, StartError};

/// What a function yields: `enum loiter_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Status {
    Ok = 0,
    BadArgument = 1,
    BadSetting = 2,
    CannotListen = 3,
    CannotOpen = 4,
    Failed = 5,
    Panicked = 6,
    Busy = 7,
    Taken = 8,
    TooMany = 9,
    Ended = 10,
    CannotBackUp = 11,
}

/// Why something could not be done.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: Status,
    /// For people.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn argument(name: &str, rule: &str) -> Self {
        Self::new(Status::BadArgument, format!("{name} {rule}"))
    }

    fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("without a word");
        Self::new(Status::Panicked, format!("loiter panicked: {text}"))
    }
}

impl From<BadSetting> for Fault {
    fn from(error: BadSetting) -> Self {
        Self::new(Status::BadSetting, error.to_string())
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        let status = match error {
            StartError::Config(_) => Status::BadSetting,
            StartError::Bind(_) | StartError::Metrics { .. } => Status::CannotListen,
            StartError::Open(_) => Status::CannotOpen,
            StartError::Routes(_) => Status::BadArgument,
        };
        Self::new(status, error.to_string())
    }
}

/// Of a turn.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let is_panic = (error.get_ref()).is_some_and(|source| source.is::<Panicked>());
        let status = match is_panic {
            true => Status::Panicked,
            false => Status::Failed,
        };
        Self::new(status, error.to_string())
    }
}

/// Does something that may fail, and tells the caller of it: by its status, and in words where there is room for them.
///
/// # Safety
/// `message` is NULL, or `size` bytes from there on may be written.
pub(super) unsafe fn attempt(
    message: *mut c_char,
    size: usize,
    work: impl FnOnce() -> Result<(), Fault>,
) -> c_int {
    let ended = catch_unwind(AssertUnwindSafe(work));
    let ended = ended.unwrap_or_else(|payload| Err(Fault::panicked(&*payload)));
    let (status, text) = match &ended {
        Ok(()) => (Status::Ok, ""),
        Err(fault) => (fault.status, &*fault.message),
    };
    if !message.is_null() && size > 0 {
        // SAFETY: it is not NULL, and so the caller's for `size` bytes. Nothing says that they have been written before, so
        // they are not looked at.
        let room = unsafe { slice::from_raw_parts_mut(message.cast(), size) };
        write_text(text, room);
    }
    status as c_int
}

/// Does something that has nothing to say for itself; what a panic yields instead.
pub(super) fn or_else<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// As much of a text as there is room for, in whole characters, and a NUL. Where the text has a NUL, it ends there for who reads it.
fn write_text(text: &str, room: &mut [std::mem::MaybeUninit<u8>]) {
    let Some(most) = room.len().checked_sub(1) else {
        return;
    };
    let ends = (0..=most.min(text.len())).rev();
    let end = ends.into_iter().find(|&end| text.is_char_boundary(end));
    let text = &text[..end.unwrap_or(0)];
    for (to, byte) in room.iter_mut().zip(text.bytes().chain([0])) {
        to.write(byte);
    }
}

/// What a pointer of ours points to.
///
/// # Safety
/// It is NULL, or one of ours of this type that has not been freed, nor will be for `'a`, and nobody changes what is there.
pub(super) unsafe fn shared<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Fault> {
    // SAFETY: as the caller says; our own are aligned, and what is there is whole.
    unsafe { pointer.as_ref() }.ok_or_else(|| Fault::argument(name, IS_NULL))
}

/// As [`shared`], to change it.
///
/// # Safety
/// As there; and nobody else looks at it for `'a`.
pub(super) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Fault> {
    // SAFETY: as the caller says.
    unsafe { pointer.as_mut() }.ok_or_else(|| Fault::argument(name, IS_NULL))
}

/// A text of C's.
///
/// # Safety
/// It is NULL, or ends with a NUL, and nobody changes or frees it for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Fault> {
    if pointer.is_null() {
        return Err(Fault::argument(name, IS_NULL));
    }
    // SAFETY: it is not NULL, and so ends with a NUL.
    let text = unsafe { CStr::from_ptr(pointer) };
    (text.to_str()).map_err(|_| Fault::argument(name, "is not UTF-8"))
}

/// The items of an array of C's; NULL will do where there are none.
///
/// # Safety
/// It is NULL, or so many items from there on may be read, and nobody changes or frees them for `'a`.
pub(super) unsafe fn items<'a, T>(
    pointer: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T], Fault> {
    match (pointer.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Fault::argument(name, IS_NULL)),
        // SAFETY: it is not NULL, and so has so many items.
        (false, _) => Ok(unsafe { slice::from_raw_parts(pointer, count) }),
    }
}

const IS_NULL: &str = "is NULL";
