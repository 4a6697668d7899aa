//! The rows that a session stacks, the hidden states mixed between them, and the blocks that some of them
//! skip.

use std::ops::Range;

use burn::tensor::Tensor;
use nextscale_core::{
    Alphabet, BatchConditions, ConditionRows, Error, Grid, LogitMap, Mixing, Pass, PassCondition, PassLogits,
    PassPlan, Passes, Perturbation, PerturbationKind, Result,
};

use super::rows::pick;

/// One run of a model under one condition: `batch` rows of the stack. A mixed pass uses two, shared with
/// other passes of the same mixing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Stream {
    mixing: Option<Mixing>,
    perturbation: Option<Perturbation>,
    side: PassCondition,
}

impl Stream {
    /// The stream whose logits are the pass's.
    fn of(pass: &Pass) -> Self {
        Self::on_side(pass, pass.condition)
    }

    /// The stream of the pass's model under this condition.
    fn on_side(pass: &Pass, side: PassCondition) -> Self {
        Self { mixing: pass.mixing.clone(), perturbation: pass.perturbation.clone(), side }
    }

    /// The perturbation of the block that is `layer` from the end, if any.
    fn perturbed(&self, layer: usize) -> Option<PerturbationKind> {
        self.perturbation.as_ref().and_then(|perturbation| perturbation.of(layer))
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
        let streams = |pass| Pass::sides(pass).map(move |side| Stream::on_side(pass, side));
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

    /// Where each stream's rows are among those of `sides`, `batch` rows each; `None` if they are all rows in
    /// order.
    ///
    /// # Errors
    /// If a side is not among them.
    pub fn ranges_in(&self, sides: &[PassCondition]) -> Result<Option<Vec<Range<usize>>>> {
        let range = |stream: &Stream| {
            let place = sides.iter().position(|side| *side == stream.side).ok_or_else(|| {
                Error::Unsupported(format!("the {} conditions were not prepared", stream.side))
            })?;
            Ok(place * self.batch..(place + 1) * self.batch)
        };
        let ranges = self.streams.iter().map(range).collect::<Result<Vec<_>>>()?;
        let whole = ranges.iter().cloned().flatten().eq(0..sides.len() * self.batch);
        Ok((!whole).then_some(ranges))
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

    /// The rows of a pass; `None` if it does not run.
    pub fn rows_of(&self, pass: &Pass) -> Option<Range<usize>> {
        let place = self.streams.iter().position(|stream| *stream == Stream::of(pass))?;
        Some(place * self.batch..(place + 1) * self.batch)
    }

    /// The rows of the first stream under this condition.
    pub fn rows_on(&self, side: PassCondition) -> Option<Range<usize>> {
        let place = self.streams.iter().position(|stream| stream.side == side)?;
        Some(place * self.batch..(place + 1) * self.batch)
    }

    /// The streams that run the block that is `layer` from the end (the last is 1).
    pub fn in_block(&self, layer: usize) -> Self {
        self.those(|stream| stream.perturbed(layer) != Some(PerturbationKind::Skip))
    }

    /// The streams whose positions attend to each other in the block that is `layer` from the end.
    pub fn attending(&self, layer: usize) -> Self {
        self.those(|stream| stream.perturbed(layer).is_none())
    }

    /// The streams that no mixing and no perturbation changes and all of whose rows are `chosen`, by row.
    pub fn plain(&self, chosen: &[bool]) -> Self {
        self.those(|stream| {
            let plain = stream.mixing.is_none() && stream.perturbation.is_none();
            plain && chosen.get(self.rows(stream)).is_some_and(|rows| rows.iter().all(|&row| row))
        })
    }

    /// The streams that are not in `others`.
    pub fn without(&self, others: &Self) -> Self {
        self.those(|stream| !others.streams.contains(stream))
    }

    fn those(&self, chosen: impl Fn(&Stream) -> bool) -> Self {
        let streams = self.streams.iter().filter(|stream| chosen(stream)).cloned().collect();
        Self { streams, batch: self.batch }
    }

    /// The rows of the streams in `some`, which must be among these.
    pub fn take<const D: usize>(&self, x: Tensor<D>, some: &Self) -> Tensor<D> {
        if some == self { x } else { pick(x, &self.ranges_of(some)) }
    }

    /// `x` with the rows of the streams in `some`, which must be among these, replaced by `rows`.
    pub fn put(&self, x: Tensor<3>, some: &Self, rows: Tensor<3>) -> Tensor<3> {
        if some == self {
            return rows;
        }
        let of = |stream: &Stream| match some.streams.contains(stream) {
            true => rows.clone().slice_dim(0, some.rows(stream)),
            false => x.clone().slice_dim(0, self.rows(stream)),
        };
        Tensor::cat(self.streams.iter().map(of).collect(), 0)
    }

    /// The rows of these streams, of which some are in `a`, the others in `b`.
    pub fn join<const D: usize>(&self, a: (&Self, Tensor<D>), b: (&Self, Tensor<D>)) -> Tensor<D> {
        let of = |stream: &Stream| {
            let (streams, rows) = if a.0.streams.contains(stream) { &a } else { &b };
            rows.clone().slice_dim(0, streams.rows(stream))
        };
        Tensor::cat(self.streams.iter().map(of).collect(), 0)
    }

    /// An input that all streams share, repeated for each.
    pub fn repeat(&self, x: Tensor<3>) -> Tensor<3> {
        match self.len() {
            1 => x,
            streams => Tensor::cat(vec![x; streams], 0),
        }
    }

    /// The output at scale `k` of the block that is `layer` from the end (the last is 1), with the two passes
    /// of every mixing at that layer mixed.
    pub fn mix(&self, x: Tensor<3>, layer: usize, k: usize) -> Tensor<3> {
        let weight = |stream: &Stream| {
            let mixing = stream.mixing.as_ref().filter(|mixing| mixing.layers().contains(&layer))?;
            Some(mixing.weight(k)).filter(|&weight| weight != 1.0)
        };
        if !self.streams.iter().any(|stream| weight(stream).is_some()) {
            return x;
        }
        let rows =
            |side, stream: &Stream| x.clone().slice_dim(0, self.rows(&Stream { side, ..stream.clone() }));
        let parts = self.streams.iter().map(|stream| match weight(stream) {
            Some(weight) => {
                rows(PassCondition::Given, stream) * weight
                    + rows(PassCondition::Negative, stream) * (1.0 - weight)
            }
            None => rows(stream.side, stream),
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

/// Checks that a plan has this many scales, runs a pass at the first, and mixes and perturbs only blocks that
/// exist.
///
/// # Errors
/// If the plan does not fit.
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
    plan.all().iter().try_for_each(|pass| runs(pass, depth))
}

/// Checks that a model with this many blocks can run a pass.
///
/// # Errors
/// As [`fits`].
pub(crate) fn runs(pass: &Pass, depth: usize) -> Result<()> {
    let mixed = pass.mixing.as_ref().map_or(Ok(()), |mixing| fits(mixing.layers(), depth));
    mixed.and(pass.perturbation.as_ref().map_or(Ok(()), |perturbed| fits(perturbed.layers(), depth)))
}

/// Checks that a model with this many blocks has these, counted from the last.
///
/// # Errors
/// [`Error::Setting`] naming the layer that does not exist.
pub(crate) fn fits(layers: &[usize], depth: usize) -> Result<()> {
    match layers.iter().find(|&&layer| layer > depth) {
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
    fn perturbed_passes_have_rows_of_their_own_that_leave_blocks_out() {
        let skipping = Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[1]).unwrap());
        let own = Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&[2]).unwrap());
        let all: Passes = [Pass::CONDITIONAL, skipping.clone(), own.clone()].into_iter().collect();
        let streams = Streams::of(&all, 2);
        let of = |passes: &[&Pass]| Streams::of(&passes.iter().map(|&pass| pass.clone()).collect(), 2);
        assert_eq!(streams.in_block(1), of(&[&Pass::CONDITIONAL, &own]));
        assert_eq!((streams.in_block(2), streams.in_block(3)), (streams.clone(), streams.clone()));
        assert_eq!(streams.attending(1), streams.in_block(1));
        assert_eq!(streams.attending(2), of(&[&Pass::CONDITIONAL, &skipping]));
        let x = Tensor::<1>::from_data([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &Device::flex()).reshape([6, 1, 1]);
        let some = streams.attending(2);
        let taken = streams.take(x.clone(), &some);
        let put = streams.put(x.clone(), &some, taken.clone() + 10.0);
        let host = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        let expected: Vec<f32> = (0..6)
            .map(
                |row| {
                    if host(taken.clone()).contains(&(row as f32)) { row as f32 + 10.0 } else { row as f32 }
                },
            )
            .collect();
        assert_eq!((host(taken).len(), host(put)), (4, expected));
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
