use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Mixing, Pass, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::{Conditional, Guidance, Step, Strength};

/// Classifier-free guidance of hidden states: w·cond + (1 - w)·uncond at the outputs of some blocks.
///
/// At the output of each block, the hidden states of the conditional and of the unconditional pass are both
/// replaced by their mix, from which later blocks continue, each under its own condition (Infinity's
/// `cfg_insertion_layer`, arXiv 2412.04431). The logits are those of the conditional pass; with `logits:
/// true` they are mixed too, with the same w.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "CfgInside(layers: [2], weight: 3.0)", check = Self::validate)]
pub struct CfgInside {
    /// The blocks, counted from the last, which is 1: Infinity's -2 is 2.
    pub layers: Vec<usize>,
    /// w, a strength, off at 1 and outside the range of a `During`.
    pub weight: Strength,
    /// Whether the logits are mixed too.
    #[setting(default)]
    pub logits: bool,
}

impl CfgInside {
    /// Guidance only at the outputs of these blocks.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `layers` if there is none or one is 0, and for
    /// `weight`, as [`Strength::validate`].
    pub fn new(layers: &[usize], weight: impl Into<Strength>) -> Result<Self> {
        let rule = Self { layers: layers.to_vec(), weight: weight.into(), logits: false };
        rule.validate()?;
        Ok(rule)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn validate(&self) -> Result<()> {
        self.weight.validate("weight")?;
        Mixing::new(&self.layers, &[]).map(drop)
    }

    /// w at scale `k`; 1 where the rule is off.
    fn weight(&self, k: usize, schedule: &ScaleSchedule) -> f64 {
        // Off is not w = 0, which would be the unconditional pass.
        if self.weight.is_on(k) { self.weight.at(k, schedule) } else { 1.0 }
    }

    /// The conditional pass and the other, whose hidden states are mixed; `None` if nothing is mixed at any
    /// scale.
    fn mixed(&self, schedule: &ScaleSchedule) -> Result<Option<[Pass; 2]>> {
        let weights: Vec<f64> = (0..schedule.len()).map(|k| self.weight(k, schedule)).collect();
        if weights.iter().all(|&weight| weight == 1.0) {
            return Ok(None);
        }
        let mixing = Mixing::new(&self.layers, &weights)?;
        Ok(Some([Pass::CONDITIONAL, Pass::UNCONDITIONAL].map(|pass| pass.mixed(mixing.clone()))))
    }
}

impl Guidance for CfgInside {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let Some([conditional, unconditional]) = self.mixed(step.schedule())? else {
            return step.conditional().cloned();
        };
        let conditional = step.logits(&conditional)?;
        let weight = self.weight(step.index(), step.schedule());
        if !self.logits || weight == 1.0 {
            return Ok(conditional.clone());
        }
        let unconditional = step.logits(&unconditional)?.values().clone();
        let values = conditional.values().clone().mul_scalar(weight) + unconditional.mul_scalar(1.0 - weight);
        conditional.with_values(values)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        // Invalid mixings are refused when the rule is created; guiding with them reports the reason.
        let Ok(Some([conditional, unconditional])) = self.mixed(schedule) else { return Passes::CONDITIONAL };
        match self.logits && self.weight(k, schedule) != 1.0 {
            true => [conditional, unconditional].into_iter().collect(),
            false => conditional.into(),
        }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.weight.check("weight", schedule)
    }

    fn claims(&self) -> RuleClaims {
        let off = Self { weight: 1.0.into(), ..self.clone() };
        RuleClaims::none().off(Arc::new(off), Arc::new(Conditional)).linear().channelwise()
    }
}
