//! Stacked rows of a batch, and the keys and values that they keep.

use std::ops::Range;

use burn::tensor::Tensor;

/// The rows of these ranges, in their order.
pub(crate) fn pick<const D: usize>(x: Tensor<D>, ranges: &[Range<usize>]) -> Tensor<D> {
    Tensor::cat(ranges.iter().map(|range| x.clone().slice_dim(0, range.clone())).collect(), 0)
}

/// Keys and values of all scales so far in one block, each `[rows, positions, heads, head width]`. Scores
/// over them are never stored as a whole, so memory is linear in the number of positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache(pub Option<(Tensor<4>, Tensor<4>)>);

impl Cache {
    /// Appends those of a scale and returns all; `keep` says whether a later scale reads them.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>, keep: bool) -> (Tensor<4>, Tensor<4>) {
        let (keys, values) = match self.0.take() {
            Some((k, v)) => (Tensor::cat(vec![k, keys], 1), Tensor::cat(vec![v, values], 1)),
            None => (keys, values),
        };
        if keep {
            self.0 = Some((keys.clone(), values.clone()));
        }
        (keys, values)
    }

    /// Keeps the rows of these ranges; without any nothing is left.
    pub fn pick(&mut self, ranges: &[Range<usize>]) {
        let kept = self.0.take().filter(|_| !ranges.is_empty());
        self.0 = kept.map(|(keys, values)| (pick(keys, ranges), pick(values, ranges)));
    }
}
