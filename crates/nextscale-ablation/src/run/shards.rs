//! An ablation's images and judgements, made by several workers in one folder.
//!
//! What is shared out is chunks: those of one seed of one cell's images are in a file each, which appears whole,
//! so that workers need only keep apart. What compares cells (times, what happens at every scale, the report) is
//! left to the merge.

use std::path::PathBuf;

use nextscale_core::Dtype;
use nextscale_files::run::SHARDS;
use nextscale_pipeline::device::{kind, route};
use nextscale_pipeline::{Worker, version};
use nextscale_shards::{FORMAT, Fact, Record, ShardFolder};
use serde::{Deserialize, Serialize};

use super::Options;
use crate::judge::Judge;
use crate::maker::Maker;
use crate::plan::{Ablation, Cell};
use crate::store::{Store, chunks};
use crate::{Error, Result};

/// The command whose shards these are.
pub const SHARDS_COMMAND: &str = "ablate";
/// The only series, whose images are chunks.
const SERIES: &str = "chunks";

/// What was said to the workers, so that a merge can say it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The name of the ablation.
    pub name: String,
    /// Its file's text, with everything that the command line changed.
    pub text: String,
    /// The folder that its paths are relative to.
    pub folder: PathBuf,
    /// The device.
    pub device: String,
    /// The command that repeats it.
    pub command: Option<String>,
}

/// What became of a worker's share, in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Made by this worker.
    pub made: u64,
    /// Made before.
    pub found: u64,
    /// Being made by other workers.
    pub elsewhere: u64,
}

/// A chunk of a seed of all cells that have the same images.
struct Unit<'a> {
    cells: Vec<&'a Cell>,
    seed: u64,
    chunk: (u64, u64),
}

/// All chunks, in an order that depends on the ablation only.
fn units<'a>(ablation: &'a Ablation, maker: &Maker<'_>) -> Vec<Unit<'a>> {
    let mut groups: Vec<(String, Vec<&Cell>)> = Vec::new();
    for cell in &ablation.cells {
        let id = maker.id(cell);
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((id, vec![cell])),
        }
    }
    let mut units = Vec::new();
    for (_, cells) in &groups {
        for &seed in &ablation.seeds {
            for chunk in chunks(ablation.samples) {
                units.push(Unit { cells: cells.clone(), seed, chunk });
            }
        }
    }
    units
}

fn is_done(unit: &Unit<'_>, maker: &Maker<'_>, judges: &[&dyn Judge]) -> Result<bool> {
    for cell in &unit.cells {
        if !maker.has(cell, unit.seed, unit.chunk, judges)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Generates and judges what is missing of a worker's share. On a request to stop, the batch at hand is finished
/// first.
///
/// # Errors
/// As [`run`](super::run); and if the ablation tunes, or the other workers' is another.
pub fn run_shard(
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    store: &Store,
    options: Options<'_>,
    worker: &Worker,
    said: &Said,
) -> Result<Share> {
    if ablation.tune.is_some() {
        return Err(Error::Usage(
            "an ablation with `tune` chooses its settings before it measures, and has no shards; say --shard none".into(),
        ));
    }
    let Options { device, stop, progress, .. } = options;
    let kind = kind(&device, Dtype::F32);
    let route = route(&device);
    let all: Vec<&dyn Judge> = judges.iter().map(AsRef::as_ref).collect();
    let mut maker =
        Maker::new(store, device, kind.clone(), ablation, stop.clone(), progress).finishing_batches();
    let units = units(ablation, &maker);
    let record = Record {
        format: FORMAT,
        command: SHARDS_COMMAND.into(),
        facts: facts(ablation, kind, route),
        images: units.len() as u64,
        series: vec![SERIES.into()],
        begun_by: worker.to_string(),
        merge: serde_json::to_value(said).map_err(|error| Error::Usage(error.to_string()))?,
    };
    let folder = ShardFolder::open(&store.root().join(SHARDS), &record)?;
    let claims = folder.claim(SERIES, worker.shard.range(units.len() as u64))?;
    let mine: Vec<&Unit<'_>> = (claims.mine.iter())
        .flat_map(|claim| &units[claim.range.start as usize..claim.range.end as usize])
        .collect();
    let mut share = Share { made: 0, found: 0, elsewhere: claims.elsewhere };
    let mut missing = Vec::new();
    for unit in mine {
        match is_done(unit, &maker, &all)? {
            true => share.found += 1,
            false => missing.push(unit),
        }
    }
    maker.expect(missing.iter().map(|unit| unit.chunk.1 * unit.cells.len() as u64).sum());
    for unit in missing {
        for cell in &unit.cells {
            maker.fill_chunk((cell, unit.seed), unit.chunk, &all, &mut None)?;
        }
        share.made += 1;
    }
    Ok(share)
}

fn facts(ablation: &Ablation, kind: String, route: String) -> Vec<Fact> {
    let again = "run all shards on devices of one kind, or choose another folder with --out";
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    vec![
        Fact::new("version of this program", version::words()),
        Fact::new("list of seeds", seeds.join(", ")),
        Fact::new("device", kind).or(again),
        Fact::new("arithmetic", route).or(again),
        Fact::new("ablation", ablation.hash()),
    ]
}

/// Whether every chunk is there, so that a merge has nothing to generate.
///
/// # Errors
/// Naming what is missing, or if a file is damaged.
pub fn check_shards(
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    store: &Store,
    options: Options<'_>,
) -> Result<()> {
    let Options { device, stop, progress, .. } = options;
    let kind = kind(&device, Dtype::F32);
    let all: Vec<&dyn Judge> = judges.iter().map(AsRef::as_ref).collect();
    let maker = Maker::new(store, device, kind, ablation, stop, progress);
    let mut missing = Vec::new();
    let units = units(ablation, &maker);
    for unit in &units {
        if !is_done(unit, &maker, &all)? {
            let first = unit.chunk.0 * crate::store::CHUNK;
            let last = first + unit.chunk.1 - 1;
            missing.push(format!("{} (seed {}, images {first} to {last})", unit.cells[0].name, unit.seed));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let (count, all) = (missing.len(), units.len());
    missing.truncate(5);
    let more = if count > 5 { format!(" and {} more", count - 5) } else { String::new() };
    Err(Error::Folder(format!(
        "{} lacks {count} of {all} chunks of images: {}{more}; start the shards that make them again, and repeat `nextscale \
         merge`",
        store.root().display(),
        missing.join(", ")
    )))
}
