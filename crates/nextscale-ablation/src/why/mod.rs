//! Why a rule has its effect: scale by scale, and on real images that it completes.

mod bands;
mod completion;
mod look;
mod numbers;
mod on_device;
mod trace;
mod watched;

pub use bands::Bands;
pub use completion::{Completed, Given};
pub use numbers::{ScaleNumbers, Traced};

use crate::Result;
use crate::maker::Maker;
use crate::plan::{Ablation, Cell, Pixels};
use crate::store::Store;

/// Images of a cell that are shown as they form, and as they are completed.
pub const STRIPS: u64 = 4;

/// The name and key under which a cell's numbers are stored.
pub fn trace_key(traces: u64, seed: u64, baseline: &str) -> String {
    format!("{traces} images of seed {seed} against {baseline}")
}

/// Images of a cell that are still to be analysed.
///
/// # Errors
/// If a file is damaged.
pub fn missing(
    ablation: &Ablation,
    cells: &[&Cell],
    cell: &Cell,
    given: Option<&Given>,
    maker: &Maker<'_>,
) -> Result<u64> {
    let id = maker.id(cell);
    let mut missing = 0;
    if cell.pixels != Pixels::AsTheyAre {
        return Ok(0);
    }
    if ablation.traces > 0 {
        let key = trace_key(ablation.traces, ablation.seeds[0], &maker.id(cells[ablation.baseline]));
        if maker.store().kept::<Traced>(&id, "trace", &key)?.is_none() {
            missing += ablation.traces;
        }
    }
    if let Some(given) = given
        && !is_completed(maker.store(), &id, given.key())?
    {
        missing += given.count() * (cell.prepared.model.schedule().len() as u64 - 1);
    }
    Ok(missing)
}

/// Whether a cell's completions exist, both numbers and pictures.
fn is_completed(store: &Store, id: &str, key: &str) -> Result<bool> {
    Ok(store.kept::<Completed>(id, "completion", key)?.is_some()
        && store.kept_images(id, "completions", key)?.is_some())
}

/// Analyses a cell scale by scale, and completes the given images with it, unless that was done before.
///
/// # Errors
/// If the run fails, the disk fails, or a stop is requested.
pub fn look(
    ablation: &Ablation,
    cells: &[&Cell],
    cell: &Cell,
    given: Option<&Given>,
    maker: &mut Maker<'_>,
) -> Result<()> {
    let id = maker.id(cell);
    if cell.pixels != Pixels::AsTheyAre {
        // The same logits as the cell whose images it changes.
        return Ok(());
    }
    if ablation.traces > 0 {
        let baseline = cells[ablation.baseline];
        let key = trace_key(ablation.traces, ablation.seeds[0], &maker.id(baseline));
        if maker.store().kept::<Traced>(&id, "trace", &key)?.is_none() {
            let (traced, strips) = trace::trace(cell, baseline, ablation.seeds[0], ablation.traces, maker)?;
            maker.store().keep_images(&id, "strips", &key, &strips)?;
            maker.store().keep(&id, "trace", &key, &traced)?;
        }
    }
    if let Some(given) = given
        && !is_completed(maker.store(), &id, given.key())?
    {
        let (completed, strips) = completion::complete(cell, given, ablation, maker)?;
        maker.store().keep_images(&id, "completions", given.key(), &strips)?;
        maker.store().keep(&id, "completion", given.key(), &completed)?;
    }
    Ok(())
}
