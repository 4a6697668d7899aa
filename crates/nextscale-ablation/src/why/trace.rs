//! Generates a cell's images once more, to analyse every scale.

use std::sync::Arc;

use nextscale_core::Condition;
use nextscale_core::noise::Counter;
use nextscale_pipeline::{Batch, Generator};

use super::STRIPS;
use super::look::Looker;
use super::numbers::Traced;
use super::watched::Watched;
use crate::images::Images;
use crate::maker::Maker;
use crate::plan::Cell;
use crate::{Error, Result};

/// Generates images of a cell with an observer, and returns the first few as they form, image by image, scale
/// by scale.
pub(super) fn trace(
    cell: &Cell,
    baseline: &Cell,
    seed: u64,
    count: u64,
    maker: &mut Maker<'_>,
) -> Result<(Traced, Images)> {
    let rule = |cell: &Cell| {
        let method = cell.prepared.config.methods.first();
        method
            .map(|method| Arc::clone(&method.rule))
            .ok_or_else(|| Error::Usage(format!("the cell {} has no rule", cell.name)))
    };
    let (rule, beside) = (rule(cell)?, rule(baseline)?);
    let model = maker.model(cell)?;
    let noise = Arc::new(Counter::new(seed));
    let sampler = Arc::clone(&cell.prepared.config.sampler);
    let watched = Arc::new(Watched { rule, beside: Arc::clone(&beside) });
    let generator = Generator::new(model.clone(), watched, Arc::clone(&sampler), noise.clone())?;
    let mut looker = Looker::new(model, beside, sampler, noise);
    let numbers: Vec<u64> = (0..count).collect();
    for images in numbers.chunks(cell.prepared.config.batch) {
        let conditions: Vec<Condition> = images.iter().map(|&image| cell.condition(image)).collect();
        looker.begin(images, STRIPS.min(count));
        let pixels = generator.batch(Batch { images, conditions: &conditions }, &mut looker, maker.stop());
        pixels.map_err(|error| cell.prepared.model.named_in(error.into()))?;
        maker.advance(cell, images.len() as u64);
    }
    looker.finish(count)
}
