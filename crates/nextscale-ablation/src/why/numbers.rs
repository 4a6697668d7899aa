//! What happens at every scale, as numbers.

use std::sync::Arc;

use nextscale_core::Condition;
use nextscale_pipeline::random::Counter;
use nextscale_pipeline::{Batch, Generator};
use serde::{Deserialize, Serialize};

use super::look::Looker;
use super::watched::Watched;
use super::{Bands, STRIPS};
use crate::images::Images;
use crate::plan::Cell;
use crate::run::Maker;
use crate::{Error, Result};

/// A cell, scale by scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traced {
    /// Images that were looked at.
    pub images: u64,
    /// The scales.
    pub scales: Vec<ScaleNumbers>,
}

/// One scale, averaged over images. Logits are centred over the classes of every slot first: a constant added to all of
/// them changes no distribution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScaleNumbers {
    /// Entropy in nats of the guided distribution, before temperature and filters, mean over positions and slots.
    pub entropy: f64,
    /// The share of tokens that the baseline's rule would have drawn otherwise, with the same history and random numbers.
    pub changed: f64,
    /// ‖guided − base‖ / ‖base‖, base being the baseline's rule on the same history.
    pub correction: f64,
    /// Energy of the base's logits, mean over images and channels.
    pub logits: Bands,
    /// Energy of the prior, where the rule has one at this scale.
    pub prior: Option<Bands>,
    /// Energy of the base's logits minus the prior.
    pub residual: Option<Bands>,
    /// The first band that the scale before cannot hold; none at the first scale.
    pub nyquist: Option<usize>,
}

/// Makes images of a cell, looking on, and the first few of them as they form, image by image, scale by scale.
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
        generator.batch(Batch { images, conditions: &conditions }, &mut looker, maker.stop())?;
        maker.advance(cell, images.len() as u64);
    }
    looker.finish(count)
}
