use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::extent::{Extent, centred, ratio};
use crate::{Guidance, Step, Strength, nested};

/// Guidance rescale: a rule's logits with the standard deviation of the base's.
///
/// The logits g of a rule are rescaled to the spread of the logits b of a base (Lin et al., "Common Diffusion
/// Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891, equations 15 and 16).
///
/// l = φ · g · σ(b)/σ(g) + (1 − φ) · g, where σ is the standard deviation over an [`Extent`]. The paper takes
/// it over all channels and pixels of a latent. For logits it is the deviation from each choice's mean,
/// because that mean is arbitrary; g is multiplied including its mean, which changes no probability. At φ = 0
/// it is the rule; logits without any spread are unchanged.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Rescale(rule: Cfg(scale: 3.0), amount: 0.7)")]
pub struct Rescale {
    /// The rule whose standard deviation is kept.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The rule whose logits are rescaled.
    rule: Arc<dyn Guidance>,
    /// φ, a strength: 0 leaves the rule as it is, 1 rescales it fully.
    amount: Strength,
    /// `Image` or `Position`: whether norms and deviations are taken over all positions and channels of an
    /// image, or over the channels of each position; always on logits after subtracting each choice's mean.
    #[setting(default)]
    over: Extent,
}

impl Rescale {
    /// `rule` with the spread of `base`, by `amount` φ (1 for completely; the paper recommends 0.7).
    ///
    /// # Errors
    /// [`Error::Setting`](nextscale_core::Error::Setting) for `amount`, as [`Strength::validate`].
    pub fn new(
        base: Arc<dyn Guidance>,
        rule: Arc<dyn Guidance>,
        amount: impl Into<Strength>,
        over: Extent,
    ) -> Result<Self> {
        let amount = amount.into();
        amount.validate("amount")?;
        Ok(Self { base, rule, amount, over })
    }

    fn rules(&self) -> [&Arc<dyn Guidance>; 2] {
        [&self.rule, &self.base]
    }
}

impl Guidance for Rescale {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let guided = step.evaluate(&*self.rule)?;
        let amount = self.amount.at(step.index(), step.schedule());
        if amount == 0.0 {
            if nested::keeps_up(&*self.base) {
                step.evaluate(&*self.base)?;
            }
            return Ok(guided);
        }
        let [b, g] = [centred(&step.evaluate(&*self.base)?), centred(&guided)];
        let spread = ratio(self.over.dot(&b, &b), self.over.dot(&g, &g), 1.0).sqrt();
        let factor = spread.mul_scalar(amount).add_scalar(1.0 - amount);
        let values = guided.values().clone();
        guided.with_values(values.clone() * factor.cast(values.dtype()))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        let rules = if self.amount.at(k, schedule) == 0.0 && !nested::keeps_up(&*self.base) { 1 } else { 2 };
        nested::passes(self.rules().into_iter().take(rules), k, schedule)
    }

    fn lookback(&self) -> usize {
        nested::lookback(self.rules())
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.amount.check("amount", schedule)?;
        nested::check(self.rules(), schedule, alphabet)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { amount: 0.0.into(), ..self.clone() }), Arc::clone(&self.rule))
    }

    /// The rule's.
    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        step.prior_of(&*self.rule)
    }
}
