//! What an ablation keeps on disk: images by cell, seed and chunk, and judges' data about them.

mod cell_images;
mod chunk;
mod files;
mod manifest;

pub use cell_images::CellImages;
pub use chunk::CHUNK;
pub use manifest::{Chosen, Manifest, Planned};

use std::fs;
use std::path::{Path, PathBuf};

use nextscale_files::run::SHARDS;
use nextscale_files::{Hash, Lock, LockError, other_arithmetic, other_device, write_atomically};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::images::Images;
use crate::judge::Rows;
use crate::{Error, Result};

/// The folder of images and judgements in an ablation's folder.
pub const CELLS: &str = "cells";

const LOCK: &str = ".lock";
const MANIFEST: &str = "ablation.json";
/// The device on which the cells' images are made.
const DEVICE: &str = "device.txt";

/// An ablation's folder, owned by this process until it is dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// `None` in a worker that shares the folder with others.
    _lock: Option<Lock>,
}

impl Store {
    /// Opens or creates the folder.
    ///
    /// # Errors
    /// If another process uses it, it holds something else, or it cannot be written.
    pub fn open(root: &Path) -> Result<Self> {
        if root.join(SHARDS).exists() {
            return Err(refused(root, "holds shards of an ablation, which `nextscale merge` puts together"));
        }
        Self::create(root)?;
        Self::lock(root)
    }

    /// Opens or creates the folder for one of several workers, which keep apart by their claims.
    ///
    /// # Errors
    /// If it holds something else, or an ablation that is complete or was begun without shards, or cannot be
    /// written.
    pub fn open_for_shard(root: &Path) -> Result<Self> {
        if !root.join(SHARDS).exists() && root.join(LOCK).exists() {
            return Err(refused(root, "holds an ablation without shards; repeat it with --shard none"));
        }
        Self::create(root)?;
        Ok(Self { root: root.into(), _lock: None })
    }

    /// Opens the folder of workers that have ended.
    ///
    /// # Errors
    /// If another process uses it.
    pub fn open_for_merge(root: &Path) -> Result<Self> {
        Self::lock(root)
    }

    fn create(root: &Path) -> Result<()> {
        let foreign = match fs::read_dir(root) {
            Ok(entries) => {
                !root.join(LOCK).exists() && entries.flatten().any(|entry| !is_own(&entry.file_name()))
            }
            Err(_) => root.exists(),
        };
        if foreign {
            return Err(refused(root, "exists already and is not an ablation's folder"));
        }
        fs::create_dir_all(root).map_err(Error::io("create", root))
    }

    /// Opens the folder of a finished ablation.
    ///
    /// # Errors
    /// If it is not such a folder, or another process uses it.
    pub fn open_existing(root: &Path) -> Result<Self> {
        if !root.join(MANIFEST).exists() {
            let why = if root.join(LOCK).exists() {
                "holds an unfinished ablation; repeat `nextscale ablate`"
            } else {
                "is not an ablation's folder; `nextscale ablate FILE --out DIR` creates one"
            };
            return Err(Error::Folder(format!("{} {why}", root.display())));
        }
        Self::lock(root)
    }

