use std::sync::Arc;

use nextscale_core::{Pass, Perturbation, Result};
use nextscale_macros::Settings;

use crate::{Contrast, Guidance, Strength};

/// Skip-layer guidance: guides away from the model's predictions without some of its blocks.
///
/// A model without some of its blocks is a weaker model that needs no training (Hyung et al., "Spatiotemporal
/// Skip Guidance for Enhanced Video Diffusion Sampling", arXiv 2411.18664, whose residual form skips blocks;
/// known as SLG for image models).
///
/// l = b + w·(c − c̃), with b the base's logits, c the conditional ones and c̃ those of the same
/// pass in which the blocks of `layers` are skipped (attention, cross-attention and MLP) and pass
/// on their input, at every scale; w the `weight`. It costs one more run of the backbone without
/// these blocks, and needs a model that can skip blocks.
#[derive(Debug, Clone, Settings)]
#[setting(example = "SkipLayers(layers: [2], weight: 1.0)", check = Self::validate)]
pub struct SkipLayers {
    /// The rule whose logits are guided.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The blocks that are left out, counted from the last, which is 1.
    layers: Vec<usize>,
    /// w, a strength, off at 0.
    weight: Strength,
}

impl SkipLayers {
    /// `base` guided away from the predictions of the model without these blocks.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `layers` if it is empty or contains 0, and for
    /// `weight`, as [`Strength::validate`].
    pub fn new(base: Arc<dyn Guidance>, layers: &[usize], weight: impl Into<Strength>) -> Result<Self> {
        let rule = Self { base, layers: layers.to_vec(), weight: weight.into() };
        rule.validate()?;
        Ok(rule)
    }
}

impl Contrast for SkipLayers {
    fn base(&self) -> &Arc<dyn Guidance> {
        &self.base
    }

    fn weight(&self) -> &Strength {
        &self.weight
    }

    fn with_weight(self, weight: Strength) -> Self {
        Self { weight, ..self }
    }

    fn worse(&self) -> Result<Pass> {
        Ok(Pass::CONDITIONAL.perturbed(Perturbation::skipping(&self.layers)?))
    }

    fn validate(&self) -> Result<()> {
        self.weight.validate("weight")?;
        self.worse().map(drop)
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
            let error = SkipLayers::new(Arc::new(Conditional), layers, weight).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
