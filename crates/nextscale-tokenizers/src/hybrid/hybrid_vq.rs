use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Dtype, Error, Result, ScaleSchedule};

use crate::vq::{MultiScaleVq, Scales, VqvaeConfig};

/// HART's tokenizer bound to a schedule.
#[derive(Debug, Clone)]
pub struct HybridVq {
    pub(super) vq: MultiScaleVq,
}

/// A schedule with the quantiser's matrices; the last scale has no φ.
pub(super) fn scales(schedule: ScaleSchedule, config: &VqvaeConfig, device: &Device) -> Scales {
    Scales::new(schedule, config.phi, device).with_bare_last()
}

impl HybridVq {
    /// A tokenizer with fresh weights, as [`VqvaeConfig::init`] makes them.
    ///
    /// # Errors
    /// If the sizes are invalid.
    pub fn init(config: &VqvaeConfig, schedule: ScaleSchedule, seed: u64, device: &Device) -> Result<Self> {
        let vq = config.init(schedule.clone(), seed, device)?;
        Ok(Self { vq: vq.with_scales(scales(schedule, config, device)) })
    }

    /// The architecture.
    pub fn config(&self) -> &VqvaeConfig {
        self.vq.config()
    }

    /// The multi-scale VQ around it: its discrete part, and the modules.
    pub fn vq(&self) -> &MultiScaleVq {
        &self.vq
    }

    /// The same tokenizer for generation, with the decoder's 3×3 convolutions multiplying in `dtype`; see
    /// [`MultiScaleVq::decoding_in`].
    #[must_use]
    pub fn decoding_in(self, dtype: Dtype) -> Self {
        Self { vq: self.vq.decoding_in(dtype) }
    }

    /// What all tokens together leave of features f `[batch, channels, H, W]` on the canvas, in the same
    /// shape: the continuous part of the last scale's tokens, which a backbone adds to their codes.
    ///
    /// # Errors
    /// If the tokens, `[batch, h·w]` for each scale, are not those of all scales, or the features are not on
    /// the canvas's grid.
    pub fn residual(&self, features: Tensor<4>, tokens: &[Tensor<2, Int>]) -> Result<Tensor<4>> {
        let scales = self.vq.scales().len();
        let canvas = match self.vq.pyramid(tokens)?.pop() {
            Some(canvas) if tokens.len() == scales => canvas,
            _ => {
                return Err(Error::Unsupported(format!(
                    "the residual needs the tokens of all {scales} scales, and has those of {}",
                    tokens.len()
                )));
            }
        };
        if features.dims() != canvas.dims() {
            return Err(Error::shape("the features", format!("{:?}", canvas.dims()), &features.dims()));
        }
        Ok(features - canvas)
    }
}
