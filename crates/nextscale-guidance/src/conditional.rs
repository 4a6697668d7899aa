use nextscale_core::{LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::{Guidance, Step};

/// No guidance: the conditional logits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Conditional;

impl Guidance for Conditional {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        step.conditional().cloned()
    }

    fn passes(&self, _k: usize, _schedule: &ScaleSchedule) -> Passes {
        Passes::CONDITIONAL
    }

    fn lookback(&self) -> usize {
        0
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().linear().channelwise()
    }
}
