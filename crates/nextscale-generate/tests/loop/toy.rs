//! A model small enough to follow by hand: three bits per position, and scales that are not square and do not
//! double.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_backbones::{Backbone, Conditioner, Refinement, Session};
use nextscale_core::noise::Place;
use nextscale_core::{
    Alphabet, BatchConditions, Canvas, Condition, ConditionRows, Draw, Error, Grid, LogitMap, PassCondition,
    PassLogits, PassPlan, Result, ScaleSchedule,
};
use nextscale_generate::Model;
use nextscale_tokenizers::Tokenizer;

pub const BITS: usize = 3;

/// The scales that it was built for.
pub fn schedule() -> ScaleSchedule {
    grids(&[(1, 1), (1, 3), (2, 4), (5, 5)])
}

/// Others that it can generate.
pub fn wide() -> ScaleSchedule {
    grids(&[(1, 2), (2, 5), (3, 7)])
}

fn grids(sides: &[(usize, usize)]) -> ScaleSchedule {
    ScaleSchedule::new(sides.iter().map(|&(height, width)| Grid::new(height, width)).collect()).unwrap()
}

/// A text as one row of two numbers per letter.
pub struct Letters;

impl Conditioner for Letters {
    fn rows(&self, conditions: &[Condition], side: PassCondition) -> Result<ConditionRows> {
        let of = |condition: &Condition| {
            let condition = match side {
                PassCondition::Given => condition.shown(),
                PassCondition::Negative => condition.avoided(),
                PassCondition::Null => &Condition::Null,
            };
            match condition {
                Condition::Prompt(text) => Ok(text.clone()),
                Condition::Null => Ok("-".to_owned()),
                other => Err(Error::Unsupported(format!("prompts only, not {other}"))),
            }
        };
        let texts = conditions.iter().map(of).collect::<Result<Vec<_>>>()?;
        let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(1);
        let (mut values, mut mask) = (Vec::new(), Vec::new());
        for text in &texts {
            for at in 0..longest {
                let letter = text.chars().nth(at);
                mask.push(letter.is_some());
                // Values beyond a text may be anything.
                let number = letter.map_or(f32::NAN, |letter| (letter as u32 % 13) as f32 / 13.0);
                values.extend([number, number * number]);
            }
        }
        let device = Device::flex();
        Ok(ConditionRows::Embeddings {
            values: Tensor::from_data(TensorData::new(values, [texts.len(), longest, 2]), &device),
            mask: Tensor::from_data(TensorData::new(mask, [texts.len(), longest]), &device),
        })
    }
}

/// The mean over an image's rows, which its padding does not change.
fn means(rows: &ConditionRows) -> Result<Vec<f32>> {
    let ConditionRows::Embeddings { values, mask } = rows else {
        return Err(Error::Unsupported("embeddings only".into()));
    };
    let [batch, longest, width] = values.dims();
    let (values, mask): (Vec<f32>, Vec<bool>) =
        (values.to_data().try_to_vec().unwrap(), mask.to_data().try_to_vec().unwrap());
    let mean = |image: usize| {
        let there: Vec<usize> = (0..longest).filter(|at| mask[image * longest + at]).collect();
        let of = |at: &usize| values[(image * longest + at) * width..][..width].iter().sum::<f32>();
        there.iter().map(of).sum::<f32>() / there.len() as f32
    };
    Ok((0..batch).map(mean).collect())
}

/// Logits that depend on the condition and on every input so far, through fixed weights.
pub struct Echo {
    pub schedule: ScaleSchedule,
    /// Whether its sessions keep a running sum, or all inputs.
    pub cached: bool,
    /// The fingerprint of its weights.
    pub weight: f32,
    /// Gaussian noise that its sessions add to the last scale's embedding.
    pub refines: f32,
    /// Runs of one pass at one scale.
    pub runs: Arc<AtomicUsize>,
}

