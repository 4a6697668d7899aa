use burn::{module::Module, tensor::Tensor};
use nextscale_kernels::exp;

use super::super::{
    config::{HartConfig, ResidualConfig},
    norm::RmsNorm,
};
use super::{DiffusionSchedule, ResidualNet};
use crate::transformer::{Named, keys::Supply};

/// Residuals are this many times smaller than what the net was trained on is large.
const SCALE: f64 = 0.6;

/// The net, its norm before, and its sampler.
#[derive(Module, Debug)]
pub struct ResidualHead {
    norm: RmsNorm,
    net: ResidualNet,
    #[module(skip)]
    config: ResidualConfig,
}

impl ResidualHead {
    pub(in super::super) fn build<S: Supply>(
        supply: &mut S,
        config: &HartConfig,
    ) -> Result<Option<Self>, S::Error> {
        let Some(residual) = config.residual else { return Ok(None) };
        Ok(Some(Self {
            norm: RmsNorm::build(supply, "decoder_norm.weight", config.width)?,
            net: ResidualNet::build(supply, config, residual)?,
            config: residual,
        }))
    }

    pub(in super::super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        self.norm.list("decoder_norm.weight".into(), names);
        self.net.list(names);
    }

    /// How many normal numbers per channel the sampler takes: where it starts, and one for each step but the
    /// last.
    pub(in super::super) fn draws(&self) -> usize {
        self.config.steps
    }

    /// The strength t of its guidance.
    pub(in super::super) fn cfg(&self) -> f64 {
        self.config.cfg
    }

    /// What the head is conditioned on: the normed sum of the last block's output and the embedded codes,
    /// `[rows, positions, C]`.
    pub(in super::super) fn normed(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(x, self.net.dtype())
    }

    /// The residual `[rows, positions, channels]` of tokens with hidden states z `[rows, positions, C]`, and
    /// those of the unconditional pass if it guides. `noise` is `[rows, positions, draws·channels]`.
    pub(in super::super) fn sample(
        &self,
        given: Tensor<3>,
        negative: Option<Tensor<3>>,
        noise: &Tensor<3>,
    ) -> Tensor<3> {
        let [rows, _, numbers] = noise.dims();
        let channels = numbers / self.draws();
        let drawn = |i: usize| noise.clone().slice_dim(2, i * channels..(i + 1) * channels);
        let guides = negative.is_some();
        let stacked = std::iter::once(given).chain(negative).collect();
        let conditioned = self.net.conditioned(Tensor::cat(stacked, 0));
        let schedule = DiffusionSchedule::new(self.config.steps);
        let times = self.net.times(schedule.steps().iter().map(|step| step.time));
        let mut x = drawn(0);
        for (taken, (i, step)) in schedule.steps().iter().enumerate().rev().enumerate() {
            let input = if guides { Tensor::cat(vec![x.clone(); 2], 0) } else { x.clone() };
            let out = self.net.forward(input, times[i].clone(), conditioned.clone());
            let part = |side: usize, from: usize| {
                out.clone().slice_dim(0, side * rows..(side + 1) * rows).slice_dim(2, from..from + channels)
            };
            let noise = match guides {
                true => part(0, 0) * (1.0 + self.cfg()) - part(1, 0) * self.cfg(),
                false => part(0, 0),
            };
            let x0 = (x.clone() * step.of_x - noise * step.of_noise).clamp(-1.0, 1.0);
            x = x0 * step.mean_of_x0 + x * step.mean_of_x;
            if i > 0 {
                // The variance is the conditional pass's, without guidance.
                let share = (part(0, channels) + 1.0) * 0.5;
                let log = share * (step.log_beta - step.log_posterior) + step.log_posterior;
                x = x + exp(log * 0.5) * drawn(taken + 1);
            }
        }
        x * SCALE
    }
}
