//! `nextscale merge OUT`: the shards of a run, put together.

use std::path::{Path, PathBuf};

use crate::ablation::store::CELLS;
use crate::ablation::{self, Store, judge::Judges};
use crate::files::run::SHARDS;
use crate::metrics::statistics::{SHARDS_COMMAND, merge_shards};
use crate::pipeline::{self, Registry, progress};
use crate::shards::ShardFolder;

use super::say::say;
use super::shards::folder_of_file;
use super::{Failure, ablate, data, place, reconstruct};

/// Put together what `--shard` or a launcher's workers made
///
/// The result is byte for byte what one process without shards writes: images, tables, .npz files, traces and
/// statistics. If images are missing or duplicated, they are listed and nothing is written.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of `generate --out` or `ablate --out`, or the file of `evaluate --save-statistics` or `reconstruct --out`
    out: PathBuf,
}

/// Merges, and prints what there is.
pub fn run(args: Args, registry: &Registry, judges: &Judges) -> Result<(), Failure> {
    let Some(shards) = ShardFolder::find(&folder_of_file(&args.out))? else {
        return match ShardFolder::find(&args.out.join(SHARDS))? {
            Some(shards) if shards.record().command == ablation::SHARDS_COMMAND => {
                ablate::merge(shards, &args.out, registry, judges)
            }
            _ => run_folder(&args.out),
        };
    };
    place::check_file(&args.out)?;
    let bar = progress::bar("images");
    let mut show = |done, images| {
        bar.set_length(images);
        bar.set_position(done);
    };
    let images = if shards.record().command == SHARDS_COMMAND {
        let open = |path: &Path, side| match data::input(path, side)? {
            crate::metrics::Input::Images(source) => Ok(source),
            other => Err(Failure::Usage(miette::miette!("{} holds no images", other.path().display()))),
        };
        let statistics = merge_shards(shards, &args.out, open, &mut show)?;
        statistics.origin.images.unwrap_or_default()
    } else {
        reconstruct::merge(shards, &args.out, &mut show)?
    };
    bar.finish_and_clear();
    say!("wrote {}: {images} images", args.out.display());
    Ok(())
}

fn run_folder(out: &Path) -> Result<(), Failure> {
    if !out.join(SHARDS).exists() && out.is_file() {
        return Err(Failure::Usage(miette::miette!(
            "there are no shards of {}: it is merged already, or was made without --shard",
            out.display()
        )));
    }
    if !out.join(SHARDS).exists() && out.join(CELLS).is_dir() {
        // Of an unfinished ablation this is the error.
        let cells = Store::open_existing(out)?.manifest()?.cells.len();
        say!("{}: an ablation of {cells} cells, merged already", out.display());
        return Ok(());
    }
    let merged = pipeline::merge(out)?;
    match merged.pieces {
        0 => say!("{}: {} images, merged already", out.display(), merged.images),
        pieces => say!("{}: {} images, from {pieces} batches", out.display(), merged.images),
    }
    for trace in merged.traces {
        say!("  trace: {}", trace.display());
    }
    Ok(())
}
