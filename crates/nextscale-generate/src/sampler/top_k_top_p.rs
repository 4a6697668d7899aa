use burn::tensor::{Tensor, TensorData};
use nextscale_core::{Alphabet, Draw, Error, LogitMap, Result, ScaleSchedule, is_cpu};
use nextscale_guidance::Strength;
use nextscale_macros::Settings;

use super::{Filter, Moment, Sampler, host, tensor};
use nextscale_core::noise::Choice;

/// Temperature, then top-k, then top-p, then a draw; 0 switches a filter off.
///
/// VAR's sampler: one draw per slot.
#[derive(Debug, Clone, PartialEq, Settings)]
pub struct TopKTopP {
    /// Draw among so many of the likeliest classes; 0 is all.
    ///
    /// Every tie with the k-th is kept.
    #[setting(default = 0)]
    pub top_k: usize,
    /// Draw among the likeliest classes that make up so much probability, from 0 to 1; 0 is all.
    #[setting(default = 0.0)]
    pub top_p: f64,
    /// Above 0, a strength over scales: logits are divided by it.
    ///
    /// Before the filter, at every scale.
    #[setting(default = Strength::Constant(1.0))]
    pub temperature: Strength,
    /// Draw a soft mix of codes instead of one: smoother images, and worse scores.
    #[setting(default = false)]
    pub more_smooth: bool,
}

impl Default for TopKTopP {
    fn default() -> Self {
        Self { top_k: 0, top_p: 0.0, temperature: Strength::Constant(1.0), more_smooth: false }
    }
}

impl TopKTopP {
    /// The divisor at a scale; 1 where it is off.
    fn divisor(&self, k: usize, schedule: &ScaleSchedule) -> f64 {
        if self.temperature.is_on(k) { self.temperature.at(k, schedule) } else { 1.0 }
    }

    fn filter(&self) -> Filter {
        Filter { top_k: self.top_k, top_p: self.top_p }
    }

    pub(super) fn on_host(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        let place = moment.place(logits);
        let noise = self.more_smooth.then(|| moment.noise.exponential(&place));
        let plan = host::Plan {
            temperature: self.divisor(moment.scale, moment.schedule) as f32,
            filter: self.filter(),
            choice: &moment.noise.choice(&place),
            smoothing: noise.as_deref().map(|noise| (noise, moment.schedule.progress(moment.scale))),
        };
        host::sample(logits, &plan)
    }

    pub(super) fn on_device(&self, logits: &LogitMap, moment: &Moment<'_>) -> Draw {
        let place = moment.place(logits);
        let [batch, positions, channels] = logits.values().dims();
        let Alphabet { slots, classes } = logits.alphabet();
        let rows = batch * positions * slots;
        let device = logits.values().device();
        let upload = |values: Vec<f32>, width: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &device)
        };
        let x = logits.values().clone().reshape([rows, classes]);
        let x = match self.divisor(moment.scale, moment.schedule) {
            1.0 => x,
            temperature => x / temperature,
        };
        let x = tensor::filter(x, &self.filter());
        let tokens = match moment.noise.choice(&place) {
            Choice::Uniforms(uniforms) => tensor::inverse_cdf(&x, upload(uniforms, 1)),
            Choice::Race(noise) => tensor::race(&x, upload(noise, classes)),
        };
        let weights = self.more_smooth.then(|| {
            let noise = upload(moment.noise.exponential(&place), classes);
            let mix = tensor::mix(x, noise, moment.schedule.progress(moment.scale));
            mix.reshape([batch, positions, channels])
        });
        Draw { tokens: tokens.int().reshape([batch, positions, slots]), weights }
    }
}

impl Sampler for TopKTopP {
    fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        if is_cpu(&logits.values().device()) {
            self.on_host(logits, moment)
        } else {
            Ok(self.on_device(logits, moment))
        }
    }

    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        self.filter().check(alphabet.classes)?;
        self.temperature.check("temperature", schedule)?;
        for k in 0..schedule.len() {
            let temperature = self.divisor(k, schedule);
            if !(temperature > 0.0 && temperature.is_finite()) {
                return Err(Error::setting(
                    "temperature",
                    format!("{temperature} at scale {k}; it must be above 0 (Argmax is the limit of 0)"),
                ));
            }
        }
        Ok(())
    }
}
