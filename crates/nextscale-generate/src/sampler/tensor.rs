//! The sampler on tensors, for devices where reading the logits back would stall the loop.
//!
//! The rules are the same as on the host. Sums are f32, so a cumulative probability within rounding of its
//! limit may fall on the other side than on the host. Filters, draws and mixes are one kernel each where
//! [`nextscale_kernels::device`] has them, and filters a few operations on LibTorch
//! ([`nextscale_kernels::libtorch`]); otherwise they are many tensor operations. There is no sort, which
//! accelerators do slowly or not at all: the operations find thresholds by bisection on the logits' values,
//! with forty-eight halvings, after which only equal values are left in the interval.

use burn::tensor::{Bool, Int, Tensor};
use nextscale_kernels::device::{self, Keep};
use nextscale_kernels::libtorch;

use super::Filter;

const HALVINGS: usize = 48;

/// -inf where `remove` holds.
fn mask(x: Tensor<2>, remove: Tensor<2, Bool>) -> Tensor<2> {
    x.mask_fill(remove, f32::NEG_INFINITY)
}

/// The smallest value of each row that is not -inf, `[rows, 1]`.
fn smallest(x: &Tensor<2>) -> Tensor<2> {
    let masked = x.clone().equal_elem(f32::NEG_INFINITY);
    x.clone().mask_fill(masked, f32::MAX).min_dim(1)
}

/// The smallest value of each row that is at least `low` `[rows, 1]`.
fn next_value(x: &Tensor<2>, low: Tensor<2>) -> Tensor<2> {
    let below = x.clone().lower(low);
    x.clone().mask_fill(below, f32::MAX).min_dim(1)
}

/// Bisects between each row's smallest and largest value for the largest threshold for which `holds`. It must
/// hold for the smallest and, once it fails, for no larger value.
fn largest_threshold(x: &Tensor<2>, holds: impl Fn(Tensor<2>) -> Tensor<2, Bool>) -> Tensor<2> {
    let (mut low, mut high) = (smallest(x), x.clone().max_dim(1));
    for _ in 0..HALVINGS {
        let middle = low.clone() + (high.clone() - low.clone()) * 0.5;
        let ok = holds(middle.clone());
        low = low.mask_where(ok.clone(), middle.clone());
        high = middle.mask_where(ok, high);
    }
    next_value(x, low)
}

/// Replaces removed classes by -inf; `x` is `[rows, classes]`.
pub(super) fn filter(x: Tensor<2>, filter: &Filter) -> Tensor<2> {
    let keep = Keep {
        top_k: filter.cuts(x.dims()[1]).then_some(filter.top_k),
        tail: (filter.top_p > 0.0).then(|| tail(filter.top_p)),
        margin: filter.margin(),
    };
    if keep == Keep::default() {
        return x;
    }
    let filtered = device::filter(&x, keep).or_else(|| libtorch::filter(&x, keep));
    filtered.unwrap_or_else(|| composed(x, filter))
}

/// The cumulative probability, from the least likely class, up to which top-p removes.
fn tail(p: f64) -> f32 {
    (1.0 - p) as f32
}

fn composed(x: Tensor<2>, filter: &Filter) -> Tensor<2> {
    let x = if filter.cuts(x.dims()[1]) { top_k(x, filter.top_k) } else { x };
    let x = if filter.top_p > 0.0 { top_p(x, filter.top_p) } else { x };
    match filter.margin() {
        Some(margin) => {
            let unlikely = x.clone().lower(x.clone().max_dim(1) - margin);
            mask(x, unlikely)
        }
        None => x,
    }
}

fn top_k(x: Tensor<2>, k: usize) -> Tensor<2> {
    let threshold =
        largest_threshold(&x, |t| x.clone().greater_equal(t).float().sum_dim(1).greater_equal_elem(k as f32));
    let below = x.clone().lower(threshold);
    mask(x, below)
}

fn top_p(x: Tensor<2>, p: f64) -> Tensor<2> {
    let limit = tail(p);
    let max = x.clone().max_dim(1);
    let weights = (x.clone() - max.clone()).exp();
    let total = weights.clone().sum_dim(1);
    let probabilities = weights / total;
    let mass_below = |t: Tensor<2>| {
        let kept = x.clone().greater_equal(t);
        probabilities.clone().mask_fill(kept, 0.0).sum_dim(1)
    };
    // Everything below the threshold is removed, and of the classes equal to it those whose cumulative sum
    // still fits.
    let threshold = largest_threshold(&x, |t| mass_below(t).lower_equal_elem(limit));
    let equal = x.clone().equal(threshold.clone());
    let tied = cumulative(probabilities.clone().mask_fill(equal.clone().bool_not(), 0.0));
    let fits = (tied + mass_below(threshold.clone())).lower_equal_elem(limit);
    let largest = indices(&x).mask_fill(x.clone().equal(max).bool_not(), -1.0).max_dim(1);
    let is_largest = indices(&x).equal(largest);
    let remove = x.clone().lower(threshold).bool_or(equal.bool_and(fits)).bool_and(is_largest.bool_not());
    mask(x, remove)
}

