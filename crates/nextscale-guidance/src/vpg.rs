use std::sync::Arc;

use nextscale_core::{Corruption, Error, Pass, Prefix, Replacement, Result};
use nextscale_macros::Settings;

use crate::{Contrast, Guidance, Strength};

/// Visual prefix guidance: guides away from the model's predictions on a corrupted copy of the earlier
/// scales.
///
/// With a corrupted prefix, the model's prediction depends less on what was drawn; the difference strengthens
/// what the prefix supports (Liao et al., "VPG: Visual Prefix Guidance for Autoregressive Image and Video
/// Generation", arXiv 2605.30317).
///
/// l = b + λ·(c(r) − c(r̃)), with b the base's logits, c the conditional ones, r the prefix as drawn and r̃
/// its corrupted copy, in which a `share` of the positions of every earlier scale has a different embedding;
/// λ the `weight`. Over `Conditional` it is the paper's l + λ·(l(r) − l(r̃)). Scale 0 has no prefix and is
/// not guided. The corrupted pass costs one more run of the backbone at every scale up to the last with
/// λ ≠ 0.
///
/// The paper has no public code. Its same-scale replacement of whole embeddings is `OtherPosition`.
/// It leaves open the share, whether positions are drawn again at every scale, and whether the
/// difference is of conditional logits even if the base is CFG. Here each position of each scale is
/// corrupted or not once for the whole generation, independently, by the counter-based randomness
/// of (seed, image, scale, position), and the difference is always of the conditional pass.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Vpg(share: 0.5, weight: 0.5)", check = Self::validate)]
pub struct Vpg {
    /// The rule whose logits are guided.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The share of the positions of each earlier scale that is corrupted, from 0 to 1.
    #[setting(check = share)]
    share: f64,
    /// `OtherPosition`, `Zeros` or `ScaleMean`: what replaces the embedding at a corrupted
    /// position: that of another position of the same scale, zeros, or the scale's mean.
    #[setting(default)]
    corrupt: Replacement,
    /// λ, a strength, off at 0; scale 0 is never changed.
    weight: Strength,
}

/// What is wrong with a share, without the field's name, which the place of the error adds.
fn share(share: &f64) -> std::result::Result<(), String> {
    match Corruption::new(*share, Replacement::default()) {
        Ok(_) => Ok(()),
        Err(Error::Setting { message, .. }) => Err(message),
        Err(error) => Err(error.to_string()),
    }
}

impl Vpg {
    /// `base` guided away from its predictions on a prefix of which `share` is corrupted.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `share` outside [0, 1], or for `weight`, as
    /// [`Strength::validate`].
    pub fn new(
        base: Arc<dyn Guidance>,
        share: f64,
        corrupt: Replacement,
        weight: impl Into<Strength>,
    ) -> Result<Self> {
        let rule = Self { base, share, corrupt, weight: weight.into() };
        rule.validate()?;
        Ok(rule)
    }
}

impl Contrast for Vpg {
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
        Ok(Pass::CONDITIONAL.on(Prefix::Corrupted(Corruption::new(self.share, self.corrupt)?)))
    }

    /// Scale 0 has no prefix to corrupt.
    fn first(&self) -> usize {
        1
    }

    fn validate(&self) -> Result<()> {
        Corruption::new(self.share, self.corrupt)?;
        self.weight.validate("weight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conditional;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (share, weight, field) in [
            (1.5, 1.0, "share: "),
            (-0.1, 1.0, "share: "),
            (f64::NAN, 1.0, "share: "),
            (0.5, f64::NAN, "weight: "),
        ] {
            let rule = Vpg::new(Arc::new(Conditional), share, Replacement::Zeros, weight);
            let error = rule.unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
