//! The lock beside a database, which its server holds for as long as it serves: a file of its own, with `.lock` behind the database's name.
//!
//! The system releases it when the file is closed, also where we die. Beside a database that was served the file stays. Where
//! the database is refused nothing is to stay that was not there: who has made the file takes it away again, while it
//! has the lock. So whoever opens the file may find, once it has the lock, that it is no longer the one of that
//! name, which another has locked meanwhile; then it begins anew.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::store::error::OpenError;

/// That nobody else serves a database.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// Whether it goes with us.
    goes: bool,
}

impl Lock {
    /// Takes the lock of a database, which must be locked by nobody. What is made for it goes again unless it is kept.
    pub(super) fn take(database: &Path) -> Result<Self, OpenError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let opened = open(&path).map_err(|error| cannot_open(&path, error))?;
            if let Some(lock) = Self::of(opened, &path, database)? {
                return Ok(lock);
            }
        }
    }

    /// By a file that was opened; `None` where it has been taken away meanwhile.
    fn of(
        (file, goes): (File, bool),
        path: &Path,
        database: &Path,
    ) -> Result<Option<Self>, OpenError> {
        let of_io = |error| OpenError::of_io(path, error);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Served(database.to_owned())),
            Err(TryLockError::Error(error)) => return Err(of_io(error)),
        }
        if !is_named(&file, path).map_err(of_io)? {
            return Ok(None);
        }
        give_to_owner(&file, database);
        let path = path.to_owned();
        Ok(Some(Self { file, path, goes }))
    }

    /// Leaves the file where it is when the lock is released.
    pub(super) fn keep(&mut self) {
        self.goes = false;
    }

    /// Descriptors to try how many can be had.
    pub(super) fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.goes {
            // While it is locked still. One that stays is in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file, and whether it was made for this.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    // Whoever may open it may lock it.
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return Ok((made?, true)),
    }
    // A link to nothing yet is there, and to be followed.
    let found = options.create(true).truncate(false).open(path)?;
    Ok((found, false))
}

/// Where nothing can be made in a folder, it is the folder that is to be mended.
fn cannot_open(path: &Path, error: io::Error) -> OpenError {
    let is_refused = matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    );
    let is_missing = || matches!(path.try_exists(), Ok(false));
    match path.parent().filter(|_| is_refused && is_missing()) {
        Some(folder) => OpenError::NotWritable(folder.to_owned()),
        None => OpenError::of_io(path, error),
    }
}

/// Whether a file is the one of this name.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let named = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        named => named?,
    };
    let file = file.metadata()?;
    Ok((file.dev(), file.ino()) == (named.dev(), named.ino()))
}

/// What root has locked once must not be locked to a server that is not root. SQLite does likewise with what it keeps beside a database.
fn give_to_owner(lock: &File, database: &Path) {
    if let (Ok(lock_is), Ok(database_is)) = (lock.metadata(), database.metadata())
        && lock_is.uid() != database_is.uid()
    {
        // Who may not do so is not root, and has the lock all the same.
        let _ = fchown(lock, Some(database_is.uid()), Some(database_is.gid()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use super::*;

    fn is_there(database: &Path) -> bool {
        database.with_extension("db.lock").exists()
    }

    #[test]
    fn a_lock_goes_unless_it_was_there_or_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("x.db");
        for _ in 0..2 {
            let lock = Lock::take(&database).expect("free");
            assert!(is_there(&database));
            let taken = Lock::take(&database);
            assert!(matches!(taken, Err(OpenError::Served(_))));
            assert!(is_there(&database), "it is another's");
            drop(lock);
            assert!(!is_there(&database));
        }
        Lock::take(&database).expect("free").keep();
        assert!(is_there(&database));
        drop(Lock::take(&database).expect("free"));
        assert!(is_there(&database), "it was there");
    }

    /// Whatever may be done in a folder of the tests' own, root may do.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_nothing_can_be_made_in_is_named() {
        let refused = Lock::take(Path::new("/sys/kernel/x.db")).err();
        let told = refused.expect("nobody makes files there").to_string();
        assert!(told.starts_with("/sys/kernel is not writable"), "{told}");
    }

    #[test]
    fn a_link_to_nothing_yet_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("x.db");
        std::os::unix::fs::symlink("elsewhere", folder.path().join("x.db.lock")).expect("a link");
        let _lock = Lock::take(&database).expect("free");
        assert!(folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_file_that_was_taken_away_is_no_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, path) = (folder.path().join("x.db"), folder.path().join("x.db.lock"));
        let former = Lock::take(&database).expect("free");
        let [first, second] = [(); 2].map(|()| open(&path).expect("a file"));
        let of = |opened| Lock::of(opened, &path, &database).expect("free").is_some();
        drop(former);
        assert!(!of(first), "nothing has its name");
        let _next = Lock::take(&database).expect("free");
        assert!(!of(second), "another has its name");
    }

    /// Also while those who have made the file take it away.
    #[test]
    fn there_is_one_holder_at_a_time() {
        const EACH: usize = 2_000;
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("x.db");
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let Ok(lock) = Lock::take(&database) else {
                            continue;
                        };
                        assert_eq!(holders.fetch_add(1, SeqCst), 0, "two hold it");
                        taken.fetch_add(1, SeqCst);
                        (0..20).for_each(|_| thread::yield_now());
                        holders.fetch_sub(1, SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
    }
}
