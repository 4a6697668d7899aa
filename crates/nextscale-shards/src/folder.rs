//! The shards of a run on disk.
//!
//! ```text
//! OUT/shards/run.json              what all shards have in common
//! OUT/shards/images/00000-00007    a piece: a folder, or a file with an ending
//! OUT/shards/images/.00008-00049.lock     what a live worker has claimed
//! OUT/shards/images/.00008-00015.partial  a piece that is being written
//! ```

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nextscale_files::{Lock, LockError, write_atomically};

use crate::{Record, Result, ShardError, name};

/// The file that describes the run, beside the pieces.
pub const RECORD: &str = "run.json";
const LOCK: &str = ".lock";
/// How long a worker waits for others that look at the folder, which takes them milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A finished piece of a series: the images `range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its images.
    pub range: Range<u64>,
    /// Its folder or file.
    pub path: PathBuf,
}

/// The folder of a run's shards, which many processes use at once.
#[derive(Debug)]
pub struct ShardFolder {
    pub(crate) root: PathBuf,
    pub(crate) record: Record,
    new: bool,
}

impl ShardFolder {
    /// Opens the folder for a worker of this run, or creates it with this record.
    ///
    /// # Errors
    /// If it belongs to another run, with the difference, or cannot be written.
    pub fn open(root: &Path, record: &Record) -> Result<Self> {
        fs::create_dir_all(root).map_err(ShardError::io("create", root))?;
        let _lock = lock(root)?;
        if let Some(found) = read(root)? {
            if let Some(difference) = found.difference(record) {
                return Err(ShardError::Refused(format!("{} {difference}", root.display())));
            }
            return Ok(Self { root: root.into(), record: found, new: false });
        }
        for series in &record.series {
            let path = root.join(series);
            fs::create_dir_all(&path).map_err(ShardError::io("create", &path))?;
        }
        let path = root.join(RECORD);
        let text = serde_json::to_string_pretty(record).unwrap_or_default() + "\n";
        write_atomically(&path, text.as_bytes()).map_err(ShardError::io("write", &path))?;
        Ok(Self { root: root.into(), record: record.clone(), new: true })
    }

