//! A convolution's weights, packed.

use super::Activation;
use crate::{
    raw::Level,
    tiles::{NARROW, PANEL, Product},
};

/// Weights `[inputs, outputs]` in panels of columns: `[panel][inputs][PANEL]`, the last possibly
/// `[inputs][NARROW]`, padded with zero columns. The bias is padded likewise.
#[derive(Clone, Debug)]
pub struct Panels {
    pub inputs: usize,
    pub outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// The width of the next panel when this many columns are left.
fn panel_width(columns_left: usize) -> usize {
    if columns_left > NARROW { PANEL } else { NARROW }
}

impl Panels {
    /// Packs `weight(input, output)`.
    pub fn new(inputs: usize, bias: &[f32], weight: impl Fn(usize, usize) -> f32) -> Self {
        let outputs = bias.len();
        let (mut weights, mut padded) = (Vec::new(), Vec::new());
        let mut column = 0;
        while column < outputs {
            let width = panel_width(outputs - column);
            for input in 0..inputs {
                weights.extend(
                    (column..column + width).map(
                        |output| {
                            if output < outputs { weight(input, output) } else { 0.0 }
                        },
                    ),
                );
            }
            padded.extend((column..column + width).map(|output| bias.get(output).copied().unwrap_or(0.0)));
            column += width;
        }
        Panels { inputs, outputs, weights, bias: padded }
    }

    /// `out [rows, outputs] = activation(x [rows, inputs] · weights + bias)`.
    pub fn multiply(&self, level: Level, x: &[f32], activation: Activation, out: &mut [f32]) {
        let Panels { inputs, outputs, .. } = *self;
        let mut column = 0;
        while column < outputs {
            let width = panel_width(outputs - column);
            level.run_vectors(Product {
                x,
                inputs,
                weights: &self.weights[column * inputs..][..inputs * width],
                bias: &self.bias[column..column + width],
                activation,
                out: &mut out[column..],
                stride: outputs,
                columns: width.min(outputs - column),
            });
            column += width;
        }
    }
}
