//! The C interface: what `loiter.h` declares. Each function does as little as can be between two languages; what it stands for is the
//! library's face.
//!
//! - `border`: pointers, texts and errors on their way between C and Rust. **Everything that comes from C is doubted there**: a NULL and
//!   what is not UTF-8 are errors that name the argument.
//! - `config`, `server`, `routes`, `database`, `logging`: the functions, by what they are about.
//!
//! **No panic crosses**: each function runs within `attempt` or `or_else`, and a panic is an error like any other. (Were one to get past
//! them, `extern "C"` ends the process.)
//!
//! **The header is written by hand**, since it is what people read; `tests/tidy` compares it with the functions here, types and all, and
//! `tests/capi.sh` with what the built library exports. What generates headers would have to be compiled first, writes other
//! text with each of its versions, and passes over what it does not know.
//!
//! The functions are in no Rust path on purpose: Rust has the face itself.

#![allow(
    unsafe_code,
    reason = "what C hands over are bare pointers; that each is NULL or as the header asks is all that is believed"
)]

mod border;
mod config;
mod database;
mod logging;
mod routes;
mod server;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char};

/// This very version, as in Cargo.toml.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };

#[unsafe(no_mangle)]
extern "C" fn loiter_version() -> *const c_char {
    VERSION.as_ptr()
}
