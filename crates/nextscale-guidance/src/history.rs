use nextscale_core::{LogitMap, PassLogits, Result, ScaleSchedule};
use nextscale_priors::Prior;

use crate::Guidance;

/// The steps of one batch so far, with what was computed on them: owned by the loop, a new one every batch.
pub struct History {}

impl History {
    /// An empty history that keeps `lookback` steps before the current one.
    pub fn new(schedule: ScaleSchedule, lookback: usize) -> Self {
        let _ = (schedule, lookback);
        todo!()
    }

    /// Adds the next scale's logits and drops what no rule will read again.
    pub fn push(&mut self, logits: PassLogits) {
        let _ = logits;
        todo!()
    }

    /// The newest step.
    pub fn current(&self) -> Option<Step<'_>> {
        todo!()
    }

    /// The guided logits of the newest step under `rule`, which must be the same object throughout the batch.
    ///
    /// # Errors
    /// As the rule.
    pub fn guide(&self, rule: &dyn Guidance) -> Result<LogitMap> {
        let _ = rule;
        todo!()
    }
}

/// A scale of a batch as a rule sees it.
pub struct Step<'a> {
    _history: &'a History,
}

impl<'a> Step<'a> {
    /// The scale, from 0.
    pub fn index(&self) -> usize {
        todo!()
    }

    /// All scales.
    pub fn schedule(&self) -> &'a ScaleSchedule {
        todo!()
    }

    /// The conditional logits.
    ///
    /// # Errors
    /// If the pass was not run.
    pub fn conditional(&self) -> Result<&'a LogitMap> {
        todo!()
    }

    /// The unconditional logits.
    ///
    /// # Errors
    /// If the pass was not run.
    pub fn unconditional(&self) -> Result<&'a LogitMap> {
        todo!()
    }

    /// The step before, if there is one and the rule's lookback kept it.
    pub fn previous(&self) -> Option<Step<'a>> {
        todo!()
    }

    /// A nested rule's logits at this step, computed once a step and rule object.
    ///
    /// # Errors
    /// As the rule.
    pub fn evaluate(&self, rule: &dyn Guidance) -> Result<LogitMap> {
        let _ = rule;
        todo!()
    }

    /// What `prior` predicts for this step's grid from `coarse`, with the operator made once and kept on the device.
    ///
    /// # Errors
    /// As the prior.
    pub fn prior(&self, prior: &dyn Prior, coarse: &LogitMap) -> Result<LogitMap> {
        let _ = (prior, coarse);
        todo!()
    }
}
