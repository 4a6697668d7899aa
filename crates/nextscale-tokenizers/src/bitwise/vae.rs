use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::{Error, Result};

use super::BsqVaeConfig;
use crate::autoencoder::{Decoder, Encoder};

/// The parameters of Infinity's tokenizer.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct BsqVae {
    /// Absent if a model is loaded only for generation.
    pub encoder: Option<Encoder>,
    pub decoder: Decoder,
}

impl BsqVae {
    /// The modules without values, for a checked config.
    pub(super) fn empty(config: &BsqVaeConfig, with_encoder: bool, device: &Device) -> Self {
        let layout = &config.layout();
        Self {
            encoder: with_encoder.then(|| Encoder::new(layout, device)),
            decoder: Decoder::new(layout, device),
        }
    }

    /// The continuous features f of images: `[batch, 3, H, W]` in [-1, 1] to `[batch, bits, h, w]`.
    ///
    /// # Errors
    /// If the model was loaded without its encoder.
    pub fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let encoder = self.encoder.as_ref().ok_or_else(|| {
            Error::Unsupported(
                "the tokenizer was loaded without its encoder; load it with the encoder to encode images"
                    .into(),
            )
        })?;
        Ok(encoder.forward(images))
    }

    /// Images from features of any size: `[batch, bits, h, w]` to `[batch, 3, H, W]`, roughly in [-1, 1], not
    /// clamped.
    pub fn images(&self, features: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(features)
    }
}
