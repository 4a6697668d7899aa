//! Traces: everything that happened at every scale, in one safetensors file.
//!
//! For every scale k: `scale.{k}.conditional`, `.unconditional` (where it was wanted), `.prior` (where a prior was
//! applied), `.guided` `[images, h·w, channels]`; `.tokens` `[images, h·w]` int64 (`[images, h·w, slots]` where a position
//! has several); `.canvas` `[images, C, H, W]`. And `images` `[images, 3, H, W]` in [0, 1]. A `TraceSpec` keeps part of it. The
//! file's metadata says grids, labels, config and strengths.

mod about;
mod layout;

pub(crate) use about::about;

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

/// A trace in the making. Batches are written where they belong as they come, so memory holds one batch; the file stands
/// beside its place as `.NAME.unfinished` until it is whole.
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
    /// A trace of what `spec` keeps of a run of `images` images. `fingerprint` says what they are of; a partial file with the same one
    /// is gone on with. `about` is what else the file says of itself.
    ///
    /// # Errors
    /// If an unfinished file is there and belongs to something else or is damaged, or another process writes the trace.
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
        // Of the whole run it is what earlier versions wrote.
        let fingerprint = match spec.is_all() {
            true => fingerprint.to_owned(),
            false => format!("{fingerprint} {spec:?}"),
        };
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
                // Killed in its first write: nothing is in it yet.
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

    /// Whether earlier batches are in it.
    pub fn is_begun(&self) -> bool {
        self.open.is_some()
    }

    /// Writes what was seen of a batch, which has these images.
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
        // An image on disk counts as finished, its trace with it: the values have to last before it does.
        file.sync_data().map_err(Error::io("write", &partial))
    }

    /// Gives the file its name, all images being in it.
    ///
    /// # Errors
    /// If it was cut short meanwhile, or cannot be renamed.
    pub fn finish(self) -> Result<()> {
        if let Some((file, layout)) = &self.open {
            let unfinished = self.unfinished();
            let length = file.metadata().map_err(Error::io("read", &unfinished))?.len();
            if length != layout.length() {
                return Err(Error::Folder(format!(
                    "{} is {}; delete it and make the run again",
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
        // Nothing more can be done about a file that cannot be removed.
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

    /// Whether priors are kept, which are made for the trace where the rule does not need them.
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
