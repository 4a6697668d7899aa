//! The sampler over rows in host memory, where the logits are on the CPU device.

use burn::tensor::{Int, Tensor, TensorData};
use nextscale_core::{Draw, LogitMap, Result};
use nextscale_kernels::categorical::{self, Row};
use rayon::prelude::*;

use super::temperature::Temperature;
use super::{Filter, draw, smooth};
use crate::host::Floats;
use nextscale_core::noise::Choice;

/// The operations on every row.
pub(super) struct Plan<'a> {
    pub temperature: Temperature,
    pub filter: Filter,
    pub choice: &'a Choice,
    /// Exp(1) noise and the progress x, for `more_smooth`.
    pub smoothing: Option<(&'a [f32], f64)>,
}

impl Plan<'_> {
    /// Filters a row of logits and chooses a class; writes the weights of the mix, if any, to `weights`.
    fn row(&self, index: usize, logits: &[f32], weights: &mut [f32], row: &mut Row) -> i64 {
        row.set(logits, self.temperature.of(logits));
        self.filter.apply(row);
        let span = index * logits.len()..(index + 1) * logits.len();
        let token = match self.choice {
            Choice::Uniforms(uniforms) => row.inverse_cdf(uniforms[index]),
            Choice::Race(noise) => draw::race(row.logits(), &noise[span.clone()]),
        };
        if let Some((noise, progress)) = self.smoothing {
            smooth::mix(row.logits(), &noise[span], progress);
            weights.copy_from_slice(row.logits());
        }
        token as i64
    }
}

pub(super) fn sample(logits: &LogitMap, plan: &Plan<'_>) -> Result<Draw> {
    let values = Floats::of(logits.values().clone())?;
    let rows = values.par_chunks(logits.alphabet().classes);
    let mut weights = vec![0.0; if plan.smoothing.is_some() { values.len() } else { 0 }];
    // Rows without a mix have no room for its weights.
    let mut of_rows: Vec<&mut [f32]> = weights.chunks_mut(logits.alphabet().classes).collect();
    of_rows.resize_with(rows.len(), Default::default);
    let tokens = rows
        .zip(of_rows)
        .enumerate()
        .map_init(Row::default, |row, (index, (logits, weights))| plan.row(index, logits, weights, row));
    let tokens = tokens_of(tokens.collect(), logits);
    let device = logits.values().device();
    let mix = || Tensor::<3>::from_data(TensorData::new(weights, logits.values().dims()), &device);
    Ok(Draw { tokens, weights: plan.smoothing.map(|_| mix()) })
}

pub(super) fn argmax(logits: &LogitMap) -> Result<Draw> {
    let values = Floats::of(logits.values().clone())?;
    let rows = values.par_chunks(logits.alphabet().classes);
    Ok(Draw::tokens(tokens_of(rows.map(|row| categorical::argmax(row) as i64).collect(), logits)))
}

fn tokens_of(tokens: Vec<i64>, logits: &LogitMap) -> Tensor<3, Int> {
    let [batch, positions, _] = logits.values().dims();
    let shape = [batch, positions, logits.alphabet().slots];
    Tensor::from_data(TensorData::new(tokens, shape), &logits.values().device())
}
