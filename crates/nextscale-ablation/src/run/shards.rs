//! An ablation's images and judgements, made by several workers in one folder.
//!
//! What is shared out is chunks: those of one seed of one cell's images are in a file each, which appears whole,
//! so that workers need only keep apart. What compares cells (times, what happens at every scale, the report) is
//! left to the merge. Where settings are tuned, workers first share the chunks that settings are chosen by; when all
//! of these are there, every worker makes the same choice from them.

use std::path::PathBuf;

use burn::tensor::Device;
use nextscale_core::Dtype;
use nextscale_files::run::SHARDS;
use nextscale_pipeline::device::{arithmetic, kind, kind_and_type};
use nextscale_pipeline::{Worker, version};
use nextscale_shards::{FORMAT, Fact, Record, ShardFolder};
use serde::{Deserialize, Serialize};

use super::Options;
use super::tune::{self, Decider};
use crate::judge::Judge;
use crate::maker::Maker;
use crate::plan::{Ablation, Cell};
use crate::store::{Chosen, Store, chunks};
use crate::{Error, Result};

/// The command whose shards these are.
pub const SHARDS_COMMAND: &str = "ablate";
/// The series of what is measured, whose images are chunks.
const MEASURED: &str = "chunks";
/// The series of what settings are chosen by, likewise.
const TUNED: &str = "tuning";

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

/// All chunks of these cells, in an order that depends on the ablation only.
fn units<'a>(
    cells: impl IntoIterator<Item = &'a Cell>,
    seeds: &[u64],
    samples: u64,
    maker: &Maker<'_>,
) -> Vec<Unit<'a>> {
    let mut groups: Vec<(String, Vec<&Cell>)> = Vec::new();
    for cell in cells {
        let id = maker.id(cell);
        match groups.iter_mut().find(|(known, _)| *known == id) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((id, vec![cell])),
        }
    }
    let mut units = Vec::new();
    for (_, cells) in &groups {
        for &seed in seeds {
            for chunk in chunks(samples) {
                units.push(Unit { cells: cells.clone(), seed, chunk });
            }
        }
    }
    units
}

/// Those that are not there.
fn unmade<'u, 'a>(
    units: &'u [Unit<'a>],
    maker: &Maker<'_>,
    judges: &[&dyn Judge],
) -> Result<Vec<&'u Unit<'a>>> {
    let mut missing = Vec::new();
    for unit in units {
        for cell in &unit.cells {
            if !maker.has(cell, unit.seed, unit.chunk, judges)? {
                missing.push(unit);
                break;
            }
        }
    }
    Ok(missing)
}

/// Generates and judges what is missing of a worker's share. On a request to stop, the batch at hand is finished
/// first.
///
/// # Errors
/// As [`run`](super::run); [`Error::Waiting`] if settings cannot be chosen yet, because other workers' share of the
/// tuning is missing; and if the other workers' ablation is another.
pub fn run_shard(
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    store: &Store,
    options: Options<'_>,
    worker: &Worker,
    said: &Said,
) -> Result<Share> {
    let Options { device, stop, progress, .. } = options;
    let kind = kind(&device, Dtype::F32);
    let facts = facts(ablation, &device);
    let all: Vec<&dyn Judge> = judges.iter().map(AsRef::as_ref).collect();
    let mut maker =
        Maker::new(store, device, kind.clone(), ablation, stop.clone(), progress).finishing_batches();
    let record = Record {
        format: FORMAT,
        command: SHARDS_COMMAND.into(),
        facts,
        images: units(&ablation.cells, &ablation.seeds, ablation.samples, &maker).len() as u64,
        series: vec![TUNED.into(), MEASURED.into()],
        begun_by: worker.to_string(),
        merge: serde_json::to_value(said).map_err(|error| Error::Usage(error.to_string()))?,
    };
    let folder = ShardFolder::open(&store.root().join(SHARDS), &record)?;
    store.claim_for(&kind)?;
    let mut share = Share { made: 0, found: 0, elsewhere: 0 };
    let chosen = chosen(ablation, &all, &mut maker, |units, judges, maker| {
        fill((&folder, TUNED, worker), units, judges, maker, &mut share)?;
        match unmade(units, maker, judges)?.len() {
            0 => Ok(()),
            missing => Err(Error::Waiting { missing, of: units.len() }),
        }
    })?;
    let measured = measured(ablation, chosen.as_deref());
    let units = units(measured, &ablation.seeds, ablation.samples, &maker);
    fill((&folder, MEASURED, worker), &units, &all, &mut maker, &mut share)?;
    Ok(share)
}

