//! Batches of small models, shared among the threads image by image.

use burn::tensor::Tensor;
use nextscale_core::{Lanes, is_cpu};

use crate::observe::Times;
use crate::{Batch, Generator, Model, Result, Stop};

/// The most parameters of a small model, 64 MB in f32. Every lane reads all weights at every scale, which pays
/// only while they stay in the processor's cache.
const SMALL: usize = 1 << 24;
/// The fewest images for a lane.
const LEAST: usize = 2;

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
        let lanes = self.lanes();
        let part = images.len().div_ceil(lanes.count()).max(LEAST);
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
            times.add_share(&seconds, parts.len());
            pixels.push(part);
        }
        Ok(Tensor::cat(pixels, 0))
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
