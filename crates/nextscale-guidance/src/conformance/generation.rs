use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Alphabet, Error, LogitMap, Pass, PassLogits, PassPlan, Passes, Result, ScaleSchedule};
use nextscale_priors::conformance::noise;

use crate::{Guidance, History};

/// The logits of one pass at every scale, `[batch, h·w, channels]` flat.
pub type Scales = Vec<Vec<f32>>;

/// What a backbone would say at every scale of a batch, for tests of rules: no model is needed.
///
/// ```
/// use nextscale_core::{Alphabet, ScaleSchedule};
/// use nextscale_guidance::{Cfg, conformance::{Generation, mix}};
///
/// let schedule = ScaleSchedule::square(&[1, 2, 4])?;
/// let x = Generation::random(&schedule, Alphabet::codes(8), 2, 7);
/// let expected = mix(3.0, &x.conditional, -2.0, &x.unconditional);
/// let found = x.guided(&Cfg::scale(2.0)?)?;
/// assert!(found.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-5));
/// # Ok::<(), nextscale_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Generation {
    /// The grids.
    pub schedule: ScaleSchedule,
    /// What the channels mean.
    pub alphabet: Alphabet,
    /// The number of images.
    pub batch: usize,
    /// The logits with the images' conditions.
    pub conditional: Scales,
    /// The logits with the null condition.
    pub unconditional: Scales,
}

impl Generation {
    /// Logits in [-2, 2) that depend on the seed alone.
    pub fn random(schedule: &ScaleSchedule, alphabet: Alphabet, batch: usize, seed: u64) -> Self {
        let pass = |pass: u64| {
            let scale = |k: usize| {
                let count = batch * schedule.grid(k).positions() * alphabet.channels();
                noise(seed << 8 | (2 * k as u64 + pass), count)
            };
            (0..schedule.len()).map(scale).collect()
        };
        let schedule = schedule.clone();
        Self { alphabet, batch, conditional: pass(0), unconditional: pass(1), schedule: schedule.clone() }
    }

    /// Both passes changed, value by value: `change(scale, at, value)`.
    pub fn changed(&self, change: impl Fn(usize, usize, f32) -> f32) -> Self {
        let pass = |scales: &Scales| {
            let scale = |(k, values): (usize, &Vec<f32>)| {
                values.iter().enumerate().map(|(at, &value)| change(k, at, value)).collect()
            };
            scales.iter().enumerate().map(scale).collect()
        };
        Self {
            conditional: pass(&self.conditional),
            unconditional: pass(&self.unconditional),
            ..self.clone()
        }
    }

    /// a · self + b · other.
    pub fn mixed(&self, a: f32, other: &Self, b: f32) -> Self {
        Self {
            conditional: mix(a, &self.conditional, b, &other.conditional),
            unconditional: mix(a, &self.unconditional, b, &other.unconditional),
            ..self.clone()
        }
    }

    /// Some of the images, in the given order.
    pub fn images(&self, images: &[usize]) -> Self {
        let pick = |scales: &Scales| pick(scales, self.batch, images);
        Self {
            batch: images.len(),
            conditional: pick(&self.conditional),
            unconditional: pick(&self.unconditional),
            ..self.clone()
        }
    }

    /// `rule` as the loop runs it: the guided logits of every scale, from the passes that it asks for and no more history
    /// than its lookback.
    ///
    /// # Errors
    /// What the rule or its check says, and [`Error::Shape`] if its logits are not on the scale's grid.
    pub fn guided(&self, rule: &dyn Guidance) -> Result<Scales> {
        rule.check(&self.schedule, self.alphabet)?;
        let wanted = (0..self.schedule.len()).map(|k| rule.passes(k, &self.schedule)).collect();
        let plan = PassPlan::new(wanted, &self.schedule)?;
        let mut history = History::new(self.schedule.clone(), rule.lookback());
        let scale = |k| {
            history.push(self.logits(k, plan.wanted(k))?);
            let guided = history.guide(rule)?;
            let expected = (self.schedule.grid(k), self.alphabet, self.batch);
            if (guided.grid(), guided.alphabet(), guided.batch()) != expected {
                let (grid, Alphabet { slots, classes }, batch) = expected;
                return Err(Error::shape(
                    format!("the guided logits of scale {k}"),
                    format!("[{batch}, {}, {slots} × {classes}] on {grid}", grid.positions()),
                    &guided.values().dims(),
                ));
            }
            let unreadable = |error: String| Error::Unsupported(format!("scale {k}: {error}"));
            let data =
                guided.into_values().try_into_data().map_err(|error| unreadable(format!("{error:?}")))?;
            data.try_into_vec_as().map_err(|error| unreadable(format!("{error:?}")))
        };
        (0..self.schedule.len()).map(scale).collect()
    }

    /// The logits of `passes` at scale `k`, as a backbone hands them over.
    ///
    /// # Errors
    /// [`Error::Shape`] if values were put in that do not fit the grid.
    pub fn logits(&self, k: usize, passes: Passes) -> Result<PassLogits> {
        let map = |pass: Pass, scales: &Scales| {
            if !passes.contains(pass) {
                return Ok(None);
            }
            let grid = self.schedule.grid(k);
            let shape = [self.batch, grid.positions(), self.alphabet.channels()];
            if scales[k].len() != shape.iter().product::<usize>() {
                let what = format!("the values of scale {k}");
                return Err(Error::shape(what, format!("{shape:?}"), &[scales[k].len()]));
            }
            let values = Tensor::from_data(TensorData::new(scales[k].clone(), shape), &Device::flex());
            LogitMap::new(values, grid, self.alphabet).map(Some)
        };
        Ok(PassLogits {
            conditional: map(Pass::Conditional, &self.conditional)?,
            unconditional: map(Pass::Unconditional, &self.unconditional)?,
        })
    }
}

/// Some of the images of a batch.
pub(super) fn pick(scales: &Scales, batch: usize, images: &[usize]) -> Scales {
    let scale = |values: &Vec<f32>| {
        let size = values.len() / batch;
        images.iter().flat_map(|image| &values[image * size..][..size]).copied().collect()
    };
    scales.iter().map(scale).collect()
}

/// a · x + b · y, scale by scale.
pub fn mix(a: f32, x: &[Vec<f32>], b: f32, y: &[Vec<f32>]) -> Scales {
    let scale = |(x, y): (&Vec<f32>, &Vec<f32>)| x.iter().zip(y).map(|(x, y)| a * x + b * y).collect();
    x.iter().zip(y).map(scale).collect()
}

/// ln p of every class under its choice's logits.
pub(super) fn log_probabilities(scales: &Scales, alphabet: Alphabet) -> Scales {
    let row = |row: &[f32]| -> Vec<f32> {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|value| f64::from(value - largest).exp()).sum();
        row.iter().map(|value| (f64::from(value - largest) - sum.ln()) as f32).collect()
    };
    scales.iter().map(|values| values.chunks(alphabet.classes).flat_map(row).collect()).collect()
}
