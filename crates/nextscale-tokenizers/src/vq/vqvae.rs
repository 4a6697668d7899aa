use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::{Error, Result};

use super::{Quantizer, VqvaeConfig};
use crate::autoencoder::{Conv, Decoder, Encoder};

/// The parameters of VAR's tokenizer.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct Vqvae {
    /// Absent if a model is loaded only for generation.
    pub encoder: Option<Encoder>,
    pub decoder: Decoder,
    pub quantize: Quantizer,
    /// After the encoder, and absent with it.
    pub quant_conv: Option<Conv>,
    pub post_quant_conv: Conv,
}

impl Vqvae {
    /// The modules without values, for a checked config; `scales` matters if φ differs per scale.
    pub(super) fn empty(config: &VqvaeConfig, scales: usize, with_encoder: bool, device: &Device) -> Self {
        let (latent, layout) = (config.latent_channels, &config.layout());
        Self {
            encoder: with_encoder.then(|| Encoder::new(layout, device)),
            decoder: Decoder::new(layout, device),
            quantize: Quantizer::new(config, scales, device),
            quant_conv: with_encoder.then(|| Conv::new(3, latent, latent, device)),
            post_quant_conv: Conv::new(3, latent, latent, device),
        }
    }

    /// The continuous features f of images: `[batch, 3, H, W]` in [-1, 1] to `[batch, channels, h, w]`.
    ///
    /// # Errors
    /// If the model was loaded without its encoder.
    pub fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let (Some(encoder), Some(conv)) = (&self.encoder, &self.quant_conv) else {
            return Err(Error::Unsupported(
                "the tokenizer was loaded without its encoder; load it with the encoder to encode images"
                    .into(),
            ));
        };
        Ok(conv.forward(encoder.forward(images)))
    }

    /// Images from features of any size: `[batch, channels, h, w]` to `[batch, 3, H, W]`, roughly in [-1, 1],
    /// not clamped.
    pub fn images(&self, features: Tensor<4>) -> Tensor<4> {
        self.decoder.forward(self.post_quant_conv.forward(features))
    }
}
