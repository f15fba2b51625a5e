//! `loiter_config`: settings by their names.

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

use super::border::{attempt, exclusive, or_else, text};
use super::routes::OwnRoutes;
use crate::Config;

/// `loiter_config`.
#[derive(Default)]
pub(super) struct LoiterConfig {
    pub(super) config: Config,
    pub(super) routes: Option<OwnRoutes>,
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn loiter_config_new() -> *mut LoiterConfig {
    or_else(ptr::null_mut(), || {
        Box::into_raw(Box::new(LoiterConfig::default()))
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_config_set(
    config: *mut LoiterConfig,
    name: *const c_char,
    value: *const c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks, and nobody else has this configuration meanwhile.
    unsafe {
        attempt(error, error_size, || {
            let config = exclusive(config, "config")?;
            let (name, value) = (text(name, "name")?, text(value, "value")?);
            config.config.set(name, value)?;
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_config_free(config: *mut LoiterConfig) {
    if !config.is_null() {
        // SAFETY: it came from `loiter_config_new`, and is freed once.
        or_else((), || drop(unsafe { Box::from_raw(config) }));
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn loiter_setting_name(index: usize) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    or_else(ptr::null(), || {
        let names = NAMES.get_or_init(|| {
            let named = |name: &str| CString::new(name).expect("a name has no NUL");
            Config::setting_names().map(named).collect()
        });
        names.get(index).map_or(ptr::null(), |name| name.as_ptr())
    })
}
