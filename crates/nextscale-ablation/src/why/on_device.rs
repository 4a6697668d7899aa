//! What is looked at at a scale, summed on a device other than the CPU: logits would take longer to copy than to
//! compute.
//!
//! Numbers of a position are sums over its channels in f32, and the transform of the bands is a product, in the
//! type in which the device multiplies. All that follows is f64, on the host.

use burn::tensor::{Int, Tensor};
use nextscale_core::LogitMap;

/// Numbers of a scale for every position of a batch, each `[batch · h·w]`, until they are read.
pub(super) struct Unread {
    scale: usize,
    images: usize,
    /// How many slots another token was drawn for, and the sum of the slots' entropies in nats; the squares of the
    /// correction and of the base.
    numbers: [Tensor<1>; 4],
    /// The squares of every coefficient of the base, and of the prior and the residual if there is one.
    squares: Vec<Tensor<1>>,
}

/// The same, read.
pub(super) struct Read<'a> {
    pub scale: usize,
    pub images: usize,
    pub changed: &'a [f32],
    pub entropy: &'a [f32],
    pub correction: &'a [f32],
    pub base: &'a [f32],
    /// Of every image, the coefficients in the order of the grid's positions.
    pub squares: Vec<&'a [f32]>,
}

/// Logits of a scale, and what they are compared with.
pub(super) struct Maps<'a> {
    pub scale: usize,
    pub guided: &'a LogitMap,
    pub base: &'a LogitMap,
    pub prior: Option<&'a LogitMap>,
    /// The tokens that were drawn, and those that would have been, `[batch, h·w, slots]`.
    pub tokens: [Tensor<3, Int>; 2],
    /// The transform of a map, `[h·w, h·w]`.
    pub transform: Tensor<2>,
}

impl Unread {
    pub fn of(maps: &Maps<'_>) -> Self {
        let [images, positions, slots] = maps.tokens[0].dims();
        let classes = maps.base.alphabet().classes;
        let places = images * positions;
        let [did, would] = &maps.tokens;
        let differ = did.clone().not_equal(would.clone()).float();
        let (guided, base) = (centred(maps.guided), centred(maps.base));
        let channels = slots * classes;
        let squared =
            |x: Tensor<3>| x.clone().mul(x).reshape([places, channels]).sum_dim(1).reshape([places]);
        let numbers = [
            differ.reshape([places, slots]).sum_dim(1).reshape([places]),
            entropies(guided.clone().reshape([places * slots, classes]))
                .reshape([places, slots])
                .sum_dim(1)
                .reshape([places]),
            squared(guided - base.clone()),
            squared(base.clone()),
        ];
        let energies = |x: Tensor<3>| squared(maps.transform.clone().unsqueeze::<3>().matmul(x));
        let mut squares = vec![energies(base.clone())];
        if let Some(prior) = maps.prior.map(centred) {
            squares.extend([prior.clone(), base - prior].map(energies));
        }
        Self { scale: maps.scale, images, numbers, squares }
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor<1>> {
        self.numbers.iter().chain(&self.squares)
    }
}

/// All tensors of these scales in one, to be read together; `None` if there are none.
pub(super) fn joined(scales: &[Unread]) -> Option<Tensor<1>> {
    let tensors: Vec<_> = scales.iter().flat_map(Unread::tensors).cloned().collect();
    (!tensors.is_empty()).then(|| Tensor::cat(tensors, 0))
}

/// The scales with the values of [`joined`].
pub(super) fn split<'a>(scales: &[Unread], values: &'a [f32]) -> Vec<Read<'a>> {
    let mut rest = values;
    let read = |unread: &Unread| {
        let mut next = |tensor: &Tensor<1>| {
            let (values, later) = rest.split_at(tensor.dims()[0]);
            rest = later;
            values
        };
        let [changed, entropy, correction, base] = unread.numbers.each_ref().map(&mut next);
        let squares = unread.squares.iter().map(next).collect();
        Read { scale: unread.scale, images: unread.images, changed, entropy, correction, base, squares }
    };
    scales.iter().map(read).collect()
}

