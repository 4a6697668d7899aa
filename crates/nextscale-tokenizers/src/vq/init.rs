use std::convert::Infallible;

use burn::tensor::Device;
use nextscale_core::{Result, ScaleSchedule};

use super::{MultiScaleVq, Scales, Vqvae, VqvaeConfig, keys};
use crate::autoencoder::fresh;

impl VqvaeConfig {
    /// A tokenizer with fresh weights, determined by `seed`, the same on all devices.
    ///
    /// Convolutions are initialised as in PyTorch: weights and biases uniform in ±1/√(inputs · kernel). The
    /// codes are uniform in ±1/V, far smaller than the features, so that at first a feature's direction
    /// chooses its code, and many codes are used.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(&self, schedule: ScaleSchedule, seed: u64, device: &Device) -> Result<MultiScaleVq> {
        self.check(&schedule)?;
        let empty = Vqvae::empty(self, schedule.len(), true, device);
        let shapes: std::collections::BTreeMap<_, _> = keys::shapes(&empty, self.phi).into_iter().collect();
        let filled = keys::fill(empty, self.phi, device, |key, shape| {
            Ok::<_, Infallible>(if key == "quantize.embedding.weight" {
                fresh::uniform(seed, key, shape.iter().product(), 1.0 / self.vocabulary as f64)
            } else {
                fresh::layer(seed, key, shape, &shapes)
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
