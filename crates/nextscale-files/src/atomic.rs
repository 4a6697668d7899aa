//! Files that appear whole or not at all, and last.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// `.NAME.partial` beside `target`: the same name each time, so that what a killed process left is written over.
pub fn partial_path(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.partial"))
}

/// The place beside a file where it is written before it is renamed; removed again if it is not kept.
#[derive(Debug)]
pub struct Partial {
    target: PathBuf,
    partial: PathBuf,
    kept: bool,
}

impl Partial {
    /// Of the file `target`, at its [`partial_path`].
    pub fn new(target: &Path) -> Self {
        Self { target: target.into(), partial: partial_path(target), kept: false }
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Makes it the file, which lasts from here on.
    ///
    /// # Errors
    /// If the system cannot write it out or rename it; nothing is left then.
    pub fn keep(mut self) -> io::Result<()> {
        File::open(&self.partial)?.sync_all()?;
        fs::rename(&self.partial, &self.target)?;
        self.kept = true;
        sync_folder(&self.target);
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing more can be done about a file that cannot be removed either.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes a rename itself last through a power cut; some file systems cannot, and the file is whole either way.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Writes a whole file through its partial place.
///
/// # Errors
/// If the system cannot write it; nothing is left then, and an older file of the name is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = Partial::new(path);
    fs::write(partial.path(), bytes)?;
    partial.keep()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("missing/a.txt"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let partial = Partial::new(&folder.path().join("b"));
        fs::write(partial.path(), b"half").unwrap();
        drop(partial);
        // A folder in the file's place: the last step fails.
        fs::create_dir_all(folder.path().join("c/d")).unwrap();
        write_atomically(&folder.path().join("c"), b"x").unwrap_err();
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["c"]);
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
