//! What is done with a database beside serving it: a copy of it, and its users.

use std::ffi::{c_char, c_int};
use std::path::PathBuf;

use super::border::{Fault, Status, attempt, shared, text};
use super::config::LoiterConfig;
use super::server::LoiterServer;
use crate::{Backup, BackupError, Users, UsersError};

impl From<BackupError> for Fault {
    fn from(error: BackupError) -> Self {
        Self::new(Status::CannotBackUp, error.to_string())
    }
}

impl From<UsersError> for Fault {
    fn from(error: UsersError) -> Self {
        let status = match error {
            UsersError::NoDatabase(_) | UsersError::OlderSchema(_) | UsersError::Database(_) => {
                Status::CannotOpen
            }
            UsersError::BadName(_) | UsersError::BadPassword(_) | UsersError::NoUser(_) => {
                Status::BadArgument
            }
            UsersError::NameTaken(_) => Status::Taken,
            UsersError::Served(_) => Status::Busy,
            UsersError::OutcomeUnknown(_) | UsersError::NoRandomness => Status::Failed,
        };
        Self::new(status, error.to_string())
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_backup(
    server: *const LoiterServer,
    path: *const c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let server = shared(server, "server")?;
            let copy = Backup {
                database: server.database().to_owned(),
                to: PathBuf::from(text(path, "path")?),
            };
            copy.run()?;
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_user_add(
    config: *const LoiterConfig,
    name: *const c_char,
    password: *const c_char,
    id: *mut i64,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks. Of `id` nothing is read.
    unsafe {
        attempt(error, error_size, || {
            let config = shared(config, "config")?;
            let (name, password) = (text(name, "name")?, text(password, "password")?);
            let user = Users::open(&config.config)?.add(name, password)?;
            if !id.is_null() {
                id.write(user.id.get());
            }
            Ok(())
        })
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn loiter_user_set_password(
    config: *const LoiterConfig,
    name: *const c_char,
    password: *const c_char,
    error: *mut c_char,
    error_size: usize,
) -> c_int {
    // SAFETY: the pointers are as the header asks.
    unsafe {
        attempt(error, error_size, || {
            let config = shared(config, "config")?;
            let (name, password) = (text(name, "name")?, text(password, "password")?);
            Users::open(&config.config)?.set_password(name, password)?;
            Ok(())
        })
    }
}
