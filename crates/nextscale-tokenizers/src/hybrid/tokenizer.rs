use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::{Alphabet, Canvas, Draw, Result, ScaleSchedule};

use super::{HybridVq, hybrid_vq::scales};
use crate::Tokenizer;

/// As the multi-scale VQ, on whose last scale the continuous residual is part of the embedding.
impl Tokenizer for HybridVq {
    fn schedule(&self) -> &ScaleSchedule {
        self.vq.schedule()
    }

    fn alphabet(&self) -> Alphabet {
        self.vq.alphabet()
    }

    fn input_channels(&self) -> usize {
        self.vq.input_channels()
    }

    fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Arc<dyn Tokenizer>> {
        self.config().check(schedule)?;
        let scales = scales(schedule.clone(), self.config(), &self.device());
        Ok(Arc::new(Self { vq: self.vq.with_scales(scales) }))
    }

    fn image_size(&self) -> (usize, usize) {
        self.vq.image_size()
    }

    fn device(&self) -> Device {
        self.vq.device()
    }

    fn blank(&self, batch: usize) -> Canvas {
        self.vq.blank(batch)
    }

    fn embed(&self, draw: &Draw, k: usize) -> Result<Tensor<4>> {
        self.vq.embed(draw, k)
    }

    fn accumulate(&self, canvas: Canvas, embedding: Tensor<4>, k: usize) -> Result<Canvas> {
        self.vq.accumulate(canvas, embedding, k)
    }

    fn next_input(&self, canvas: &Canvas, k: usize) -> Result<Tensor<3>> {
        self.vq.next_input(canvas, k)
    }

    fn decode(&self, canvas: &Canvas) -> Result<Tensor<4>> {
        self.vq.decode(canvas)
    }

    fn encode(&self, images: Tensor<4>) -> Result<Vec<Tensor<3, Int>>> {
        self.vq.encode(images)
    }

    fn features(&self, images: Tensor<4>) -> Result<Tensor<4>> {
        Tokenizer::features(&self.vq, images)
    }

    fn requantise(&self, features: Tensor<4>, canvas: &Canvas, k: usize) -> Result<Tensor<3, Int>> {
        self.vq.requantise(features, canvas, k)
    }
}
