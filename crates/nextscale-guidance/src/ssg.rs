use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_kernels::extrapolate;
use nextscale_macros::Settings;
use nextscale_priors::Prior;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conformance::RuleClaims;
use crate::{Guidance, Step, Strength};

/// Scaled Spatial Guidance: l + beta·(l - prior(l at the scale before)), l being the base's logits.
///
/// Guides away from what the previous scale predicts for this one: l_ssg = l_k + β_k · (l_k −
/// prior(l_{k−1})), where l is the base's logits, at k − 1 with the base's strength there. Scale 0 has no
/// previous scale and keeps the base's logits.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Ssg(prior: Dse(), beta: 0.5)")]
pub struct Ssg {
    /// The rule whose logits are guided.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// What the scale before predicts, one of the priors.
    prior: Arc<dyn Prior>,
    /// β, a strength, off at 0; scale 0 is never changed.
    beta: Strength,
    /// `Base` or `Guided`: whether the prior reads the base's logits or this rule's own output.
    #[setting(default)]
    history: PriorHistory,
}

/// Whose logits at the previous scale SSG's prior reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PriorHistory {
    /// The base's.
    #[default]
    Base,
    /// SSG's own, guided.
    Guided,
}

impl Ssg {
    /// SSG of `base`, whose prior reads the base's logits.
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `beta`, as [`Strength::validate`].
    pub fn new(base: Arc<dyn Guidance>, prior: Arc<dyn Prior>, beta: impl Into<Strength>) -> Result<Self> {
        let beta = beta.into();
        beta.validate("beta")?;
        Ok(Self { base, prior, beta, history: PriorHistory::Base })
    }

    /// The same rule with the prior reading `history`.
    #[must_use]
    pub fn with_history(self, history: PriorHistory) -> Self {
        Self { history, ..self }
    }

    fn beta(&self, step: &Step<'_>) -> f64 {
        self.beta.at(step.index(), step.schedule())
    }
}

impl Guidance for Ssg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let base = step.evaluate(&*self.base)?;
        let Some(prior) = step.prior_of(self)? else { return Ok(base) };
        let logits = base.values().clone();
        base.with_values(extrapolate(logits.clone(), logits, prior.into_values(), self.beta(step)))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        self.base.passes(k, schedule)
    }

    /// One more than the base's. With `Guided` it reads its own output at the previous scale, which was
    /// remembered with that scale, so nothing older is needed.
    fn lookback(&self) -> usize {
        self.base.lookback() + 1
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.beta.check("beta", schedule)?;
        self.prior.check(schedule, alphabet)?;
        self.base.check(schedule, alphabet)
    }

    fn claims(&self) -> RuleClaims {
        let off = Self { beta: 0.0.into(), ..self.clone() };
        let (base, prior) = (self.base.claims(), self.prior.claims());
        RuleClaims::none()
            .off(Arc::new(off), Arc::clone(&self.base))
            .linear_if(base.is_linear() && prior.is_linear())
            .channelwise_if(base.is_channelwise() && prior.is_channelwise())
    }

    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        if self.beta(step) == 0.0 {
            return Ok(None);
        }
        let Some(earlier) = step.earlier()? else { return Ok(None) };
        let coarse = match self.history {
            PriorHistory::Base => earlier.evaluate(&*self.base)?,
            PriorHistory::Guided => earlier.evaluate(self)?,
        };
        step.prior(&*self.prior, &coarse).map(Some)
    }
}
