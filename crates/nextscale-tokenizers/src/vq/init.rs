use std::convert::Infallible;

use burn::tensor::Device;
use nextscale_core::random::{fnv1a, mix, splitmix64};
use nextscale_core::{Result, ScaleSchedule};

use super::{MultiScaleVq, Scales, Vqvae, VqvaeConfig, keys};

impl VqvaeConfig {
    /// A tokenizer with fresh weights, which `seed` decides, the same on all devices.
    ///
    /// Convolutions begin as PyTorch's: weights and biases uniform in ±1/√(inputs · kernel). The codes are uniform in
    /// ±1/V: far below the features, so that at first a feature's direction chooses its code, and many codes are chosen.
    ///
    /// # Errors
    /// If the sizes make no model.
    pub fn init(&self, schedule: ScaleSchedule, seed: u64, device: &Device) -> Result<MultiScaleVq> {
        self.check(&schedule)?;
        let empty = Vqvae::empty(self, schedule.len(), true, device);
        let shapes: std::collections::BTreeMap<_, _> = keys::shapes(&empty, self.phi).into_iter().collect();
        let filled = keys::fill(empty, self.phi, device, |key, shape| {
            let count = shape.iter().product();
            Ok::<_, Infallible>(if key == "quantize.embedding.weight" {
                uniform(seed, key, count, 1.0 / self.vocabulary as f64)
            } else if key.contains("norm") {
                vec![if key.ends_with("weight") { 1.0 } else { 0.0 }; count]
            } else {
                // A bias is as wide as the weight beside it.
                let weight = shapes.get(&key.replace(".bias", ".weight")).map_or(shape, Vec::as_slice);
                uniform(seed, key, count, (weight[1..].iter().product::<usize>() as f64).powf(-0.5))
            })
        });
        let vqvae = match filled {
            Ok(vqvae) => vqvae,
            Err(never) => match never {},
        };
        let scales = Scales::new(schedule, self.phi, device);
        Ok(MultiScaleVq { vqvae, scales, config: self.clone() })
    }
}

/// Numbers uniform in ±`bound`, a stream of their own for every key.
fn uniform(seed: u64, key: &str, count: usize, bound: f64) -> Vec<f32> {
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
