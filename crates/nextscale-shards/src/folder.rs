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

/// Images that this worker makes; nobody else does as long as this value lives.
#[derive(Debug)]
pub struct Claim {
    /// The images.
    pub range: Range<u64>,
    _lock: Lock,
}

/// What became of a worker's share.
#[derive(Debug)]
pub struct Claims {
    /// What is to be made here, ascending.
    pub mine: Vec<Claim>,
    /// Images that exist.
    pub done: u64,
    /// Images that other live workers are making.
    pub elsewhere: u64,
}

impl Claims {
    /// Images to make.
    pub fn count(&self) -> u64 {
        self.mine.iter().map(|claim| claim.range.end - claim.range.start).sum()
    }
}

/// The folder of a run's shards, which many processes use at once.
#[derive(Debug)]
pub struct ShardFolder {
    root: PathBuf,
    record: Record,
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

    /// Keeps every worker out as long as the value lives.
    ///
    /// # Errors
    /// If a worker is at work.
    pub fn lock_for_merge(&self) -> Result<Lock> {
        let lock = lock(&self.root)?;
        for series in &self.record.series {
            if let Some(busy) = self.claimed(series, &(0..u64::MAX))?.first() {
                return Err(ShardError::Refused(format!(
                    "a worker is making images {} of {}; let it finish, or end it, and repeat `nextscale merge`",
                    name::of_range(busy),
                    self.root.display()
                )));
            }
        }
        Ok(lock)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What the first shard recorded.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Claims what is neither made nor being made of some images of a series.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn claim(&self, series: &str, range: Range<u64>) -> Result<Claims> {
        let _lock = lock(&self.root)?;
        let size = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        let pieces: Vec<Range<u64>> = self.pieces(series)?.into_iter().map(|piece| piece.range).collect();
        let unmade = without(std::slice::from_ref(&range), &pieces);
        let busy = self.claimed(series, &range)?;
        let free = without(&unmade, &busy);
        self.clear(series, &free)?;
        let mut mine = Vec::new();
        for range in &free {
            let target = self.root.join(series).join(name::of_range(range));
            let lock = Lock::beside(&target).map_err(io)?;
            mine.push(Claim { range: range.clone(), _lock: lock });
        }
        Ok(Claims {
            mine,
            done: range.end - range.start - size(&unmade),
            elsewhere: size(&unmade) - size(&free),
        })
    }

    /// What live workers have claimed of some images. The locks of others are removed.
    fn claimed(&self, series: &str, of: &Range<u64>) -> Result<Vec<Range<u64>>> {
        let mut claimed = Vec::new();
        for (hidden, path) in self.hidden(series, ".lock")? {
            if hidden.end <= of.start || of.end <= hidden.start {
                continue;
            }
            match Lock::take(&path) {
                Ok(_left) => {
                    // Of a worker that was killed. If it stays, it is found again.
                    let _ = fs::remove_file(&path);
                }
                Err(LockError::Held { .. }) => claimed.push(hidden),
                Err(error) => return Err(io(error)),
            }
        }
        Ok(claimed)
    }

    /// Removes what killed workers left of these images.
    fn clear(&self, series: &str, free: &[Range<u64>]) -> Result<()> {
        for (range, path) in self.hidden(series, ".partial")? {
            if free.iter().any(|free| free.start < range.end && range.start < free.end) {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(ShardError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Hidden files of a series with this ending, and their ranges.
    fn hidden(&self, series: &str, ending: &str) -> Result<Vec<(Range<u64>, PathBuf)>> {
        let hidden = |(file, path): (String, PathBuf)| {
            let range = name::range(file.strip_prefix('.')?)?;
            file.ends_with(ending).then_some((range, path))
        };
        Ok(self.names(series)?.into_iter().filter_map(hidden).collect())
    }

    fn names(&self, series: &str) -> Result<Vec<(String, PathBuf)>> {
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

fn io(error: LockError) -> ShardError {
    match error {
        LockError::Held { path } => {
            ShardError::Refused(format!("another process holds {}; is a merge running?", path.display()))
        }
        LockError::Io { action, path, source } => ShardError::Io { action, path, source },
    }
}

/// Waits for those who look at the folder.
fn lock(root: &Path) -> Result<Lock> {
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

/// What is left of ranges without others, ascending.
fn without(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut others: Vec<&Range<u64>> = others.iter().collect();
    others.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    for range in ranges {
        let mut next = range.start;
        for other in &others {
            if other.start >= range.end {
                break;
            }
            if next < other.start {
                left.push(next..other.start);
            }
            next = next.max(other.end);
        }
        if next < range.end {
            left.push(next..range.end);
        }
    }
    left
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one range is meant
mod tests {
    use super::*;
    use crate::{FORMAT, Fact};
    use proptest::prelude::*;

    fn record(seed: &str) -> Record {
        Record {
            format: FORMAT,
            command: "generate".into(),
            facts: vec![Fact::new("seed", seed), Fact::new("device", "cpu").or("use one kind of device")],
            images: 100,
            series: vec!["images".into()],
            begun_by: "shard 0 of 2, from --shard".into(),
            merge: serde_json::json!({"npz": true}),
        }
    }

    fn open(root: &Path) -> ShardFolder {
        ShardFolder::open(root, &record("0")).unwrap()
    }

    fn make(folder: &ShardFolder, range: Range<u64>) {
        folder
            .write_folder("images", &range, |path| {
                fs::write(path.join("x"), b"x").map_err(ShardError::io("write", path))
            })
            .unwrap();
    }

    fn ranges(claims: &Claims) -> Vec<Range<u64>> {
        claims.mine.iter().map(|claim| claim.range.clone()).collect()
    }

    #[test]
    fn what_is_made_or_being_made_is_not_claimed_and_another_cut_keeps_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        let (first, second) = (open(&root), open(&root));
        let claims = first.claim("images", 0..50).unwrap();
        assert_eq!((ranges(&claims), claims.done, claims.elsewhere), (vec![0..50], 0, 0));
        make(&first, 0..8);
        // Another cut, while the first is at work: only what is left.
        let other = second.claim("images", 30..70).unwrap();
        assert_eq!((ranges(&other), other.done, other.elsewhere), (vec![50..70], 0, 20));
        let again = second.claim("images", 0..50).unwrap();
        assert_eq!((again.count(), again.done, again.elsewhere), (0, 8, 42));
        drop((claims, other));
        let third = second.claim("images", 0..100).unwrap();
        assert_eq!((ranges(&third), third.done), (vec![8..100], 8));
        assert!(second.lock_for_merge().unwrap_err().to_string().contains("images 00008-00099"));
        drop(third);
        make(&second, 20..30);
        let holes = first.claim("images", 0..40).unwrap();
        assert_eq!((ranges(&holes), holes.count(), holes.done), (vec![8..20, 30..40], 22, 18));
        drop(holes);
        let pieces = first.pieces("images").unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.range.clone()).collect::<Vec<_>>(), [0..8, 20..30]);
        let _merging = first.lock_for_merge().unwrap();
    }

    #[test]
    fn what_a_killed_worker_left_is_cleared_by_who_makes_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("out/shards");
        let folder = open(&root);
        let images = root.join("images");
        for left in [".00000-00007.partial", ".00060-00067.partial"] {
            fs::create_dir(images.join(left)).unwrap();
            fs::write(images.join(left).join("00000.png"), b"half").unwrap();
        }
        fs::write(images.join(".00000-00049.lock"), b"").unwrap();
        let claims = folder.claim("images", 0..50).unwrap();
        assert_eq!(claims.count(), 50);
        assert!(!images.join(".00000-00007.partial").exists());
        assert!(images.join(".00060-00067.partial").exists());
        drop(claims);
        assert!(!images.join(".00000-00049.lock").exists());
    }

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

    proptest! {
        #[test]
        fn what_is_left_and_the_others_are_all(
            others in prop::collection::vec((0_u64..60, 1_u64..20), 0..8),
            start in 0_u64..60, length in 0_u64..40,
        ) {
            let others: Vec<Range<u64>> = others.iter().map(|&(start, length)| start..start + length).collect();
            let whole = start..start + length;
            let left = without(std::slice::from_ref(&whole), &others);
            for image in 0..120 {
                let is = |ranges: &[Range<u64>]| ranges.iter().filter(|range| range.contains(&image)).count();
                let expected = usize::from(whole.contains(&image) && is(&others) == 0);
                prop_assert_eq!(is(&left), expected);
            }
        }
    }
}