/// The values `[batch, h·w, channels]` minus the mean over every slot's classes, if that is finite.
fn centred(map: &LogitMap) -> Tensor<3> {
    let [batch, positions, channels] = map.values().dims();
    let classes = map.alphabet().classes;
    let values = map.values().clone().reshape([batch * positions * channels / classes, classes]);
    let mean = values.clone().mean_dim(1);
    let masked = mean.clone().is_finite().bool_not();
    (values - mean.mask_fill(masked, 0.0)).reshape([batch, positions, channels])
}

/// Entropies in nats of the softmax of rows of logits, `[rows, 1]`.
fn entropies(x: Tensor<2>) -> Tensor<2> {
    let below = x.clone() - x.max_dim(1);
    let weights = below.clone().exp();
    // A masked class has no weight, and 0·inf would be NaN.
    let masked = weights.clone().equal_elem(0.0);
    let weighted = (weights.clone() * below.mask_fill(masked, 0.0)).sum_dim(1);
    let sum = weights.sum_dim(1);
    sum.clone().log() - weighted / sum
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use nextscale_core::{Alphabet, Grid};

    use super::*;
    use crate::why::bands::BandPass;

    /// The operations are any device's: here those of the CPU, beside sums in f64.
    #[test]
    fn numbers_are_those_of_their_definitions() {
        let (grid, alphabet, device) = (Grid::new(2, 3), Alphabet::bits(2), Device::flex());
        let map = |salt: usize| {
            let mut values: Vec<f32> =
                (0..2 * 6 * 4).map(|i| ((i * 37 + salt * 11) % 23) as f32 / 4.0).collect();
            values[4 * salt] = f32::NEG_INFINITY;
            let values = Tensor::from_data(TensorData::new(values, [2, 6, 4]), &device);
            LogitMap::new(values, grid, alphabet).unwrap()
        };
        let finite = |salt: usize| {
            let values = map(salt).values().clone().clamp_min(-3.0);
            LogitMap::new(values, grid, alphabet).unwrap()
        };
        let (guided, base, prior) = (map(1), finite(2), finite(3));
        let tokens = |one: i64| {
            let tokens: Vec<i64> = (0..24).map(|i| i64::from(i % 5 == one)).collect();
            Tensor::<3, Int>::from_data(TensorData::new(tokens, [2, 6, 2]), &device)
        };
        let pass = BandPass::new(grid);
        let scale = Unread::of(&Maps {
            scale: 4,
            guided: &guided,
            base: &base,
            prior: Some(&prior),
            tokens: [tokens(0), tokens(1)],
            transform: pass.transform(&device),
        });
        let scales = [scale];
        let values: Vec<f32> = joined(&scales).unwrap().into_data().try_into_vec_as().unwrap();
        let [read] = split(&scales, &values).try_into().ok().unwrap();
        assert_eq!((read.scale, read.images), (4, 2));
        assert_eq!(read.changed.iter().sum::<f32>(), 10.0);

        let slots = |map: &LogitMap| -> Vec<f32> {
            let mut values: Vec<f32> = map.values().to_data().try_into_vec_as().unwrap();
            for slot in values.chunks_mut(2) {
                let mean = (slot[0] + slot[1]) / 2.0;
                if mean.is_finite() {
                    slot.iter_mut().for_each(|value| *value -= mean);
                }
            }
            values
        };
        let entropy = |slot: &[f32]| {
            let p = 1.0 / (1.0 + f64::from(slot[1] - slot[0]).exp());
            [p, 1.0 - p].iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum::<f64>()
        };
        let sum = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{a} {b}");
        near(sum(read.entropy), slots(&guided).chunks(2).map(entropy).sum());
        assert!(sum(read.correction).is_infinite());
        let squares = |values: &[f32]| values.iter().map(|v| f64::from(v * v)).sum::<f64>();
        near(sum(read.base), squares(&slots(&base)));
        let (base, prior) = (slots(&base), slots(&prior));
        let residual: Vec<f32> = base.iter().zip(&prior).map(|(a, b)| a - b).collect();
        for (found, map) in read.squares.iter().zip([base, prior, residual]) {
            for (found, map) in found.chunks(6).zip(map.chunks(24)) {
                let (found, expected) = (pass.bands_of(found), pass.energies(map, 4));
                found.0.iter().zip(&expected.0).for_each(|(&a, &b)| near(a, b));
            }
        }
    }
}
