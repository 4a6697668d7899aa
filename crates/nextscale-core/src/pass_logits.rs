use std::collections::BTreeMap;

use crate::{LogitMap, Pass};

/// The logits of the passes that were wanted at a scale, by pass.
#[derive(Debug, Clone, Default)]
pub struct PassLogits(BTreeMap<Pass, LogitMap>);

impl PassLogits {
    /// No logits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The logits of `pass`, if it was wanted.
    pub fn get(&self, pass: &Pass) -> Option<&LogitMap> {
        self.0.get(pass)
    }

    /// The conditional logits, if they were wanted.
    pub fn conditional(&self) -> Option<&LogitMap> {
        self.get(&Pass::CONDITIONAL)
    }

    /// The unconditional logits, if they were wanted.
    pub fn unconditional(&self) -> Option<&LogitMap> {
        self.get(&Pass::UNCONDITIONAL)
    }

    /// Files the logits of a pass; those that it had are given back.
    pub fn insert(&mut self, pass: Pass, logits: LogitMap) -> Option<LogitMap> {
        self.0.insert(pass, logits)
    }

    /// Takes the logits of another session in.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Passes and logits, in stacking order.
    pub fn iter(&self) -> impl Iterator<Item = (&Pass, &LogitMap)> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Pass, LogitMap)> for PassLogits {
    fn from_iter<I: IntoIterator<Item = (Pass, LogitMap)>>(logits: I) -> Self {
        Self(logits.into_iter().collect())
    }
}
