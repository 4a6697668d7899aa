//! Traces: everything that happened at every scale, in one safetensors file.
//!
//! For every scale k: `scale.{k}.conditional`, `.unconditional` (if requested), `.prior` (if a prior was
//! applied), `.guided` `[images, h·w, channels]`; `.tokens` `[images, h·w]` int64 (`[images, h·w, slots]` if
//! a position has several); `.canvas` `[images, C, H, W]`. Also `images` `[images, 3, H, W]` in [0, 1]. A
//! `TraceSpec` selects which of these are kept. The metadata has grids, labels, config and strengths.

mod about;
mod layout;
mod merge;

pub(crate) use about::about;
pub(crate) use merge::Whole;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use half::f16;
use nextscale_files::{Lock, LockError, unfinished_path};
use nextscale_weights::StoredType;

use crate::trace_spec::{TraceDtype, TraceField, TraceSpec};
use crate::{Error, Result};
use layout::{Begun, Layout, Piece};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::{floats, integers};

/// A trace in progress. Batches are written to their places as they come, so only one is in memory; until it
/// is complete, the file is beside its final path as `.NAME.unfinished`.
pub struct Trace {
    target: PathBuf,
    images: u64,
    spec: TraceSpec,
    about: BTreeMap<String, String>,
    fingerprint: String,
    open: Option<(File, Layout)>,
    seen: Vec<Piece>,
    _lock: Lock,
}

impl Trace {
    /// A trace of what `spec` selects from a run of `images` images. `fingerprint` identifies the run; an
    /// unfinished file with the same one is resumed. `about` is further metadata.
    ///
    /// # Errors
    /// If an unfinished file exists that belongs to something else or is damaged, or another process is
    /// writing the trace.
    pub fn new(
        target: &Path,
        images: u64,
        fingerprint: &str,
        spec: &TraceSpec,
        about: BTreeMap<String, String>,
    ) -> Result<Self> {
        let lock = Lock::beside(target).map_err(|error| match error {
            LockError::Held { .. } => Error::Folder(format!(
                "another process is writing the trace {}; wait for it, or name another file with --trace",
                target.display()
            )),
            LockError::Io { action, path, source } => Error::Io { action, path, source },
        })?;
        let fingerprint = spec.identity(fingerprint);
        let images = spec.count(images);
        let mut trace = Self {
            target: target.into(),
            images,
            spec: spec.clone(),
            about,
            fingerprint,
            open: None,
            seen: Vec::new(),
            _lock: lock,
        };
        let unfinished = trace.unfinished();
        if unfinished.exists() {
            let file = OpenOptions::new().read(true).write(true).open(&unfinished);
            let file = file.map_err(Error::io("open", &unfinished))?;
            let length = file.metadata().map_err(Error::io("open", &unfinished))?.len();
            trace.open = match Layout::read(&file, length, images, &trace.fingerprint) {
                Begun::Same(layout) => Some((file, layout)),
                // Killed during its first write: the file is empty.
                Begun::NoHeader => None,
                other => {
                    return Err(Error::Folder(format!(
                        "{} is {other}; delete it, or name another file with --trace",
                        unfinished.display()
                    )));
                }
            };
        }
        Ok(trace)
    }

    fn unfinished(&self) -> PathBuf {
        unfinished_path(&self.target)
    }

    /// Whether it holds earlier batches.
    pub fn is_begun(&self) -> bool {
        self.open.is_some()
    }

