use std::collections::BTreeMap;

use crate::{LogitMap, Pass};

/// The logits of the requested passes at a scale.
#[derive(Debug, Clone, Default)]
pub struct PassLogits(BTreeMap<Pass, LogitMap>);

impl PassLogits {
    /// No logits.
    pub fn new() -> Self {
        Self::default()
    }

    /// The logits of `pass`, if requested.
    pub fn get(&self, pass: &Pass) -> Option<&LogitMap> {
        self.0.get(pass)
    }

    /// The conditional logits, if requested.
    pub fn conditional(&self) -> Option<&LogitMap> {
        self.get(&Pass::CONDITIONAL)
    }

    /// The unconditional logits, if requested.
    pub fn unconditional(&self) -> Option<&LogitMap> {
        self.get(&Pass::UNCONDITIONAL)
    }

    /// Stores the logits of a pass and returns those that were there before.
    pub fn insert(&mut self, pass: Pass, logits: LogitMap) -> Option<LogitMap> {
        self.0.insert(pass, logits)
    }

    /// Adds the logits of another session.
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
