//! A run's folder while it is written: `OUT.partial` while images are generated, OUT when all exist.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::{CONFIG, MANIFEST, Manifest, SHARDS, image_name};
use crate::{Lock, LockError, write_atomically};

const LOCK: &str = ".lock";

/// A result whose error is [`RunError`].
type Result<T> = std::result::Result<T, RunError>;

/// Why a run cannot write to its folder.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder belongs to something else, or another process is writing to it.
    #[error("{0}")]
    Refused(String),
    /// The system cannot read or write it.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "write", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RunError {
    fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// What a run finds at its target.
#[derive(Debug)]
pub enum Opened {
    /// The same run is complete; there is nothing to do.
    Complete(PathBuf),
    /// A new or unfinished run, owned by this value until it is dropped.
    Unfinished(RunFolder),
}

/// A run folder in progress, locked against other processes.
#[derive(Debug)]
pub struct RunFolder {
    place: Place,
    manifest: Manifest,
    new: bool,
    _lock: Lock,
}

impl RunFolder {
    /// Opens the folder of a run. `config` is the resolved config's text.
    ///
    /// # Errors
    /// If the folder belongs to another run or something else, another process is writing to it, or it cannot
    /// be written.
    pub fn open(target: &Path, manifest: &Manifest, config: &str) -> Result<Opened> {
        if is_complete(target, manifest)? {
            return Ok(Opened::Complete(target.into()));
        }
        if target.join(SHARDS).is_dir() {
            return Err(refused(target, "holds shards of a run, which `nextscale merge` puts together"));
        }
        let place = Place::of(target).map_err(RunError::io("find", target))?;
        if place.is_taken().map_err(RunError::io("read", target))? {
            return Err(refused(target, TAKEN));
        }
        Self::begin_at(place, manifest, config).map(Opened::Unfinished)
    }

    /// Opens the folder of a run whose images come from the shards in it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_merge(target: &Path, manifest: &Manifest, config: &str) -> Result<Self> {
        let place = Place::inside(target).map_err(RunError::io("find", target))?;
        Self::begin_at(place, manifest, config)
    }

    fn begin_at(place: Place, manifest: &Manifest, config: &str) -> Result<Self> {
        let target = &place.target.clone();
        let new = !place.partial.exists();
        fs::create_dir_all(&place.partial).map_err(RunError::io("create", &place.partial))?;
        let lock = lock(&place.partial)?;
        place.take_back().map_err(RunError::io("read", target))?;
        let folder = Self { place, manifest: manifest.clone(), new, _lock: lock };
        match read_manifest(folder.path())? {
            Some(found) => {
                if let Some(difference) = found.difference(manifest) {
                    return Err(refused(folder.path(), &difference));
                }
            }
            None => folder.begin(config).inspect_err(|_| folder.discard_if_empty())?,
        }
        Ok(folder)
    }

    /// The manifest comes last: a folder with a manifest has everything that belongs at its beginning.
    fn begin(&self, config: &str) -> Result<()> {
        for name in &self.manifest.folders {
            let path = self.path().join(name);
            fs::create_dir_all(&path).map_err(RunError::io("create", &path))?;
        }
        self.write(CONFIG, config)?;
        self.write(MANIFEST, &self.manifest.to_text())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path().join(name);
        write_atomically(&path, text.as_bytes()).map_err(RunError::io("write", &path))
    }

    /// Where the run is written for now.
    pub fn path(&self) -> &Path {
        &self.place.partial
    }

    /// The file of an image of the n-th variant.
    pub fn image(&self, variant: usize, image: u64) -> PathBuf {
        self.path().join(&self.manifest.folders[variant]).join(image_name(image))
    }

    /// The missing images of a variant, in order.
    pub fn missing(&self, variant: usize) -> Vec<u64> {
        (0..self.manifest.images).filter(|&image| !self.image(variant, image).exists()).collect()
    }

    /// Renames the folder to its final name.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish(self) -> Result<PathBuf> {
        let lock = self.path().join(LOCK);
        fs::remove_file(&lock).map_err(RunError::io("remove", &lock))?;
        self.place.finish().map_err(RunError::io("create", &self.place.target))?;
        Ok(self.place.target)
    }

    /// Removes the folder if this run created it and it has no images: a failed run leaves nothing behind.
    pub fn discard_if_empty(&self) {
        let variants = 0..self.manifest.folders.len();
        let images = self.manifest.images;
        if self.new && variants.into_iter().all(|variant| self.missing(variant).len() as u64 == images) {
            // If removing fails, nothing more can be done.
            let _ = fs::remove_dir_all(self.path());
        }
    }
}

