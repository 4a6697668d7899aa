//! A run's trace from those of its parts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nextscale_files::{Lock, LockError, unfinished_path};
use nextscale_weights::Header;
use serde::{Deserialize, Serialize};

use super::layout::{Layout, Piece};
use crate::trace_spec::TraceSpec;
use crate::{Error, Result};

/// What the trace of a whole run says besides its values.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// The file.
    path: PathBuf,
    fingerprint: String,
    /// Images of which it keeps something.
    images: u64,
    about: BTreeMap<String, String>,
}

impl Whole {
    /// Of a run of `images` images, as [`Trace::new`](super::Trace::new) takes it.
    pub fn new(
        path: PathBuf,
        images: u64,
        fingerprint: &str,
        spec: &TraceSpec,
        about: BTreeMap<String, String>,
    ) -> Self {
        Self { path, fingerprint: spec.identity(fingerprint), images: spec.count(images), about }
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the bytes that a run without parts would have written. `parts` hold the kept images in order,
    /// each of some of them.
    ///
    /// # Errors
    /// If a part cannot be read or is of another run, images are missing, or the file cannot be written.
    pub fn merge(&self, parts: &[PathBuf]) -> Result<()> {
        let _lock = Lock::beside(&self.path).map_err(|error| match error {
            LockError::Held { .. } => {
                Error::Folder(format!("another process is writing the trace {}", self.path.display()))
            }
            LockError::Io { action, path, source } => Error::Io { action, path, source },
        })?;
        let unfinished = unfinished_path(&self.path);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).open(&unfinished);
        let file = file.map_err(Error::io("create", &unfinished))?;
        let mut layout: Option<Layout> = None;
        let mut done = 0;
        for path in parts {
            let part = Part::open(path)?;
            let layout = match &mut layout {
                Some(layout) => layout,
                none => {
                    let new = Layout::new(&part.pieces(), self.images, &self.fingerprint, &self.about);
                    new.begin(&file).map_err(Error::io("write", &unfinished))?;
                    none.insert(new)
                }
            };
            if done + part.images > self.images {
                return Err(misfit(path));
            }
            part.copy(layout, done, &file, &unfinished)?;
            done += part.images;
        }
        if done != self.images {
            return Err(Error::Folder(format!(
                "the trace {} lacks {} of {} images: some shards were made without --trace",
                self.path.display(),
                self.images - done,
                self.images
            )));
        }
        file.sync_all().map_err(Error::io("write", &unfinished))?;
        std::fs::rename(&unfinished, &self.path).map_err(Error::io("write", &self.path))
    }
}

/// The trace of some images.
struct Part<'a> {
    path: &'a Path,
    file: File,
    header: Header,
    images: u64,
}

impl<'a> Part<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let header = Header::read(&file).ok_or_else(|| misfit(path))?;
        let images =
            header.metadata("images").and_then(|text| text.parse().ok()).ok_or_else(|| misfit(path))?;
        // Nothing is allocated by a size that the file does not have.
        let whole = (header.to_bytes().len() as u64).checked_add(header.values()) == Some(length);
        if !whole || images == 0 || header.tensors().is_none() {
            return Err(misfit(path));
        }
        Ok(Self { path, file, header, images })
    }

    fn pieces(&self) -> Vec<Piece> {
        let tensors = self.header.tensors().into_iter().flatten();
        let piece = |tensor: nextscale_weights::HeaderTensor| Piece {
            name: tensor.name,
            kind: tensor.dtype,
            shape: tensor.shape.get(1..).unwrap_or_default().to_vec(),
            bytes: Vec::new(),
        };
        tensors.map(piece).collect()
    }

    /// Copies the values to their places after `before` images.
    fn copy(&self, layout: &Layout, before: u64, to: &File, unfinished: &Path) -> Result<()> {
        let data = self.header.to_bytes().len() as u64;
        for (tensor, piece) in self.header.tensors().into_iter().flatten().zip(self.pieces()) {
            let bytes = tensor.place.end.saturating_sub(tensor.place.start);
            let each = bytes / self.images;
            let start = layout.start(&piece, each as usize).ok_or_else(|| misfit(self.path))?;
            if each * self.images != bytes || tensor.place.end > self.header.values() {
                return Err(misfit(self.path));
            }
            let mut values = vec![0; bytes as usize];
            self.file
                .read_exact_at(&mut values, data + tensor.place.start)
                .map_err(Error::io("read", self.path))?;
            to.write_all_at(&values, start + before * each).map_err(Error::io("write", unfinished))?;
        }
        Ok(())
    }
}

fn misfit(path: &Path) -> Error {
    Error::Folder(format!(
        "{} is not the trace of a shard of this run, or damaged; remove the folder that it is in, and start that shard again",
        path.display()
    ))
}
