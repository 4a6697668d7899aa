//! The rows that a session stacks, and the mixing of hidden states between them.

use std::ops::Range;

use burn::tensor::Tensor;
use nextscale_core::{
    Alphabet, BatchConditions, ConditionRows, Error, Grid, LogitMap, Mixing, Pass, PassCondition, PassLogits,
    PassPlan, Passes, Result,
};

use super::rows::pick;

/// One run of a model under one condition: `batch` rows of the stack. A mixed pass uses two, shared with
/// other passes of the same mixing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    mixing: Option<Mixing>,
    side: PassCondition,
}

impl Stream {
    /// The stream whose logits are the pass's.
    fn of(pass: &Pass) -> Self {
        Self { mixing: pass.mixing.clone(), side: pass.condition }
    }
}

/// The streams whose rows are stacked, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Streams {
    streams: Vec<Stream>,
    batch: usize,
}

impl Streams {
    /// Everything that the passes need.
    pub fn of(passes: &Passes, batch: usize) -> Self {
        let streams = |pass: &Pass| {
            let mixing = pass.mixing.clone();
            pass.sides().map(move |side| Stream { mixing: mixing.clone(), side })
        };
        let mut streams: Vec<_> = passes.iter().flat_map(streams).collect();
        streams.sort_unstable();
        streams.dedup();
        Self { streams, batch }
    }

    /// The number of streams.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// The conditions of each stream's rows.
    ///
    /// # Errors
    /// If a side was not prepared.
    pub fn conditions<'a>(&self, conditions: &'a BatchConditions) -> Result<Vec<&'a ConditionRows>> {
        self.streams.iter().map(|stream| conditions.rows(stream.side)).collect()
    }

    fn rows(&self, stream: &Stream) -> Range<usize> {
        let place = self.streams.iter().position(|other| other == stream).unwrap_or(0);
        place * self.batch..(place + 1) * self.batch
    }

    /// The row ranges of other streams, all of which are among these.
    pub fn ranges_of(&self, others: &Self) -> Vec<Range<usize>> {
        others.streams.iter().map(|stream| self.rows(stream)).collect()
    }

    /// The row ranges of the passes' logits; `None` if they are all rows in order.
    pub fn ranges_of_passes(&self, passes: &Passes) -> Option<Vec<Range<usize>>> {
        let ranges: Vec<_> = passes.iter().map(|pass| self.rows(&Stream::of(pass))).collect();
        let whole = ranges.iter().cloned().flatten().eq(0..self.len() * self.batch);
        (!whole).then_some(ranges)
    }

    /// Repeats what all streams read in common, once per stream.
    pub fn repeat(&self, x: Tensor<3>) -> Tensor<3> {
        match self.len() {
            1 => x,
            streams => Tensor::cat(vec![x; streams], 0),
        }
    }

    /// The output at scale `k` of the block that is `layer` from the end (the last is 1), with the two sides
    /// of every mixing at that layer mixed.
    pub fn mix(&self, x: Tensor<3>, layer: usize, k: usize) -> Tensor<3> {
        let weight = |stream: &Stream| {
            let mixing = stream.mixing.as_ref().filter(|mixing| mixing.layers().contains(&layer))?;
            Some(mixing.weight(k)).filter(|&weight| weight != 1.0)
        };
        if !self.streams.iter().any(|stream| weight(stream).is_some()) {
            return x;
        }
        let rows = |side, mixing: &Option<Mixing>| {
            x.clone().slice_dim(0, self.rows(&Stream { mixing: mixing.clone(), side }))
        };
        let parts = self.streams.iter().map(|stream| match weight(stream) {
            Some(weight) => {
                rows(PassCondition::Given, &stream.mixing) * weight
                    + rows(PassCondition::Negative, &stream.mixing) * (1.0 - weight)
            }
            None => rows(stream.side, &stream.mixing),
        });
        Tensor::cat(parts.collect(), 0)
    }
}

