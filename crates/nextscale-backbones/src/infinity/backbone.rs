use std::sync::Arc;

use burn::tensor::Device;
use nextscale_core::{Alphabet, BatchConditions, Error, Mixing, PassPlan, Result, ScaleSchedule};

use super::{model::Infinity, session::InfinitySession};
use crate::{Backbone, Session};

impl Backbone for Infinity {
    fn schedule(&self) -> &ScaleSchedule {
        &self.config.schedule
    }

    fn alphabet(&self) -> Alphabet {
        self.config.alphabet()
    }

    fn input_channels(&self) -> usize {
        self.config.bits
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn mixes(&self, mixing: &Mixing) -> Result<()> {
        let depth = self.config.depth;
        // Upstream mixes after the first block at the earliest, too.
        match mixing.layers().iter().find(|&&layer| layer >= depth) {
            Some(layer) => Err(Error::setting(
                "layers",
                format!(
                    "{layer} is beyond the model's {depth} blocks; count from the last, 1, to {}",
                    depth - 1
                ),
            )),
            None => Ok(()),
        }
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Backbone>> {
        let config = self.config.on_scales(schedule)?;
        // The weights are shared.
        Ok(Arc::new(Self { config, ..self.clone() }))
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(InfinitySession::start(self, conditions, plan)?))
    }
}