impl Echo {
    pub fn new(cached: bool) -> Self {
        Self { schedule: schedule(), cached, weight: 1.0, refines: 0.0, runs: Arc::default() }
    }
}

impl Backbone for Echo {
    fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::bits(BITS)
    }

    /// One more than the canvas has: the tokenizer adds the scale's number.
    fn input_channels(&self) -> usize {
        2
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn has_cache(&self) -> bool {
        self.cached
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Backbone>> {
        if *schedule != wide() {
            return Err(Error::setting("scales", format!("{} or {}", self.schedule, wide())));
        }
        Ok(Arc::new(Self { schedule: schedule.clone(), runs: Arc::clone(&self.runs), ..*self }))
    }

    fn start(&self, conditions: &BatchConditions, plan: &PassPlan) -> Result<Box<dyn Session + '_>> {
        let passes = plan.all();
        let rows = passes.iter().map(|pass| Ok((pass.clone(), means(conditions.rows(pass.condition)?)?)));
        Ok(Box::new(EchoSession {
            backbone: self,
            plan: plan.clone(),
            rows: rows.collect::<Result<Vec<_>>>()?,
            batch: conditions.batch(),
            inputs: Vec::new(),
            sum: vec![0.0; conditions.batch()],
        }))
    }
}

struct EchoSession<'a> {
    backbone: &'a Echo,
    plan: PassPlan,
    rows: Vec<(nextscale_core::Pass, Vec<f32>)>,
    batch: usize,
    /// The inputs of all scales so far; `None` at scale 0.
    inputs: Vec<Option<Tensor<3>>>,
    /// What a cache keeps of them, per image.
    sum: Vec<f32>,
}

impl EchoSession<'_> {
    /// The sum of an input per image, in a fixed order.
    fn sums(&self, input: &Option<Tensor<3>>) -> Vec<f32> {
        let Some(input) = input else { return vec![0.0; self.batch] };
        let values: Vec<f32> = input.to_data().try_to_vec().unwrap();
        // Positions have different weights, so that a corrupted prefix is visible.
        let one =
            |image: &[f32]| image.iter().enumerate().map(|(at, v)| v * (1 + at % 7) as f32).sum::<f32>();
        values.chunks(values.len() / self.batch).map(one).collect()
    }
}

impl Session for EchoSession<'_> {
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits> {
        let k = self.inputs.len();
        self.inputs.push(input);
        self.backbone.runs.fetch_add(self.plan.run(k).len(), Ordering::Relaxed);
        let grid = self.backbone.schedule.grid(k);
        let seen = if self.backbone.cached {
            let new = self.sums(&self.inputs[k]);
            self.sum.iter_mut().zip(new).for_each(|(sum, new)| *sum += new);
            self.sum.clone()
        } else {
            let each: Vec<Vec<f32>> = self.inputs.iter().map(|input| self.sums(input)).collect();
            (0..self.batch).map(|image| each.iter().fold(0.0, |sum, new| sum + new[image])).collect()
        };
        let weight = self.backbone.weight;
        let logits = |rows: &[f32]| {
            let channels = 2 * BITS;
            let one = |image: usize| {
                let (row, seen) = (rows[image], seen[image]);
                let at = move |i: usize| (weight * (row * 5.0 + seen + i as f32) * 0.7 + k as f32).sin();
                (0..grid.positions() * channels).map(at)
            };
            let values: Vec<f32> = (0..self.batch).flat_map(one).collect();
            let values = TensorData::new(values, [self.batch, grid.positions(), channels]);
            LogitMap::new(Tensor::from_data(values, &Device::flex()), grid, Alphabet::bits(BITS))
        };
        let wanted = self.plan.wanted(k);
        let wanted = self.rows.iter().filter(|(pass, _)| wanted.contains(pass));
        wanted.map(|(pass, rows)| Ok((pass.clone(), logits(rows)?))).collect()
    }

    fn refine(&mut self, refinement: &Refinement<'_>) -> Result<Option<Tensor<4>>> {
        if self.backbone.refines == 0.0 || refinement.scale + 1 < self.backbone.schedule.len() {
            return Ok(None);
        }
        let [batch, channels, height, width] = refinement.embedding.dims();
        let place = Place {
            scale: refinement.scale,
            images: refinement.images,
            positions: height * width,
            alphabet: Alphabet::bits(BITS),
        };
        let noise = refinement.noise.gaussian(&place, channels);
        let noise = Tensor::<3>::from_data(
            TensorData::new(noise, [batch, height * width, channels]),
            &Device::flex(),
        );
        let noise = noise.swap_dims(1, 2).reshape([batch, channels, height, width]);
        Ok(Some(refinement.embedding.clone() + noise * self.backbone.refines))
    }
}