const TAKEN: &str = "exists already and is not a run folder";

/// Whether the same run is complete there.
fn is_complete(target: &Path, manifest: &Manifest) -> Result<bool> {
    if let Some(found) = read_manifest(target)? {
        return match found.difference(manifest) {
            None => Ok(true),
            Some(difference) => Err(refused(target, &difference)),
        };
    }
    if target.is_file() {
        return Err(refused(target, TAKEN));
    }
    Ok(false)
}

/// Where the shards of a run belong; `None` if the run is complete.
///
/// # Errors
/// If the folder belongs to another run or something else, or the same run was begun without shards.
pub fn place_of_shards(target: &Path, manifest: &Manifest) -> Result<Option<PathBuf>> {
    if is_complete(target, manifest)? {
        return Ok(None);
    }
    let place = Place::of(target).map_err(RunError::io("find", target))?;
    let shards = place.target.join(SHARDS);
    if !shards.is_dir() && place.partial.exists() {
        return Err(RunError::Refused(format!(
            "{} is an unfinished run without shards; finish it with --shard none, choose another folder with --out, or \
             remove it",
            place.partial.display()
        )));
    }
    if place.is_taken_beside_shards().map_err(RunError::io("read", target))? {
        return Err(refused(target, TAKEN));
    }
    Ok(Some(shards))
}

fn lock(folder: &Path) -> Result<Lock> {
    Lock::take(folder.join(LOCK)).map_err(|error| match error {
        LockError::Held { .. } => refused(folder, "is being written by another process"),
        LockError::Io { action, path, source } => RunError::Io { action, path, source },
    })
}

fn read_manifest(folder: &Path) -> Result<Option<Manifest>> {
    Manifest::read(folder).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => refused(folder, "was written by another version of this program"),
        _ => RunError::io("read", folder.join(MANIFEST))(error),
    })
}

