//! A rule from another crate that requests its own passes: another prefix, another model.

use nextscale::core::{
    Alphabet, Corruption, LogitMap, Pass, PassModel, Passes, Prefix, Replacement, Result, ScaleSchedule,
};
use nextscale::guidance::{Guidance, Step, Strength};
use nextscale::settings::Settings;

/// Guides away from a worse prediction: from a corrupted prefix, of a second model, or both.
///
/// l = c + w · (c − c'), with c' under the same condition, from scale 1 on.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Away(corrupted: 0.5, weight: 1.0)")]
pub struct Away {
    /// The share of the positions that are corrupted in the prefix of c'; none by default.
    #[setting(default = 0.0, check = share)]
    corrupted: f64,
    /// The name of the model of c'; by default the guided one.
    model: Option<String>,
    /// w, a strength.
    weight: Strength,
}

fn share(share: &f64) -> Result<()> {
    Corruption::new(*share, Replacement::OtherPosition).map(|_| ())
}

impl Away {
    fn worse(&self) -> Pass {
        let corrupted = Corruption::new(self.corrupted, Replacement::OtherPosition).map(Prefix::Corrupted);
        let model = self.model.as_deref().map_or(PassModel::Main, |name| PassModel::Named(name.into()));
        // The share was checked when the rule was read.
        Pass::CONDITIONAL.on(corrupted.unwrap_or_default()).of(model)
    }
}

impl Guidance for Away {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let better = step.conditional()?;
        let weight = self.weight.at(step.index(), step.schedule());
        if step.index() == 0 || weight == 0.0 {
            return Ok(better.clone());
        }
        let (c, worse) = (better.values().clone(), step.logits(&self.worse())?.values().clone());
        better.with_values(c.clone() + (c - worse).mul_scalar(weight))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        match k == 0 || self.weight.at(k, schedule) == 0.0 {
            true => Passes::CONDITIONAL,
            false => Passes::CONDITIONAL.union(self.worse().into()),
        }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _: Alphabet) -> Result<()> {
        self.weight.check("weight", schedule)
    }
}
