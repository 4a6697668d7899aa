//! A model at work: the batches of one rule, wherever their files go.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use image::RgbImage;
use indicatif::ProgressBar;
use nextscale_core::Condition;
use nextscale_core::noise::Counter;
use nextscale_generate::observe::{Observer, Part, Seen, Times};

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
    /// Reads the weights, for `count` images of these conditions.
    pub fn new(
        prepared: &Prepared,
        options: &RunOptions,
        device: &Device,
        (count, conditions): (u64, &[Condition]),
        summary: &mut Summary,
    ) -> Result<Self> {
        let loading = Instant::now();
        let config = &prepared.config;
        let model = prepared.load(&LoadOptions {
            device,
            dtype: options.dtype,
            with_encoder: config.edit.is_some(),
            conditions,
        })?;
        let given = config.edit.as_ref().map(|edit| edit.load(&*model.tokenizer)).transpose();
        let given = given.map_err(|error| prepared.model.named_in(error))?;
        summary.kept = given.as_ref().map(|given| Kept::new(given.reconstruction, given.paste));
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

    /// Draws batches, and passes each to `see`, in order, until that returns false.
    ///
    /// # Errors
    /// The first of a batch, or of `batches` itself. All batches before it have been seen.
    pub fn draw_all(
        &self,
        batches: impl Iterator<Item = nextscale_generate::Result<Vec<u64>>> + Send,
        mut trace: Option<&mut Trace>,
        stop: &Stop,
        summary: &mut Summary,
        see: &mut dyn FnMut(Drawn) -> bool,
    ) -> Result<()> {
        if trace.is_some() || self.options.exact_times {
            for images in batches {
                if !see(self.draw(&images?, trace.as_deref_mut(), stop, summary)?) {
                    break;
                }
            }
            return Ok(());
        }
        let conditions = &self.prepared.conditions;
        let condition = |image: u64| conditions[image as usize].clone();
        let (mut times, mut fault) = (Times::default(), Ok(()));
        let seen = |images, pixels| match self.pictures(images, pixels, summary) {
            Ok(drawn) => see(drawn),
            Err(error) => {
                fault = Err(error);
                false
            }
        };
        let drawn = self.generator.draw_all(batches, condition, &mut times, stop, seen);
        Part::ALL.into_iter().for_each(|part| summary.times.add(part, times.get(part)));
        fault.and(drawn.map_err(|error| self.named(error.into())))
    }

    /// Draws a batch of images, and stores their part of the trace.
    pub fn draw(
        &self,
        images: &[u64],
        mut trace: Option<&mut Trace>,
        stop: &Stop,
        summary: &mut Summary,
    ) -> Result<Drawn> {
        let conditions: Vec<Condition> =
            images.iter().map(|&image| self.prepared.conditions[image as usize].clone()).collect();
        let batch = Batch { images, conditions: &conditions };
        let times = &mut summary.times;
        let pixels = match (trace.as_deref_mut(), self.options.exact_times) {
            (None, false) => self.generator.draw(batch, times, stop),
            (trace, exact) => self.generator.batch(batch, &mut Watch { times, trace, exact }, stop),
        };
        let pixels = pixels.map_err(|error| self.named(error.into()))?;
        let drawn = self.pictures(images.into(), pixels, summary)?;
        // Before the pictures: an image on disk counts as finished.
        if let Some(trace) = trace {
            let storing = Instant::now();
            trace.store(images)?;
            summary.times.add(Part::Writing, storing.elapsed());
        }
        Ok(drawn)
    }

    /// An error about the model, with its name.
    fn named(&self, error: Error) -> Error {
        self.prepared.model.named_in(error)
    }

    /// The pictures of a batch.
    fn pictures(&self, images: Vec<u64>, pixels: Tensor<4>, summary: &mut Summary) -> Result<Drawn> {
        let reading = Instant::now();
        let pictures = images::to_pictures_rounded(pixels, self.prepared.config.rounding);
        let mut pictures = pictures.map_err(|error| self.named(error.of_images(&images).into()))?;
        if let Some(given) = self.given {
            for (picture, &image) in pictures.iter_mut().zip(&images) {
                if let Some(kept) = &mut summary.kept {
                    kept.add(given.error(image, picture));
                }
                given.paste(image, picture);
            }
        }
        summary.times.add(Part::Decoding, reading.elapsed());
        summary.made += images.len() as u64;
        Ok(Drawn { images, pictures })
    }

    /// Writes each image of a batch to `place(image)`.
    pub fn write(&self, drawn: &Drawn, place: &dyn Fn(u64) -> PathBuf) -> Result<()> {
        let Drawn { images, pictures } = drawn;
        let placed: Vec<_> = images.iter().map(|&image| place(image)).zip(pictures).collect();
        images::write_pngs(&placed, || self.bar.inc(1))?;
        let (first, count) = (images.first(), images.len());
        tracing::debug!(variant = self.variant, first, count, "a batch is written");
        Ok(())
    }
}

