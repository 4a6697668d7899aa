use std::sync::Arc;

use nextscale_core::{Alphabet, ScaleSchedule};

use crate::Guidance;

/// What a rule promises beyond what every rule must; the kit tries each promise.
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
    /// Nothing beyond that a number added to all logits of a choice changes no probability.
    pub fn none() -> Self {
        Self { off: None, linear: false, channelwise: false, offsets: true, schedules: None, alphabets: None }
    }

    /// `off`, the rule with a strength of zero, is `base` to the bit.
    #[must_use]
    pub fn off(self, off: Arc<dyn Guidance>, base: Arc<dyn Guidance>) -> Self {
        Self { off: Some((off, base)), ..self }
    }

    /// The rule is linear in all logits together.
    #[must_use]
    pub fn linear(self) -> Self {
        self.linear_if(true)
    }

    /// The same where `holds`, as it does of many a rule if it does of those that it nests.
    #[must_use]
    pub fn linear_if(self, holds: bool) -> Self {
        Self { linear: holds, ..self }
    }

    /// What happens to a channel depends on that channel alone.
    #[must_use]
    pub fn channelwise(self) -> Self {
        self.channelwise_if(true)
    }

    /// The same where `holds`.
    #[must_use]
    pub fn channelwise_if(self, holds: bool) -> Self {
        Self { channelwise: holds, ..self }
    }

    /// Takes back that a number added to all logits of a choice changes no probability.
    #[must_use]
    pub fn offsets_matter(self) -> Self {
        Self { offsets: false, ..self }
    }

    /// It is for these schedules only.
    #[must_use]
    pub fn schedules(self, schedules: impl IntoIterator<Item = ScaleSchedule>) -> Self {
        Self { schedules: Some(schedules.into_iter().collect()), ..self }
    }

    /// It is for these alphabets only.
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
