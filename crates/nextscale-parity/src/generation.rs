//! The whole loop with recorded noise: greedy, sampled, `more_smooth`, in- and out-painting.
//!
//! The sampler's tokens are compared with the recorded ones, and the run continues with the recorded ones. If
//! all are equal, as they must be on the CPU, this changes nothing; if one differs, as can happen on a GPU,
//! it counts as one difference and does not lead to another image.

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use nextscale_core::Grid;
use nextscale_core::noise::{Choice, Noise, Place};
use nextscale_generate::edit::{Edit, Keep, Region, mask};
use nextscale_generate::observe::{Observer, Seen};
use nextscale_generate::sampler::{Argmax, Sampler, TopKTopP};
use nextscale_pipeline::{Batch, Generator, Model, Result, Stop};

use crate::{
    Fixture, Fixtures, Gap, Kind, Line, RUNS, Setting, backbone, following::Following, guidance, loading,
    schedule, tokenizer,
};

/// The results of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Generated {
    /// Guided logits, canvases and images.
    pub values: Gap,
    /// Drawn tokens, and the mask of an edit.
    pub tokens: Gap,
}

/// The noise of one of upstream's runs.
struct Recorded {
    choice: Vec<Vec<f32>>,
    smoothing: Vec<Vec<f32>>,
}

impl Recorded {
    fn of(reference: &Fixture, run: &str) -> Result<Self> {
        let read = |what: &str| -> Result<Vec<Vec<f32>>> {
            (0..schedule()?.len()).map(|k| reference.floats(&format!("{run}.s{k}.{what}"))).collect()
        };
        Ok(match run {
            "sampled" => Self { choice: read("exp_noise")?, smoothing: Vec::new() },
            "smooth" => Self { choice: read("exp_noise")?, smoothing: read("exp_noise_gumbel")? },
            _ => Self { choice: Vec::new(), smoothing: Vec::new() },
        })
    }
}

impl Noise for Recorded {
    fn choice(&self, place: &Place<'_>) -> Choice {
        Choice::Race(self.choice[place.scale].clone())
    }

    fn exponential(&self, place: &Place<'_>) -> Vec<f32> {
        self.smoothing[place.scale].clone()
    }
}

/// Compares every scale as it comes.
struct Watch<'a> {
    reference: &'a Fixture,
    run: &'a str,
    gap: Gap,
}

impl Watch<'_> {
    fn compare(&mut self, seen: &Seen<'_>) -> Result<()> {
        let name = |what: &str| format!("{}.s{}.{what}", self.run, seen.scale);
        self.gap.add(seen.guided.values(), self.reference, &name("logits_cfg"))?;
        self.gap.add(&seen.canvas.features, self.reference, &name("f_hat"))
    }
}

impl Observer for Watch<'_> {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        Ok(self.compare(seen)?)
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        Ok(self.gap.add(images, self.reference, &format!("{}.image", self.run))?)
    }
}

/// The box of a painting run, and which side of it is kept.
fn edited(run: &str) -> Option<(Region, Keep)> {
    match run {
        "inpaint" => Some((Region { rows: (0.25, 0.75), columns: (0.25, 0.75) }, Keep::Outside)),
        "outpaint" => Some((Region { rows: (0.25, 1.0), columns: (0.5, 1.0) }, Keep::Inside)),
        _ => None,
    }
}

fn sampler(run: &str) -> Box<dyn Sampler> {
    match run {
        "sampled" | "smooth" => Box::new(TopKTopP {
            top_k: 20.into(),
            top_p: 0.9.into(),
            more_smooth: run == "smooth",
            ..TopKTopP::default()
        }),
        _ => Box::new(Argmax),
    }
}

/// Generates the two images of a recorded run.
///
/// # Errors
/// If a recording is missing or does not fit the model.
pub fn generated(fixtures: &Fixtures, kind: Kind, model: &Model, run: &str) -> Result<Generated> {
    let (reference, device) = (fixtures.reference(kind)?, model.tokenizer.device());
    let scales = schedule()?.len();
    let recorded = |file: &Fixture, name: &dyn Fn(usize) -> String| -> Result<Vec<Tensor<3, Int>>> {
        (0..scales).map(|k| Ok(file.tokens(&name(k), &device)?.unsqueeze_dim(2))).collect()
    };
    let recorded_run = recorded(&reference, &|k| format!("{run}.s{k}.idx"))?;
    let following = Arc::new(Following::new(sampler(run), recorded_run));
    let rule = Arc::new(guidance::rule(&reference)?);
    let noise = Arc::new(Recorded::of(&reference, run)?);
    let mut generator = Generator::new(model.clone(), rule, following.clone(), noise)?;
    let mut tokens = Gap::default();
    if let Some((region, keep)) = edited(run) {
        let mask = mask(Grid::square(scales), &region, keep);
        let kept: Vec<i64> = mask.iter().map(|&kept| kept.into()).collect();
        let name = format!("{run}.mask");
        let upstream: Vec<i64> = reference.floats(&name)?.iter().map(|&kept| kept as i64).collect();
        tokens.add_integers(&kept, &upstream, &name)?;
        let given = recorded(&tokenizer::reference(fixtures)?, &|k| format!("idx.s{k}"))?;
        generator = generator.with_edit(Edit::new(&*model.tokenizer, &given, &mask)?);
    }
    let conditions = backbone::conditions(&reference, run)?;
    let mut watch = Watch { reference: &reference, run, gap: Gap::default() };
    generator.batch(Batch { images: &[0, 1], conditions: &conditions }, &mut watch, &Stop::new())?;
    following.compare(|k, drawn| {
        let name = format!("{run}.s{k}.idx");
        tokens.add_integers(drawn, &reference.integers::<2>(&name)?, &name)
    })?;
    Ok(Generated { values: watch.gap, tokens })
}

/// Two lines per kind of AdaLN, the second for `more_smooth`.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let Setting { fixtures, device, dtype, .. } = *setting;
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let model = loading::model_in(dtype, fixtures, kind, device)?;
        let (mut plain, mut smooth) = (Gap::default(), Gap::default());
        for run in RUNS {
            let generated = generated(fixtures, kind, &model, run)?;
            let line = if run == "smooth" { &mut smooth } else { &mut plain };
            line.join(&generated.tokens);
            line.join(&generated.values);
        }
        lines.push(setting.line_of_generation(format!("generation, {}", kind.words()), plain));
        lines.push(setting.line_of_generation(format!("generation, more_smooth, {}", kind.words()), smooth));
    }
    Ok(lines)
}
