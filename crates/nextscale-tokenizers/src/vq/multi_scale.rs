use burn::{
    module::Module,
    tensor::{Int, Tensor},
};
use nextscale_core::{Dtype, Error, Result};

use super::{QuantizeOutput, Scales, Vqvae, VqvaeConfig};
use crate::autoencoder::parameters::laid_out;
use crate::finite::clamped;
use crate::positions::{grid, positions};

/// VAR's tokenizer bound to a schedule: the [`Tokenizer`](crate::Tokenizer), and the module for training.
///
/// Images here are in [-1, 1], as in the modules; those of the trait are in [0, 1].
#[derive(Module, Debug)]
pub struct MultiScaleVq {
    /// The parameters.
    pub vqvae: Vqvae,
    #[module(skip)]
    pub(super) scales: Scales,
    #[module(skip)]
    pub(super) config: VqvaeConfig,
}

impl MultiScaleVq {
    /// The architecture.
    pub fn config(&self) -> &VqvaeConfig {
        &self.config
    }

    /// The scales with their resampling.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// The same tokenizer for generation. On the CPU the decoder's 3×3 convolutions multiply in `dtype` if the
    /// processor supports it; on other devices, which must support it, the weights of the decoder's convolutions and
    /// the feature maps between them have that type. Everything else is f32: encoding, the codes, norms, and the
    /// convolution that produces the image. Weights are laid out as the device reads them.
    #[must_use]
    pub fn decoding_in(mut self, dtype: Dtype) -> Self {
        self.vqvae.decoder = self.vqvae.decoder.decoding_in(dtype);
        Self { vqvae: laid_out(self.vqvae), ..self }
    }

    /// The same tokenizer for training in mixed precision: 3×3 convolutions of encoder and decoder multiply
    /// in `dtype` if the processor supports it, forward and backward, except those with few channels on one
    /// side. The quantiser and everything else is f32.
    #[must_use]
    pub fn training_in(mut self, dtype: Dtype) -> Self {
        if let Some(encoder) = &mut self.vqvae.encoder {
            encoder.set_dtype(dtype);
        }
        self.vqvae.decoder.set_dtype(dtype);
        self
    }

    /// The features f of images `[batch, 3, H, W]` in [-1, 1], `[batch, channels, h, w]` on the last grid.
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size, or it was loaded without its encoder.
    pub fn encode_features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        let (height, width) = self.config.image_size(self.scales.schedule().last());
        let dims = images.dims();
        if dims[1..] != [3, height, width] {
            return Err(Error::shape("images", format!("[batch, 3, {height}, {width}]"), &dims));
        }
        self.vqvae.features(images)
    }

    /// Images in [-1, 1], clamped, from features of any size. What is not finite is NaN.
    pub fn decode_features(&self, features: Tensor<4>) -> Tensor<4> {
        clamped(self.vqvae.images(features))
    }

    /// The quantiser in training, on f `[batch, channels, h, w]` on the last grid.
    pub fn quantize_train(&self, f: Tensor<4>) -> QuantizeOutput {
        self.vqvae.quantize.quantize_train(f, &self.scales)
    }

    /// Replaces the codes `indices` by `values` `[n, channels]`.
    ///
    /// # Errors
    /// If the shapes do not fit or an index is beyond the vocabulary.
    pub fn restart_codes(&mut self, indices: &[usize], values: Tensor<2>) -> Result<()> {
        self.vqvae.quantize.embedding.restart(indices, values)
    }

    /// The canvas after every scale, `[batch, channels, H, W]` each, for tokens `[batch, h·w]` of the first
    /// scales or all.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    pub fn pyramid(&self, tokens: &[Tensor<2, Int>]) -> Result<Vec<Tensor<4>>> {
        let mut canvases: Vec<Tensor<4>> = Vec::new();
        for (k, tokens) in tokens.iter().enumerate() {
            let added = self.vqvae.quantize.residual(self.code_map(tokens, k)?, k, &self.scales);
            canvases.push(match canvases.last() {
                Some(canvas) => canvas.clone() + added,
                None => added,
            });
        }
        Ok(canvases)
    }

    /// The backbone's inputs for teacher forcing, scales 1 to the last concatenated: `[batch, L - p₀²,
    /// channels]` from the tokens of all scales. The last scale's tokens are not part of any input and may be
    /// omitted.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule, or there is only one scale, which has no input.
    pub fn features(&self, tokens: &[Tensor<2, Int>]) -> Result<Tensor<3>> {
        let inputs = self.scales.len() - 1;
        if inputs == 0 || tokens.len() < inputs {
            return Err(Error::Unsupported(format!(
                "teacher forcing over {} scales with tokens of {}; it takes at least two scales, and tokens of all but \
                 the last",
                self.scales.len(),
                tokens.len()
            )));
        }
        let canvases = self.pyramid(&tokens[..inputs])?;
        let each = canvases.into_iter().enumerate();
        Ok(Tensor::cat(each.map(|(k, canvas)| positions(self.scales.down(k + 1).apply(canvas))).collect(), 1))
    }

    /// The same parameters on other scales.
    pub(crate) fn with_scales(&self, scales: Scales) -> Self {
        Self { scales, ..self.clone() }
    }

    /// The canvas after every scale at that scale's own size, `[batch, channels, h, w]` each: upstream's
    /// experimental accumulation, which is not used in training.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    pub fn pyramid_native(&self, tokens: &[Tensor<2, Int>]) -> Result<Vec<Tensor<4>>> {
        let mut canvases: Vec<Tensor<4>> = Vec::new();
        for (k, tokens) in tokens.iter().enumerate() {
            let added = self.vqvae.quantize.quant_resi.forward(self.code_map(tokens, k)?, self.scales.phi(k));
            canvases.push(match canvases.last() {
                Some(canvas) => self.scales.next(k).apply(canvas.clone()) + added,
                None => added,
            });
        }
        Ok(canvases)
    }

    /// The codes of scale `k`'s tokens as a map.
    pub(super) fn code_map(&self, tokens: &Tensor<2, Int>, k: usize) -> Result<Tensor<4>> {
        let grid = grid(self.scales.schedule(), k)?;
        let dims = tokens.dims();
        if dims[1] != grid.positions() {
            return Err(Error::shape(
                format!("tokens of scale {k}"),
                format!("[batch, {}]", grid.positions()),
                &dims,
            ));
        }
        Ok(self.vqvae.quantize.embedding.embed(tokens.clone(), grid))
    }
}
