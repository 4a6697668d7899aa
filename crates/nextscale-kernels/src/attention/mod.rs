//! Attention, one head at a time: the scores stay in a core's own cache and are never written to memory.

#[cfg(target_arch = "x86_64")]
mod by_unit;
mod by_vectors;
mod mask;

use burn::backend::{TensorMetadata, flex::FlexTensor};
use faer::{MatMut, MatRef, reborrow::*};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;
pub use by_vectors::Segment;
use mask::Mask;

use crate::{
    extension::{Operation, dims, tensor, values},
    precision::Precision,
    product::multiply_alone_in,
    raw::Level,
    softmax,
};

/// Queries per block: with 680 keys their scores take 170 KiB.
const BLOCK: usize = 64;

/// `softmax(q·kᵀ + mask)·v` for each image and head. Inputs: q `[batch, queries, heads, width]`, k and v
/// `[batch, keys, heads, width]`, and the mask as in [`Mask`], or empty. Products use this precision, forward
/// and backward.
#[derive(Clone, Copy, Debug)]
pub struct Attention(pub Precision);

/// The sizes `queries`, `keys`, `heads` and `width`, and the products' precision.
#[derive(Clone, Copy)]
struct Extent {
    precision: Precision,
    queries: usize,
    keys: usize,
    heads: usize,
    width: usize,
}

impl Extent {
    fn of(precision: Precision, q: &FlexTensor, k: &FlexTensor) -> Self {
        let ([_, queries, heads, width], [_, keys, ..]) = (dims(q), dims::<4>(k));
        Self { precision, queries, keys, heads, width }
    }

    /// One head of an image's `[length, heads, width]`.
    fn head<'a>(&self, image: &'a [f32], length: usize, head: usize) -> MatRef<'a, f32> {
        let all = MatRef::from_row_major_slice(image, length, self.heads * self.width);
        all.subcols(head * self.width, self.width)
    }

    /// Attention weights of a block of queries, `[block, keys]`, in `scores`. `mask` returns a query's row of
    /// the mask, if there is one.
    fn weigh<'a>(
        &self,
        level: Level,
        q: MatRef<'_, f32>,
        k: MatRef<'_, f32>,
        mask: impl Fn(usize) -> &'a [f32],
        scores: &mut [f32],
    ) {
        let block = q.nrows();
        let products = MatMut::from_row_major_slice_mut(scores, block, self.keys);
        multiply_alone_in(self.precision, products, q, k.transpose(), false);
        for (query, scores) in scores.chunks_exact_mut(self.keys).enumerate() {
            scores.iter_mut().zip(mask(query)).for_each(|(score, mask)| *score += mask);
        }
        softmax::in_place(level, scores, self.keys);
    }
}

