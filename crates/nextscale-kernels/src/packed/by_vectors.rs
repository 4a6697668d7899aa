//! Products on the processor's vectors.

use super::WIDTH;
use crate::{activation::Activation, raw::Level, tiles::Product};

/// `x · weight + bias` for panels `weight`, to a block `[rows, WIDTH]` for each.
pub fn multiply(level: Level, x: &[f32], weight: &[f32], bias: &[f32], blocks: &mut [f32]) {
    let panels = bias.len() / WIDTH;
    let (inner, block) = (weight.len() / bias.len(), blocks.len() / panels);
    let panels = weight.chunks_exact(inner * WIDTH).zip(bias.chunks_exact(WIDTH));
    for ((weights, bias), out) in panels.zip(blocks.chunks_exact_mut(block)) {
        level.run_vectors(Product {
            x,
            inputs: inner,
            weights,
            bias,
            activation: Activation::Identity,
            out,
            stride: WIDTH,
            columns: WIDTH,
        });
    }
}
