//! The sampler over rows in host memory, which on the CPU device is where the logits are.

use burn::tensor::{Int, Tensor, TensorData};
use nextscale_core::{Draw, LogitMap, Result};
use rayon::prelude::*;

use super::{Filter, draw, smooth};
use crate::host::floats;
use crate::random::Choice;

/// What is done to every row.
pub(super) struct Plan<'a> {
    pub temperature: f32,
    pub filter: Filter,
    pub choice: &'a Choice,
    /// Exp(1) noise and the progress x, for `more_smooth`.
    pub smoothing: Option<(&'a [f32], f64)>,
}

impl Plan<'_> {
    /// Filters a row, chooses from it and leaves the weights of the mix, if any, in it.
    fn row(&self, index: usize, row: &mut [f32], scratch: &mut Vec<super::filter::Entry>) -> i64 {
        if self.temperature != 1.0 {
            row.iter_mut().for_each(|value| *value /= self.temperature);
        }
        self.filter.apply(row, scratch);
        let span = index * row.len()..(index + 1) * row.len();
        let token = match self.choice {
            Choice::Uniforms(uniforms) => draw::inverse_cdf(row, uniforms[index]),
            Choice::Race(noise) => draw::race(row, &noise[span.clone()]),
        };
        if let Some((noise, progress)) = self.smoothing {
            smooth::mix(row, &noise[span], progress);
        }
        token as i64
    }
}

pub(super) fn sample(logits: &LogitMap, plan: &Plan<'_>) -> Result<Draw> {
    let mut values = floats(logits.values().clone())?;
    let classes = logits.alphabet().classes;
    let tokens: Vec<i64> = values
        .par_chunks_mut(classes)
        .enumerate()
        .map_init(Vec::new, |scratch, (index, row)| plan.row(index, row, scratch))
        .collect();
    let device = logits.values().device();
    let weights = plan
        .smoothing
        .map(|_| Tensor::<3>::from_data(TensorData::new(values, logits.values().dims()), &device));
    Ok(Draw { tokens: tokens_of(tokens, logits), weights })
}

pub(super) fn argmax(logits: &LogitMap) -> Result<Draw> {
    let values = floats(logits.values().clone())?;
    let rows = values.par_chunks(logits.alphabet().classes);
    Ok(Draw::tokens(tokens_of(rows.map(|row| draw::argmax(row) as i64).collect(), logits)))
}

fn tokens_of(tokens: Vec<i64>, logits: &LogitMap) -> Tensor<3, Int> {
    let [batch, positions, _] = logits.values().dims();
    let shape = [batch, positions, logits.alphabet().slots];
    Tensor::from_data(TensorData::new(tokens, shape), &logits.values().device())
}
