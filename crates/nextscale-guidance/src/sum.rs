use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};

use crate::{Guidance, Step, nested};

/// Corrections added up: r + Σ (rule − r), for a base r and any number of rules.
#[derive(Debug, Clone)]
pub struct Sum {
    base: Arc<dyn Guidance>,
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
        // r + (first − r) is first: one rule alone comes through to the bit.
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

    /// The first that a rule has, in order, or else the base's.
    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        nested::prior_of(self.rules.iter().chain([&self.base]), step)
    }
}