/// The logits `[rows, h·w, channels]` by pass, `batch` rows each.
///
/// # Errors
/// If they do not fit the grid or the alphabet.
pub(crate) fn filed(
    values: &Tensor<3>,
    passes: &Passes,
    batch: usize,
    grid: Grid,
    alphabet: Alphabet,
) -> Result<PassLogits> {
    let logits = passes.iter().enumerate().map(|(i, pass)| {
        let rows = values.clone().slice_dim(0, i * batch..(i + 1) * batch);
        Ok((pass.clone(), LogitMap::new(rows, grid, alphabet)?))
    });
    logits.collect()
}

/// Checks that a plan has this many scales, begins with a pass, and mixes only at outputs of existing blocks.
///
/// # Errors
/// Whatever does not fit.
pub(crate) fn check(plan: &PassPlan, scales: usize, depth: usize) -> Result<()> {
    if plan.len() != scales {
        return Err(Error::Unsupported(format!(
            "the plan has passes for {} scales, and the model has {scales}",
            plan.len()
        )));
    }
    if plan.run(0).is_empty() {
        return Err(Error::Unsupported("the plan runs no pass at scale 0 or after it".into()));
    }
    plan.all().iter().filter_map(|pass| pass.mixing.as_ref()).try_for_each(|mixing| fits(mixing, depth))
}

/// Checks that a model with this many blocks can mix in this way: after its first block at the earliest.
///
/// # Errors
/// [`Error::Setting`] naming the missing layer.
pub(crate) fn fits(mixing: &Mixing, depth: usize) -> Result<()> {
    match mixing.layers().iter().find(|&&layer| layer > depth) {
        Some(layer) => Err(Error::setting(
            "layers",
            format!(
                "{layer} is beyond the model's {depth} blocks; count from the last, 1, to the first, {depth}"
            ),
        )),
        None => Ok(()),
    }
}

/// The rows of `ranges`, if given.
pub(crate) fn picked<const D: usize>(x: Tensor<D>, ranges: Option<&[Range<usize>]>) -> Tensor<D> {
    match ranges {
        Some(ranges) => pick(x, ranges),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn mixed(weights: &[f64]) -> Mixing {
        Mixing::new(&[1, 3], weights).unwrap()
    }

    #[test]
    fn passes_of_one_mixing_share_two_streams() {
        let [given, negative] =
            [Pass::CONDITIONAL, Pass::UNCONDITIONAL].map(|pass| pass.mixed(mixed(&[2.0])));
        let both: Passes = [given.clone(), negative].into_iter().collect();
        assert_eq!(Streams::of(&both, 1).len(), 2);
        assert_eq!(Streams::of(&given.clone().into(), 1).len(), 2);
        let beside = Passes::BOTH.union(given.clone().into());
        let streams = Streams::of(&beside, 3);
        assert_eq!(streams.len(), 4);
        assert_eq!(streams.ranges_of_passes(&given.into()), Some(std::iter::once(6..9).collect()));
        assert_eq!(streams.ranges_of_passes(&Passes::BOTH), Some(vec![0..3, 3..6]));
        assert_eq!(Streams::of(&Passes::BOTH, 3).ranges_of_passes(&Passes::BOTH), None);
    }

    #[test]
    fn both_sides_become_their_mix_at_the_layers_and_scales_that_it_acts_on() {
        let pass = Pass::CONDITIONAL.mixed(mixed(&[3.0, 1.0]));
        let streams = Streams::of(&Passes::CONDITIONAL.union(pass.into()), 1);
        let x = Tensor::<3>::from_data(TensorData::new(vec![5.0_f32, 2.0, 1.0], [3, 1, 1]), &Device::flex());
        let at = |layer, k| streams.mix(x.clone(), layer, k).into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(at(1, 0), [5.0, 4.0, 4.0], "3·2 − 2·1");
        assert_eq!(at(3, 0), [5.0, 4.0, 4.0]);
        assert_eq!(at(2, 0), [5.0, 2.0, 1.0]);
        assert_eq!(at(1, 1), [5.0, 2.0, 1.0]);
    }
}
