//! Samplers: guided logits to draws.

mod divisors;
mod draw;
mod drawing;
mod filter;
#[cfg(test)]
mod fixtures;
mod host;
mod per_scale;
mod smooth;
mod temperature;
mod tensor;

mod argmax;
mod bit_temperature;
mod entropy_temperature;
mod min_p;
mod top_k_top_p;

pub use argmax::Argmax;
pub use bit_temperature::BitTemperature;
pub use entropy_temperature::EntropyTemperature;
pub use filter::Filter;
pub use min_p::MinP;
pub use per_scale::{Number, PerScale};
pub use top_k_top_p::TopKTopP;

use nextscale_config::settings::Kind;
use nextscale_core::{Alphabet, Draw, LogitMap, Result, ScaleSchedule};

use nextscale_core::noise::{Noise, Place};

/// Where in a run a draw happens.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The scale, from 0.
    pub scale: usize,
    /// All scales.
    pub schedule: &'a ScaleSchedule,
    /// The images of the batch, by number in the run.
    pub images: &'a [u64],
    /// The source of randomness.
    pub noise: &'a dyn Noise,
}

impl Moment<'_> {
    fn place(&self, logits: &LogitMap) -> Place<'_> {
        Place {
            scale: self.scale,
            images: self.images,
            positions: logits.grid().positions(),
            alphabet: logits.alphabet(),
        }
    }
}

/// A way of choosing tokens. It holds settings but no state; randomness comes from the [`Moment`].
pub trait Sampler: std::fmt::Debug + Send + Sync {
    /// Chooses a class for every slot of every position of `logits`, which are not modified.
    ///
    /// # Errors
    /// If the settings do not fit the logits.
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw>;

    /// Checks the settings for a schedule and an alphabet.
    ///
    /// # Errors
    /// A setting error naming the field.
    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        let _ = (schedule, alphabet);
        Ok(())
    }
}

impl Kind for dyn Sampler {
    const NAME: &'static str = "sampler";
    const SCHEMA: &'static str = "Sampler";
}
