//! A tokenizer small enough to reason about, for tests: 4 × 4 images, scales 1 and 2, codes by mean
//! brightness.

use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Alphabet, Canvas, Draw, Result, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;

/// Codes.
pub const CODES: usize = 8;

/// Bits of a code.
pub const BITS: usize = 3;

/// The tokenizer. The canvas has one channel; scale 0 adds its level everywhere, scale 1 each quarter's.
pub struct Toy {
    schedule: ScaleSchedule,
}

impl Toy {
    pub fn new() -> Self {
        Self { schedule: ScaleSchedule::square(&[1, 2]).unwrap() }
    }
}

impl Tokenizer for Toy {
    fn schedule(&self) -> &ScaleSchedule {
        &self.schedule
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::codes(CODES)
    }

    fn input_channels(&self) -> usize {
        1
    }

    fn image_size(&self) -> (usize, usize) {
        (4, 4)
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn blank(&self, batch: usize) -> Canvas {
        Canvas { features: Tensor::zeros([batch, 1, 2, 2], &self.device()) }
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let grid = self.schedule.grid(k);
        let [batch, ..] = draw.tokens.dims();
        Ok(draw.tokens.clone().float().div_scalar(CODES as f32).reshape([batch, 1, grid.height, grid.width]))
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, _k: usize) -> Result<Canvas> {
        Ok(Canvas { features: canvas.features + embedding })
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        let [batch, ..] = canvas.features.dims();
        let grid = self.schedule.grid(k);
        let pooled = adaptive_avg_pool2d(canvas.features.clone(), [grid.height, grid.width]);
        Ok(pooled.reshape([batch, grid.positions(), 1]))
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        let [batch, ..] = canvas.features.dims();
        let wide = canvas.features.clone().repeat_dim(1, 3).reshape([batch, 3, 2, 1, 2, 1]);
        Ok(wide.repeat_dim(3, 2).repeat_dim(5, 2).reshape([batch, 3, 4, 4]).clamp(0.0, 1.0))
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let [batch, ..] = images.dims();
        let grey = images.mean_dim(1);
        let tokens = |side: usize| {
            let levels = adaptive_avg_pool2d(grey.clone(), [side, side]) * CODES as f32;
            levels.clamp(0.0, CODES as f32 - 1.0).int().reshape([batch, side * side, 1])
        };
        Ok(vec![tokens(1), tokens(2)])
    }
}

/// [`Toy`] with every code written as [`BITS`] bits, the highest first.
pub struct BitToy(Toy);

impl BitToy {
    pub fn new() -> Self {
        Self(Toy::new())
    }
}

impl Tokenizer for BitToy {
    fn schedule(&self) -> &ScaleSchedule {
        self.0.schedule()
    }

    fn alphabet(&self) -> Alphabet {
        Alphabet::bits(BITS)
    }

    fn input_channels(&self) -> usize {
        self.0.input_channels()
    }

    fn image_size(&self) -> (usize, usize) {
        self.0.image_size()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn blank(&self, batch: usize) -> Canvas {
        self.0.blank(batch)
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        let code =
            (0..BITS).map(|bit| draw.tokens.clone().slice_dim(2, bit..bit + 1) * (1 << (BITS - 1 - bit)));
        let code = code.reduce(|sum, bit| sum + bit).unwrap_or_else(|| draw.tokens.clone());
        self.0.embed(&Draw::tokens(code), k)
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas> {
        self.0.accumulate(canvas, embedding, k)
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        self.0.next_input(canvas, k)
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        self.0.decode(canvas)
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        let bit = |codes: &Tensor<3, Int>, bit: usize| codes.clone() / (1 << (BITS - 1 - bit)) % 2;
        let bits = |codes: Tensor<3, Int>| Tensor::cat((0..BITS).map(|at| bit(&codes, at)).collect(), 2);
        Ok(self.0.encode(images)?.into_iter().map(bits).collect())
    }
}
