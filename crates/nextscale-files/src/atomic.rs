//! Files that appear completely or not at all, and durably.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::lock::{LockError, locked};

/// `.NAME.partial` beside `target`: always the same name, so that a killed process's leftover is overwritten.
pub fn partial_path(target: &Path) -> PathBuf {
    beside(target, "partial")
}

/// `.NAME.unfinished` beside `target`: stores work to resume after an interruption. Differs from
/// [`partial_path`], which the final write of the finished file begins by clearing.
pub fn unfinished_path(target: &Path) -> PathBuf {
    beside(target, "unfinished")
}

fn beside(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{what}"))
}

/// Removes a file that is no longer needed, with any leftover of a process killed while writing it.
pub fn remove_with_partial(path: &Path) {
    for left in [path.to_owned(), partial_path(path)] {
        // A leftover that cannot be removed does no harm.
        let _ = fs::remove_file(left);
    }
}

/// A file that is written beside its final path before it is renamed, and removed if it is not kept. The
/// partial file belongs to this value only: if two processes write one file at once, the second is refused.
#[derive(Debug)]
pub struct Partial {
    target: PathBuf,
    partial: PathBuf,
    kept: bool,
    /// The partial file, locked.
    file: File,
}

impl Partial {
    /// For the file `target`, at its [`partial_path`], which starts empty.
    ///
    /// # Errors
    /// Of the kind [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another process is writing the file;
    /// otherwise the system's.
    pub fn new(target: &Path) -> io::Result<Self> {
        let partial = partial_path(target);
        let lock = locked(&partial).map_err(|error| match error {
            LockError::Held { .. } => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it")
            }
            LockError::Io { source, .. } => source,
        })?;
        lock.set_len(0)?;
        Ok(Self { target: target.into(), partial, kept: false, file: lock })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Renames it to the final file, durably.
    ///
    /// # Errors
    /// If the system cannot flush or rename it; nothing is left behind then.
    pub fn keep(mut self) -> io::Result<()> {
        self.rename()?;
        sync_folder_of(&self.target);
        Ok(())
    }

    /// Renames it to the final file, whose content is durable and whose name need not be.
    fn rename(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.target)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // If removing fails, nothing more can be done.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes the names of the files beside `path`, and its own, survive a power cut. Some file systems cannot; a file under
/// its final name is complete either way.
pub fn sync_folder_of(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Writes a whole file through its partial file.
///
/// # Errors
/// If the system cannot write it. Nothing is left behind then, and an older file of the name is unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_one_of_many(path, bytes)?;
    sync_folder_of(path);
    Ok(())
}

/// As [`write_atomically`], for one of many files in a folder. A power cut may take the file away, never a part of it, until
/// the caller has called [`sync_folder_of`] once for all of them.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_one_of_many(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut partial = Partial::new(path)?;
    partial.file.write_all(bytes)?;
    partial.rename()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("missing/a.txt"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let partial = Partial::new(&folder.path().join("b")).unwrap();
        fs::write(partial.path(), b"half").unwrap();
        drop(partial);
        // A folder takes the file's place: the last step fails.
        fs::create_dir_all(folder.path().join("c/d")).unwrap();
        write_atomically(&folder.path().join("c"), b"x").unwrap_err();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["c"]);
    }

    #[test]
    fn two_writers_do_not_share_a_partial_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let first = Partial::new(&path).unwrap();
        fs::write(first.path(), b"first").unwrap();
        assert_eq!(write_atomically(&path, b"second").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        first.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        // A killed process's leftover is cleared.
        fs::write(partial_path(&path), b"longer than what comes").unwrap();
        write_atomically(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_writers_at_once_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        match write_atomically(path, &[writer; 4096]) {
                            Ok(()) => {}
                            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}"),
                        }
                    }
                });
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 4096 && bytes.iter().all(|&byte| byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_written_file_replaces_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"long old content").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
