use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Keeps two processes from calibrating into one file. The system lets go of it when a process ends, however it ends.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// `.NAME.lock` beside `target`.
    ///
    /// # Errors
    /// If another process holds it, or the file cannot be made.
    pub fn of(target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.lock"));
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Folder(format!(
                "another process is calibrating into {}; wait for it, or name another file with --out",
                target.display()
            ))),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that stays is taken again by the next calibration.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first_and_comes_in_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.safetensors");
        let first = Lock::of(&target).unwrap();
        let error = Lock::of(&target).err().unwrap();
        assert!(error.is_usage() && error.to_string().contains("another process"), "{error}");
        drop(first);
        drop(Lock::of(&target).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
