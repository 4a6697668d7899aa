use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Alphabet, Canvas, Draw, Error, Result, ScaleSchedule};

use super::MultiScaleVq;
use crate::Tokenizer;
use crate::finite::encoded;
use crate::positions::{grid, positions};

impl Tokenizer for MultiScaleVq {
    fn schedule(&self) -> &ScaleSchedule {
        self.scales.schedule()
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(self.config.vocabulary)
    }

    fn input_channels(&self) -> usize {
        self.config.latent_channels
    }

    fn image_size(&self) -> (usize, usize) {
        self.config.image_size(self.schedule().last())
    }

    fn device(&self) -> Device {
        self.vqvae.quantize.embedding.weight.lazy_device()
    }

    fn blank(&self, batch: usize) -> Canvas {
        let last = self.schedule().last();
        let shape = [batch, self.config.latent_channels, last.height, last.width];
        Canvas { features: Tensor::zeros(shape, &self.device()) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let [batch, positions, slots] = draw.tokens.dims();
        let Some(weights) = &draw.weights else {
            if slots != 1 {
                return Err(Error::shape("tokens", "[batch, h·w, 1]", &[batch, positions, slots]));
            }
            return self.code_map(&draw.tokens.clone().squeeze_dim(2), k);
        };
        let grid = grid(self.schedule(), k)?;
        if weights.dims()[1..] != [grid.positions(), self.config.vocabulary] {
            let expected = format!("[batch, {}, {}]", grid.positions(), self.config.vocabulary);
            return Err(Error::shape(format!("weights of scale {k}"), expected, &weights.dims()));
        }
        Ok(self.vqvae.quantize.embedding.mix(weights.clone(), grid))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas> {
        let grid = grid(self.schedule(), k)?;
        let [batch, ..] = canvas.features.dims();
        let expected = [batch, self.config.latent_channels, grid.height, grid.width];
        if embedding.dims() != expected {
            let what = format!("the embedding of scale {k}");
            return Err(Error::shape(what, format!("{expected:?}"), &embedding.dims()));
        }
        Ok(Canvas { features: canvas.features + self.vqvae.quantize.residual(embedding, k, &self.scales) })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        if k == 0 {
            return Err(Error::Unsupported("scale 0 has no input: it begins from the condition".into()));
        }
        grid(self.schedule(), k)?;
        self.on_canvas(canvas)?;
        Ok(positions(self.scales.down(k).apply(canvas.features.clone())))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        self.on_canvas(canvas)?;
        Ok((self.decode_features(canvas.features.clone()) + 1.0) / 2.0)
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let f = encoded(self.encode_features(images * 2.0 - 1.0)?)?;
        let tokens = self.vqvae.quantize.encode(f, &self.scales);
        Ok(tokens.into_iter().map(|tokens| tokens.unsqueeze_dim(2)).collect())
    }

    fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        encoded(self.encode_features(images * 2.0 - 1.0)?)
    }

    fn requantise(&self, features: Tensor<4>, canvas: &Canvas, k: usize) -> Result<Tensor<3, Int>> {
        grid(self.schedule(), k)?;
        self.on_canvas(canvas)?;
        if features.dims() != canvas.features.dims() {
            let expected = format!("{:?}", canvas.features.dims());
            return Err(Error::shape("the features", expected, &features.dims()));
        }
        let rest = self.scales.down(k).apply(features - canvas.features.clone());
        Ok(self.vqvae.quantize.embedding.nearest(positions(rest)).unsqueeze_dim(2))
    }
}

impl MultiScaleVq {
    fn on_canvas(&self, canvas: &Canvas) -> Result<()> {
        let last = self.schedule().last();
        let dims = canvas.features.dims();
        let expected = [dims[0], self.config.latent_channels, last.height, last.width];
        if dims != expected {
            return Err(Error::shape("the canvas", format!("{expected:?}"), &dims));
        }
        Ok(())
    }
}
