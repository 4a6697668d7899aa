//! What a rule made of rules inherits from them.

use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};

use crate::{Guidance, Step};

/// The passes that any of `rules` reads at scale `k`.
pub(crate) fn passes<'a>(
    rules: impl IntoIterator<Item = &'a Arc<dyn Guidance>>,
    k: usize,
    schedule: &ScaleSchedule,
) -> Passes {
    rules.into_iter().fold(Passes::NONE, |passes, rule| passes.union(rule.passes(k, schedule)))
}

/// The longest lookback among `rules`.
pub(crate) fn lookback<'a>(rules: impl IntoIterator<Item = &'a Arc<dyn Guidance>>) -> usize {
    rules.into_iter().map(|rule| rule.lookback()).max().unwrap_or(0)
}

/// Checks every one of `rules`.
pub(crate) fn check<'a>(
    rules: impl IntoIterator<Item = &'a Arc<dyn Guidance>>,
    schedule: &ScaleSchedule,
    alphabet: Alphabet,
) -> Result<()> {
    rules.into_iter().try_for_each(|rule| rule.check(schedule, alphabet))
}

/// The prior of the first of `rules` that has one.
pub(crate) fn prior_of<'a>(
    rules: impl IntoIterator<Item = &'a Arc<dyn Guidance>>,
    step: &Step<'_>,
) -> Result<Option<LogitMap>> {
    for rule in rules {
        if let Some(prior) = step.prior_of(&**rule)? {
            return Ok(Some(prior));
        }
    }
    Ok(None)
}

/// Whether a rule must be evaluated at every scale, even if its output is not needed there: a rule that reads
/// earlier scales may read its own output there, which exists only if it was computed before that scale's own
/// past was dropped.
pub(crate) fn keeps_up(rule: &dyn Guidance) -> bool {
    rule.lookback() > 0
}