    /// The shards that a merge finds; `None` if there are none.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn find(root: &Path) -> Result<Option<Self>> {
        Ok(read(root)?.map(|record| Self { root: root.into(), record, new: false }))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What the first shard recorded.
    pub fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn names(&self, series: &str) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.root.join(series);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(ShardError::io("read", &folder))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ShardError::io("read", &folder))?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        Ok(names)
    }

    /// The finished pieces of a series, by their first images.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn pieces(&self, series: &str) -> Result<Vec<Piece>> {
        let piece = |(file, path): (String, PathBuf)| Some(Piece { range: name::range(&file)?, path });
        let mut pieces: Vec<Piece> = self.names(series)?.into_iter().filter_map(piece).collect();
        pieces.sort_by(|a, b| {
            (a.range.start, a.range.end, &a.path).cmp(&(b.range.start, b.range.end, &b.path))
        });
        Ok(pieces)
    }

    /// Where the piece of these images is as a file with this ending ("npz"), which must appear by rename.
    pub fn file(&self, series: &str, range: &Range<u64>, ending: &str) -> PathBuf {
        self.root.join(series).join(format!("{}.{ending}", name::of_range(range)))
    }

    /// Makes a piece that is a folder: `fill` writes its files, and then it appears whole.
    ///
    /// # Errors
    /// Those of `fill`, and if the folder cannot be written; nothing is left behind then.
    pub fn write_folder<E: From<ShardError>>(
        &self,
        series: &str,
        range: &Range<u64>,
        fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let name = name::of_range(range);
        let target = self.root.join(series).join(&name);
        let partial = self.root.join(series).join(format!(".{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(ShardError::io("remove", &partial))?;
        }
        fs::create_dir(&partial).map_err(ShardError::io("create", &partial))?;
        let written = fill(&partial).and_then(|()| {
            match fs::rename(&partial, &target) {
                // Where there are no locks another worker may have made the same images.
                Err(_) if target.is_dir() => {
                    fs::remove_dir_all(&partial).map_err(ShardError::io("remove", &partial))?;
                }
                other => other.map_err(ShardError::io("write", &target))?,
            }
            // Makes the rename survive a power cut where the file system can; the piece is whole either way.
            let _ = fs::File::open(self.root.join(series)).and_then(|folder| folder.sync_all());
            Ok(())
        });
        if written.is_err() {
            // If removing fails, the next worker does it.
            let _ = fs::remove_dir_all(&partial);
        }
        written
    }

    /// Removes the folder if this worker created it and nothing is in it: a failed run leaves nothing behind.
    pub fn discard_if_empty(&self) {
        let Ok(_lock) = lock(&self.root) else { return };
        let is_empty = |series: &String| self.names(series).is_ok_and(|names| names.is_empty());
        if self.new && self.record.series.iter().all(is_empty) {
            let _ = fs::remove_dir_all(&self.root);
            // Fails if there is anything else.
            let _ = self.root.parent().map(fs::remove_dir);
        }
    }

    /// Removes all shards, after they have been merged.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn remove(self) -> Result<()> {
        // Last of all the record: what is left of the shards can be found as long as it is there.
        for series in &self.record.series {
            let path = self.root.join(series);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(ShardError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        fs::remove_dir_all(&self.root).map_err(ShardError::io("remove", &self.root))
    }
}

pub(crate) fn io(error: LockError) -> ShardError {
    match error {
        LockError::Held { path } => {
            ShardError::Refused(format!("another process holds {}; is a merge running?", path.display()))
        }
        LockError::Io { action, path, source } => ShardError::Io { action, path, source },
    }
}

/// Waits for those who look at the folder.
pub(crate) fn lock(root: &Path) -> Result<Lock> {
    let begun = Instant::now();
    loop {
        match Lock::take(root.join(LOCK)) {
            Err(LockError::Held { .. }) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(LockError::Held { .. }) => {
                return Err(ShardError::Refused(format!(
                    "{} is being merged by another process; wait for it",
                    root.display()
                )));
            }
            other => return other.map_err(io),
        }
    }
}

fn read(root: &Path) -> Result<Option<Record>> {
    let path = root.join(RECORD);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            ShardError::Refused(format!(
                "{} cannot be read ({error}); it may be of another version of this program",
                path.display()
            ))
        }),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(ShardError::io("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{make, open, record};

    #[test]
    fn another_run_is_refused_with_the_difference() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        open(&root);
        let told = |record: &Record| ShardFolder::open(&root, record).unwrap_err().to_string();
        let error = told(&record("7"));
        assert!(error.contains("begun with another seed: 0 there, 7 here; choose another folder"), "{error}");
        let mut other = record("0");
        other.facts[1].value = "cuda".into();
        assert!(told(&other).contains("another device: cpu there, cuda here; use one kind of device"));
        let mut other = record("0");
        other.command = "reconstruct".into();
        assert!(told(&other).contains("has shards of `nextscale generate`"));
        let other = Record { images: 101, ..record("0") };
        assert!(told(&other).contains("other images"));
        let other = Record { format: 2, ..record("0") };
        assert!(told(&other).contains("another version"));
        // Who began it does not matter.
        ShardFolder::open(&root, &Record { begun_by: "x".into(), ..record("0") }).unwrap();
        fs::write(root.join(RECORD), b"{").unwrap();
        assert!(told(&record("0")).contains("run.json cannot be read"));
    }

    #[test]
    fn a_piece_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        let folder = open(&root);
        let failed = folder.write_folder("images", &(0..2), |path| {
            fs::write(path.join("00000.png"), b"x").unwrap();
            assert!(folder.pieces("images").unwrap().is_empty());
            Err(ShardError::Refused("full".into()))
        });
        assert!(failed.is_err() && fs::read_dir(root.join("images")).unwrap().count() == 0);
        make(&folder, 0..2);
        make(&folder, 0..2);
        assert_eq!(folder.pieces("images").unwrap().len(), 1);
        assert_eq!(fs::read_dir(root.join("images")).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_run_leaves_nothing_and_a_merged_one_no_shards() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        open(&root).discard_if_empty();
        assert!(!place.path().join("out").exists());
        let folder = open(&root);
        make(&folder, 0..2);
        folder.discard_if_empty();
        assert!(root.exists());
        open(&root).discard_if_empty();
        assert!(root.exists());
        folder.remove().unwrap();
        assert!(!root.exists() && place.path().join("out").exists());
        assert!(ShardFolder::find(&root).unwrap().is_none());
    }
}
