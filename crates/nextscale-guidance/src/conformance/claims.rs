use std::sync::Arc;

use nextscale_core::{Alphabet, ScaleSchedule};

use crate::Guidance;

/// What a rule promises beyond what every rule must; the kit checks each promise.
#[derive(Debug, Clone)]
pub struct RuleClaims {
    pub(super) off: Option<(Arc<dyn Guidance>, Arc<dyn Guidance>)>,
    pub(super) linear: bool,
    pub(super) channelwise: bool,
    pub(super) offsets: bool,
    pub(super) schedules: Option<Vec<ScaleSchedule>>,
    pub(super) alphabets: Option<Vec<Alphabet>>,
}

impl RuleClaims {
    /// The default: only that a number added to all logits of a choice changes no probability.
    pub fn none() -> Self {
        Self { off: None, linear: false, channelwise: false, offsets: true, schedules: None, alphabets: None }
    }

    /// `off`, the rule with a strength of zero, equals `base` bit for bit.
    #[must_use]
    pub fn off(self, off: Arc<dyn Guidance>, base: Arc<dyn Guidance>) -> Self {
        Self { off: Some((off, base)), ..self }
    }

    /// The rule is linear in all logits together.
    #[must_use]
    pub fn linear(self) -> Self {
        self.linear_if(true)
    }

    /// The same if `holds`, for rules that have a property whenever their nested rules have it.
    #[must_use]
    pub fn linear_if(self, holds: bool) -> Self {
        Self { linear: holds, ..self }
    }

    /// A channel's result depends only on that channel.
    #[must_use]
    pub fn channelwise(self) -> Self {
        self.channelwise_if(true)
    }

    /// The same if `holds`.
    #[must_use]
    pub fn channelwise_if(self, holds: bool) -> Self {
        Self { channelwise: holds, ..self }
    }

    /// Withdraws the promise that a number added to all logits of a choice changes no probability.
    #[must_use]
    pub fn offsets_matter(self) -> Self {
        Self { offsets: false, ..self }
    }

    /// The rule works only on these schedules.
    #[must_use]
    pub fn schedules(self, schedules: impl IntoIterator<Item = ScaleSchedule>) -> Self {
        Self { schedules: Some(schedules.into_iter().collect()), ..self }
    }

    /// The rule works only on these alphabets.
    #[must_use]
    pub fn alphabets(self, alphabets: impl IntoIterator<Item = Alphabet>) -> Self {
        Self { alphabets: Some(alphabets.into_iter().collect()), ..self }
    }

    /// Whether it is linear in all logits together.
    pub fn is_linear(&self) -> bool {
        self.linear
    }

    /// Whether channels do not mix.
    pub fn is_channelwise(&self) -> bool {
        self.channelwise
    }
}
