use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::{Guidance, Step, nested};

/// Corrections added up: r + the sum of (rule - r), for `base: r` and `rules: [..]`.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Sum(rules: [Cfg(scale: 3.0), Ssg(prior: Dse(), beta: 0.5)])")]
pub struct Sum {
    /// The rule r from which every correction is measured.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The rules to add up.
    rules: Vec<Arc<dyn Guidance>>,
}

impl Sum {
    /// The sum of the corrections that `rules` make to `base`; without rules it is the base.
    pub fn new(base: Arc<dyn Guidance>, rules: Vec<Arc<dyn Guidance>>) -> Self {
        Self { base, rules }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Guidance>> {
        std::iter::once(&self.base).chain(&self.rules)
    }
}

impl Guidance for Sum {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let Some((first, others)) = self.rules.split_first() else { return step.evaluate(&*self.base) };
        // r + (first − r) is first: a single rule is unchanged, bit for bit.
        let sum = step.evaluate(&**first)?;
        if others.is_empty() {
            return Ok(sum);
        }
        let base = step.evaluate(&*self.base)?;
        others.iter().try_fold(sum, |sum, rule| {
            let correction = step.evaluate(&**rule)?.into_values() - base.values().clone();
            sum.with_values(sum.values().clone() + correction)
        })
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        nested::passes(self.all(), k, schedule)
    }

    fn lookback(&self) -> usize {
        nested::lookback(self.all())
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        nested::check(self.all(), schedule, alphabet)
    }

    fn claims(&self) -> RuleClaims {
        let all = || self.all().map(|rule| rule.claims());
        RuleClaims::none()
            .linear_if(all().all(|claims| claims.is_linear()))
            .channelwise_if(all().all(|claims| claims.is_channelwise()))
    }

    /// The prior of the first rule that has one, or else the base's.
    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        nested::prior_of(self.rules.iter().chain([&self.base]), step)
    }
}
