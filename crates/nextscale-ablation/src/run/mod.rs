//! From an ablation file to a folder of images with judges' rows.

mod shards;
mod timing;
mod tune;

pub use shards::{SHARDS_COMMAND, Said, Share, check_shards, run_shard};

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use nextscale_core::{Condition, Dtype};
use nextscale_pipeline::device::kind;
use nextscale_pipeline::{Stop, version};

use crate::cost::Work;
use crate::judge::Judge;
use crate::maker::{Maker, Progress};
use crate::plan::{Ablation, Cell};
use crate::store::{Manifest, Planned, Store};
use crate::{Error, Result, why};

/// Execution options; only the kind of device, and the CPU's route, change the images.
pub struct Options<'a> {
    /// The device.
    pub device: Device,
    /// For requests to stop.
    pub stop: Stop,
    /// The command that repeats the run, for citation in reports.
    pub command: Option<String>,
    /// Receives the progress.
    pub progress: &'a mut dyn FnMut(&Progress),
}

/// Generates what is missing in the folder, and records what is there. Finished work is never repeated. `judges`
/// are the [ablation's](Ablation::judges), made before there is a folder, since their references may take minutes.
///
/// # Errors
/// Anything from the device to the disk. Finished work is kept, and the same run resumes from it.
pub fn run<'a>(
    name: &str,
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    store: &'a Store,
    options: Options<'a>,
) -> Result<Manifest> {
    let Options { device, stop, command, progress } = options;
    let kind = kind(&device, Dtype::F32);
    store.claim_for(&kind)?;
    let all: Vec<&dyn Judge> = judges.iter().map(AsRef::as_ref).collect();
    let mut maker = Maker::new(store, device, kind.clone(), ablation, stop, progress);
    // A report of an incomplete folder would mislead.
    store.remove_manifest()?;

    let tuned = tune::tune(ablation, &all, &mut maker)?;
    let cells: Vec<&Cell> = match &tuned {
        Some(tuned) => tuned.iter().map(|(cell, _)| cell).collect(),
        None => ablation.cells.iter().collect(),
    };
    let completion = ablation.completion.as_ref().map(why::Given::open).transpose()?;
    let mut total = 0;
    for cell in &cells {
        for &seed in &ablation.seeds {
            total += maker.missing(cell, seed, ablation.samples, &all)?;
        }
        total += why::missing(ablation, &cells, cell, completion.as_ref(), &maker)?;
    }
    total += timing::missing(ablation, &cells, &maker)?;
    maker.expect(total);
    for cell in &cells {
        for &seed in &ablation.seeds {
            maker.fill(cell, seed, ablation.samples, &all)?;
        }
    }
    for cell in &cells {
        why::look(ablation, &cells, cell, completion.as_ref(), &mut maker)?;
    }
    timing::time(ablation, &cells, &mut maker)?;

    let works = cells.iter().map(|cell| Work::of(cell)).collect::<Result<Vec<_>>>()?;
    let planned = cells.iter().enumerate().map(|(i, cell)| Planned {
        name: cell.name.clone(),
        variant: cell.variant.clone(),
        id: cell.id(&kind),
        model: cell.said("model"),
        weights: cell.prepared.weights(),
        guidance: cell.said("guidance"),
        sampling: cell.said("sampling"),
        pixels: cell.pixels,
        shows: cell.shows(),
        classes: cell.prepared.conditions.iter().map(class).collect(),
        config: cell.resolved().to_ron_string(),
        work: Some(works[i]),
        swept: cell.swept.clone(),
        settings: cell.settings.clone(),
        chosen: tuned.as_ref().map(|tuned| tuned[i].1.clone()),
    });
    let manifest = Manifest {
        name: name.into(),
        version: version::words(),
        device: kind.clone(),
        scales: scales(cells[ablation.baseline]),
        seeds: ablation.seeds.clone(),
        samples: ablation.samples,
        baseline: ablation.baseline,
        measures: ablation.measures.iter().map(ToString::to_string).collect(),
        folder: absolute(ablation.folder())?,
        reference: ablation.reference.clone(),
        tuned: ablation.tune.as_ref().map(tune::words),
        traces: ablation.traces,
        completion: completion.map(|given| given.key().into()),
        command,
        times: timing::key(ablation, &cells),
        file_hash: Some(ablation.hash().into()),
        cells: planned.collect(),
    };
    store.write_manifest(&manifest)?;
    Ok(manifest)
}

fn class(condition: &Condition) -> Option<u32> {
    match condition.shown() {
        Condition::Class(class) => u32::try_from(*class).ok(),
        _ => None,
    }
}

/// The empty path means the current folder, but not to the system's own call.
fn absolute(folder: &Path) -> Result<PathBuf> {
    let named = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(named).map_err(Error::io("find", named))
}

fn scales(cell: &Cell) -> Vec<(usize, usize)> {
    cell.prepared.model.schedule().grids().iter().map(|grid| (grid.height, grid.width)).collect()
}
