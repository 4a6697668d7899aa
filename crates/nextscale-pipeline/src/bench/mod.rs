//! What a run costs, part by part: every rule of a config on the same images, alternating, without writing
//! anything.

mod report;
mod twins;

pub use report::{BenchReport, Beside, Row, Seconds, Spread, SsgShare};

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use nextscale_core::{Condition, Dtype};

use crate::config::guides::{self, OpenGuide};
use crate::config::{Config, fits_in_memory};
use crate::device::{DeviceChoice, named, route};
use crate::run::peak_memory;
use crate::{Batch, Error, Generator, LoadOptions, Model, OpenModel, Registry, Result, Stop, images};
use nextscale_core::noise::Counter;
use nextscale_generate::Guide;
use nextscale_generate::edit::Edit;
use nextscale_generate::observe::{Observer, Part, Times};
use twins::Twins;

/// Which weights are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// Those of the config.
    OfConfig,
    /// Random ones of these sizes, created in memory by the first family that knows them: seconds do not
    /// depend on the values.
    Random(String),
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Where to compute.
    pub device: DeviceChoice,
    /// The type in which linear layers and the decoder's convolutions multiply.
    pub dtype: Dtype,
    /// Whose weights.
    pub weights: Weights,
    /// Random models that rules read beside the guided one, by name, with their sizes; only for random weights. A
    /// config's own `guides` are used with its own model.
    pub guides: Vec<(String, String)>,
    /// Measured runs of every rule, at least 1.
    pub runs: usize,
    /// Warm-up runs of every rule before those.
    pub warmup: usize,
    /// Images at once; the config's batch by default.
    pub batch: Option<usize>,
    /// Images per run; one batch by default, but at most as many as the config asks for. The config's
    /// conditions are used in turn.
    pub images: Option<usize>,
    /// For requests to stop.
    pub stop: Stop,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Cpu,
            dtype: Dtype::F32,
            weights: Weights::OfConfig,
            guides: Vec::new(),
            runs: 5,
            warmup: 1,
            batch: None,
            images: None,
            stop: Stop::new(),
        }
    }
}

/// The progress of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The current rule.
    pub rule: &'a str,
    /// Finished batches.
    pub done: usize,
    /// All batches.
    pub total: usize,
}

/// Measures a config. Its rules alternate, forward and backward, so that other load on the machine affects
/// all of them; each rule with SSG also runs without it. `registry` is the one that the config was read with,
/// in its folder.
///
/// # Errors
/// As for a run, and if a number in the options is 0.
pub fn bench(
    config: Config,
    registry: &Registry,
    options: &BenchOptions,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<BenchReport> {
    let numbers = [("runs", Some(options.runs)), ("batch", options.batch), ("images", options.images)];
    if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == Some(0)) {
        return Err(Error::Usage(format!("{name} must be at least 1")));
    }
    let twins = Twins::of(&config, registry)?;
    let device = options.device.open()?;
    let loading = Instant::now();
    let subject = Subject::load(config, registry, options, &device)?;
    let loading = loading.elapsed();
    let generators = twins
        .rules
        .iter()
        .map(|rule| subject.generator(Arc::clone(&rule.rule)))
        .collect::<Result<Vec<_>>>()?;

    let mut samples = vec![Vec::new(); generators.len()];
    let batches = subject.images.div_ceil(subject.batch);
    let runs = options.warmup.saturating_add(options.runs);
    let total = runs.saturating_mul(generators.len()).saturating_mul(batches);
    let mut done = 0;
    for run in 0..runs {
        let mut order: Vec<usize> = (0..generators.len()).collect();
        if run % 2 == 1 {
            order.reverse();
        }
        for rule in order {
            let name = &twins.rules[rule].name;
            let sample = subject.run(&generators[rule], &options.stop, |batch| {
                progress(Progress { rule: name, done: done + batch, total });
            })?;
            done += batches;
            if run >= options.warmup {
                samples[rule].push(sample);
            }
        }
    }
    let (height, width) = subject.model.tokenizer.image_size();
    Ok(BenchReport {
        version: env!("CARGO_PKG_VERSION"),
        model: subject.name.clone(),
        device: named(options.device.decide(), options.dtype),
        route: route(&device),
        threads: rayon::current_num_threads(),
        image_size: [height, width],
        images: subject.images,
        batch: subject.batch,
        runs: options.runs,
        warmup: options.warmup,
        loading_seconds: loading.as_secs_f64(),
        peak_memory_bytes: peak_memory(),
        rows: twins.rows(&samples, subject.images),
        beside: twins.beside(&samples),
        ssg: twins.shares(&samples),
    })
}

