use burn::{module::Module, tensor::Tensor};
use nextscale_core::{Dtype, Error, Result};

use super::{BsqVae, BsqVaeConfig, Quantized, Scales, quantizer};
use crate::autoencoder::parameters::laid_out;
use crate::finite::clamped;

/// Infinity's tokenizer bound to a schedule: the [`Tokenizer`](crate::Tokenizer), and the module for
/// training.
///
/// Images here are in [-1, 1], as in the modules; those of the trait are in [0, 1].
#[derive(Module, Debug)]
pub struct MultiScaleBsq {
    /// The parameters.
    pub vae: BsqVae,
    #[module(skip)]
    pub(super) scales: Scales,
    #[module(skip)]
    pub(super) config: BsqVaeConfig,
}

impl MultiScaleBsq {
    /// The architecture.
    pub fn config(&self) -> &BsqVaeConfig {
        &self.config
    }

    /// The scales with their resampling.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// The bits of a token: those of a latent, or four times as many with patches.
    pub fn token_bits(&self) -> usize {
        if self.scales.patches() { 4 * self.config.bits } else { self.config.bits }
    }

    /// The same tokenizer for generation. On the CPU the decoder's 3×3 convolutions multiply in `dtype` if the
    /// processor supports it; on other devices, which must support it, the weights of the decoder's convolutions and
    /// the feature maps between them have that type. Everything else is f32: encoding, the codes, norms, and the
    /// convolution that produces the image. Weights are laid out as the device reads them.
    #[must_use]
    pub fn decoding_in(mut self, dtype: Dtype) -> Self {
        self.vae.decoder = self.vae.decoder.decoding_in(dtype);
        Self { vae: laid_out(self.vae), ..self }
    }

    /// The same tokenizer for training in mixed precision: 3×3 convolutions of encoder and decoder multiply
    /// in `dtype` if the processor supports it, forward and backward, except those with few channels on one
    /// side. The quantiser and everything else is f32.
    #[must_use]
    pub fn training_in(mut self, dtype: Dtype) -> Self {
        if let Some(encoder) = &mut self.vae.encoder {
            encoder.set_dtype(dtype);
        }
        self.vae.decoder.set_dtype(dtype);
        self
    }

    /// The features f of images `[batch, 3, H, W]` in [-1, 1], `[batch, bits, h, w]` on the canvas.
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size, or it was loaded without its encoder.
    pub fn encode_features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let (height, width) = self.size();
        let dims = images.dims();
        if dims[1..] != [3, height, width] {
            return Err(Error::shape("images", format!("[batch, 3, {height}, {width}]"), &dims));
        }
        self.vae.features(images)
    }

    /// Images in [-1, 1], clamped, from features of any size. What is not finite is NaN.
    pub fn decode_features(&self, features: Tensor<4>) -> Tensor<4> {
        clamped(self.vae.images(features))
    }

    /// Codes for features f `[batch, bits, h, w]` on the canvas, in training too.
    ///
    /// # Errors
    /// If the features are not on the canvas's grid.
    pub fn quantize(&self, f: Tensor<4>) -> Result<Quantized> {
        self.on_canvas("the features", &f)?;
        Ok(quantizer::quantize(f, &self.scales))
    }

    /// Height and width in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        let (canvas, reduction) = (self.scales.canvas(), self.config.reduction());
        (canvas.height * reduction, canvas.width * reduction)
    }

    pub(super) fn on_canvas(&self, what: &str, features: &Tensor<4>) -> Result<()> {
        let canvas = self.scales.canvas();
        let dims = features.dims();
        let expected = [dims[0], self.config.bits, canvas.height, canvas.width];
        if dims != expected {
            return Err(Error::shape(what, format!("{expected:?}"), &dims));
        }
        Ok(())
    }
}
