use std::sync::Arc;

use nextscale_core::{Alphabet, Error, LogitMap, Passes, Result, ScaleSchedule};
use nextscale_macros::Settings;

use crate::conformance::RuleClaims;
use crate::extent::{Extent, centred, ratio};
use crate::{Conditional, Guidance, Step, Strength};

/// Adaptive projected guidance: CFG without the part of cond - uncond that is parallel to cond.
///
/// That part only makes the conditional logits larger (Sadat et al., "Eliminating Oversaturation and
/// Artifacts of High Guidance Scales in Diffusion Models", arXiv 2410.02416, section 4 and algorithm 1).
///
/// With conditional logits c, unconditional u and Δ = c − u, over an [`Extent`]:
/// 1. Δ ← Δ · min(1, r/‖Δ‖), with r the `norm` (without one nothing is shortened);
/// 2. Δ∥ = ⟨Δ, c⟩/⟨c, c⟩ · c, Δ⊥ = Δ − Δ∥;
/// 3. l = c + t · (Δ⊥ + η · Δ∥), with t = w − 1 the `scale` and η the `parallel`.
///
/// With η = 1 and no limit it is CFG. Norms and products use logits minus their choice's mean, and ‖·‖ over
/// an image is the root mean square of its positions' norms, so that r means the same on every grid.
///
/// The paper's reverse momentum, Δ_k + β·Δ_{k−1}, is left out: it adds the differences of denoising steps
/// that share one grid and one target, whereas successive scales predict different residuals on different
/// grids. [`Ssg`](crate::Ssg) over this rule guides away from what an earlier scale predicts, with an
/// explicit prior.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "Apg(scale: 3.0)", check = Self::validate)]
pub struct Apg {
    /// t = w - 1, a strength, off at 0.
    pub scale: Strength,
    /// η, the share of the parallel part that is kept; with 1 and no `norm` the rule is CFG.
    #[setting(default)]
    pub parallel: f64,
    /// r, above 0: a longer cond - uncond is shortened to it; over an image its length is the root mean
    /// square of its positions' lengths.
    pub norm: Option<f64>,
    /// `Image` or `Position`: whether norms and deviations are taken over all positions and channels of an
    /// image, or over the channels of each position; always on logits after subtracting each choice's mean.
    #[setting(default)]
    pub over: Extent,
}

impl Apg {
    /// The paper's projection at `scale` t: nothing of the parallel part, no limit on the norm, over the
    /// image.
    ///
    /// # Errors
    /// [`Error::Setting`] for `scale`, as [`Strength::validate`].
    pub fn new(scale: impl Into<Strength>) -> Result<Self> {
        let rule = Self { scale: scale.into(), parallel: 0.0, norm: None, over: Extent::default() };
        rule.validate()?;
        Ok(rule)
    }

    /// InfinityStar's form of the rule (arXiv 2511.04675), whose `guidance_scale` is w, whose
    /// `norm_threshold` is counted per element, and which divides logits by the temperature τ first.
    ///
    /// The difference of both passes' logits, already divided by τ, is shortened if the root mean square of
    /// its elements exceeds the threshold ρ, and only its part orthogonal to c is kept. Since the projection
    /// does not depend on the size of c, this equals the rule here before a sampler of temperature τ, over
    /// the image, with t = w − 1, η = 0 and r = ρ·τ·√channels; `channels` are those of a position,
    /// [`Alphabet::channels`]. Norms and angles agree if the logits of each choice have mean 0, as for
    /// [`Extent`].
    ///
    /// # Errors
    /// [`Error::Setting`] for anything out of range, as [`validate`](Self::validate).
    pub fn infinity_star(
        guidance_scale: f64,
        norm_threshold: f64,
        temperature: f64,
        channels: usize,
    ) -> Result<Self> {
        let rule = Self {
            norm: Some(norm_threshold * temperature * (channels as f64).sqrt()),
            ..Self::new(guidance_scale - 1.0)?
        };
        rule.validate()?;
        Ok(rule)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `scale`, `parallel` or `norm`.
    pub fn validate(&self) -> Result<()> {
        self.scale.validate("scale")?;
        if !self.parallel.is_finite() {
            return Err(Error::setting("parallel", format!("{} is not a finite number", self.parallel)));
        }
        match self.norm {
            Some(norm) if !(norm > 0.0 && norm.is_finite()) => {
                let message = format!(
                    "{norm} is not a finite number above 0; give one, or leave `norm` out for no limit"
                );
                Err(Error::setting("norm", message))
            }
            _ => Ok(()),
        }
    }
}

impl Guidance for Apg {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let values = conditional.values().clone();
        let delta = conditional.with_values(values.clone() - step.unconditional()?.values().clone())?;
        let [c, d] = [centred(conditional), centred(&delta)];
        let limit = self.norm.map(|r| {
            let norm = self.over.dot(&d, &d).sqrt();
            ratio(norm.full_like(r), norm, 1.0).clamp_max(1.0)
        });
        // Δ⊥ + η·Δ∥ = Δ + (η − 1)·Δ∥, and Δ∥ is linear in Δ.
        let along = ratio(self.over.dot(&d, &c), self.over.dot(&c, &c), 0.0);
        let parallel = c * along.mul_scalar(self.parallel - 1.0);
        let kept = delta.values().clone() + parallel.cast(values.dtype());
        let kept = match limit {
            Some(factor) => kept * factor.cast(values.dtype()),
            None => kept,
        };
        conditional.with_values(values + kept.mul_scalar(t))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.scale.check("scale", schedule)
    }

    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { scale: 0.0.into(), ..self.clone() }), Arc::new(Conditional))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        let apg = Apg::new(1.0).unwrap();
        for (rule, field) in [
            (Apg { scale: f64::NAN.into(), ..apg.clone() }, "scale: "),
            (Apg { parallel: f64::INFINITY, ..apg.clone() }, "parallel: "),
            (Apg { norm: Some(0.0), ..apg.clone() }, "norm: "),
            (Apg { norm: Some(f64::NAN), ..apg.clone() }, "norm: "),
        ] {
            let error = rule.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
        let list = Apg::new(Strength::List(vec![1.0])).unwrap();
        assert!(list.check(&schedule, Alphabet::codes(2)).unwrap_err().to_string().starts_with("scale: "));
    }
}
