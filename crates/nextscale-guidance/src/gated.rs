use std::sync::Arc;

use burn::tensor::activation;
use burn::tensor::{Bool, Tensor};
use nextscale_core::{Alphabet, Error, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_kernels::{exp, is_fixed, log_softmax, softmax, sum_last};
use nextscale_macros::Settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conformance::RuleClaims;
use crate::extent::choices;
use crate::{Guidance, Step, Strength, nested};

/// A rule applied only where the base is confident enough, or not too confident.
///
/// l = b + s · m · (g − b), where b are the base's logits, g the rule's, s the `strength`, and m is 1 on the
/// choices whose [`Gate`] is open and 0 elsewhere: a position of a code has one choice, a position of n bits
/// has n. The gate measures the base's own distribution. Where it is closed, the base's logits are unchanged,
/// bit for bit; with s = 1 the result is the rule's logits where it is open.
///
/// Guiding a token by its uncertainty follows SoftCFG (arXiv 2510.00996, weights 1 − max p) and
/// entropy-informed decoding (arXiv 2510.09012, also for scale-wise models), reduced to a threshold.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Gated(rule: Cfg(scale: 3.0), by: Entropy(above: 0.5))", check = Self::validate)]
pub struct Gated {
    /// The rule where the gate is closed; the gate measures its distribution.
    #[setting(default = "Conditional")]
    base: Arc<dyn Guidance>,
    /// The rule where the gate is open.
    rule: Arc<dyn Guidance>,
    /// `Entropy(above: a, below: b)`, as a share of the largest entropy, or `Confidence(above: a, below: b)`,
    /// the largest probability: open from a to b, which are 0 and 1 where not given.
    by: Gate,
    /// A strength, off at 0: the change by the rule is multiplied by it.
    #[setting(default = Strength::Constant(1.0))]
    strength: Strength,
}

/// The property of a distribution that opens a gate: a number from 0 to 1 that must be in a range, including
/// both ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum Gate {
    /// The entropy as a share of the largest that the choice can have, −Σ p·ln p / ln classes.
    Entropy {
        /// The least; 0 by default.
        #[serde(default)]
        above: f64,
        /// The most; 1 by default.
        #[serde(default = "one")]
        below: f64,
    },
    /// The probability of the likeliest class, max p.
    Confidence {
        /// The least; 0 by default.
        #[serde(default)]
        above: f64,
        /// The most; 1 by default.
        #[serde(default = "one")]
        below: f64,
    },
}

fn one() -> f64 {
    1.0
}

impl Gate {
    /// Checks the range.
    ///
    /// # Errors
    /// [`Error::Setting`] for `by`.
    pub fn check(&self) -> Result<()> {
        let (above, below) = self.range();
        if (0.0..=1.0).contains(&above) && (above..=1.0).contains(&below) {
            return Ok(());
        }
        let message = format!(
            "nothing lies above {above} and below {below}; give two numbers from 0 to 1, `above` the smaller"
        );
        Err(Error::setting("by", message))
    }

    fn range(&self) -> (f64, f64) {
        match *self {
            Self::Entropy { above, below } | Self::Confidence { above, below } => (above, below),
        }
    }

    /// Where it is open, `[batch, h·w·slots, 1]`.
    fn open(&self, base: &LogitMap) -> Tensor<3, Bool> {
        let rows = choices(base);
        let value = match self {
            Self::Entropy { .. } => {
                let largest = (base.alphabet().classes as f64).ln();
                // A masked class has p = 0 and ln p = -inf, and contributes nothing.
                let logs = log_softmax(rows).clamp_min(f64::from(f32::MIN));
                let entropy = sum_last(exp(logs.clone()) * logs).neg();
                // A single class has no entropy.
                if largest > 0.0 { entropy.div_scalar(largest) } else { entropy.zeros_like() }
            }
            Self::Confidence { .. } if is_fixed() => softmax(rows).max_dim(2),
            Self::Confidence { .. } => activation::softmax(rows, 2).max_dim(2),
        };
        let (above, below) = self.range();
        // Rounding must not close a gate that is open to everything, including uniform and certain
        // distributions.
        let value = value.clamp(0.0, 1.0);
        value.clone().greater_equal_elem(above).bool_and(value.lower_equal_elem(below))
    }
}

impl Gated {
    /// `rule` where `by` is open, `base` elsewhere, the change multiplied by `strength`.
    ///
    /// # Errors
    /// [`Error::Setting`] for `by` or `strength`.
    pub fn new(
        base: Arc<dyn Guidance>,
        rule: Arc<dyn Guidance>,
        by: Gate,
        strength: impl Into<Strength>,
    ) -> Result<Self> {
        let rule = Self { base, rule, by, strength: strength.into() };
        rule.validate()?;
        Ok(rule)
    }

    fn validate(&self) -> Result<()> {
        self.strength.validate("strength")?;
        self.by.check()
    }

    fn rules(&self) -> [&Arc<dyn Guidance>; 2] {
        [&self.base, &self.rule]
    }
}

impl Guidance for Gated {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let base = step.evaluate(&*self.base)?;
        let strength = self.strength.at(step.index(), step.schedule());
        if strength == 0.0 {
            if nested::keeps_up(&*self.rule) {
                step.evaluate(&*self.rule)?;
            }
            return Ok(base);
        }
        let values = base.values().clone();
        let guided = step.evaluate(&*self.rule)?.into_values();
        let guided = if strength == 1.0 {
            guided
        } else {
            values.clone() + (guided - values.clone()).mul_scalar(strength)
        };
        let shape = values.dims();
        let [batch, positions, channels] = shape;
        let Alphabet { slots, classes } = base.alphabet();
        let rows = [batch, positions * slots, classes];
        let open = self.by.open(&base).expand(rows).reshape([batch, positions, channels]);
        base.with_values(values.mask_where(open, guided))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        let off = self.strength.at(k, schedule) == 0.0 && !nested::keeps_up(&*self.rule);
        nested::passes(self.rules().into_iter().take(if off { 1 } else { 2 }), k, schedule)
    }

    fn lookback(&self) -> usize {
        nested::lookback(self.rules())
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.strength.check("strength", schedule)?;
        nested::check(self.rules(), schedule, alphabet)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none()
            .off(Arc::new(Self { strength: 0.0.into(), ..self.clone() }), Arc::clone(&self.base))
    }

    /// The rule's, or otherwise the base's.
    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        nested::prior_of(self.rules().into_iter().rev(), step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Gate, nextscale_config::ConfigError> {
        nextscale_config::Document::parse("test.ron", text)?.decode()
    }

    #[test]
    fn a_config_gives_the_ends_that_it_means() {
        let gate = |text| decoded(text).map_err(|error| error.to_string());
        assert_eq!(gate("Entropy(above: 0.5)"), Ok(Gate::Entropy { above: 0.5, below: 1.0 }));
        assert_eq!(gate("Confidence(below: 0.9)"), Ok(Gate::Confidence { above: 0.0, below: 0.9 }));
        for text in ["Entropy(abvoe: 0.5)", "Certainty(above: 0.5)", "0.5"] {
            assert!(decoded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_range_is_refused() {
        for (above, below) in [(0.6, 0.5), (-0.1, 1.0), (0.0, 1.1), (f64::NAN, 1.0), (0.0, f64::NAN)] {
            let error = Gate::Entropy { above, below }.check().unwrap_err().to_string();
            assert!(error.starts_with("by: "), "{error}");
        }
        assert_eq!(Gate::Confidence { above: 0.5, below: 0.5 }.check(), Ok(()));
    }
}
