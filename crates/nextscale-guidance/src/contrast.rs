//! Guidance away from a worse prediction of the same scale, b + w·(c − c̃): what rules of this form share.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Pass, Passes, Result, ScaleSchedule};
use nextscale_kernels::extrapolate;

use crate::conformance::RuleClaims;
use crate::{Guidance, Step, Strength};

/// A rule l = b + w·(c − c̃), with b the base's logits, c the conditional ones and c̃ those of a worse pass; b
/// itself where w is 0. An implementation of this trait implements [`Guidance`].
pub trait Contrast: Any + Clone + Debug + Send + Sync {
    /// The rule of b.
    fn base(&self) -> &Arc<dyn Guidance>;

    /// w, off at 0.
    fn weight(&self) -> &Strength;

    /// The same rule with another w.
    #[must_use]
    fn with_weight(self, weight: Strength) -> Self;

    /// The pass of c̃.
    ///
    /// # Errors
    /// For settings that [`validate`](Self::validate) refuses.
    fn worse(&self) -> Result<Pass>;

    /// The first scale at which c̃ can differ from c: before it, the worse pass is not run.
    fn first(&self) -> usize {
        0
    }

    /// Whether the settings make sense, whatever the model.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) with the first one that does not.
    fn validate(&self) -> Result<()>;
}

/// w at scale `k`.
fn weight(rule: &impl Contrast, k: usize, schedule: &ScaleSchedule) -> f64 {
    if k < rule.first() { 0.0 } else { rule.weight().at(k, schedule) }
}

impl<T: Contrast> Guidance for T {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let base = step.evaluate(&**self.base())?;
        let weight = weight(self, step.index(), step.schedule());
        if weight == 0.0 {
            return Ok(base);
        }
        let (better, worse) = (step.conditional()?.values().clone(), step.logits(&self.worse()?)?);
        base.with_values(extrapolate(base.values().clone(), better, worse.values().clone(), weight))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        let passes = self.base().passes(k, schedule);
        match self.worse() {
            Ok(worse) if weight(self, k, schedule) != 0.0 => {
                passes.union(Passes::CONDITIONAL).union(worse.into())
            }
            // Settings without such a pass are refused when the rule is created; guiding with them
            // reports the reason.
            _ => passes,
        }
    }

    fn lookback(&self) -> usize {
        self.base().lookback()
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.weight().check("weight", schedule)?;
        self.base().check(schedule, alphabet)
    }

    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        step.prior_of(&**self.base())
    }

    fn claims(&self) -> RuleClaims {
        let base = self.base().claims();
        RuleClaims::none()
            .off(Arc::new(self.clone().with_weight(0.0.into())), Arc::clone(self.base()))
            .linear_if(base.is_linear())
            .channelwise_if(base.is_channelwise())
    }
}