/// Adds the fraction of set bits to a canvas twice as fine as the last scale. Its input has other channels
/// and another grid than the canvas.
pub struct Shares {
    pub schedule: ScaleSchedule,
    /// Every canvas from which an input was made.
    pub seen: Arc<Mutex<Vec<Vec<f32>>>>,
}

impl Shares {
    pub fn new() -> Self {
        Self { schedule: schedule(), seen: Arc::default() }
    }
}

impl Tokenizer for Shares {
    fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::bits(BITS)
    }

    fn input_channels(&self) -> usize {
        2
    }

    fn canvas_channels(&self) -> usize {
        1
    }

    fn canvas_grid(&self) -> Grid {
        let last = self.schedule.last();
        Grid::new(2 * last.height, 2 * last.width)
    }

    fn image_size(&self) -> (usize, usize) {
        (self.canvas_grid().height, self.canvas_grid().width)
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Tokenizer>> {
        Ok(Arc::new(Self { schedule: schedule.clone(), seen: Arc::clone(&self.seen) }))
    }

    fn blank(&self, batch: usize) -> Canvas {
        let Grid { height, width } = self.canvas_grid();
        Canvas { features: Tensor::zeros([batch, 1, height, width], &Device::flex()) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let (Grid { height, width }, [batch, ..]) = (self.schedule.grid(k), draw.tokens.dims());
        Ok(draw.tokens.clone().float().mean_dim(2).reshape([batch, 1, height, width]))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas> {
        let fine = spread(embedding, self.canvas_grid());
        Ok(Canvas { features: canvas.features + fine / (k + 1) as f32 })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        self.seen.lock().unwrap().push(canvas.features.to_data().try_to_vec().unwrap());
        let grid = self.schedule.grid(k);
        let [batch, ..] = canvas.features.dims();
        let coarse = spread(canvas.features.clone(), grid).reshape([batch, grid.positions(), 1]);
        let number = coarse.zeros_like() + k as f32;
        Ok(Tensor::cat(vec![coarse, number], 2))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        Ok((canvas.features.clone() / 4.0).repeat_dim(1, 3).clamp(0.0, 1.0))
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let bright = images.mean_dim(1);
        let [batch, ..] = bright.dims();
        let scale = |grid: &Grid| {
            let values = spread(bright.clone(), *grid).reshape([batch, grid.positions(), 1]);
            values.greater_elem(0.5).int().repeat_dim(2, BITS)
        };
        Ok(self.schedule.grids().iter().map(scale).collect())
    }
}

/// Nearest neighbours on another grid.
fn spread(x: Tensor<4>, to: Grid) -> Tensor<4> {
    let [.., height, width] = x.dims();
    let pick = |from: usize, to: usize| {
        let at: Vec<i64> = (0..to).map(|i| (i * from / to) as i64).collect();
        Tensor::<1, Int>::from_data(TensorData::new(at, [to]), &Device::flex())
    };
    x.select(2, pick(height, to.height)).select(3, pick(width, to.width))
}

/// The toy tokenizer with this backbone.
pub fn model(backbone: Echo) -> Model {
    Model::new(Arc::new(Shares::new()), Arc::new(backbone), Arc::new(Letters)).unwrap()
}