/// 0, 1, … along the classes, in every row.
fn indices(x: &Tensor<2>) -> Tensor<2> {
    let [rows, classes] = x.dims();
    // Counted on the device: nothing is copied to it.
    let row = Tensor::<1, Int>::arange(0..classes as i64, &x.device()).float();
    row.reshape([1, classes]).expand([rows, classes])
}

/// Cumulative sums along the classes, in two levels: an accelerator's plain implementation takes quadratic
/// time.
fn cumulative(x: Tensor<2>) -> Tensor<2> {
    let [rows, classes] = x.dims();
    let block = (classes as f64).sqrt().ceil() as usize;
    let blocks = classes.div_ceil(block);
    let missing = blocks * block - classes;
    let padded = match missing {
        0 => x,
        _ => {
            let zeros = Tensor::zeros([rows, missing], &x.device());
            Tensor::cat(vec![x, zeros], 1)
        }
    };
    let within = padded.reshape([rows, blocks, block]).cumsum(2);
    let sums = within.clone().slice([0..rows, 0..blocks, block - 1..block]);
    let before = sums.clone().cumsum(1) - sums;
    (within + before).reshape([rows, blocks * block]).slice([0..rows, 0..classes])
}

/// The class that each row's uniform number `[rows, 1]` falls on; `[rows, 1]`, as floats.
pub(super) fn inverse_cdf(x: &Tensor<2>, uniforms: Tensor<2>) -> Tensor<2> {
    if let Some(drawn) = device::inverse_cdf(x, &uniforms) {
        return drawn;
    }
    let weights = (x.clone() - x.clone().max_dim(1)).exp();
    let possible = weights.clone().greater_elem(0.0);
    let total = weights.clone().sum_dim(1);
    let passed = cumulative(weights).greater(uniforms * total).bool_and(possible.clone());
    let index = indices(x);
    let first = index.clone().mask_fill(passed.bool_not(), f32::MAX).min_dim(1);
    let last = index.mask_fill(possible.bool_not(), 0.0).max_dim(1);
    first.min_pair(last)
}

/// The winner of each row's race against `noise` `[rows, classes]`; `[rows, 1]`, as floats.
pub(super) fn race(x: &Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
    if let Some(winner) = device::race(x, &noise) {
        return winner;
    }
    let weights = (x.clone() - x.clone().max_dim(1)).exp();
    let total = weights.clone().sum_dim(1);
    first_largest(weights / total / noise)
}

/// The first class of largest value; `[rows, 1]`, as floats.
pub(super) fn first_largest(x: Tensor<2>) -> Tensor<2> {
    if let Some(first) = device::first_largest(&x) {
        return first;
    }
    let last = x.dims()[1] - 1;
    let largest = x.clone().equal(x.clone().max_dim(1));
    // NaN equals nothing; the fault is reported later, and until then it must be some class.
    indices(&x).mask_fill(largest.bool_not(), last as f32).min_dim(1)
}

/// The weights of `more_smooth` from filtered logits; see [`super::smooth::mix`].
pub(super) fn mix(x: Tensor<2>, noise: Tensor<2>, progress: f64) -> Tensor<2> {
    let (sharpness, temperature) = (1.0 + progress, super::smooth::temperature(progress));
    if let Some(weights) = device::mix(&x, &noise, sharpness, temperature) {
        return weights;
    }
    let scores = (x * sharpness - noise.log()) / temperature;
    let weights = (scores.clone() - scores.max_dim(1)).exp();
    let total = weights.clone().sum_dim(1);
    weights / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn cumulative_sums_need_no_square_length() {
        for classes in [1, 2, 7, 16, 30] {
            let values: Vec<f32> = (0..2 * classes).map(|i| (i % 5) as f32).collect();
            let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [2, classes]), &Device::flex());
            let found: Vec<f32> = crate::host::floats(cumulative(x)).unwrap();
            let expected: Vec<f32> = values
                .chunks(classes)
                .flat_map(|row| {
                    row.iter()
                        .scan(0.0, |sum, v| {
                            *sum += v;
                            Some(*sum)
                        })
                        .collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(found, expected);
        }
    }
}