    /// Writes the observations of a batch with these images.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&mut self, images: &[u64]) -> Result<()> {
        let pieces = std::mem::take(&mut self.seen);
        let places: Vec<Option<u64>> = images.iter().map(|&image| self.spec.place(image)).collect();
        if places.iter().all(Option::is_none) {
            return Ok(());
        }
        let partial = self.unfinished();
        if self.open.is_none() {
            let layout = Layout::new(&pieces, self.images, &self.fingerprint, &self.about);
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(true).open(&partial);
            let file = file.map_err(Error::io("create", &partial))?;
            layout.begin(&file).map_err(Error::io("write", &partial))?;
            self.open = Some((file, layout));
        }
        let Some((file, layout)) = &self.open else { return Ok(()) };
        for piece in &pieces {
            let bytes = piece.bytes.len() / images.len();
            let start = layout.start(piece, bytes).ok_or_else(|| {
                Error::Folder(format!("{} has no place for `{}`; delete it", partial.display(), piece.name))
            })?;
            for (bytes, place) in piece.bytes.chunks_exact(bytes).zip(&places) {
                let Some(place) = place else { continue };
                let at = start + place * bytes.len() as u64;
                file.write_all_at(bytes, at).map_err(Error::io("write", &partial))?;
            }
        }
        // An image on disk counts as finished, including its trace, so the values must be durable first.
        file.sync_data().map_err(Error::io("write", &partial))
    }

    /// Renames the file to its final name after the last image.
    ///
    /// # Errors
    /// If it was truncated meanwhile, or cannot be renamed.
    pub fn finish(self) -> Result<()> {
        if let Some((file, layout)) = &self.open {
            let unfinished = self.unfinished();
            let length = file.metadata().map_err(Error::io("read", &unfinished))?.len();
            if length != layout.length() {
                return Err(Error::Folder(format!(
                    "{} is {}; delete it and repeat the run",
                    unfinished.display(),
                    Begun::Cut
                )));
            }
            file.sync_all().map_err(Error::io("write", &unfinished))?;
            std::fs::rename(&unfinished, &self.target).map_err(Error::io("write", &self.target))?;
        }
        Ok(())
    }

    /// Removes what was written.
    pub fn discard(self) {
        // If removing fails, nothing more can be done.
        let _ = std::fs::remove_file(self.unfinished());
    }

    fn see<const D: usize>(&mut self, name: String, tensor: &Tensor<D>) -> Result<()> {
        let shape = tensor.dims()[1..].to_vec();
        let values = floats(tensor.clone())?;
        let (kind, bytes) = match self.spec.dtype {
            TraceDtype::F32 => (StoredType::F32, bytemuck::cast_slice(&values).to_vec()),
            TraceDtype::F16 => {
                let rounded: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
                (StoredType::F16, bytemuck::cast_slice(&rounded).to_vec())
            }
        };
        self.seen.push(Piece { name, kind, shape, bytes });
        Ok(())
    }

    /// Whether priors are kept; they are computed for the trace if the rule does not need them.
    pub fn keeps_priors(&self) -> bool {
        self.spec.has(TraceField::Prior)
    }
}

impl Observer for Trace {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let k = seen.scale;
        if !self.spec.has_scale(k) {
            return Ok(());
        }
        if self.spec.has(TraceField::Logits) {
            for (pass, map) in seen.logits.iter() {
                self.see(format!("scale.{k}.{pass}"), map.values())?;
            }
        }
        if let Some(prior) = seen.prior.filter(|_| self.keeps_priors()) {
            self.see(format!("scale.{k}.prior"), prior.values())?;
        }
        if self.spec.has(TraceField::Guided) {
            self.see(format!("scale.{k}.guided"), seen.guided.values())?;
        }
        if self.spec.has(TraceField::Tokens) {
            let [_, positions, slots] = seen.draw.tokens.dims();
            self.seen.push(Piece {
                name: format!("scale.{k}.tokens"),
                kind: StoredType::I64,
                shape: if slots == 1 { vec![positions] } else { vec![positions, slots] },
                bytes: bytemuck::cast_slice(&integers(seen.draw.tokens.clone())?).to_vec(),
            });
        }
        if let Some(residual) = seen.residual.filter(|_| self.spec.has(TraceField::Canvas)) {
            self.see(format!("scale.{k}.residual"), residual)?;
        }
        if self.spec.has(TraceField::Canvas) {
            self.see(format!("scale.{k}.canvas"), &seen.canvas.features)?;
        }
        Ok(())
    }

    fn wants_prior(&self) -> bool {
        self.keeps_priors()
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        if self.spec.has(TraceField::Images) {
            self.see("images".into(), images)?;
        }
        Ok(())
    }
}
