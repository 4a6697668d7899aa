//! Guidance away from a worse prediction of the same scale, b + w·(c − c̃): shared by several rules.

use std::sync::Arc;

use nextscale_core::{LogitMap, Pass, Passes, Result, ScaleSchedule};

use crate::{Guidance, Step};

/// b + w·(c − c̃) with w `weight`, b the base's logits, c the conditional ones and c̃ those of the pass
/// `worse`; b itself at w = 0.
///
/// # Errors
/// As the base, and if a pass was not run.
pub(crate) fn guide(step: &Step<'_>, base: &dyn Guidance, worse: &Pass, weight: f64) -> Result<LogitMap> {
    let base = step.evaluate(base)?;
    if weight == 0.0 {
        return Ok(base);
    }
    let better = step.conditional()?.values().clone();
    let away = (better - step.logits(worse)?.values().clone()).mul_scalar(weight);
    base.with_values(base.values().clone() + away)
}

/// The passes that [`guide`] reads at scale `k`.
pub(crate) fn passes(
    k: usize,
    schedule: &ScaleSchedule,
    base: &Arc<dyn Guidance>,
    worse: Pass,
    weight: f64,
) -> Passes {
    let passes = base.passes(k, schedule);
    if weight == 0.0 { passes } else { passes.union(Passes::CONDITIONAL).union(worse.into()) }
}
