//! One draw per choice: temperature, filters, and a class by given noise. Shared by all samplers except
//! `Argmax`.

use burn::tensor::{Tensor, TensorData};
use nextscale_core::noise::{Choice, Place, Stream, parts_of};
use nextscale_core::{Alphabet, Draw, LogitMap, Result, is_cpu};
use nextscale_kernels::device::{self, Kind, Random};

use crate::transfer;

use super::temperature::Temperature;
use super::{Filter, Moment, host, tensor};

/// How the choices of one scale are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawing {
    pub temperature: Temperature,
    pub filter: Filter,
    /// Whether a soft mix of classes is computed besides the class.
    pub more_smooth: bool,
    /// The number of last scales that keep the softness of the scale before them.
    pub smooth_held: usize,
}

impl Drawing {
    pub fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        if is_cpu(&logits.values().device()) {
            self.on_host(logits, moment)
        } else {
            Ok(self.on_device(logits, moment))
        }
    }

    /// How far a scale's mix is, 0 at the first scale.
    fn progress(&self, moment: &Moment<'_>) -> f64 {
        let last = moment.schedule.len().saturating_sub(1 + self.smooth_held);
        moment.schedule.progress(moment.scale.min(last))
    }

    pub fn on_host(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
        let place = moment.place(logits);
        let noise = self.more_smooth.then(|| moment.noise.exponential(&place));
        let plan = host::Plan {
            temperature: self.temperature,
            filter: self.filter,
            choice: &moment.noise.choice(&place),
            smoothing: noise.as_deref().map(|noise| (noise, self.progress(moment))),
        };
        host::sample(logits, &plan)
    }

    pub fn on_device(&self, logits: &LogitMap, moment: &Moment<'_>) -> Draw {
        let place = moment.place(logits);
        let [batch, positions, channels] = logits.values().dims();
        let Alphabet { slots, classes } = logits.alphabet();
        let rows = batch * positions * slots;
        let at = logits.values().device();
        let upload =
            |values: Vec<f32>, width: usize| transfer::up::<2>(TensorData::new(values, [rows, width]), &at);
        let x = self.temperature.divide(logits.values().clone().reshape([rows, classes]));
        let x = tensor::filter(x, &self.filter);
        let tokens = match moment.noise.choice(&place) {
            Choice::Uniforms(uniforms) => tensor::inverse_cdf(&x, upload(uniforms, 1)),
            Choice::Race(noise) => tensor::race(&x, upload(noise, classes)),
        };
        let weights = self.more_smooth.then(|| {
            let noise = on_device(&x, moment, &place);
            let noise = noise.unwrap_or_else(|| upload(moment.noise.exponential(&place), classes));
            let mix = tensor::mix(x, noise, self.progress(moment));
            mix.reshape([batch, positions, channels])
        });
        Draw { tokens: tokens.int().reshape([batch, positions, slots]), weights }
    }
}

/// The numbers of [`Noise::exponential`](nextscale_core::noise::Noise::exponential), shaped as x `[rows, classes]`,
/// computed on its device: as many as there are logits. `None` if the device has no kernel for it, or the source
/// is not counter-based.
fn on_device(x: &Tensor<2>, moment: &Moment<'_>, place: &Place<'_>) -> Option<Tensor<2>> {
    let counter = moment.noise.counter().filter(|_| device::has_kernels(x))?;
    let images = TensorData::new(parts_of(place.images), [place.images.len(), 3]);
    let random = Random {
        kind: Kind::Exponential,
        seed: counter.seed(),
        stream: Stream::Smoothing as u16,
        scale: place.scale as u16,
        positions: place.positions,
        channels: place.alphabet.channels(),
    };
    Some(device::random(&transfer::up(images, &x.device()), random)?.reshape(x.dims()))
}
