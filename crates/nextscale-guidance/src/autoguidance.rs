use std::sync::Arc;

use nextscale_core::{Error, Pass, PassModel, Result};
use nextscale_macros::Settings;

use crate::{Contrast, Guidance, Strength};

/// Autoguidance: guides away from the predictions of a weaker model.
///
/// Where a smaller or less trained model of the same data errs more, the difference points to better samples,
/// without the loss of variety caused by guidance away from the null condition (Karras et al., "Guiding a
/// Diffusion Model with a Bad Version of Itself", arXiv 2406.02507).
///
/// l = b + w·(c − c_weak), with b the base's logits, c the conditional ones and c_weak those of another
/// backbone of the same tokenizer and scales, on the same prefix under the same condition; w the `weight`.
/// Over `Conditional` it is the paper's rule, whose weight is 1 + w. The weak model is one of the run's
/// `guides`, referred to by name.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Autoguidance(weak: \"weak\", weight: 1.0)", check = Self::validate)]
pub struct Autoguidance {
    /// The rule whose logits are guided.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The name of the weaker model among the run's `guides`.
    weak: String,
    /// w, a strength, off at 0.
    weight: Strength,
}

impl Autoguidance {
    /// `base` guided away from the predictions of the model `weak`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty `weak`, or for `weight`, as [`Strength::validate`].
    pub fn new(base: Arc<dyn Guidance>, weak: &str, weight: impl Into<Strength>) -> Result<Self> {
        let rule = Self { base, weak: weak.into(), weight: weight.into() };
        rule.validate()?;
        Ok(rule)
    }
}

impl Contrast for Autoguidance {
    fn base(&self) -> &Arc<dyn Guidance> {
        &self.base
    }

    fn weight(&self) -> &Strength {
        &self.weight
    }

    fn with_weight(self, weight: Strength) -> Self {
        Self { weight, ..self }
    }

    fn worse(&self) -> Result<Pass> {
        Ok(Pass::CONDITIONAL.of(PassModel::Named(self.weak.as_str().into())))
    }

    fn validate(&self) -> Result<()> {
        if self.weak.is_empty() {
            return Err(Error::setting("weak", "give the name of one of the run's `guides`"));
        }
        self.weight.validate("weight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Conditional;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        for (weak, weight, field) in [("", 1.0, "weak: "), ("weak", f64::NAN, "weight: ")] {
            let error = Autoguidance::new(Arc::new(Conditional), weak, weight).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
