//! How long images of every cell take.

use std::time::Instant;

use nextscale_core::Condition;
use nextscale_generate::observe::Times as PartTimes;
use nextscale_pipeline::Batch;

use crate::Result;
use crate::cost::{Times, times_key};
use crate::maker::Maker;
use crate::plan::{Ablation, Cell};

/// Measured rounds, after one warm-up round.
const ROUNDS: usize = 3;

/// Images at once: at most a cell's batch, and at most as many as are generated.
fn images(ablation: &Ablation, cells: &[&Cell]) -> u64 {
    let batch = cells.iter().map(|cell| cell.prepared.config.batch as u64).min().unwrap_or(1);
    ablation.timing.min(batch).min(ablation.samples)
}

/// The cells whose rules run. Those that only filter finished images take as long as their originals.
fn timed<'a>(cells: &[&'a Cell], maker: &Maker<'_>) -> Vec<&'a Cell> {
    let mut timed: Vec<&Cell> = Vec::new();
    for &cell in cells {
        if !timed.iter().any(|known| maker.id(known) == maker.id(cell)) {
            timed.push(cell);
        }
    }
    timed
}

/// Images that are still to be timed.
///
/// # Errors
/// If stored times are damaged.
pub(super) fn missing(ablation: &Ablation, cells: &[&Cell], maker: &Maker<'_>) -> Result<u64> {
    let count = images(ablation, cells);
    if count == 0 {
        return Ok(0);
    }
    let timed = timed(cells, maker);
    for cell in &timed {
        if maker.store().kept::<Times>(&maker.id(cell), "times", &times_key(count))?.is_none() {
            // Together; otherwise other load on the machine would affect only some of them.
            return Ok(count * (timed.len() * (ROUNDS + 1)) as u64);
        }
    }
    Ok(0)
}

/// Times every cell, alternating if they share a model, unless this was done before. The images are
/// discarded.
///
/// # Errors
/// If the run fails, the disk fails, or a stop is requested.
pub(super) fn time(ablation: &Ablation, cells: &[&Cell], maker: &mut Maker<'_>) -> Result<()> {
    if missing(ablation, cells, maker)? == 0 {
        return Ok(());
    }
    let count = images(ablation, cells);
    let timed = timed(cells, maker);
    let model = |cell: &Cell| (cell.said("model"), cell.prepared.model.fingerprint().to_owned());
    let shared = timed.iter().all(|cell| model(cell) == model(timed[0]));
    // Another cell's model would have to be loaded at every turn.
    let groups: Vec<&[&Cell]> = if shared { vec![&timed[..]] } else { timed.chunks(1).collect() };
    let numbers: Vec<u64> = (0..count).collect();
    for group in groups {
        let mut milliseconds = vec![Vec::new(); group.len()];
        let mut bytes = vec![None; group.len()];
        for round in 0..=ROUNDS {
            for ((cell, times), bytes) in group.iter().zip(&mut milliseconds).zip(&mut bytes) {
                let (generator, _) = maker.edited(cell, ablation.seeds[0])?;
                *bytes = Times::cache_bytes(&generator);
                let conditions: Vec<Condition> = numbers.iter().map(|&image| cell.condition(image)).collect();
                let batch = Batch { images: &numbers, conditions: &conditions };
                let begun = Instant::now();
                let named = |error| cell.prepared.model.named_in(error);
                let pixels = generator.draw(batch, &mut PartTimes::default(), maker.stop());
                let pixels = pixels.map_err(|error| named(error.into()))?;
                // Pictures are read back, which waits for the device.
                let pictures = nextscale_pipeline::images::to_pictures(pixels);
                pictures.map_err(|error| named(error.of_images(&numbers).into()))?;
                let took = begun.elapsed().as_secs_f64() * 1000.0 / count as f64;
                if round > 0 {
                    times.push(took);
                }
                maker.advance(cell, count);
            }
        }
        for ((cell, milliseconds), cache_bytes) in group.iter().zip(milliseconds).zip(bytes) {
            let times = Times { milliseconds, threads: rayon::current_num_threads(), cache_bytes };
            maker.store().keep(&maker.id(cell), "times", &times_key(count), &times)?;
        }
    }
    Ok(())
}

/// The key of a run's times; `None` if nothing was timed.
pub(super) fn key(ablation: &Ablation, cells: &[&Cell]) -> Option<String> {
    let count = images(ablation, cells);
    (count > 0).then(|| times_key(count))
}
