//! Stacked rows of a batch, and the keys and values that they keep.

use std::ops::Range;

use burn::tensor::Tensor;

/// The rows of these ranges, in their order.
pub(crate) fn pick<const D: usize>(x: Tensor<D>, ranges: &[Range<usize>]) -> Tensor<D> {
    Tensor::cat(ranges.iter().map(|range| x.clone().slice_dim(0, range.clone())).collect(), 0)
}

/// Keys and values of all scales so far, `[rows, positions, heads, head width]` for each scale. They are never
/// joined where attention can do without, and scores over them are never stored as a whole, so memory is linear
/// in the number of positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    pub keys: Vec<Tensor<4>>,
    pub values: Vec<Tensor<4>>,
}

impl Cache {
    /// Appends those of a scale.
    pub fn append(&mut self, keys: Tensor<4>, values: Tensor<4>) {
        self.keys.push(keys);
        self.values.push(values);
    }

    /// Keeps the rows of these ranges; without any nothing is left.
    pub fn pick(&mut self, ranges: &[Range<usize>]) {
        for part in [&mut self.keys, &mut self.values] {
            let kept = std::mem::take(part).into_iter().filter(|_| !ranges.is_empty());
            *part = kept.map(|x| pick(x, ranges)).collect();
        }
    }
}
