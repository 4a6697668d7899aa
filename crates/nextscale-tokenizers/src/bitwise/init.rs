use std::collections::BTreeMap;
use std::convert::Infallible;

use burn::tensor::Device;
use nextscale_core::{Result, ScaleSchedule};

use super::{BsqVae, BsqVaeConfig, MultiScaleBsq, Scales};
use crate::autoencoder::{fresh, parameters};

impl BsqVaeConfig {
    /// A tokenizer with fresh weights, determined by `seed`, the same on all devices: convolutions are
    /// initialised as in PyTorch, weights and biases uniform in ±1/√(inputs · kernel). `patches` as for
    /// [`Scales::new`].
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(
        &self,
        schedule: ScaleSchedule,
        patches: bool,
        seed: u64,
        device: &Device,
    ) -> Result<MultiScaleBsq> {
        self.check()?;
        self.check_scales(&schedule)?;
        let empty = BsqVae::empty(self, true, device);
        let shapes: BTreeMap<_, _> = parameters::shapes(&empty, str::to_owned).into_iter().collect();
        let supply =
            |key: &str, shape: &[usize]| Ok::<_, Infallible>(fresh::layer(seed, key, shape, &shapes));
        let vae = match parameters::fill(empty, str::to_owned, device, supply) {
            Ok(vae) => vae,
            Err(never) => match never {},
        };
        let scales = Scales::new(schedule, patches, device);
        Ok(MultiScaleBsq { vae, scales, config: self.clone() })
    }
}
