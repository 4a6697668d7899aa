//! A model at work: the batches of one rule, wherever their files go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use indicatif::ProgressBar;
use nextscale_core::Condition;
use nextscale_core::noise::Counter;
use nextscale_generate::observe::{Observer, Part, Seen, Times};
use rayon::prelude::*;

use super::RunOptions;
use super::summary::{Kept, Summary};
use crate::config::Given;
use crate::{Batch, Error, Generator, LoadOptions, Model, Prepared, Result, Stop, Trace, images};

/// The model of a run, with what an edit gives.
pub(super) struct Loaded {
    model: Model,
    given: Option<Given>,
}

impl Loaded {
    /// Reads the weights, for `count` images.
    pub fn new(
        prepared: &Prepared,
        options: &RunOptions,
        device: &Device,
        count: u64,
        summary: &mut Summary,
    ) -> Result<Self> {
        let loading = Instant::now();
        let config = &prepared.config;
        let model = prepared.load(&LoadOptions {
            device,
            dtype: options.dtype,
            with_encoder: config.edit.is_some(),
            conditions: &prepared.conditions,
        })?;
        let given = config.edit.as_ref().map(|edit| edit.load(&*model.tokenizer)).transpose()?;
        summary.kept = given.as_ref().map(|given| Kept::new(given.reconstruction));
        summary.loading = loading.elapsed();
        tracing::info!(images = count, seconds = summary.loading.as_secs_f64(), "the model is loaded");
        Ok(Self { model, given })
    }
}

/// The images of one rule.
pub(super) struct Job<'a> {
    prepared: &'a Prepared,
    options: &'a RunOptions,
    variant: usize,
    generator: Generator,
    given: Option<&'a Given>,
    bar: &'a ProgressBar,
}

impl<'a> Job<'a> {
    /// For rule number `variant`.
    pub fn new(
        prepared: &'a Prepared,
        options: &'a RunOptions,
        variant: usize,
        loaded: &'a Loaded,
        bar: &'a ProgressBar,
    ) -> Result<Self> {
        let config = &prepared.config;
        let rule = Arc::clone(&config.methods[variant].rule);
        let noise = Arc::new(Counter::new(config.seed));
        let sampler = Arc::clone(&config.sampler);
        let mut generator = Generator::new(loaded.model.clone(), rule, sampler, noise)?;
        let given = loaded.given.as_ref();
        if let Some(given) = given {
            generator = generator.with_edit(given.edit.clone());
        }
        Ok(Self { prepared, options, variant, generator, given, bar })
    }

    /// Makes a batch of images, and writes each to `place(image)`.
    pub fn batch(
        &self,
        images: &[u64],
        trace: Option<&mut Trace>,
        stop: &Stop,
        place: &(dyn Fn(u64) -> PathBuf + Sync),
        summary: &mut Summary,
    ) -> Result<()> {
        let conditions: Vec<Condition> =
            images.iter().map(|&image| self.prepared.conditions[image as usize].clone()).collect();
        let batch = Batch { images, conditions: &conditions };
        let exact = self.options.exact_times;
        let mut watch = Watch { times: &mut summary.times, trace, exact };
        let pixels = self
            .generator
            .batch(batch, &mut watch, stop)
            .map_err(|error| self.prepared.model.named_in(error))?;
        let reading = Instant::now();
        let mut pictures = images::to_pictures_rounded(pixels, self.prepared.config.rounding)?;
        if let Some(given) = self.given {
            for (picture, &image) in pictures.iter_mut().zip(images) {
                if let Some(kept) = &mut summary.kept {
                    kept.add(given.error(image, picture));
                }
                given.paste(image, picture);
            }
        }
        watch.times.add(Part::Decoding, reading.elapsed());
        let writing = Instant::now();
        // The trace first: an image on disk counts as finished.
        if let Some(trace) = &mut watch.trace {
            trace.store(images)?;
        }
        pictures.par_iter().zip(images).try_for_each(|(picture, &image)| {
            images::write_png(&place(image), picture)?;
            self.bar.inc(1);
            Ok::<_, Error>(())
        })?;
        summary.made += images.len() as u64;
        tracing::debug!(
            variant = self.variant,
            first = images.first(),
            count = images.len(),
            "a batch is written"
        );
        summary.times.add(Part::Writing, writing.elapsed());
        Ok(())
    }
}

/// What a run observes in a batch.
struct Watch<'a> {
    times: &'a mut Times,
    trace: Option<&'a mut Trace>,
    exact: bool,
}

impl Watch<'_> {
    fn traced(
        &mut self,
        see: impl FnOnce(&mut Trace) -> nextscale_generate::Result<()>,
    ) -> nextscale_generate::Result<()> {
        let Some(trace) = &mut self.trace else { return Ok(()) };
        let begin = Instant::now();
        see(trace)?;
        self.times.add(Part::Writing, begin.elapsed());
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        self.traced(|trace| trace.scale(seen))
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        self.traced(|trace| trace.images(images))
    }

    fn part(&mut self, part: Part, time: Duration) {
        self.times.add(part, time);
    }

    fn wants_prior(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.keeps_priors())
    }

    fn exact_times(&self) -> bool {
        self.exact
    }
}
