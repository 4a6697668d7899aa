use nextscale_core::{Alphabet, Draw, LogitMap, Result, ScaleSchedule};
use nextscale_guidance::Strength;
use nextscale_macros::Settings;

use super::drawing::Drawing;
use super::temperature::Temperature;
use super::{Filter, Moment, PerScale, Sampler, divisors};

/// Temperature, then top-k, then top-p, then a draw; 0 switches a filter off.
///
/// VAR's sampler: one draw per slot. Lists over scales are those of FlexVAR (top-k 1 on its largest
/// grids) and Switti.
#[derive(Debug, Clone, PartialEq, Settings)]
pub struct TopKTopP {
    /// Draw among this many of the likeliest values, or `List([..])` with one number per scale; 0
    /// is all.
    ///
    /// Every tie with the k-th is kept.
    #[setting(default = PerScale::All(0))]
    pub top_k: PerScale<usize>,
    /// Draw among the likeliest values that together have this probability, from 0 to 1, or
    /// `List([..])` with one number per scale; 0 is all.
    #[setting(default = PerScale::All(0.0))]
    pub top_p: PerScale<f64>,
    /// Above 0, a strength over scales: logits are divided by it.
    ///
    /// Before the filter, at every scale.
    #[setting(default = Strength::Constant(1.0))]
    pub temperature: Strength,
    /// Draw a soft mix of codes instead of one: smoother images, and worse scores.
    #[setting(default = false)]
    pub more_smooth: bool,
    /// With `more_smooth`: the number of last scales that keep the softness of the scale before them.
    pub smooth_held: Option<usize>,
}

impl Default for TopKTopP {
    fn default() -> Self {
        Self {
            top_k: 0.into(),
            top_p: 0.0.into(),
            temperature: Strength::Constant(1.0),
            more_smooth: false,
            smooth_held: None,
        }
    }
}

impl TopKTopP {
    pub(super) fn at(&self, k: usize, schedule: &ScaleSchedule) -> Drawing {
        Drawing {
            temperature: Temperature::Constant(divisors::at(&self.temperature, k, schedule)),
            filter: Filter {
                top_k: self.top_k.at(k).unwrap_or_default(),
                top_p: self.top_p.at(k).unwrap_or_default(),
                min_p: 0.0,
            },
            more_smooth: self.more_smooth,
            smooth_held: self.smooth_held.unwrap_or(0),
        }
    }
}

impl Sampler for TopKTopP {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        self.at(moment.scale, moment.schedule).draw(logits, moment)
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.top_k.check("top_k", schedule)?;
        self.top_p.check("top_p", schedule)?;
        for k in 0..schedule.len() {
            self.at(k, schedule).filter.check(alphabet.classes)?;
        }
        divisors::check("temperature", &self.temperature, schedule)
    }
}
