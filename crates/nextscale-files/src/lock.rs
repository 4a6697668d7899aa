//! Locks between processes. The system releases them when their process ends, however it ends.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files of this process's locks that go with them.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the files of this process's temporary locks, for a process that is about to end without dropping them.
pub fn remove_temporary_locks() {
    for path in std::mem::take(&mut *TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)) {
        let _ = std::fs::remove_file(path);
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it, or another value in this process.
    #[error("{} is locked by another process", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
    },
    /// The system cannot make or lock the file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `create` or `lock`.
        action: &'static str,
        /// The lock's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A locked file, owned by this value until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    temporary: bool,
    _file: File,
}

impl Lock {
    /// Locks the file at `path`, creating it if necessary. The file stays when the lock is dropped.
    ///
    /// # Errors
    /// [`LockError::Held`], immediately, if another process holds it; [`LockError::Io`] if the file cannot be
    /// created.
    pub fn take(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        let file = locked(&path)?;
        Ok(Self { path, temporary: false, _file: file })
    }

    /// Locks a folder through a file `.lock` in it, which is removed when the lock is dropped.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn inside(folder: &Path) -> Result<Self, LockError> {
        Self::take(folder.join(".lock")).map(Self::temporary)
    }

    /// Locks a file that will be written, through `.NAME.lock` beside `target`, which is removed when the
    /// lock is dropped.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn beside(target: &Path) -> Result<Self, LockError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        Self::take(target.with_file_name(format!(".{name}.lock"))).map(Self::temporary)
    }

    fn temporary(mut self) -> Self {
        self.temporary = true;
        TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).insert(self.path.clone());
        self
    }
}

/// Opens or creates a file and locks it. `path` still names this file on return: the previous holder of the
/// lock may have removed or renamed the file that was opened.
pub(crate) fn locked(path: &Path) -> Result<File, LockError> {
    let failed = |action| move |source| LockError::Io { action, path: path.into(), source };
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(failed("create"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { path: path.into() }),
            // On a file system without locks, running without one is better than not running.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        if is_at(&file, path).map_err(failed("lock"))? {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    Ok(path.exists())
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.temporary {
            // Held meanwhile, so that no thread adds the same path to be removed here.
            let mut all = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
            // A leftover lock file is used by the next process.
            let _ = std::fs::remove_file(&self.path);
            all.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first_and_comes_in_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert!(matches!(&error, LockError::Held { path: held } if *held == path), "{error}");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        drop(Lock::take(&path).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn the_lock_of_a_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.safetensors");
        let first = Lock::beside(&target).unwrap();
        assert!(folder.path().join(".a.safetensors.lock").exists());
        assert!(matches!(Lock::beside(&target), Err(LockError::Held { .. })));
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn temporary_locks_can_be_removed_before_a_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let [gone, held] = ["a", "b"].map(|name| Lock::beside(&folder.path().join(name)).unwrap());
        let kept = Lock::take(folder.path().join("kept")).unwrap();
        drop(gone);
        // Not `remove_temporary_locks`, which would take those of other tests.
        let mine: Vec<_> = {
            let all = TEMPORARY.lock().unwrap();
            all.iter().filter(|path| path.starts_with(folder.path())).cloned().collect()
        };
        assert_eq!(mine, [folder.path().join(".b.lock")]);
        drop((held, kept));
        assert!(!TEMPORARY.lock().unwrap().iter().any(|path| path.starts_with(folder.path())));
    }

    #[test]
    fn a_lock_that_cannot_be_made_says_what_was_tried() {
        let folder = tempfile::tempdir().unwrap();
        let error = Lock::take(folder.path().join("missing/.lock")).unwrap_err();
        assert!(matches!(error, LockError::Io { action: "create", .. }), "{error}");
    }
}
