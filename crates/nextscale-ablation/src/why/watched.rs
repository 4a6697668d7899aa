use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_guidance::{Guidance, Step};

/// A rule that is run with the passes of another rule too, so that both can be evaluated on the same step.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The rule from whose logits tokens are drawn.
    pub rule: Arc<dyn Guidance>,
    /// The rule that it is compared with.
    pub beside: Arc<dyn Guidance>,
}

impl Guidance for Watched {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        step.evaluate(&*self.rule)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        self.rule.passes(k, schedule).union(self.beside.passes(k, schedule))
    }

    fn lookback(&self) -> usize {
        self.rule.lookback().max(self.beside.lookback())
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.rule.check(schedule, alphabet)?;
        self.beside.check(schedule, alphabet)
    }

    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        step.prior_of(&*self.rule)
    }
}
