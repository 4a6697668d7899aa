use nextscale_core::{Error, Grid, LogitMap, Pass, Result, ScaleSchedule};
use nextscale_priors::Prior;

use crate::history::Record;
use crate::memo::Identity;
use crate::{Guidance, History};

/// A scale of a batch, as a rule sees it.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    pub(crate) history: &'a History,
    pub(crate) record: &'a Record,
}

impl<'a> Step<'a> {
    /// The scale, from 0.
    pub fn index(&self) -> usize {
        self.record.index
    }

    /// All scales.
    pub fn schedule(&self) -> &'a ScaleSchedule {
        &self.history.schedule
    }

    /// The grid of this scale.
    pub fn grid(&self) -> Grid {
        self.schedule().grid(self.index())
    }

    /// The conditional logits.
    ///
    /// # Errors
    /// If the pass was not run.
    pub fn conditional(&self) -> Result<&'a LogitMap> {
        self.logits(&Pass::CONDITIONAL)
    }

    /// The unconditional logits: under the negative of an image that has one.
    ///
    /// # Errors
    /// If the pass was not run.
    pub fn unconditional(&self) -> Result<&'a LogitMap> {
        self.logits(&Pass::UNCONDITIONAL)
    }

    /// The logits of a pass.
    ///
    /// # Errors
    /// If the pass was not run.
    pub fn logits(&self, pass: &Pass) -> Result<&'a LogitMap> {
        let logits = self.record.logits.get(pass).ok_or_else(|| {
            Error::Unsupported(format!(
                "the {pass} pass was not run at scale {}: a rule's passes(..) must name it there",
                self.index()
            ))
        })?;
        self.on_grid(logits, || pass.to_string())
    }

    /// The previous step, if there is one and the rule's lookback kept it.
    pub fn previous(&self) -> Option<Step<'a>> {
        let record = self.history.record(self.index().checked_sub(1)?)?;
        Some(Step { history: self.history, record })
    }

    /// The previous step; `None` only at scale 0.
    ///
    /// # Errors
    /// If the history dropped it, because the outermost rule's lookback is too small.
    pub fn earlier(&self) -> Result<Option<Step<'a>>> {
        match self.previous() {
            None if self.index() > 0 => Err(Error::Unsupported(format!(
                "scale {} was dropped before scale {} read it: a rule's lookback must count those of the rules it \
                 nests, and one more for reading the scale before",
                self.index() - 1,
                self.index()
            ))),
            step => Ok(step),
        }
    }

    /// A nested rule's logits at this step, computed once per step and rule object.
    ///
    /// Rules are identified by address: pass one that the calling rule owns, not a temporary.
    ///
    /// # Errors
    /// Those of the rule, and if its logits are not on this step's grid.
    pub fn evaluate(&self, rule: &dyn Guidance) -> Result<LogitMap> {
        self.record
            .guided
            .get_or(Identity::of(rule), || self.on_grid(rule.guide(self)?, || "a rule's logits".into()))
    }

    /// What the prior of the outermost rule in `rule` that has one predicts at this step, computed once per step and
    /// rule object.
    ///
    /// # Errors
    /// As [`Guidance::prior_of`].
    pub fn prior_of(&self, rule: &dyn Guidance) -> Result<Option<LogitMap>> {
        self.record.priors.get_or(Identity::of(rule), || rule.prior_of(self))
    }

    /// What `prior` predicts for this step's grid from `coarse`. Its operator is created once and kept on the
    /// device.
    ///
    /// # Errors
    /// As the prior.
    pub fn prior(&self, prior: &dyn Prior, coarse: &LogitMap) -> Result<LogitMap> {
        let (from, to) = (coarse.grid(), self.grid());
        let operator = self.history.operators.get_or((Identity::of(prior), from, to), || {
            Ok(prior.operator(from, to)?.to_device(&coarse.values().device()))
        })?;
        LogitMap::new(operator.apply(coarse.values())?, to, coarse.alphabet())
    }

    fn on_grid<L: std::borrow::Borrow<LogitMap>>(
        &self,
        logits: L,
        what: impl FnOnce() -> String,
    ) -> Result<L> {
        let map = logits.borrow();
        if map.grid() != self.grid() {
            let what = format!("{} at scale {} on {}", what(), self.index(), map.grid());
            return Err(Error::shape(what, format!("those on {}", self.grid()), &map.values().dims()));
        }
        Ok(logits)
    }
}
