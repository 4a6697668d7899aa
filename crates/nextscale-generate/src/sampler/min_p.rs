use nextscale_core::{Alphabet, Draw, LogitMap, Result, ScaleSchedule};
use nextscale_guidance::Strength;
use nextscale_macros::Settings;

use super::drawing::Drawing;
use super::temperature::Temperature;
use super::{Filter, Moment, PerScale, Sampler, divisors};

/// A draw among the values with at least a given share of the largest probability.
///
/// Min-p sampling (Nguyen et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM
/// Outputs", arXiv 2407.01082): classes with p ≥ min_p·max p are kept, so that the cut follows the model's
/// confidence. Probabilities are those after the temperature.
#[derive(Debug, Clone, PartialEq, Settings)]
#[setting(example = "MinP(min_p: 0.05)")]
pub struct MinP {
    /// The least probability as a share of the largest, from 0 (all values) to 1 (the likeliest),
    /// or `List([..])` with one number per scale.
    pub min_p: PerScale<f64>,
    /// Above 0, a strength over scales: logits are divided by it, before the filter.
    #[setting(default = Strength::Constant(1.0))]
    pub temperature: Strength,
}

impl MinP {
    pub(super) fn at(&self, k: usize, schedule: &ScaleSchedule) -> Drawing {
        Drawing {
            temperature: Temperature::Constant(divisors::at(&self.temperature, k, schedule)),
            filter: Filter { min_p: self.min_p.at(k).unwrap_or_default(), ..Filter::default() },
            more_smooth: false,
            smooth_held: 0,
        }
    }
}

impl Sampler for MinP {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        self.at(moment.scale, moment.schedule).draw(logits, moment)
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.min_p.check("min_p", schedule)?;
        for k in 0..schedule.len() {
            self.at(k, schedule).filter.check(alphabet.classes)?;
        }
        divisors::check("temperature", &self.temperature, schedule)
    }
}
