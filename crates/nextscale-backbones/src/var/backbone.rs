use burn::tensor::Device;
use nextscale_core::{Alphabet, BatchConditions, Mixing, PassPlan, Perturbation, Result, ScaleSchedule};

use super::{model::Var, session::VarSession};
use crate::{Backbone, Session, transformer::streams::fits};

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

    fn mixes(&self, mixing: &Mixing) -> Result<()> {
        fits(mixing.layers(), self.config.depth)
    }

    fn perturbs(&self, perturbation: &Perturbation) -> Result<()> {
        fits(perturbation.layers(), self.config.depth)
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(VarSession::start(self, conditions, plan)?))
    }
}
