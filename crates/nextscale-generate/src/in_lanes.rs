//! Batches of small models, shared among the threads image by image.

use burn::tensor::Tensor;
use nextscale_core::{Condition, Lanes, is_cpu};

use crate::observe::Times;
use crate::{Batch, Generator, Model, Result, Stop};

/// The most parameters of a small model, 64 MB in f32. Every lane reads all weights at every scale, which pays
/// only while they stay in the processor's cache.
const SMALL: usize = 1 << 24;
/// The fewest images at once.
const LEAST: usize = 2;
/// The most images at once: the activations of more leave the caches.
const MOST: usize = 16;

impl Generator {
    /// As [`batch`](Self::batch), for images that nobody observes. On the CPU a small model's images are
    /// divided among lanes, one a thread, each with a pass of its own: most operations on a few tokens are too
    /// short to be shared among threads. The images are the same.
    ///
    /// The seconds of parts are elapsed time: those of lanes, divided by their number.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn draw(&self, batch: Batch<'_>, times: &mut Times, stop: &Stop) -> Result<Tensor<4>> {
        let Batch { images, conditions } = batch;
        let (lanes, part) = (self.lanes(), self.part_of(images.len()));
        if lanes.count() == 1 || part >= images.len() || images.len() != conditions.len() {
            return self.batch(batch, times, stop);
        }
        let parts: Vec<Batch<'_>> = images
            .chunks(part)
            .zip(conditions.chunks(part))
            .map(|(images, conditions)| Batch { images, conditions })
            .collect();
        let drawn = lanes.map(&parts, |part| {
            let mut times = Times::default();
            self.batch(*part, &mut times, stop).map(|pixels| (pixels, times))
        });
        let mut pixels = Vec::with_capacity(parts.len());
        for part in drawn {
            let (part, seconds) = part?;
            times.add_share(&seconds, lanes.count());
            pixels.push(part);
        }
        Ok(Tensor::cat(pixels, 0))
    }

    /// Draws batch after batch of image numbers as [`draw`](Self::draw) does, and passes each with its images to
    /// `see`, in order, until that returns false. A lane that finds nothing left to do in a batch begins the next.
    /// `condition` gives that of an image.
    ///
    /// # Errors
    /// The first error among the batches, as [`batch`](Self::batch), or of `batches` itself. All batches before
    /// it have been seen.
    pub fn draw_all(
        &self,
        batches: impl Iterator<Item = Result<Vec<u64>>> + Send,
        condition: impl Fn(u64) -> Condition + Sync,
        times: &mut Times,
        stop: &Stop,
        mut see: impl FnMut(Vec<u64>, Tensor<4>) -> bool,
    ) -> Result<()> {
        let lanes = self.lanes();
        let parts = batches.flat_map(|batch| match batch {
            Ok(images) => {
                let size = if lanes.count() == 1 { images.len() } else { self.part_of(images.len()) };
                let count = images.len().div_ceil(size.max(1));
                let parts = images.chunks(size.max(1)).enumerate();
                parts.map(|(i, part)| Ok((part.to_vec(), i + 1 == count))).collect()
            }
            Err(error) => vec![Err(error)],
        });
        let each = |part: Result<(Vec<u64>, bool)>| {
            let (images, is_last) = part?;
            let conditions: Vec<Condition> = images.iter().map(|&image| condition(image)).collect();
            let mut times = Times::default();
            let pixels = self.batch(Batch { images: &images, conditions: &conditions }, &mut times, stop)?;
            Ok((images, is_last, pixels, times))
        };
        let (mut images, mut pixels, mut outcome) = (Vec::new(), Vec::new(), Ok(()));
        lanes.stream(parts, each, |drawn| match drawn {
            Err(error) => {
                outcome = Err(error);
                false
            }
            Ok((of_part, is_last, part, seconds)) => {
                times.add_share(&seconds, lanes.count());
                images.extend(of_part);
                pixels.push(part);
                !is_last || see(std::mem::take(&mut images), Tensor::cat(std::mem::take(&mut pixels), 0))
            }
        });
        outcome
    }

    /// How many images of a batch of `images` a lane draws at once.
    fn part_of(&self, images: usize) -> usize {
        let lanes = self.lanes().count();
        let rounds = images.div_ceil(lanes * MOST);
        images.div_ceil(lanes * rounds.max(1)).max(LEAST)
    }

    /// The lanes of its batches, a single one where several do not pay.
    fn lanes(&self) -> &Lanes {
        self.lanes.get_or_init(|| {
            let device = self.model().backbone.device();
            let count =
                if is_cpu(&device) && is_small(self.model()) { rayon::current_num_threads() } else { 1 };
            Lanes::new(count).unwrap_or_else(|_| Lanes::single())
        })
    }
}

/// Whether the weights of all its backbones stay in the processor's cache.
fn is_small(model: &Model) -> bool {
    let guides = model.guides.values().map(|guide| &guide.backbone);
    let counts = std::iter::once(&model.backbone).chain(guides).map(|backbone| backbone.parameter_count());
    counts.sum::<Option<usize>>().is_some_and(|count| count <= SMALL)
}
