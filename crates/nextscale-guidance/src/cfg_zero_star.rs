use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::extent::{Extent, centred, combined, ratio};
use crate::{Conditional, Guidance, Step, Strength};

/// CFG-Zero*: CFG with the unconditional logits scaled for the best fit to the conditional ones.
///
/// α·u is the multiple of u that is nearest to c (Fan et al., "CFG-Zero*: Improved Classifier-Free Guidance
/// for Flow Matching Models", arXiv 2503.18886).
///
/// α = ⟨c, u⟩/‖u‖² over an [`Extent`], and l = α·u + w·(c − α·u) = c + t·(c − α·u) with t = w − 1 the
/// `scale`. If u is zero after centring (‖u‖ = 0), α is 0 and l = (1 + t)·c.
///
/// The paper's other half, a velocity of zero in the first steps, has no counterpart here: zero logits mean
/// the uniform distribution, not "stay where you are". [`Strength::During`] can leave the first scales
/// unguided.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "CfgZeroStar(scale: 3.0)", check = Self::validate)]
pub struct CfgZeroStar {
    /// t = w - 1, a strength, off at 0.
    pub scale: Strength,
    /// `Image` or `Position`: whether α is taken over all positions and channels of an image, or over the
    /// channels of each position; always on logits after subtracting each choice's mean.
    #[setting(default)]
    pub over: Extent,
}

impl CfgZeroStar {
    /// The paper's rule at `scale` t, over the image.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `scale`, as [`Strength::validate`].
    pub fn new(scale: impl Into<Strength>) -> Result<Self> {
        let rule = Self { scale: scale.into(), over: Extent::default() };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.scale.validate("scale")
    }
}

impl Guidance for CfgZeroStar {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let unconditional = step.unconditional()?;
        let [c, u] = [centred(conditional), centred(unconditional)];
        let alpha = ratio(self.over.dot(&c, &u), self.over.dot(&u, &u), 0.0);
        combined(conditional, alpha.full_like(1.0 + t), unconditional, alpha.mul_scalar(-t))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.scale.check("scale", schedule)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { scale: 0.0.into(), ..self.clone() }), Arc::new(Conditional))
    }
}
