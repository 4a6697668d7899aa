use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Alphabet, Error, LogitMap, Pass, PassLogits, PassPlan, Passes, Result, ScaleSchedule};
use nextscale_priors::conformance::noise;

use crate::{Guidance, History};

/// The logits of one pass at every scale, `[batch, h·w, channels]` flat.
pub type Scales = Vec<Vec<f32>>;

/// A backbone's logits at every scale of a batch, for tests of rules: no model is needed.
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
    /// The logits of other passes.
    pub others: BTreeMap<Pass, Scales>,
    /// The seed for what [`for_rule`](Self::for_rule) adds.
    pub seed: u64,
}

impl Generation {
    /// Logits in [-2, 2) that depend only on the seed.
    pub fn random(schedule: &ScaleSchedule, alphabet: Alphabet, batch: usize, seed: u64) -> Self {
        let pass = |pass| random(schedule, alphabet, batch, seed << 8 | pass);
        Self {
            alphabet,
            batch,
            conditional: pass(0),
            unconditional: pass(1),
            others: BTreeMap::new(),
            schedule: schedule.clone(),
            seed,
        }
    }

    /// The same with random logits for every other pass that `rule` reads.
    #[must_use]
    pub fn for_rule(mut self, rule: &dyn Guidance) -> Self {
        let read: Passes = (0..self.schedule.len())
            .flat_map(|k| rule.passes(k, &self.schedule).iter().cloned().collect::<Vec<_>>())
            .collect();
        for (at, pass) in read.iter().filter(|pass| !Passes::BOTH.contains(pass)).enumerate() {
            // Far from the seeds that tests use.
            let seed = self.seed + 1000 * (at as u64 + 1);
            let logits = random(&self.schedule, self.alphabet, self.batch, seed << 8);
            self.others.entry(pass.clone()).or_insert(logits);
        }
        self
    }

    /// Changes every pass value by value: `change(scale, at, value)`.
    pub fn changed(&self, change: impl Fn(usize, usize, f32) -> f32) -> Self {
        let pass = |scales: &Scales| {
            let scale = |(k, values): (usize, &Vec<f32>)| {
                values.iter().enumerate().map(|(at, &value)| change(k, at, value)).collect()
            };
            scales.iter().enumerate().map(scale).collect()
        };
        self.mapped(pass)
    }

    /// a · self + b · other.
    pub fn mixed(&self, a: f32, other: &Self, b: f32) -> Self {
        let others = self
            .others
            .iter()
            .filter_map(|(pass, scales)| Some((pass.clone(), mix(a, scales, b, other.others.get(pass)?))));
        Self {
            conditional: mix(a, &self.conditional, b, &other.conditional),
            unconditional: mix(a, &self.unconditional, b, &other.unconditional),
            others: others.collect(),
            ..self.clone()
        }
    }

    /// Some of the images, in the given order.
    pub fn images(&self, images: &[usize]) -> Self {
        let pick = |scales: &Scales| pick(scales, self.batch, images);
        Self { batch: images.len(), ..self.mapped(pick) }
    }

    /// The logits of every pass through `change`.
    fn mapped(&self, change: impl Fn(&Scales) -> Scales) -> Self {
        Self {
            conditional: change(&self.conditional),
            unconditional: change(&self.unconditional),
            others: self.others.iter().map(|(pass, scales)| (pass.clone(), change(scales))).collect(),
            ..self.clone()
        }
    }

    /// `rule` as run by the loop: the guided logits of every scale, from the passes that it asks for and no
    /// more history than its lookback.
    ///
    /// # Errors
    /// Those of the rule or its check, and [`Error::Shape`] if its logits are not on the scale's grid.
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

    /// The logits of `passes` at scale `k`, in the form in which a backbone returns them.
    ///
    /// # Errors
    /// [`Error::Shape`] if changed values do not fit the grid, [`Error::Unsupported`] for a pass that the
    /// generation does not have.
    pub fn logits(&self, k: usize, passes: &Passes) -> Result<PassLogits> {
        let map = |pass: &Pass| {
            let scales = match pass {
                pass if *pass == Pass::CONDITIONAL => &self.conditional,
                pass if *pass == Pass::UNCONDITIONAL => &self.unconditional,
                pass => self.others.get(pass).ok_or_else(|| {
                    Error::Unsupported(format!(
                        "no logits of the {pass} pass; for_rule(..) adds those of a rule"
                    ))
                })?,
            };
            let grid = self.schedule.grid(k);
            let shape = [self.batch, grid.positions(), self.alphabet.channels()];
            if scales[k].len() != shape.iter().product::<usize>() {
                let what = format!("the values of scale {k}");
                return Err(Error::shape(what, format!("{shape:?}"), &[scales[k].len()]));
            }
            let values = Tensor::from_data(TensorData::new(scales[k].clone(), shape), &Device::flex());
            Ok((pass.clone(), LogitMap::new(values, grid, self.alphabet)?))
        };
        passes.iter().map(map).collect()
    }
}

/// Logits of one pass.
fn random(schedule: &ScaleSchedule, alphabet: Alphabet, batch: usize, seed: u64) -> Scales {
    let (scales, pass) = (schedule.len(), seed & 0xFF);
    let scale = |k: usize| {
        let count = batch * schedule.grid(k).positions() * alphabet.channels();
        noise((seed & !0xFF) | (2 * k as u64 + pass), count)
    };
    (0..scales).map(scale).collect()
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
