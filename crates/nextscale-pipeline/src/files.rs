//! Files that appear whole or not at all.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The place beside a file where it is written before it is renamed; removed again if it is not kept.
pub(crate) struct Partial {
    target: PathBuf,
    partial: PathBuf,
    kept: bool,
}

impl Partial {
    /// `.NAME.partial` beside `target`.
    pub fn new(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let partial = target.with_file_name(format!(".{name}.partial"));
        Self { target: target.into(), partial, kept: false }
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Makes it the file.
    pub fn keep(mut self) -> Result<()> {
        std::fs::rename(&self.partial, &self.target).map_err(Error::io("write", &self.target))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing more can be done about a file that cannot be removed either.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Writes a whole file through its partial place.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = Partial::new(path);
    std::fs::write(partial.path(), bytes).map_err(Error::io("write", path))?;
    partial.keep()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("missing/a.txt"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot write") && error.contains("missing/a.txt"), "{error}");
        drop(Partial::new(&folder.path().join("b")));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_written_file_replaces_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomically(&path, b"long old content").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