/// The cells at their chosen settings, once `complete` has seen to it that all chunks are there that the choice is made
/// from; `None` if nothing is tuned.
fn chosen<'m>(
    ablation: &Ablation,
    judges: &[&dyn Judge],
    maker: &mut Maker<'m>,
    complete: impl FnOnce(&[Unit<'_>], &[&dyn Judge], &mut Maker<'m>) -> Result<()>,
) -> Result<Option<Vec<(Cell, Chosen)>>> {
    let Some(tune) = &ablation.tune else { return Ok(None) };
    let decider = Decider::of(tune, judges)?;
    let rows = tune::rows(ablation, tune)?;
    let candidates = rows.iter().flat_map(|row| &row.candidates);
    let units = units(candidates, &tune.seeds, tune.samples, maker);
    complete(&units, &[decider.judge], maker)?;
    tune::choose(rows, tune, &decider, maker).map(Some)
}

/// The cells that are measured: at their chosen settings, if there was a choice.
fn measured<'a>(ablation: &'a Ablation, chosen: Option<&'a [(Cell, Chosen)]>) -> Vec<&'a Cell> {
    match chosen {
        Some(chosen) => chosen.iter().map(|(cell, _)| cell).collect(),
        None => ablation.cells.iter().collect(),
    }
}

/// Makes what is missing of a worker's share of these chunks.
fn fill(
    (folder, series, worker): (&ShardFolder, &str, &Worker),
    units: &[Unit<'_>],
    judges: &[&dyn Judge],
    maker: &mut Maker<'_>,
    share: &mut Share,
) -> Result<()> {
    let claims = folder.claim(series, worker.shard.range(units.len() as u64))?;
    share.elsewhere += claims.elsewhere;
    let mut missing = Vec::new();
    for claim in &claims.mine {
        let mine = &units[claim.range.start as usize..claim.range.end as usize];
        let unmade = unmade(mine, maker, judges)?;
        share.found += (mine.len() - unmade.len()) as u64;
        missing.extend(unmade);
    }
    maker.expect(missing.iter().map(|unit| unit.chunk.1 * unit.cells.len() as u64).sum());
    for unit in missing {
        for cell in &unit.cells {
            maker.fill_chunk((cell, unit.seed), unit.chunk, judges, &mut None)?;
        }
        share.made += 1;
    }
    Ok(())
}

fn facts(ablation: &Ablation, device: &Device) -> Vec<Fact> {
    let again = "run all shards on devices of one kind, or choose another folder with --out";
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    vec![
        Fact::new("version of this program", version::words()),
        Fact::new("list of seeds", seeds.join(", ")),
        Fact::new("device", kind_and_type(device, Dtype::F32)).or(again),
        Fact::new("arithmetic", arithmetic(device, Dtype::F32)).or(
            "start every shard with the same NEXTSCALE_ROUTE (every x86-64 processor with FMA has `fma`), or choose \
             another folder with --out",
        ),
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
    store.claim_for(&kind)?;
    let all: Vec<&dyn Judge> = judges.iter().map(AsRef::as_ref).collect();
    let mut maker = Maker::new(store, device, kind, ablation, stop, progress);
    let chosen = chosen(ablation, &all, &mut maker, |units, judges, maker| {
        check(units, "tuning images", maker, judges)
    })?;
    let units = units(measured(ablation, chosen.as_deref()), &ablation.seeds, ablation.samples, &maker);
    check(&units, "images", &maker, &all)
}

fn check(units: &[Unit<'_>], what: &str, maker: &Maker<'_>, judges: &[&dyn Judge]) -> Result<()> {
    let missing = unmade(units, maker, judges)?;
    let named = missing.iter().take(5).map(|unit| {
        let first = unit.chunk.0 * crate::store::CHUNK;
        let last = first + unit.chunk.1 - 1;
        format!("{} (seed {}, images {first} to {last})", unit.cells[0].name, unit.seed)
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let (count, all) = (missing.len(), units.len());
    if count == 0 {
        return Ok(());
    }
    let more = if count > 5 { format!(" and {} more", count - 5) } else { String::new() };
    Err(Error::Folder(format!(
        "{} lacks {count} of {all} chunks of {what}: {named}{more}; start the shards that make them again, and repeat \
         `nextscale merge`",
        maker.store().root().display(),
    )))
}
