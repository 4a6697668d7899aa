use std::path::Path;

use nextscale_files::{Lock, LockError};

use crate::{Error, Result};

/// Keeps two processes from calibrating to the same file.
///
/// # Errors
/// If another process holds the lock, or its file cannot be created.
pub(super) fn lock(target: &Path) -> Result<Lock> {
    Lock::beside(target).map_err(|error| match error {
        LockError::Held { .. } => Error::Folder(format!(
            "another process is calibrating to {}; wait for it, or name another file with --out",
            target.display()
        )),
        LockError::Io { action, path, source } => Error::Io { action, path, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.safetensors");
        let first = lock(&target).unwrap();
        let error = lock(&target).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("another process"), "{error}");
        drop(first);
        lock(&target).unwrap();
    }
}