/// A batch that has been drawn and not written yet.
pub(super) struct Drawn {
    images: Vec<u64>,
    pictures: Vec<RgbImage>,
}

impl Drawn {
    /// The numbers of its images.
    pub fn images(&self) -> &[u64] {
        &self.images
    }
}

/// Draws batches, each while a thread of its own writes the one before. `draw` passes every batch to the function that it
/// is given, and ends when that returns false. Whatever was drawn before an error is written. Returns how long the writing
/// took.
///
/// # Errors
/// The first error of the writer, else that of `draw`.
pub(super) fn overlapped<D: Send>(
    draw: impl FnOnce(&mut dyn FnMut(D) -> bool) -> Result<()>,
    write: impl Fn(D) -> Result<()> + Send,
) -> (Result<()>, Duration) {
    std::thread::scope(|scope| {
        // One waits at most, so that memory stays the same however slow the disk is.
        let (sender, receiver) = sync_channel::<D>(1);
        let writer = scope.spawn(move || {
            let mut total = Duration::ZERO;
            for drawn in receiver {
                let begun = Instant::now();
                let written = write(drawn);
                total += begun.elapsed();
                if written.is_err() {
                    return (written, total);
                }
            }
            (Ok(()), total)
        });
        // If the writer has failed, it says why.
        let drawn = draw(&mut |drawn| sender.send(drawn).is_ok());
        drop(sender);
        let (written, time) = writer.join().unwrap_or_else(|panic| resume_unwind(panic));
        (written.and(drawn), time)
    })
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    fn usage(message: &str) -> Result<u32> {
        Err(Error::Usage(message.into()))
    }

    #[test]
    fn a_batch_is_drawn_while_the_one_before_is_written() {
        // The writer waits until the second batch is being drawn: one after the other would never end.
        let (begun, wait) = channel();
        let wait = Mutex::new(wait);
        let draw = |see: &mut dyn FnMut(u32) -> bool| {
            assert!(see(1));
            begun.send(()).unwrap();
            assert!(see(2));
            Ok(())
        };
        let written = Mutex::new(Vec::new());
        let write = |batch| {
            if batch == 1 {
                wait.lock().unwrap().recv().unwrap();
            }
            written.lock().unwrap().push(batch);
            Ok(())
        };
        overlapped(draw, write).0.unwrap();
        assert_eq!(written.into_inner().unwrap(), [1, 2]);
    }

    #[test]
    fn whatever_was_drawn_before_an_error_is_written() {
        let draw = |see: &mut dyn FnMut(u32) -> bool| {
            assert!(see(1) && see(2));
            usage("drawing").map(drop)
        };
        let written = Mutex::new(Vec::new());
        let write = |batch| {
            written.lock().unwrap().push(batch);
            Ok(())
        };
        let (result, _) = overlapped(draw, write);
        assert_eq!(result.unwrap_err().to_string(), "drawing");
        assert_eq!(written.into_inner().unwrap(), [1, 2]);
    }

    #[test]
    fn a_failed_write_ends_the_drawing_and_is_the_error() {
        let mut drawn = 0;
        let draw = |see: &mut dyn FnMut(u32) -> bool| {
            drawn = (1..1000).take_while(|&batch| see(batch)).count();
            usage("drawing").map(drop)
        };
        let write = |batch: u32| if batch == 3 { usage("the disk is full").map(drop) } else { Ok(()) };
        let (result, _) = overlapped(draw, write);
        assert_eq!(result.unwrap_err().to_string(), "the disk is full");
        assert!(drawn < 999, "{drawn} batches were drawn");
    }
}
