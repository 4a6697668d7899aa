//! A run's folder from its shards.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nextscale_files::run::{Manifest, RunFolder, SHARDS, image_name};
use nextscale_files::write_atomically;
use nextscale_shards::{Piece, ShardFolder, tiles};

use super::overview;
use super::shards::{COMMAND, Plan, TRACE};
use crate::{Error, Result};

/// What a merge made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The run's folder.
    pub out: PathBuf,
    /// Images in it.
    pub images: u64,
    /// The traces that were written.
    pub traces: Vec<PathBuf>,
    /// The pieces that it was made from; 0 if it was merged before.
    pub pieces: usize,
}

/// Puts the shards of a run together: its folder then has the bytes of a run without shards. Needs neither the
/// config nor the model.
///
/// # Errors
/// If there are no shards, images are missing or there twice (naming them), a worker is at work, or a file
/// cannot be read or written. Nothing is lost then, and a merge that was interrupted can be repeated.
pub fn merge(out: &Path) -> Result<Merged> {
    let complete = Manifest::read(out).map_err(Error::io("read", out))?;
    let found = ShardFolder::find(&out.join(SHARDS))?;
    let merged = |manifest: &Manifest, pieces| Merged {
        out: out.into(),
        images: manifest.images * manifest.folders.len() as u64,
        traces: Vec::new(),
        pieces,
    };
    let shards = match (complete, found) {
        (Some(manifest), None) => return Ok(merged(&manifest, 0)),
        (None, None) => {
            return Err(Error::Folder(format!(
                "{} holds no shards; `nextscale generate` or `nextscale ablate` with --shard i/n writes them there",
                out.display()
            )));
        }
        (Some(manifest), Some(shards)) => {
            // A merge was interrupted when it had done everything else.
            let _lock = shards.lock_for_merge()?;
            shards.remove()?;
            return Ok(merged(&manifest, 0));
        }
        (None, Some(shards)) => shards,
    };
    let record = shards.record();
    let plan: Plan = match record.command == COMMAND {
        true => serde_json::from_value(record.merge.clone()).map_err(|error| {
            Error::Folder(format!(
                "{} is of another version of this program ({error})",
                shards.path().display()
            ))
        })?,
        false => {
            let path = shards.path().display();
            return Err(Error::Folder(format!("{path} has shards of `nextscale {}`", record.command)));
        }
    };
    let _lock = shards.lock_for_merge()?;
    let mut pieces = Vec::new();
    for series in &record.series {
        let found = shards.pieces(series)?;
        tiles(&found, record.images, &shards.path().join(series).display().to_string())?;
        pieces.push(found);
    }
    let folder = RunFolder::open_for_merge(out, &plan.manifest, &plan.config)?;
    for (variant, pieces) in pieces.iter().enumerate() {
        for piece in pieces {
            for image in piece.range.clone() {
                take_over(&piece.path.join(image_name(image)), &folder.image(variant, image), piece)?;
            }
        }
    }
    overview::write(&plan.overview, &folder)?;
    for (whole, pieces) in plan.traces.iter().zip(&pieces) {
        let parts = pieces.iter().map(|piece| piece.path.join(TRACE)).filter(|path| path.exists());
        whole.merge(&parts.collect::<Vec<_>>())?;
    }
    folder.finish()?;
    let traces = plan.traces.iter().map(|whole| whole.path().to_owned()).collect();
    let count = pieces.iter().map(Vec::len).sum();
    shards.remove()?;
    Ok(Merged { traces, ..merged(&plan.manifest, count) })
}

/// The same file under another name, or a copy where the file system cannot.
fn take_over(from: &Path, to: &Path, piece: &Piece) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // From a merge that was interrupted.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && !from.exists() => Err(Error::Folder(format!(
            "{} lacks {}; remove that folder, and start the shards again",
            piece.path.display(),
            from.file_name().unwrap_or_default().display()
        ))),
        Err(_) => {
            let bytes = fs::read(from).map_err(Error::io("read", from))?;
            write_atomically(to, &bytes).map_err(Error::io("write", to))
        }
    }
}