/// Runs `work` on every head of every image with its columns of `out`; an image is `[length, heads·width]`.
fn each_head(
    out: &mut [f32],
    length: usize,
    extent: Extent,
    work: impl Fn(usize, usize, MatMut<'_, f32>) + Sync,
) {
    let channels = extent.heads * extent.width;
    out.par_chunks_mut((length * channels).max(1)).enumerate().for_each(|(image, out)| {
        let out = MatMut::from_row_major_slice_mut(out, length, channels);
        let heads = out.par_col_chunks_mut(extent.width).enumerate();
        heads.for_each(|(head, out)| work(image, head, out));
    });
}

/// On the processor's matrix unit, if it can handle heads of this width.
#[cfg(target_arch = "x86_64")]
fn forward_by_unit([q, k, v]: [&[f32]; 3], mask: Mask<'_>, extent: Extent) -> Option<Vec<f32>> {
    let Extent { precision, queries, keys, heads, width } = extent;
    let unit = MatrixUnit::detected(precision).filter(|_| by_unit::fits(width))?;
    let mut out = vec![0.0; q.len()];
    each_head(&mut out, queries, extent, |image, head, out| {
        let of = |length: usize| image * length * heads * width..(image + 1) * length * heads * width;
        let q = extent.head(&q[of(queries)], queries, head);
        let [k, v] = [k, v].map(|values| extent.head(&values[of(keys)], keys, head));
        by_unit::attend(unit, precision, [q, k, v], |query| mask.row(image, query), out);
    });
    Some(out)
}

fn forward(level: Level, [q, k, v]: [&[f32]; 3], mask: Mask<'_>, extent: Extent) -> Vec<f32> {
    let Extent { precision, queries, keys, heads, width } = extent;
    if precision == Precision::Whole {
        let all = Segment { keys: k, values: v, length: keys };
        return by_vectors::forward(level, q, &[all], mask, [queries, heads, width]);
    }
    let (image_q, image_k) = (queries * heads * width, keys * heads * width);
    let mut out = vec![0.0; q.len()];
    each_head(&mut out, queries, extent, |image, head, mut out| {
        let of = |values: &[f32], image_size: usize| {
            image * image_size..(image * image_size + image_size).min(values.len())
        };
        let q = extent.head(&q[of(q, image_q)], queries, head);
        let k = extent.head(&k[of(k, image_k)], keys, head);
        let v = extent.head(&v[of(v, image_k)], keys, head);
        let mut scores = vec![0.0; queries.min(BLOCK) * keys];
        for first in (0..queries).step_by(BLOCK) {
            let block = BLOCK.min(queries - first);
            let scores = &mut scores[..block * keys];
            let mask = |query: usize| mask.row(image, first + query);
            extent.weigh(level, q.subrows(first, block), k, mask, scores);
            let weights = MatRef::from_row_major_slice(scores, block, keys);
            multiply_alone_in(precision, out.rb_mut().subrows_mut(first, block), weights, v, false);
        }
    });
    out
}

/// The gradients of q, k and v. The weights are recomputed from q and k.
fn backward(
    level: Level,
    [q, k, v]: [&[f32]; 3],
    mask: Mask<'_>,
    grad: &[f32],
    extent: Extent,
) -> [Vec<f32>; 3] {
    let Extent { precision, queries, keys, heads, width } = extent;
    let (image_q, image_k) = (queries * heads * width, keys * heads * width);
    let heads_of = |task: usize| (task / heads, task % heads);
    // Gradients are first stored head by head, so that tasks write to separate places.
    let size = (queries + 2 * keys) * width;
    let tasks = q.len() / image_q.max(1) * heads;
    let mut all = vec![0.0; tasks * size];
    all.par_chunks_mut(size.max(1)).enumerate().for_each(|(task, out)| {
        let (image, head) = heads_of(task);
        let q = extent.head(&q[image * image_q..][..image_q], queries, head);
        let k = extent.head(&k[image * image_k..][..image_k], keys, head);
        let v = extent.head(&v[image * image_k..][..image_k], keys, head);
        let grad = extent.head(&grad[image * image_q..][..image_q], queries, head);
        let (dq, rest) = out.split_at_mut(queries * width);
        let (dk, dv) = rest.split_at_mut(keys * width);
        let mut dq = MatMut::from_row_major_slice_mut(dq, queries, width);
        let mut dk = MatMut::from_row_major_slice_mut(dk, keys, width);
        let mut dv = MatMut::from_row_major_slice_mut(dv, keys, width);
        let mut weights = vec![0.0; queries.min(BLOCK) * keys];
        let mut slopes = vec![0.0; queries.min(BLOCK) * keys];
        for first in (0..queries).step_by(BLOCK) {
            let block = BLOCK.min(queries - first);
            let (weights, slopes) = (&mut weights[..block * keys], &mut slopes[..block * keys]);
            let mask = |query: usize| mask.row(image, first + query);
            let (q, grad) = (q.subrows(first, block), grad.subrows(first, block));
            extent.weigh(level, q, k, mask, weights);
            // d weights = grad·vᵀ; through the softmax: weights ⊙ (d weights − Σ weights ⊙ d weights).
            let products = MatMut::from_row_major_slice_mut(slopes, block, keys);
            multiply_alone_in(precision, products, grad, v.transpose(), false);
            softmax::backward_in_place(level, weights, slopes, keys);
            let weights = MatRef::from_row_major_slice(weights, block, keys);
            let slopes = MatRef::from_row_major_slice(slopes, block, keys);
            multiply_alone_in(precision, dv.rb_mut(), weights.transpose(), grad, true);
            multiply_alone_in(precision, dk.rb_mut(), slopes.transpose(), q, true);
            multiply_alone_in(precision, dq.rb_mut().subrows_mut(first, block), slopes, k, false);
        }
    });
    let mut gradients = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    let mut skip = 0;
    for (gradient, length) in gradients.iter_mut().zip([queries, keys, keys]) {
        each_head(gradient, length, extent, |image, head, mut out| {
            let from = &all[(image * heads + head) * size + skip..][..length * width];
            out.copy_from(MatRef::from_row_major_slice(from, length, width));
        });
        skip += length * width;
    }
    gradients
}

/// Attention without a mask over the keys and values of all segments, one after the other, as if they were
/// joined: q `[batch, queries, heads, width]`. `None` if it is faster to join them, because the processor's
/// matrix unit packs them anyway.
pub fn over_segments(q: &[f32], segments: &[Segment<'_>], sizes: [usize; 3]) -> Option<Vec<f32>> {
    #[cfg(target_arch = "x86_64")]
    if MatrixUnit::detected(Precision::Whole).is_some_and(|_| by_unit::fits(sizes[2])) {
        return None;
    }
    Some(by_vectors::forward(Level::detected(), q, segments, Mask::new(&[], [0; 3]), sizes))
}

impl Operation<4> for Attention {
    fn forward(&self, [q, k, v, mask]: &[FlexTensor; 4]) -> FlexTensor {
        let extent = Extent::of(self.0, q, k);
        let mask = Mask::of(mask);
        let [q_values, k, v] = [values(q), values(k), values(v)];
        #[cfg(target_arch = "x86_64")]
        if let Some(out) = forward_by_unit([q_values, k, v], mask, extent) {
            return tensor(out, q.shape());
        }
        tensor(forward(Level::detected(), [q_values, k, v], mask, extent), q.shape())
    }

    fn saved(&self, inputs: [FlexTensor; 4], _output: &FlexTensor) -> Vec<FlexTensor> {
        inputs.into()
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        let [q, k, v, mask] = saved else { unreachable!("four tensors were saved") };
        let inputs = [values(q), values(k), values(v)];
        let extent = Extent::of(self.0, q, k);
        let [dq, dk, dv] = backward(Level::detected(), inputs, Mask::of(mask), values(grad), extent);
        let of = |values, like: &FlexTensor| Some(tensor(values, like.shape()));
        // A mask is a constant.
        [of(dq, q), of(dk, k), of(dv, v), None]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{route::skip_test, testing::numbers};

    /// In double precision, straight from the definition.
    fn exact([q, k, v]: [&[f32]; 3], mask: Mask<'_>, batch: usize, extent: Extent) -> Vec<f64> {
        let Extent { queries, keys, heads, width, .. } = extent;
        let channels = heads * width;
        let mut out = Vec::new();
        for (image, query, head) in places(batch, queries, heads) {
            let at = |length: usize, i: usize| (image * length + i) * channels + head * width;
            let q = &q[at(queries, query)..][..width];
            let dot = |k: &[f32]| q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>();
            let bias = |key: usize| mask.row(image, query).get(key).map_or(0.0, |&mask| f64::from(mask));
            let scores: Vec<f64> =
                (0..keys).map(|key| dot(&k[at(keys, key)..][..width]) + bias(key)).collect();
            let top = scores.iter().fold(f64::NEG_INFINITY, |top, &score| top.max(score));
            let weights: Vec<f64> = scores.into_iter().map(|score| (score - top).exp()).collect();
            let total: f64 = weights.iter().sum();
            out.extend((0..width).map(|channel| {
                let terms = weights.iter().enumerate();
                terms.map(|(key, weight)| weight * f64::from(v[at(keys, key) + channel])).sum::<f64>() / total
            }));
        }
        out
    }

    fn places(images: usize, queries: usize, heads: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..images).flat_map(move |i| (0..queries).flat_map(move |q| (0..heads).map(move |h| (i, q, h))))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn both_routes_are_the_definition(
            batch in 1usize..3,
            queries in 1usize..40,
            keys in 1usize..90,
            heads in 1usize..4,
            width in prop_oneof![Just(16usize), Just(32), Just(64), 1usize..20],
            masked: bool,
            by_image: bool,
            by_query: bool,
            seed: u32,
        ) {
            let extent = Extent { precision: Precision::Whole, queries, keys, heads, width };
            let [q, k, v] = [(1, queries), (2, keys), (3, keys)]
                .map(|(salt, length)| numbers(seed ^ salt, batch * length * heads * width));
            // The first key stays visible.
            let hidden = |i: usize| !i.is_multiple_of(keys) && (i * 7 + seed as usize).is_multiple_of(3);
            let hide = |i: usize| if hidden(i) { f32::NEG_INFINITY } else { 0.25 };
            let (images, rows) = (if by_image { batch } else { 1 }, if by_query { queries } else { 1 });
            let hidden: Vec<f32> = (0..images * rows * keys).map(hide).collect();
            let mask = if masked { Mask::new(&hidden, [images, rows, keys]) } else { Mask::new(&[], [0; 3]) };
            let exact = exact([&q, &k, &v], mask, batch, extent);
            let mut routes: Vec<_> = Level::available()
                .into_iter()
                .map(|level| forward(level, [&q, &k, &v], mask, extent))
                .collect();
            // With fused products the bits are the same, however long the vectors.
            for pair in routes[1..].windows(2) {
                prop_assert!(pair[0] == pair[1]);
            }
            #[cfg(target_arch = "x86_64")]
            if MatrixUnit::detected(Precision::Whole).is_none() {
                skip_test("amx");
            }
            #[cfg(target_arch = "x86_64")]
            routes.extend(forward_by_unit([&q, &k, &v], mask, extent));
            for got in routes {
                for (got, exact) in got.iter().zip(&exact) {
                    prop_assert!((f64::from(*got) - exact).abs() < 2e-6, "{got} {exact}");
                }
            }
        }

        #[test]
        fn on_vectors_segments_and_queries_beside_it_change_nothing(
            lengths in prop::collection::vec(1usize..40, 1..5),
            queries in 1usize..70,
            heads in 1usize..3,
            width in prop_oneof![Just(32usize), Just(64), 1usize..70],
            seed: u32,
        ) {
            let (channels, keys, batch) = (heads * width, lengths.iter().sum::<usize>(), 2);
            let q = numbers(seed, batch * queries * channels);
            let parts: Vec<[Vec<f32>; 2]> = lengths
                .iter()
                .zip(1u32..)
                .map(|(length, salt)| [salt, salt << 8].map(|salt| numbers(seed ^ salt, batch * length * channels)))
                .collect();
            let segments: Vec<_> = parts
                .iter()
                .zip(&lengths)
                .map(|([keys, values], &length)| Segment { keys, values, length })
                .collect();
            let joined: [Vec<f32>; 2] = std::array::from_fn(|i| {
                let rows = (0..batch).flat_map(|image| parts.iter().zip(&lengths).map(move |part| (image, part)));
                rows.flat_map(|(image, (part, length))| {
                    part[i][image * length * channels..][..length * channels].to_vec()
                })
                .collect()
            });
            let all = Segment { keys: &joined[0], values: &joined[1], length: keys };
            let mask = Mask::new(&[], [0; 3]);
            for level in Level::available() {
                let got = by_vectors::forward(level, &q, &segments, mask, [queries, heads, width]);
                prop_assert!(got == by_vectors::forward(level, &q, &[all], mask, [queries, heads, width]));
                // The last query alone, of the last image.
                let last = &q[q.len() - channels..];
                let image: Vec<_> = segments
                    .iter()
                    .map(|&Segment { keys, values, length }| {
                        let from = (batch - 1) * length * channels;
                        Segment { keys: &keys[from..], values: &values[from..], length }
                    })
                    .collect();
                let alone = by_vectors::forward(level, last, &image, mask, [1, heads, width]);
                prop_assert!(got[got.len() - channels..] == alone);
            }
        }
    }

    #[test]
    fn attention_over_parts_is_that_over_the_whole_on_any_device() {
        use burn::tensor::{Device, Tensor, TensorData};
        for device in [Device::flex(), Device::flex().autodiff()] {
            let of = |seed: u32, length: usize| {
                let numbers = numbers(seed, 2 * length * 3 * 8);
                Tensor::<4>::from_data(TensorData::new(numbers, [2, length, 3, 8]), &device)
            };
            let q = of(1, 5);
            for lengths in [&[7][..], &[1, 4, 9], &[2, 0, 3]] {
                let parts = |salt: u32| -> Vec<_> {
                    lengths.iter().map(|&length| of(salt + length as u32, length)).collect()
                };
                let (keys, values) = (parts(10), parts(20));
                let whole = |parts: &[Tensor<4>]| Tensor::cat(parts.to_vec(), 1);
                let expected = crate::attention(q.clone(), whole(&keys), whole(&values), None);
                let got = crate::attention_over(q.clone(), &keys, &values);
                assert_eq!(got.dims(), expected.dims());
                assert!((got - expected).abs().max().into_scalar::<f32>() < 1e-6, "{lengths:?}");
            }
        }
    }
}
