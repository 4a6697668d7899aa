use nextscale_core::{Alphabet, Draw, Error, LogitMap, Result, ScaleSchedule};
use nextscale_guidance::Strength;
use nextscale_macros::Settings;

use super::drawing::Drawing;
use super::temperature::Temperature;
use super::{Filter, Moment, Sampler, divisors};

/// A draw of bits with an upper bound on the confidence of each.
///
/// A bit has two values, and models are often very confident of them, so that seeds hardly differ
/// (DiverseAR, arXiv 2512.02931, which scales the logits of bits over the steps for that reason).
///
/// The logits of a bit are divided by max(T, |l₁ − l₀|/ln(c/(1 − c))), with T the `temperature` of the scale
/// and c the `confidence`: a bit whose larger probability would exceed c gets exactly c, and others keep
/// temperature T. There is no public code for the paper's own formula; a limit on each bit's confidence, next
/// to a temperature over scales, is our reading. Its second part, a search among several generation paths, is
/// not a sampler of one scale and is left out.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "BitTemperature(confidence: 0.95)", check = Self::validate)]
pub struct BitTemperature {
    /// Above 0, a strength over scales: logits are divided by at least this.
    #[setting(default = Strength::Constant(1.0))]
    pub temperature: Strength,
    /// c, above 0.5 and at most 1: the largest probability that a bit's likelier value keeps; 1: no limit.
    #[setting(default = 1.0)]
    pub confidence: f64,
}

impl BitTemperature {
    /// Checks the limit.
    ///
    /// # Errors
    /// [`Error::Setting`] for `confidence`.
    pub fn validate(&self) -> Result<()> {
        if self.confidence > 0.5 && self.confidence <= 1.0 {
            return Ok(());
        }
        let message = format!("{} is not above 0.5 and at most 1", self.confidence);
        Err(Error::setting("confidence", message))
    }

    pub(super) fn at(&self, k: usize, schedule: &ScaleSchedule) -> Drawing {
        let least = divisors::at(&self.temperature, k, schedule);
        let temperature = match self.confidence {
            1.0 => Temperature::Constant(least),
            c => Temperature::Gap { least, gap: (c / (1.0 - c)).ln() },
        };
        Drawing { temperature, filter: Filter::default(), more_smooth: false, smooth_held: 0 }
    }
}

impl Sampler for BitTemperature {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        self.at(moment.scale, moment.schedule).draw(logits, moment)
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.validate()?;
        if alphabet.classes != 2 {
            let message = format!(
                "the limit is of bits, and the model's choices have {} classes; take another sampler",
                alphabet.classes
            );
            return Err(Error::setting("confidence", message));
        }
        divisors::check("temperature", &self.temperature, schedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_is_surer_than_the_limit_and_others_keep_their_temperature() {
        let schedule = ScaleSchedule::square(&[1]).unwrap();
        let sampler = BitTemperature { temperature: 0.5.into(), confidence: 0.9 };
        let Drawing { temperature, .. } = sampler.at(0, &schedule);
        let probability = |gap: f32| {
            let divided = gap / temperature.of(&[1.0, 1.0 + gap]);
            1.0 / (1.0 + (-divided).exp())
        };
        for gap in [2.0, 5.0, 80.0] {
            assert!((probability(gap) - 0.9).abs() < 1e-5, "{}", probability(gap));
        }
        assert!((probability(0.5) - 1.0 / (1.0 + (-1.0_f32).exp())).abs() < 1e-6);
    }

    #[test]
    fn codes_and_limits_that_mean_nothing_are_refused() {
        let schedule = ScaleSchedule::square(&[1]).unwrap();
        let sampler = |confidence| BitTemperature { temperature: 1.0.into(), confidence };
        assert_eq!(sampler(0.9).check(&schedule, Alphabet::bits(4)), Ok(()));
        let error = sampler(0.9).check(&schedule, Alphabet::codes(4)).unwrap_err().to_string();
        assert!(error.contains("4 classes"), "{error}");
        for confidence in [0.5, 1.1, f64::NAN] {
            assert!(sampler(confidence).validate().unwrap_err().to_string().starts_with("confidence: "));
        }
    }
}
