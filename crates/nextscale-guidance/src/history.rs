use std::collections::VecDeque;

use nextscale_core::{Error, Grid, LogitMap, PassLogits, Result, ScaleSchedule};
use nextscale_priors::DeviceOperator;

use crate::memo::{Identity, Memo};
use crate::{Guidance, Step};

/// The steps of one batch so far, with everything computed from them. Owned by the loop.
///
/// It remembers the result of each rule object at each step, and the operators of each prior object, by the
/// objects' addresses: rules and priors must not move during its lifetime.
pub struct History {
    pub(crate) schedule: ScaleSchedule,
    pub(crate) operators: Memo<(Identity, Grid, Grid), DeviceOperator>,
    lookback: usize,
    pushed: usize,
    records: VecDeque<Record>,
}

/// One step: the backbone's logits, and what was computed from them.
pub(crate) struct Record {
    pub(crate) index: usize,
    pub(crate) logits: PassLogits,
    pub(crate) guided: Memo<Identity, LogitMap>,
    pub(crate) priors: Memo<Identity, Option<LogitMap>>,
}

impl History {
    /// An empty history that keeps `lookback` steps before the current one.
    pub fn new(schedule: ScaleSchedule, lookback: usize) -> Self {
        Self { schedule, operators: Memo::default(), lookback, pushed: 0, records: VecDeque::new() }
    }

    /// Adds the next scale's logits and drops what no rule will read again.
    pub fn push(&mut self, logits: PassLogits) {
        let index = self.pushed;
        self.pushed += 1;
        while self.records.len() > self.lookback {
            self.records.pop_front();
        }
        self.records.push_back(Record { index, logits, guided: Memo::default(), priors: Memo::default() });
    }

    /// Forgets the steps but keeps the operators, for the next batch with the same rule object.
    pub fn restart(&mut self) {
        self.pushed = 0;
        self.records.clear();
    }

    /// The newest step; `None` before the first, and after the schedule's last.
    pub fn current(&self) -> Option<Step<'_>> {
        let record = self.records.back().filter(|record| record.index < self.schedule.len())?;
        Some(Step { history: self, record })
    }

    /// The guided logits of the newest step with `rule`, which must be the same object throughout the batch.
    ///
    /// # Errors
    /// As the rule.
    pub fn guide(&self, rule: &dyn Guidance) -> Result<LogitMap> {
        self.newest()?.evaluate(rule)
    }

    /// What the prior of the outermost rule in `rule` that has one predicts at the newest step, if there is one.
    ///
    /// # Errors
    /// As the rule.
    pub fn prior_of(&self, rule: &dyn Guidance) -> Result<Option<LogitMap>> {
        self.newest()?.prior_of(rule)
    }

    pub(crate) fn record(&self, index: usize) -> Option<&Record> {
        self.records.iter().rev().find(|record| record.index == index)
    }

    fn newest(&self) -> Result<Step<'_>> {
        self.current().ok_or_else(|| {
            Error::Unsupported(format!(
                "no scale to guide: {} were pushed, and the schedule has {}",
                self.pushed,
                self.schedule.len()
            ))
        })
    }
}