fn refused(folder: &Path, why: &str) -> RunError {
    RunError::Refused(format!("{} {why}; choose another folder with --out, or remove it", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: 1,
            version: "0".into(),
            config: "c".into(),
            weights: "w".into(),
            device: "cpu, avx512".into(),
            folders: vec!["images".into()],
            images: 3,
        }
    }

    fn open(target: &Path, manifest: &Manifest) -> Result<RunFolder> {
        match RunFolder::open(target, manifest, "()")? {
            Opened::Unfinished(folder) => Ok(folder),
            Opened::Complete(path) => panic!("{} is complete", path.display()),
        }
    }

    #[test]
    fn a_folder_gets_its_name_when_it_is_complete() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let folder = open(&target, &manifest()).unwrap();
        assert!(!target.exists());
        fs::write(folder.image(0, 1), b"x").unwrap();
        assert_eq!(folder.missing(0), [0, 2]);
        assert_eq!(folder.finish().unwrap(), target);
        let names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(matches!(RunFolder::open(&target, &manifest(), "()").unwrap(), Opened::Complete(_)));
    }

    #[test]
    fn an_unfinished_folder_is_gone_on_with_by_the_same_run_alone() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let folder = open(&target, &manifest()).unwrap();
        fs::write(folder.image(0, 0), b"x").unwrap();
        drop(folder);
        assert_eq!(open(&target, &manifest()).unwrap().missing(0), [1, 2]);
        let other = Manifest { config: "d".into(), ..manifest() };
        let error = open(&target, &other).unwrap_err();
        assert!(error.to_string().contains("out.partial was made with another config"), "{error}");
        assert!(matches!(error, RunError::Refused(_)));
        // Nor must another processor's arithmetic, unless it is set to be the same.
        let here = |device: &str| Manifest { device: device.into(), ..manifest() };
        let told = |device: &str| open(&target, &here(device)).unwrap_err().to_string();
        let error = told("cpu, avx2");
        assert!(
            error.contains("out.partial was made on cpu, avx512, and this process computes on cpu, avx2"),
            "{error}"
        );
        assert!(error.contains("set NEXTSCALE_ROUTE=avx512") && error.contains("--out"), "{error}");
        assert!(!told("cuda").contains("NEXTSCALE_ROUTE"));
        // A program whose results differ, even in the last digit, must not complete another's run.
        let other = Manifest { version: "0, results 2".into(), ..manifest() };
        let error = open(&target, &other).unwrap_err().to_string();
        assert!(error.contains("by another version of this program"), "{error}");
    }

    #[test]
    fn a_second_process_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let _first = open(&target, &manifest()).unwrap();
        let error = open(&target, &manifest()).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.tex"), b"x").unwrap();
        let error = open(root.path(), &manifest()).unwrap_err().to_string();
        assert!(error.contains("is not a run folder"), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn shards_go_where_no_other_run_is_and_are_merged_beside_themselves() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let shards = target.join(SHARDS);
        assert_eq!(place_of_shards(&target, &manifest()).unwrap(), Some(shards.clone()));
        fs::create_dir_all(&shards).unwrap();
        assert_eq!(place_of_shards(&target, &manifest()).unwrap(), Some(shards.clone()));
        let error = open(&target, &manifest()).unwrap_err().to_string();
        assert!(error.contains("`nextscale merge`"), "{error}");
        let merging = RunFolder::open_for_merge(&target, &manifest(), "()").unwrap();
        fs::write(merging.image(0, 0), b"x").unwrap();
        // Killed while it was finished.
        fs::rename(merging.path().join("images"), target.join("images")).unwrap();
        drop(merging);
        let merging = RunFolder::open_for_merge(&target, &manifest(), "()").unwrap();
        assert_eq!(merging.missing(0), [1, 2]);
        merging.finish().unwrap();
        assert!(
            shards.is_dir() && target.join(MANIFEST).exists() && target.join("images/00000.png").exists()
        );
        // Complete: nothing is left to make.
        assert_eq!(place_of_shards(&target, &manifest()).unwrap(), None);
        let other = Manifest { config: "d".into(), ..manifest() };
        assert!(place_of_shards(&target, &other).unwrap_err().to_string().contains("another config"));
    }

    #[test]
    fn shards_are_refused_beside_something_else_and_beside_a_run_without_them() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.tex"), b"x").unwrap();
        let error = place_of_shards(root.path(), &manifest()).unwrap_err().to_string();
        assert!(error.contains("is not a run folder"), "{error}");
        let target = root.path().join("out");
        let folder = open(&target, &manifest()).unwrap();
        let error = place_of_shards(&target, &manifest()).unwrap_err().to_string();
        assert!(error.contains("out.partial is an unfinished run without shards"), "{error}");
        folder.discard_if_empty();
        drop(folder);
        assert!(place_of_shards(&target, &manifest()).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_and_a_path_with_points_are_that_folder() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("link")).unwrap();
        for name in ["link", "plain/.", "plain/../other/"] {
            fs::create_dir_all(root.path().join("plain")).unwrap();
            let target = root.path().join(name);
            let folder = open(&target, &manifest()).unwrap();
            fs::write(folder.image(0, 0), b"x").unwrap();
            folder.finish().unwrap();
            assert!(
                matches!(RunFolder::open(&target, &manifest(), "()").unwrap(), Opened::Complete(_)),
                "{name}"
            );
        }
        assert!(root.path().join("link").is_symlink() && root.path().join("real").join(MANIFEST).exists());
    }

    #[test]
    fn a_failed_run_without_images_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        open(&target, &manifest()).unwrap().discard_if_empty();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        let folder = open(&target, &manifest()).unwrap();
        fs::write(folder.image(0, 0), b"x").unwrap();
        folder.discard_if_empty();
        assert!(folder.path().exists());
    }
}