    fn lock(root: &Path) -> Result<Self> {
        let lock = Lock::take(root.join(LOCK)).map_err(|error| match error {
            LockError::Held { .. } => refused(root, "is being written by another process"),
            LockError::Io { action, path, source } => Error::Io { action, path, source },
        })?;
        Ok(Self { root: root.into(), _lock: Some(lock) })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The description of the ablation.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.root.join(MANIFEST);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            Error::damaged(&path, format!("cannot be read ({error}); it may be of another version"))
        })?;
        sound(manifest, &path)
    }

    /// Writes the description of the ablation.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        files::write_json(&self.root.join(MANIFEST), manifest)
    }

    /// Removes the manifest, because the folder's contents are about to change.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_manifest(&self) -> Result<()> {
        let path = self.root.join(MANIFEST);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Records the kind of device on which images are made from now on. Cells of different devices never mix; those
    /// of different arithmetic on a CPU are not even made beside each other, which nobody would notice.
    ///
    /// # Errors
    /// If images were made on a CPU with other arithmetic, with what makes it the same; or the file cannot be written.
    pub fn claim_for(&self, device: &str) -> Result<()> {
        let path = self.root.join(DEVICE);
        let found = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        if other_arithmetic(&found, device).is_some() {
            let why = other_device(&found, device).unwrap_or_default();
            return Err(refused(&self.root, &why));
        }
        if found == device {
            return Ok(());
        }
        write_atomically(&path, format!("{device}\n").as_bytes()).map_err(Error::io("write", &path))
    }

    /// The images of a cell and seed.
    pub fn shelf(&self, cell: &str, seed: u64) -> Shelf {
        Shelf { folder: self.cell(cell).join(format!("seed-{seed}")) }
    }

    /// The folder of a cell.
    pub fn cell(&self, cell: &str) -> PathBuf {
        self.root.join(CELLS).join(cell)
    }

    /// A result for a cell, if it exists. `key` identifies its inputs.
    ///
    /// # Errors
    /// If it exists and cannot be read.
    pub fn kept<T: DeserializeOwned>(&self, cell: &str, what: &str, key: &str) -> Result<Option<T>> {
        files::read_json(&self.cell(cell).join(format!("{what}-{}.json", short(key))))
    }

    /// Additional images stored for a cell.
    ///
    /// # Errors
    /// If they exist and cannot be read.
    pub fn kept_images(&self, cell: &str, what: &str, key: &str) -> Result<Option<Images>> {
        chunk::read_images(&self.cell(cell).join(format!("{what}-{}.safetensors", short(key))))
    }

    /// Stores additional images for a cell.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn keep_images(&self, cell: &str, what: &str, key: &str, images: &Images) -> Result<()> {
        let folder = self.cell(cell);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        chunk::write_images(&folder.join(format!("{what}-{}.safetensors", short(key))), images)
    }

    /// Stores a result for a cell.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep<T: Serialize>(&self, cell: &str, what: &str, key: &str, value: &T) -> Result<()> {
        files::write_json(&self.cell(cell).join(format!("{what}-{}.json", short(key))), value)
    }
}

/// The images of one cell and seed, in chunks of [`CHUNK`], and judges' data about them.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    fn images_path(&self, chunk: u64) -> PathBuf {
        self.folder.join(format!("{chunk:05}.safetensors"))
    }

    fn rows_path(&self, chunk: u64, key: &str) -> PathBuf {
        self.folder.join(format!("{chunk:05}.{}.safetensors", short(key)))
    }

    /// How many images of a chunk exist.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn count(&self, chunk: u64) -> Result<u64> {
        chunk::count(&self.images_path(chunk), "images")
    }

    /// The existing images of a chunk; `None` if there is no file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn images(&self, chunk: u64) -> Result<Option<Images>> {
        chunk::read_images(&self.images_path(chunk))
    }

    /// Replaces the images of a chunk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_images(&self, chunk: u64, images: &Images) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        chunk::write_images(&self.images_path(chunk), images)
    }

    /// How many rows of a chunk a judge has computed.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn row_count(&self, chunk: u64, key: &str) -> Result<u64> {
        chunk::count(&self.rows_path(chunk, key), "rows")
    }

    /// A judge's rows for the first `count` images of a chunk.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn rows(&self, chunk: u64, key: &str, count: u64) -> Result<Rows> {
        let path = self.rows_path(chunk, key);
        let rows = chunk::read_rows(&path)?.filter(|rows| rows.count() as u64 >= count);
        let mut rows = rows.ok_or_else(|| {
            Error::Folder(format!("{} lacks images; repeat `nextscale ablate`", path.display()))
        })?;
        rows.values.truncate(count as usize * rows.width);
        Ok(rows)
    }

    /// Writes a judge's rows for a chunk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_rows(&self, chunk: u64, key: &str, rows: &Rows) -> Result<()> {
        chunk::write_rows(&self.rows_path(chunk, key), rows)
    }
}

/// A manifest with valid indices and counts.
fn sound(manifest: Manifest, path: &Path) -> Result<Manifest> {
    match manifest.contradiction() {
        None => Ok(manifest),
        Some(problem) => Err(Error::damaged(path, problem)),
    }
}

/// Whether a name belongs to an ablation's folder or a new volume: the lock may have been removed with the
/// folder while an ablation was running.
fn is_own(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    [CELLS, MANIFEST, DEVICE, SHARDS, "lost+found"].contains(&&*name)
        || name.starts_with("report.")
        || ["measures.csv", "cells.csv", "ablation.ron", "runs.jsonl"].contains(&&*name)
}

