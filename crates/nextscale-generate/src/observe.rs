//! Observing a batch while it is generated.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use nextscale_core::{Canvas, Draw, LogitMap, PassLogits};

use crate::Result;

/// The timed parts of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The transformer.
    Backbone,
    /// The rule and its priors.
    Guidance,
    /// Filtering and drawing.
    Sampling,
    /// Embedding, accumulating, and the next scale's input.
    Canvas,
    /// The canvas to pixels.
    Decoding,
    /// Files.
    Writing,
}

impl Part {
    /// All parts, in the order of the loop.
    pub const ALL: [Part; 6] =
        [Part::Backbone, Part::Guidance, Part::Sampling, Part::Canvas, Part::Decoding, Part::Writing];

    /// The name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Part::Backbone => "backbone",
            Part::Guidance => "guidance",
            Part::Sampling => "sampling",
            Part::Canvas => "canvas",
            Part::Decoding => "decoding",
            Part::Writing => "writing",
        }
    }
}

/// Everything about a finished scale.
pub struct Seen<'a> {
    /// The scale, from 0.
    pub scale: usize,
    /// The logits of the requested passes.
    pub logits: &'a PassLogits,
    /// The prediction of the outermost rule with a prior, if it made one.
    pub prior: Option<&'a LogitMap>,
    /// The guided logits, before temperature and masking.
    pub guided: &'a LogitMap,
    /// What was drawn.
    pub draw: &'a Draw,
    /// The continuous part that the backbone added to the draw's embedding, `[batch, channels, h, w]`, if any.
    pub residual: Option<&'a Tensor<4>>,
    /// The canvas after the scale.
    pub canvas: &'a Canvas,
}

/// Observes every scale of a batch.
pub trait Observer {
    /// A scale is finished.
    ///
    /// # Errors
    /// If the observer cannot record what it saw; this ends the batch.
    fn scale(&mut self, seen: &Seen<'_>) -> Result<()> {
        let _ = seen;
        Ok(())
    }

    /// The images are finished, `[batch, 3, H, W]` in [0, 1].
    ///
    /// # Errors
    /// As [`Observer::scale`].
    fn images(&mut self, images: &Tensor<4>) -> Result<()> {
        let _ = images;
        Ok(())
    }

    /// A part of the loop took this long. On devices that work asynchronously, the time is that of the host,
    /// unless [`Observer::exact_times`] is true.
    fn part(&mut self, part: Part, time: Duration) {
        let _ = (part, time);
    }

    /// Whether [`Seen::prior`] should be set.
    fn wants_prior(&self) -> bool {
        false
    }

    /// Whether to wait for the device after every part.
    fn exact_times(&self) -> bool {
        false
    }
}

/// Sees nothing.
impl Observer for () {}

/// Adds up the seconds of each part.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Times([Duration; Part::ALL.len()]);

impl Times {
    /// Adds to a part.
    pub fn add(&mut self, part: Part, time: Duration) {
        self.0[part as usize] += time;
    }

    /// Adds the times of one of `lanes` that ran side by side, scaled to elapsed time.
    pub(crate) fn add_share(&mut self, of_lane: &Times, lanes: usize) {
        for (mine, lane) in self.0.iter_mut().zip(of_lane.0) {
            *mine += lane / lanes as u32;
        }
    }

    /// The time of a part so far.
    pub fn get(&self, part: Part) -> Duration {
        self.0[part as usize]
    }

    /// The time of all parts.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

impl Observer for Times {
    fn part(&mut self, part: Part, time: Duration) {
        self.add(part, time);
    }
}

/// Runs `work` and tells the observer how long it took.
pub(crate) fn timed<T, E: Into<crate::Error>>(
    observer: &mut dyn Observer,
    part: Part,
    device: &Device,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T> {
    let start = Instant::now();
    let result = work().map_err(Into::into)?;
    if observer.exact_times() {
        device.sync().map_err(|error| crate::Error::Device(error.to_string()))?;
    }
    observer.part(part, start.elapsed());
    Ok(result)
}
