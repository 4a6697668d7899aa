use std::sync::Arc;

use nextscale_core::{Alphabet, Error, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_kernels::exp;
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::extent::{Extent, centred, combined, ratio};
use crate::{Conditional, Guidance, Step, Strength};

/// CFG that is weaker where the two passes differ strongly.
///
/// The scale t becomes t·exp(−α·‖c − u‖/‖u‖) (MAMBO-G, arXiv 2508.03442: a difference that is large relative
/// to the prediction, as in the first steps, should not be enlarged further).
///
/// l = c + t·exp(−α·‖c − u‖/‖u‖)·(c − u), with w = 1 + t the paper's weight and α the `damping`, norms over
/// an [`Extent`]. With α = 0 it is CFG; if u is zero after centring (‖u‖ = 0) it is c.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "MagnitudeCfg(scale: 3.0, damping: 1.0)", check = Self::validate)]
pub struct MagnitudeCfg {
    /// t = w - 1, a strength, off at 0.
    pub scale: Strength,
    /// α, at least 0: how fast a larger difference weakens guidance; with 0 the rule is CFG.
    pub damping: f64,
    /// `Image` or `Position`: whether norms are taken over all positions and channels of an image, or over
    /// the channels of each position; always on logits after subtracting each choice's mean.
    #[setting(default)]
    pub over: Extent,
}

impl MagnitudeCfg {
    /// The paper's rule at `scale` t with `damping` α, over the image.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `scale` or `damping`.
    pub fn new(scale: impl Into<Strength>, damping: f64) -> Result<Self> {
        let rule = Self { scale: scale.into(), damping, over: Extent::default() };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.scale.validate("scale")?;
        if !(self.damping >= 0.0 && self.damping.is_finite()) {
            let message = format!("{} is not a finite number of at least 0", self.damping);
            return Err(Error::setting("damping", message));
        }
        Ok(())
    }
}

impl Guidance for MagnitudeCfg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let unconditional = step.unconditional()?;
        let u = centred(unconditional);
        // From the difference itself: computed from the products of c and u, a small one would lose most
        // digits.
        let delta = centred(conditional) - u.clone();
        let length = |x| self.over.dot(x, x).sqrt();
        let (delta, u) = (length(&delta), length(&u));
        let damped = if self.damping == 0.0 {
            u.full_like(t)
        } else {
            // Relative to zero every difference is large; if the difference is zero too, the weight does not
            // matter.
            exp(ratio(delta, u, f32::MAX).mul_scalar(-self.damping)).mul_scalar(t)
        };
        combined(conditional, damped.clone().add_scalar(1.0), unconditional, damped.neg())
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.scale.check("scale", schedule)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { scale: 0.0.into(), ..self.clone() }), Arc::new(Conditional))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (scale, damping, field) in
            [(f64::NAN, 1.0, "scale: "), (1.0, -0.5, "damping: "), (1.0, f64::INFINITY, "damping: ")]
        {
            let error = MagnitudeCfg::new(scale, damping).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