/// The chunks of `samples` images, with how many images of each are needed.
pub fn chunks(samples: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..samples.div_ceil(CHUNK)).map(move |chunk| (chunk, CHUNK.min(samples - chunk * CHUNK)))
}

/// A name for a key.
fn short(key: &str) -> String {
    Hash::from(key).short(6)
}

fn refused(folder: &Path, why: &str) -> Error {
    Error::Folder(format!("{} {why}; choose another folder with --out", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_is_what_is_left() {
        assert_eq!(chunks(2 * CHUNK + 3).collect::<Vec<_>>(), [(0, CHUNK), (1, CHUNK), (2, 3)]);
        assert_eq!(chunks(CHUNK).count(), 1);
    }

    #[test]
    fn one_process_at_a_time_and_no_folder_of_something_else() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let store = Store::open(&out).unwrap();
        let error = Store::open(&out).unwrap_err();
        assert!(error.to_string().contains("another process") && error.is_usage(), "{error}");
        drop(store);
        Store::open(&out).unwrap();
        let error = Store::open_existing(&out).unwrap_err().to_string();
        assert!(error.contains("unfinished ablation"), "{error}");
        fs::write(root.path().join("thesis.tex"), "x").unwrap();
        assert!(Store::open(root.path()).unwrap_err().to_string().contains("is not an ablation's folder"));
        assert!(Store::open(&root.path().join("thesis.tex")).is_err());
        assert!(Store::open_existing(root.path()).unwrap_err().to_string().contains("`nextscale ablate"));
    }

    #[test]
    fn a_folder_is_of_one_arithmetic() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.claim_for("cpu, avx512").unwrap();
        store.claim_for("cpu, avx512").unwrap();
        let error = store.claim_for("cpu, avx2").unwrap_err();
        assert!(error.is_usage(), "{error}");
        let error = error.to_string();
        assert!(error.contains("was made on cpu, avx512, and this process computes on cpu, avx2"), "{error}");
        assert!(error.contains("set NEXTSCALE_ROUTE=avx512") && error.contains("--out"), "{error}");
        // A GPU's cells have names of their own.
        store.claim_for("cuda").unwrap();
        store.claim_for("cpu, avx2").unwrap();
    }

    #[test]
    fn a_folder_that_was_deleted_under_an_ablation_is_still_its_own() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let store = Store::open(&out).unwrap();
        fs::remove_dir_all(&out).unwrap();
        let images = Images::new(1, 1, vec![1, 2, 3]).unwrap();
        store.shelf("cell", 0).write_images(0, &images).unwrap();
        drop(store);
        let again = Store::open(&out).unwrap();
        assert_eq!(again.shelf("cell", 0).images(0).unwrap(), Some(images));
    }

    #[test]
    fn a_cell_is_a_set_of_images_seed_after_seed() {
        use nextscale_metrics::source::ImageList;

        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let store = Store::open(&out).unwrap();
        assert!(CellImages::find(&out.join("cfg")).unwrap().is_none());
        let manifest = r#"{"name": "a", "version": "0", "device": "cpu", "scales": [], "seeds": [4, 7], "samples": 203,
            "baseline": 0, "measures": [], "folder": ".", "reference": null, "tuned": null, "traces": 0, "completion": null,
            "cells": [{"name": "cfg, scale 1/2", "id": "00ff", "model": "m", "weights": "w", "guidance": "g", "sampling": "s",
            "pixels": "AsTheyAre", "shows": ["cat", "dog"], "classes": [3, 5], "settings": [], "chosen": null}]}"#;
        fs::write(out.join(MANIFEST), manifest).unwrap();
        assert!(CellImages::find(&out.join("0")).unwrap_err().to_string().contains("lacks images"));
        let image = |seed: u64, number: u64| [seed as u8, number as u8, 9];
        for seed in [4, 7] {
            for (chunk, numbers) in [(0, 0..CHUNK), (1, CHUNK..203)] {
                let pixels = numbers.flat_map(|number| image(seed, number)).collect();
                store.shelf("00ff", seed).write_images(chunk, &Images::new(1, 1, pixels).unwrap()).unwrap();
            }
        }
        for name in ["0", "00ff", "cells/00ff", "cfg, scale 1/2"] {
            let cell = CellImages::find(&out.join(name)).unwrap().unwrap();
            assert_eq!((cell.count(), cell.size()), (406, [1, 1]), "{name}");
            let all: Vec<u8> =
                [4, 7].into_iter().flat_map(|seed| (0..203).flat_map(move |i| image(seed, i))).collect();
            assert!(cell.read(0..406).unwrap() == all);
            assert_eq!(cell.read(198..205).unwrap(), all[3 * 198..3 * 205]);
            assert_eq!((cell.place(204), cell.shows(204), cell.class(204)), ((7, 1), Some("dog"), Some(5)));
            assert_eq!(cell.classes().unwrap()[405], "cat");
        }
        let error = CellImages::find(&out.join("ssg")).unwrap_err().to_string();
        assert!(error.contains("has no cell `ssg`; it has `cfg, scale 1/2`"), "{error}");
        assert_eq!(CellImages::choices(&out).unwrap().unwrap(), "`cfg, scale 1/2`");
        store.manifest().unwrap();
        // Contradicting indices and counts are reported and not used.
        for (from, to) in [
            ("\"baseline\": 0", "\"baseline\": 1"),
            ("\"seeds\": [4, 7]", "\"seeds\": []"),
            ("\"samples\": 203", "\"samples\": 0"),
            ("\"samples\": 203", "\"samples\": 18446744073709551615"),
            ("\"chosen\": null", "\"chosen\": {\"points\": [], \"best\": 0}"),
        ] {
            let damaged = manifest.replace(from, to);
            assert_ne!(damaged, manifest);
            fs::write(out.join(MANIFEST), damaged).unwrap();
            assert!(matches!(store.manifest(), Err(Error::Damaged { .. })), "{to}");
            assert!(CellImages::find(&out.join("0")).is_err(), "{to}");
        }
    }

    #[test]
    fn images_and_rows_come_back_and_damage_is_named() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("out")).unwrap();
        let shelf = store.shelf("cell", 3);
        assert_eq!((shelf.count(0).unwrap(), shelf.images(0).unwrap()), (0, None));
        let images = Images::new(2, 3, (0..36).collect()).unwrap();
        shelf.write_images(0, &images).unwrap();
        assert_eq!((shelf.count(0).unwrap(), shelf.images(0).unwrap()), (2, Some(images)));
        let rows = Rows::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        shelf.write_rows(0, "judge", &rows).unwrap();
        assert_eq!(shelf.rows(0, "judge", 2).unwrap(), rows);
        assert_eq!(shelf.rows(0, "judge", 1).unwrap().values, [1.0, 2.0]);
        assert!(shelf.rows(0, "judge", 3).unwrap_err().to_string().contains("repeat `nextscale ablate`"));
        assert!(shelf.rows(0, "other", 1).is_err());
        let path = shelf.images_path(0);
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 4;
        for (path, bytes) in [
            (&path, &flipped),
            (&shelf.rows_path(0, "judge"), &{
                let mut rows = fs::read(shelf.rows_path(0, "judge")).unwrap();
                *rows.last_mut().unwrap() ^= 1;
                rows
            }),
        ] {
            let sound = fs::read(path).unwrap();
            fs::write(path, bytes).unwrap();
            let error = match path == &shelf.images_path(0) {
                true => shelf.images(0).unwrap_err(),
                false => shelf.rows(0, "judge", 2).unwrap_err(),
            };
            assert!(error.to_string().contains("than were written to it"), "{error}");
            fs::write(path, sound).unwrap();
        }
        // Files of earlier versions hold no hash.
        let pixels: Vec<u8> = (0..36).collect();
        let older = nextscale_weights::serialize(
            [("images", safetensors::Dtype::U8, vec![2, 2, 3, 3], pixels.as_slice())],
            [],
        );
        fs::write(&path, older.unwrap()).unwrap();
        assert_eq!(shelf.images(0).unwrap().unwrap().pixels, pixels);
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let error = shelf.images(0).unwrap_err().to_string();
        assert!(error.contains("00000.safetensors") && error.contains("delete it"), "{error}");
        assert!(shelf.count(0).is_err());
    }
}
