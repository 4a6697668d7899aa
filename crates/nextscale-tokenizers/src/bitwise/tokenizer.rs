use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Alphabet, Canvas, Draw, Error, Grid, Result, ScaleSchedule};

use super::{
    MultiScaleBsq, Scales,
    code::{bits, codes},
    patch,
};
use crate::Tokenizer;
use crate::finite::encoded;
use crate::positions::{grid, map};

impl Tokenizer for MultiScaleBsq {
    fn schedule(&self) -> &ScaleSchedule {
        self.scales.schedule()
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::bits(self.token_bits())
    }

    fn input_channels(&self) -> usize {
        self.token_bits()
    }

    fn canvas_channels(&self) -> usize {
        self.config.bits
    }

    fn canvas_grid(&self) -> Grid {
        self.scales.canvas()
    }

    /// Any size works: the autoencoder is fully convolutional.
    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Tokenizer>> {
        let scales = Scales::new(schedule.clone(), self.scales.patches(), &self.device());
        Ok(Arc::new(Self { scales, ..self.clone() }))
    }

    fn image_size(&self) -> (usize, usize) {
        self.size()
    }

    fn device(&self) -> Device {
        self.vae.decoder.conv_in.bias.lazy_device()
    }

    fn blank(&self, batch: usize) -> Canvas {
        let canvas = self.scales.canvas();
        let shape = [batch, self.config.bits, canvas.height, canvas.width];
        Canvas { features: Tensor::zeros(shape, &self.device()) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let grid = grid(self.schedule(), k)?;
        let (width, positions) = (self.token_bits(), grid.positions());
        let ones = match &draw.weights {
            None if draw.tokens.dims()[1..] == [positions, width] => draw.tokens.clone().float(),
            None => {
                let expected = format!("[batch, {positions}, {width}]");
                return Err(Error::shape(format!("tokens of scale {k}"), expected, &draw.tokens.dims()));
            }
            Some(weights) if weights.dims()[1..] == [positions, 2 * width] => {
                // Of a bit's two weights, which sum to 1, that of the value 1.
                let [batch, ..] = weights.dims();
                let pairs = weights.clone().reshape([batch, positions, width, 2]);
                pairs.narrow(3, 1, 1).squeeze_dim(3)
            }
            Some(weights) => {
                let expected = format!("[batch, {positions}, {}]", 2 * width);
                return Err(Error::shape(format!("weights of scale {k}"), expected, &weights.dims()));
            }
        };
        let ones = map(ones, grid);
        Ok(codes(if self.scales.patches() { patch::open(ones) } else { ones }))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas> {
        grid(self.schedule(), k)?;
        let latents = self.scales.latents(k);
        let [batch, ..] = canvas.features.dims();
        let expected = [batch, self.config.bits, latents.height, latents.width];
        if embedding.dims() != expected {
            let what = format!("the embedding of scale {k}");
            return Err(Error::shape(what, format!("{expected:?}"), &embedding.dims()));
        }
        Ok(Canvas { features: canvas.features + self.scales.up(k).apply(embedding) })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        if k == 0 {
            return Err(Error::Unsupported("scale 0 has no input: it begins from the condition".into()));
        }
        grid(self.schedule(), k)?;
        self.on_canvas("the canvas", &canvas.features)?;
        Ok(self.input(canvas.features.clone(), k))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        self.on_canvas("the canvas", &canvas.features)?;
        Ok((self.decode_features(canvas.features.clone()) + 1.0) / 2.0)
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let f = encoded(self.encode_features(images * 2.0 - 1.0)?)?;
        Ok(self.quantize(f.inner())?.bits.into_iter().map(|bits| self.tokens(bits)).collect())
    }
    fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        encoded(self.encode_features(images * 2.0 - 1.0)?)
    }

    fn requantise(&self, features: Tensor<4>, canvas: &Canvas, k: usize) -> Result<Tensor<3, Int>> {
        grid(self.schedule(), k)?;
        self.on_canvas("the canvas", &canvas.features)?;
        if features.dims() != canvas.features.dims() {
            let expected = format!("{:?}", canvas.features.dims());
            return Err(Error::shape("the features", expected, &features.dims()));
        }
        let rest = self.scales.down(k).apply(features - canvas.features.clone());
        Ok(self.tokens(bits(rest.inner())))
    }
}
