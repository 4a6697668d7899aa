use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Pass, Passes, Perturbation, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::{Guidance, Step, Strength, contrast};

/// Perturbed-attention guidance: guides away from the model's predictions when positions see only themselves.
///
/// Attention whose map is the identity keeps a position's look and loses structure (Ahn et al.,
/// "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", arXiv 2403.17377; the attention
/// form of 2411.18664).
///
/// l = b + w·(c − c̃), with b the base's logits, c the conditional ones and c̃ those of the same pass in
/// which the self-attention of the blocks of `layers` gives every position its own value, so that these
/// blocks see neither other positions nor earlier scales, at any scale; w the `weight`. It costs one more run
/// of the backbone and needs a model that supports it.
#[derive(Debug, Clone, Settings)]
#[setting(example = "PerturbedAttention(layers: [2], weight: 1.0)", check = Self::validate)]
pub struct PerturbedAttention {
    /// The rule whose logits are guided.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The blocks whose self-attention is the identity, counted from the last, which is 1.
    layers: Vec<usize>,
    /// w, a strength, off at 0.
    weight: Strength,
}

impl PerturbedAttention {
    /// `base` guided away from the predictions of the model without the self-attention of these blocks.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `layers` if it is empty or contains 0, and for
    /// `weight`, as [`Strength::validate`].
    pub fn new(base: Arc<dyn Guidance>, layers: &[usize], weight: impl Into<Strength>) -> Result<Self> {
        let rule = Self { base, layers: layers.to_vec(), weight: weight.into() };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.weight.validate("weight")?;
        self.perturbed().map(drop)
    }

    /// The pass of c̃.
    fn perturbed(&self) -> Result<Pass> {
        Ok(Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&self.layers)?))
    }
}

impl Guidance for PerturbedAttention {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let weight = self.weight.at(step.index(), step.schedule());
        contrast::guide(step, &*self.base, &self.perturbed()?, weight)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        match self.perturbed() {
            Ok(worse) => contrast::passes(k, schedule, &self.base, worse, self.weight.at(k, schedule)),
            // Invalid layers are refused when the rule is created; guiding with them reports the reason.
            Err(_) => self.base.passes(k, schedule),
        }
    }

    fn lookback(&self) -> usize {
        self.base.lookback()
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.weight.check("weight", schedule)?;
        self.base.check(schedule, alphabet)
    }

    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        step.prior_of(&*self.base)
    }

    fn claims(&self) -> RuleClaims {
        let base = self.base.claims();
        RuleClaims::none()
            .off(Arc::new(Self { weight: 0.0.into(), ..self.clone() }), Arc::clone(&self.base))
            .linear_if(base.is_linear())
            .channelwise_if(base.is_channelwise())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conditional;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (layers, weight, field) in
            [(&[][..], 1.0, "layers: "), (&[0, 1], 1.0, "layers: "), (&[1], f64::NAN, "weight: ")]
        {
            let error =
                PerturbedAttention::new(Arc::new(Conditional), layers, weight).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
