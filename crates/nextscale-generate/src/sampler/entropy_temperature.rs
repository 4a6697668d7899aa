use nextscale_core::{Alphabet, Draw, Error, LogitMap, Result, ScaleSchedule};
use nextscale_macros::Settings;

use super::drawing::Drawing;
use super::temperature::Temperature;
use super::{Filter, Moment, PerScale, Sampler};

/// A temperature for each choice, lower where its distribution is flat; then top-k, top-p and a draw.
///
/// T = T₀·exp(−H/α) + θ, with H the entropy of the choice's distribution in nats, before any temperature (Ma
/// et al., "Towards Better & Faster Autoregressive Image Generation: From the Perspective of Entropy", arXiv
/// 2510.09012). As α grows without bound, it becomes the constant T₀ + θ.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "EntropyTemperature(base: 1.0, decay: 2.0, floor: 0.5)", check = Self::validate)]
pub struct EntropyTemperature {
    /// T₀, at least 0: what is added to `floor` where the model is confident.
    pub base: f64,
    /// α, above 0, in nats: how fast a larger entropy lowers the temperature.
    pub decay: f64,
    /// θ, above 0: the temperature that is approached at high entropy.
    pub floor: f64,
    /// Draw among this many of the likeliest values, or `List([..])` with one number per scale; 0
    /// is all.
    #[setting(default = PerScale::All(0))]
    pub top_k: PerScale<usize>,
    /// Draw among the likeliest values that together have this probability, from 0 to 1, or
    /// `List([..])` with one number per scale; 0 is all.
    #[setting(default = PerScale::All(0.0))]
    pub top_p: PerScale<f64>,
}

impl EntropyTemperature {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] that names `base`, `decay` or `floor`.
    pub fn validate(&self) -> Result<()> {
        if !(self.base >= 0.0 && self.base.is_finite()) {
            return Err(Error::setting(
                "base",
                format!("{} is not a finite number of at least 0", self.base),
            ));
        }
        for (field, value) in [("decay", self.decay), ("floor", self.floor)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::setting(field, format!("{value} is not a finite number above 0")));
            }
        }
        Ok(())
    }

    pub(super) fn at(&self, k: usize) -> Drawing {
        Drawing {
            temperature: Temperature::Entropy { base: self.base, decay: self.decay, floor: self.floor },
            filter: Filter {
                top_k: self.top_k.at(k).unwrap_or_default(),
                top_p: self.top_p.at(k).unwrap_or_default(),
                min_p: 0.0,
            },
            more_smooth: false,
            smooth_held: 0,
        }
    }
}

impl Sampler for EntropyTemperature {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        self.at(moment.scale).draw(logits, moment)
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        self.top_k.check("top_k", schedule)?;
        self.top_p.check("top_p", schedule)?;
        (0..schedule.len()).try_for_each(|k| self.at(k).filter.check(alphabet.classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused_by_name() {
        let of = |base, decay, floor| {
            let sampler = EntropyTemperature { base, decay, floor, top_k: 0.into(), top_p: 0.0.into() };
            sampler.validate().unwrap_err().to_string()
        };
        assert!(of(-1.0, 1.0, 1.0).starts_with("base: "));
        assert!(of(1.0, 0.0, 1.0).starts_with("decay: "));
        assert!(of(1.0, f64::NAN, 1.0).starts_with("decay: "));
        assert!(of(1.0, 1.0, 0.0).starts_with("floor: "));
    }
}
