use burn::tensor::Device;
use nextscale_core::{Alphabet, BatchConditions, Mixing, PassPlan, Perturbation, Result, ScaleSchedule};

use super::{block::Block, model::Var, session::VarSession};
use crate::{
    Backbone, Constants, Session,
    transformer::{Named, session::of_sides, streams::fits},
};

impl Backbone for Var {
    fn schedule(&self) -> &ScaleSchedule {
        &self.config.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(self.config.vocabulary)
    }

    fn input_channels(&self) -> usize {
        self.config.feature_channels
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn parameter_count(&self) -> Option<usize> {
        Some(self.parameters().iter().map(Named::count).sum())
    }

    fn cache_bytes_per_token(&self) -> Option<usize> {
        let number = self.blocks.first().map_or(size_of::<f32>(), Block::cached_size);
        Some(2 * self.config.depth * self.config.width * number)
    }

    fn mixes(&self, mixing: &Mixing) -> Result<()> {
        fits(mixing.layers(), self.config.depth)
    }

    fn perturbs(&self, perturbation: &Perturbation) -> Result<()> {
        fits(perturbation.layers(), self.config.depth)
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(VarSession::start(self, conditions, plan)?))
    }

    fn constants(&self, conditions: &BatchConditions) -> Result<Constants> {
        Ok(Constants::new(of_sides(self, conditions)?))
    }

    fn start_with(
        &self,
        constants: &Constants,
        conditions: &BatchConditions,
        plan: &PassPlan,
    ) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(VarSession::start_with(self, constants, conditions, plan)?))
    }
}
