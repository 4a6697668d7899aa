//! Fresh weights, determined by a seed, the same on all devices.

use std::collections::BTreeMap;

use nextscale_core::random::{fnv1a, mix, splitmix64};

/// Initial values of a convolution's or norm's tensor `key`, as in PyTorch: ones and zeros for norms, uniform
/// in ±1/√(inputs · kernel) for convolutions. `shapes` has the shapes of all tensors: a bias takes its bound
/// from the weight beside it.
pub(crate) fn layer(
    seed: u64,
    key: &str,
    shape: &[usize],
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Vec<f32> {
    let count = shape.iter().product();
    if key.contains("norm") {
        return vec![if key.ends_with("weight") { 1.0 } else { 0.0 }; count];
    }
    let weight = shapes.get(&key.replace(".bias", ".weight")).map_or(shape, Vec::as_slice);
    uniform(seed, key, count, (weight[1..].iter().product::<usize>() as f64).powf(-0.5))
}

/// Uniform numbers in ±`bound`, with a separate stream for every key.
pub(crate) fn uniform(seed: u64, key: &str, count: usize, bound: f64) -> Vec<f32> {
    let start = mix(seed ^ mix(fnv1a(key)));
    (0..count as u64)
        .map(|i| {
            let bits = splitmix64(start, i);
            let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
            ((2.0 * unit - 1.0) * bound) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_values_fill_their_range_evenly() {
        let values = uniform(7, "a.weight", 20_000, 0.5);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let square = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
        assert!(values.iter().all(|x| x.abs() <= 0.5));
        assert!(mean.abs() < 0.01 && (square - 1.0 / 12.0).abs() < 0.002, "{mean} {square}");
        assert_ne!(values, uniform(7, "b.weight", 20_000, 0.5));
        assert_ne!(values, uniform(8, "a.weight", 20_000, 0.5));
    }
}
