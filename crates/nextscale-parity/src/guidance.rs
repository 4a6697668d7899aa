//! Classifier-free guidance on the recorded logits of both passes.

use burn::tensor::Tensor;
use nextscale_core::{Alphabet, LogitMap, Pass};
use nextscale_guidance::{Cfg, Guidance, History, Strength};
use nextscale_pipeline::Result;

use crate::{Fixture, Gap, Kind, Line, RUNS, Setting, schedule};

/// The rule of the recorded runs.
///
/// # Errors
/// If its strength was not recorded.
pub fn rule(reference: &Fixture) -> Result<Cfg> {
    let strength = reference.floats("cfg")?.first().copied().unwrap_or(f32::NAN);
    Ok(Cfg::scale(Strength::Ramp(f64::from(strength)))?)
}

/// The guided logits of a recorded run.
///
/// # Errors
/// If a recording is missing.
pub fn guided(setting: &Setting<'_>, reference: &Fixture, run: &str) -> Result<Gap> {
    let (schedule, rule) = (schedule()?, rule(reference)?);
    let mut history = History::new(schedule.clone(), rule.lookback());
    let mut gap = Gap::default();
    for k in 0..schedule.len() {
        let both: Tensor<3> = reference.tensor(&format!("{run}.s{k}.logits_raw"), setting.device)?;
        let [rows, _, classes] = both.dims();
        let pass = |from, to| {
            LogitMap::new(both.clone().slice_dim(0, from..to), schedule.grid(k), Alphabet::codes(classes))
        };
        let halves = [(Pass::CONDITIONAL, pass(0, rows / 2)?), (Pass::UNCONDITIONAL, pass(rows / 2, rows)?)];
        history.push(halves.into_iter().collect());
        let guided = history.guide(&rule)?;
        gap.add(guided.values(), reference, &format!("{run}.s{k}.logits_cfg"))?;
    }
    Ok(gap)
}

/// One line.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let mut gap = Gap::default();
    for kind in Kind::ALL {
        let reference = setting.fixtures.reference(kind)?;
        for run in RUNS {
            gap.join(&guided(setting, &reference, run)?);
        }
    }
    Ok(vec![setting.line("guidance, CFG on recorded logits", gap)])
}
