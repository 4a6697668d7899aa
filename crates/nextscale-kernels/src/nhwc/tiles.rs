//! The inner loop of a convolution: rows of inputs times packed weights, with bias and activation.

// Loops over the registers of a tile run by index, so that they unroll.
#![allow(clippy::needless_range_loop)]

use super::Activation;
use crate::raw::{Vector, VectorKernel};

/// Columns of a full panel of weights.
const PANEL: usize = 32;
/// Columns of the narrow panel that ends where at most as many are left.
const NARROW: usize = 16;

/// Weights `[inputs, outputs]` in panels of columns: `[panel][inputs][PANEL]`, the last perhaps `[inputs][NARROW]`, with
/// zeros in columns that no output has. The bias is lengthened likewise.
#[derive(Clone, Debug)]
pub struct Panels {
    pub inputs: usize,
    pub outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

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
}

/// `out [rows, outputs] = activation(x [rows, inputs] · weights + bias)`.
pub struct Product<'a> {
    pub x: &'a [f32],
    pub panels: &'a Panels,
    pub activation: Activation,
    pub out: &'a mut [f32],
}

impl VectorKernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let Panels { inputs, outputs, .. } = *self.panels;
        let rows = self.out.len() / outputs;
        let (mut column, mut from) = (0, 0);
        while column < outputs {
            let width = panel_width(outputs - column);
            let weights = &self.panels.weights[from..][..inputs * width];
            let mut row = 0;
            while row < rows {
                row += match (V::MANY, width) {
                    (true, PANEL) => self.rows::<V, 2, PANEL>(weights, row, column, rows - row),
                    (true, _) => self.rows::<V, 1, NARROW>(weights, row, column, rows - row),
                    (false, PANEL) => self.small::<V, PANEL>(weights, row, column, rows - row),
                    (false, _) => self.small::<V, NARROW>(weights, row, column, rows - row),
                };
            }
            column += width;
            from += inputs * width;
        }
    }
}

impl Product<'_> {
    /// Rows from `row` on with `VECTORS` long vectors a row; gives how many rows.
    #[inline(always)]
    fn rows<V: Vector, const VECTORS: usize, const WIDTH: usize>(
        &mut self,
        weights: &[f32],
        row: usize,
        column: usize,
        left: usize,
    ) -> usize {
        match left {
            12.. => self.tile::<V, 12, VECTORS, WIDTH>(weights, row, column, 0),
            6.. => self.tile::<V, 6, VECTORS, WIDTH>(weights, row, column, 0),
            3.. => self.tile::<V, 3, VECTORS, WIDTH>(weights, row, column, 0),
            _ => self.tile::<V, 1, VECTORS, WIDTH>(weights, row, column, 0),
        }
    }

    /// Rows from `row` on where 16 registers hold 8 numbers each: half a panel at a time; gives how many rows.
    #[inline(always)]
    fn small<V: Vector, const WIDTH: usize>(
        &mut self,
        weights: &[f32],
        row: usize,
        column: usize,
        left: usize,
    ) -> usize {
        let mut done = 0;
        for offset in (0..WIDTH).step_by(2 * V::LANES) {
            done = match left {
                6.. => self.tile::<V, 6, 2, WIDTH>(weights, row, column, offset),
                3.. => self.tile::<V, 3, 2, WIDTH>(weights, row, column, offset),
                _ => self.tile::<V, 1, 2, WIDTH>(weights, row, column, offset),
            };
        }
        done
    }

    /// `ROWS` rows × `VECTORS` vectors of the panel's columns from `offset` on. Gives `ROWS`.
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const VECTORS: usize, const WIDTH: usize>(
        &mut self,
        weights: &[f32],
        row: usize,
        column: usize,
        offset: usize,
    ) -> usize {
        let Panels { inputs, outputs, .. } = *self.panels;
        let length = VECTORS * V::LANES;
        let first = column + offset;
        if first >= outputs {
            return ROWS;
        }
        let mut x: [&[f32]; ROWS] = [&[]; ROWS];
        for i in 0..ROWS {
            x[i] = &self.x[(row + i) * inputs..][..inputs];
        }
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j] = V::load(&self.panels.bias, first + j * V::LANES);
            }
        }
        for (k, line) in weights.chunks_exact(WIDTH).take(inputs).enumerate() {
            let mut factors = [V::splat(0.0); VECTORS];
            for j in 0..VECTORS {
                factors[j] = V::load(line, offset + j * V::LANES);
            }
            for i in 0..ROWS {
                let value = V::splat(x[i][k]);
                for j in 0..VECTORS {
                    sums[i][j] = sums[i][j].add_product(value, factors[j]);
                }
            }
        }
        // All sums leave their registers at once: a longer loop over them is not unrolled, and would make the compiler keep
        // them in memory above.
        let mut tile = [[0.0; PANEL]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        let count = length.min(outputs - first);
        let lines = self.out[row * outputs..].chunks_exact_mut(outputs);
        for (line, out) in tile.iter_mut().zip(lines) {
            self.activation.apply(&mut line[..length]);
            out[first..first + count].copy_from_slice(&line[..count]);
        }
        ROWS
    }
}
