use std::sync::Arc;

use crate::{Corruption, Mixing, Perturbation, PerturbationKind};

/// One way of running a model at a scale: which model, on which prefix, under which condition.
///
/// Passes with the same model and prefix run as rows of one session; every other model or prefix has its own
/// session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pass {
    /// Which model.
    pub model: PassModel,
    /// What it reads of the earlier scales.
    pub prefix: Prefix,
    /// Under which condition.
    pub condition: PassCondition,
    /// Whether the hidden states of the image's two passes are mixed inside the model.
    pub mixing: Option<Mixing>,
    /// How the model is made worse, for rules that guide away from it.
    pub perturbation: Option<Perturbation>,
}

/// The model of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PassModel {
    /// The guided model.
    #[default]
    Main,
    /// Another model with the same tokenizer and scales, by its name in the run (autoguidance).
    Named(Arc<str>),
}

/// What a pass reads of the earlier scales.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prefix {
    /// What was drawn.
    #[default]
    Drawn,
    /// A corrupted copy of it.
    Corrupted(Corruption),
}

/// The condition of a pass. The order is that in which a session stacks its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PassCondition {
    /// The image's own.
    #[default]
    Given,
    /// The image's negative, or the null condition if it has none: the condition of the pass
    /// that classifier-free guidance guides away from.
    Negative,
    /// The null condition, even if the image has a negative.
    Null,
}

impl Pass {
    /// The main model on the drawn prefix, under the image's condition.
    pub const CONDITIONAL: Self = Self::main(PassCondition::Given);
    /// The main model on the drawn prefix, under the image's negative or the null condition.
    pub const UNCONDITIONAL: Self = Self::main(PassCondition::Negative);

    /// The main model on the drawn prefix, under this condition.
    pub const fn main(condition: PassCondition) -> Self {
        Self { model: PassModel::Main, prefix: Prefix::Drawn, condition, mixing: None, perturbation: None }
    }

    /// The same pass on another prefix.
    #[must_use]
    pub fn on(self, prefix: Prefix) -> Self {
        Self { prefix, ..self }
    }

    /// The same pass of another model.
    #[must_use]
    pub fn of(self, model: PassModel) -> Self {
        Self { model, ..self }
    }

    /// The same pass with the hidden states of the image's two passes mixed inside the model. Passes with the
    /// same mixing share one run of both.
    #[must_use]
    pub fn mixed(self, mixing: Mixing) -> Self {
        Self { mixing: Some(mixing), ..self }
    }

    /// The same pass of the perturbed model, in the session of the unperturbed one.
    #[must_use]
    pub fn perturbed(self, perturbation: Perturbation) -> Self {
        Self { perturbation: Some(perturbation), ..self }
    }

    /// The conditions whose rows a session needs for this pass.
    pub fn sides(&self) -> impl Iterator<Item = PassCondition> + use<> {
        let both = self.mixing.is_some().then_some([PassCondition::Given, PassCondition::Negative]);
        std::iter::once(self.condition).chain(both.into_iter().flatten())
    }
}

impl std::fmt::Display for PassCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Given => "given",
            Self::Negative => "negative",
            Self::Null => "null",
        })
    }
}

impl std::fmt::Display for Pass {
    /// The name in messages and traces: `conditional`, `unconditional` or `null`, followed by whatever
    /// differs from the main model on the drawn prefix, in brackets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.condition {
            PassCondition::Given => "conditional",
            PassCondition::Negative => "unconditional",
            PassCondition::Null => "null",
        })?;
        if let PassModel::Named(name) = &self.model {
            write!(f, "[model {name}]")?;
        }
        if let Prefix::Corrupted(corruption) = &self.prefix {
            write!(f, "[corrupted {} {:?}]", corruption.share(), corruption.replacement())?;
        }
        if let Some(mixing) = &self.mixing {
            write!(f, "[mixed at {:?}]", mixing.layers())?;
        }
        if let Some(perturbation) = &self.perturbation {
            let what = match perturbation.kind() {
                PerturbationKind::Skip => "without blocks",
                PerturbationKind::IdentityAttention => "identity attention in",
            };
            write!(f, "[{what} {:?}]", perturbation.layers())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Replacement;

    #[test]
    fn passes_have_names_of_their_own() {
        let corrupted = Prefix::Corrupted(Corruption::new(0.25, Replacement::Zeros).unwrap());
        let weak = PassModel::Named("weak".into());
        let names = [
            Pass::CONDITIONAL,
            Pass::UNCONDITIONAL,
            Pass::main(PassCondition::Null),
            Pass::CONDITIONAL.on(corrupted),
            Pass::UNCONDITIONAL.of(weak.clone()),
            Pass::CONDITIONAL.on(corrupted).of(weak),
            Pass::CONDITIONAL.mixed(Mixing::new(&[1, 3], &[2.0]).unwrap()),
            Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[2]).unwrap()),
            Pass::UNCONDITIONAL.perturbed(Perturbation::identity_attention(&[2, 1]).unwrap()),
        ]
        .map(|pass| pass.to_string());
        assert_eq!(
            names,
            [
                "conditional",
                "unconditional",
                "null",
                "conditional[corrupted 0.25 Zeros]",
                "unconditional[model weak]",
                "conditional[model weak][corrupted 0.25 Zeros]",
                "conditional[mixed at [1, 3]]",
                "conditional[without blocks [2]]",
                "unconditional[identity attention in [1, 2]]",
            ]
        );
    }
}
