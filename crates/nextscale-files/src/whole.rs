//! Folders that appear complete or not at all, for output that is made quickly and not resumed.

use std::fs;
use std::io;
use std::path::Path;

use crate::run::place::Place;
use crate::{Lock, LockError, partial_path};

/// The name of the unfinished folder inside a target that cannot be renamed.
const INSIDE: &str = ".unfinished";
const LOCK: &str = ".lock";

/// A folder that is filled under another name and renamed when it is complete. If it is not kept, it is
/// removed; what a killed process left is cleared by the next one.
#[derive(Debug)]
pub struct WholeFolder {
    place: Place,
    kept: bool,
    _lock: Lock,
}

impl WholeFolder {
    /// For the folder `target`, which must be new or empty. Missing parents are created.
    ///
    /// # Errors
    /// Of the kind [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `target` is a file or a folder with
    /// something in it, [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another process is writing it;
    /// otherwise the system's.
    pub fn new(target: &Path) -> io::Result<Self> {
        if target.is_file() {
            return Err(exists());
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let place = Place::named(target, partial_path, INSIDE)?;
        let left = place.partial.exists();
        if !left && is_taken(&place)? {
            return Err(exists());
        }
        fs::create_dir_all(&place.partial)?;
        let lock = Lock::take(place.partial.join(LOCK)).map_err(|error| match error {
            LockError::Held { .. } => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it")
            }
            LockError::Io { source, .. } => source,
        })?;
        let made = Self { place, kept: false, _lock: lock };
        if left {
            made.place.take_back()?;
            for entry in fs::read_dir(made.path())? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false if entry.file_name() == LOCK => {}
                    false => fs::remove_file(entry.path())?,
                }
            }
            // Dropped, which removes what was left.
            if is_taken(&made.place)? {
                return Err(exists());
            }
        }
        Ok(made)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.place.partial
    }

    /// Renames it to the final folder.
    ///
    /// # Errors
    /// If it cannot be renamed; nothing is left behind then.
    pub fn keep(mut self) -> io::Result<()> {
        // Before the rename, so that a process killed after it leaves a complete folder and nothing else.
        fs::remove_file(self.path().join(LOCK))?;
        self.place.finish()?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for WholeFolder {
    fn drop(&mut self) {
        if !self.kept {
            // If removing fails, nothing more can be done.
            let _ = fs::remove_dir_all(&self.place.partial);
        }
    }
}

/// Whether the target holds anything of someone else's. Some new volumes are not empty.
fn is_taken(place: &Place) -> io::Result<bool> {
    if !place.target.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(&place.target)? {
        let name = entry?.file_name();
        if name != "lost+found" && name != INSIDE {
            return Ok(true);
        }
    }
    Ok(false)
}

fn exists() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "exists already and is not empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_when_it_is_kept_and_only_then() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("new/files");
        let folder = WholeFolder::new(&target).unwrap();
        fs::write(folder.path().join("a"), "half").unwrap();
        assert!(!target.exists());
        assert_eq!(WholeFolder::new(&target).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(folder);
        assert!(names(&root.path().join("new")).is_empty());
        // What a killed process left is cleared, and an empty folder is taken.
        fs::create_dir_all(partial_path(&target)).unwrap();
        fs::write(partial_path(&target).join("left"), "x").unwrap();
        fs::create_dir(&target).unwrap();
        let folder = WholeFolder::new(&target).unwrap();
        fs::write(folder.path().join("b"), "whole").unwrap();
        folder.keep().unwrap();
        assert_eq!(names(&target), ["b"]);
        assert_eq!(names(&root.path().join("new")), ["files"]);
        let error = WholeFolder::new(&target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(WholeFolder::new(&target.join("b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(&target), ["b"]);
    }
}