/// The seconds of a run.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    whole: Duration,
    times: Times,
}

impl Sample {
    fn part(&self, part: Part) -> f64 {
        self.times.get(part).as_secs_f64()
    }

    /// The rest, which belongs to no part.
    fn rest(&self) -> f64 {
        self.whole.saturating_sub(self.times.total()).as_secs_f64()
    }
}

impl Observer for Sample {
    fn part(&mut self, part: Part, time: Duration) {
        self.times.add(part, time);
    }

    /// On every device, a part's seconds include only its own work.
    fn exact_times(&self) -> bool {
        true
    }
}

/// What is measured.
struct Subject {
    config: Config,
    conditions: Vec<Condition>,
    model: Model,
    open: Arc<dyn OpenModel>,
    edit: Option<Edit>,
    name: String,
    images: usize,
    batch: usize,
}

impl Subject {
    fn load(config: Config, registry: &Registry, options: &BenchOptions, device: &Device) -> Result<Self> {
        let with_encoder = config.edit.is_some();
        let load = |conditions| LoadOptions { device, dtype: options.dtype, with_encoder, conditions };
        let (config, conditions, model, open) = match &options.weights {
            Weights::Random(sizes) => {
                let open = registry.random(sizes)?;
                let conditions = config.conditions(open.takes())?.conditions;
                let guides = guides::random(&options.guides, &config.methods, &*open, registry)?;
                let mut model = open.load(&load(&conditions))?;
                for OpenGuide { name, model: guide } in guides {
                    let Model { backbone, conditioner, .. } =
                        guide.load(&LoadOptions { with_encoder: false, ..load(&conditions) })?;
                    model = model.with_guide(&name, Guide { backbone, conditioner })?;
                }
                (config, conditions, model, open)
            }
            Weights::OfConfig => {
                if let Some((name, _)) = options.guides.first() {
                    return Err(Error::Usage(format!(
                        "the guide `{name}` has random weights, and the model's are the config's; give --random, or leave out \
                         --guide"
                    )));
                }
                let prepared = config.prepare()?;
                let model = prepared.load(&load(&prepared.conditions))?;
                (prepared.config, prepared.conditions, model, prepared.model)
            }
        };
        let name = open.describe().to_owned();
        let edit = config.edit.as_ref().map(|edit| edit.load(&*model.tokenizer)).transpose()?;
        let edit = edit.map(|given| given.edit);
        let one_batch = options.batch.unwrap_or(config.batch.min(conditions.len()));
        let images = options.images.unwrap_or(one_batch);
        let batch = options.batch.unwrap_or(config.batch).min(images);
        fits_in_memory(batch, &*open)?;
        Ok(Self { config, conditions, model, open, edit, name, images, batch })
    }

    fn generator(&self, rule: Arc<dyn nextscale_guidance::Guidance>) -> Result<Generator> {
        let noise = Arc::new(Counter::new(self.config.seed));
        let generator = Generator::new(self.model.clone(), rule, Arc::clone(&self.config.sampler), noise)?;
        Ok(match &self.edit {
            Some(edit) => generator.with_edit(edit.clone()),
            None => generator,
        })
    }

    /// Generates all images once, to pictures in host memory; `show` receives the number of finished batches.
    fn run(&self, generator: &Generator, stop: &Stop, mut show: impl FnMut(usize)) -> Result<Sample> {
        let mut sample = Sample::default();
        show(0);
        for start in (0..self.images).step_by(self.batch) {
            let numbers: Vec<u64> =
                (start..self.images.min(start + self.batch)).map(|image| image as u64).collect();
            let conditions: Vec<Condition> = numbers
                .iter()
                .map(|&image| self.conditions[image as usize % self.conditions.len()].clone())
                .collect();
            let begin = Instant::now();
            let batch = Batch { images: &numbers, conditions: &conditions };
            let named = |error| self.open.named_in(error);
            let pixels = generator.batch(batch, &mut sample, stop).map_err(|error| named(error.into()))?;
            let reading = Instant::now();
            let pictures = images::to_pictures(pixels);
            drop(pictures.map_err(|error| named(error.of_images(&numbers).into()))?);
            sample.times.add(Part::Decoding, reading.elapsed());
            sample.whole += begin.elapsed();
            show(start / self.batch + 1);
        }
        Ok(sample)
    }
}
