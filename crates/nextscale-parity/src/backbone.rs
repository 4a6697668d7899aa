//! The transformer's logits: all scales at once, and scale by scale with the KV cache.

use burn::tensor::Tensor;
use nextscale_backbones::{Backbone, Conditioner, prepare, var::Var};
use nextscale_core::{Condition, Error as CoreError, PassCondition, PassPlan, Passes};
use nextscale_pipeline::Result;

use crate::{Fixture, Gap, Kind, Line, RUNS, Setting, loading};

/// Teacher-forced logits, with labels and without.
///
/// # Errors
/// If a recorded tensor is missing or does not fit the model.
pub fn teacher_forced(model: &Var, reference: &Fixture) -> Result<Gap> {
    let features: Tensor<3> = reference.tensor("tf.x_BLCv", &model.device())?;
    let labels = reference.conditions("labels")?;
    let null = vec![Condition::Null; labels.len()];
    let mut gap = Gap::default();
    let rows = |conditions: &[Condition]| model.conditioner().rows(conditions, PassCondition::Given);
    gap.add(&model.logits(features.clone(), &rows(&labels)?)?, reference, "tf.logits")?;
    gap.add(&model.logits(features, &rows(&null)?)?, reference, "tf.logits_null")?;
    Ok(gap)
}

/// Both passes' logits of a recorded run, given its inputs scale by scale.
///
/// # Errors
/// As [`teacher_forced`].
pub fn cached(model: &Var, reference: &Fixture, run: &str) -> Result<Gap> {
    let schedule = Backbone::schedule(model);
    let plan = PassPlan::new(vec![Passes::BOTH; schedule.len()], schedule)?;
    let mut session =
        model.start(&prepare(&model.conditioner(), &conditions(reference, run)?, &plan)?, &plan)?;
    let mut gap = Gap::default();
    for k in 0..schedule.len() {
        let input = match k.checked_sub(1) {
            None => None,
            Some(before) => {
                let name = format!("{run}.s{before}.next_input");
                let map: Tensor<4> = reference.tensor(&name, &model.device())?;
                Some(map.flatten::<3>(2, 3).swap_dims(1, 2))
            }
        };
        let logits = session.step(input)?;
        let (Some(conditional), Some(unconditional)) = (logits.conditional(), logits.unconditional()) else {
            return Err(CoreError::Unsupported(format!("scale {k} lacks logits of a pass")).into());
        };
        let both = Tensor::cat(vec![conditional.values().clone(), unconditional.values().clone()], 0);
        gap.add(&both, reference, &format!("{run}.s{k}.logits_raw"))?;
    }
    Ok(gap)
}

/// The conditions of a run's images; painting has its own labels.
pub(crate) fn conditions(reference: &Fixture, run: &str) -> Result<Vec<Condition>> {
    match run {
        "inpaint" | "outpaint" => reference.conditions(&format!("{run}.labels")),
        _ => reference.conditions("labels"),
    }
}

/// Two lines per kind of AdaLN.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let Setting { fixtures, device, dtype, .. } = *setting;
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let model = loading::backbone_in(dtype, fixtures, kind, device)?;
        let reference = fixtures.reference(kind)?;
        let line =
            |what: &str, gap| setting.line_of_generation(format!("backbone, {what}, {}", kind.words()), gap);
        lines.push(line("teacher-forced logits", teacher_forced(&model, &reference)?));
        let mut gap = Gap::default();
        for run in RUNS {
            gap.join(&cached(&model, &reference, run)?);
        }
        lines.push(line("logits with the KV cache", gap));
    }
    Ok(lines)
}
