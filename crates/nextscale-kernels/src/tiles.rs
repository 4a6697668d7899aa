//! The inner loop of products with packed weights: rows of inputs times a panel of columns, with bias and
//! activation.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use crate::{
    activation::Activation,
    raw::{ProductKernel, Register, add_products},
};

/// Columns of a full panel of weights.
pub const PANEL: usize = 32;
/// Columns of the narrow panel, used when few columns are left.
pub const NARROW: usize = 16;

/// `out [rows, columns] = activation(x [rows, inputs] · weights [inputs, width] + bias [width])` for a panel,
/// which is `width` columns wide, [`PANEL`] or [`NARROW`].
pub struct Product<'a> {
    pub x: &'a [f32],
    pub inputs: usize,
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    pub activation: Activation,
    /// Starts at the panel's first column in the first row.
    pub out: &'a mut [f32],
    /// The distance between rows of `out`.
    pub stride: usize,
    /// How many of the panel's columns `out` has.
    pub columns: usize,
}

impl ProductKernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run_products<V: Register>(mut self) {
        let rows = self.x.len() / self.inputs;
        let mut row = 0;
        while row < rows {
            row += match (V::MANY, self.bias.len()) {
                (true, PANEL) => self.rows::<V, 2, PANEL>(row, rows - row),
                (true, _) => self.rows::<V, 1, NARROW>(row, rows - row),
                (false, PANEL) => self.small::<V, PANEL>(row, rows - row),
                (false, _) => self.small::<V, NARROW>(row, rows - row),
            };
        }
    }
}

/// `VECTORS` vectors of the bias, for every row.
#[inline(always)]
pub fn begin<V: Register, const ROWS: usize, const VECTORS: usize>(bias: &[f32]) -> [[V; VECTORS]; ROWS] {
    let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
    for i in 0..ROWS {
        for j in 0..VECTORS {
            sums[i][j] = V::load(bias, j * V::LANES);
        }
    }
    sums
}

impl Product<'_> {
    /// Rows from `row` on, with `VECTORS` long vectors per row. Returns the number of rows.
    #[inline(always)]
    fn rows<V: Register, const VECTORS: usize, const WIDTH: usize>(
        &mut self,
        row: usize,
        left: usize,
    ) -> usize {
        match left {
            12.. => self.tile::<V, 12, VECTORS, WIDTH>(row, 0),
            6.. => self.tile::<V, 6, VECTORS, WIDTH>(row, 0),
            3.. => self.tile::<V, 3, VECTORS, WIDTH>(row, 0),
            _ => self.tile::<V, 1, VECTORS, WIDTH>(row, 0),
        }
    }

    /// Rows from `row` on if there are 16 registers of 8 numbers: half a panel at a time. Returns the number
    /// of rows.
    #[inline(always)]
    fn small<V: Register, const WIDTH: usize>(&mut self, row: usize, left: usize) -> usize {
        let mut done = 0;
        for offset in (0..WIDTH).step_by(2 * V::LANES) {
            done = match left {
                6.. => self.tile::<V, 6, 2, WIDTH>(row, offset),
                3.. => self.tile::<V, 3, 2, WIDTH>(row, offset),
                _ => self.tile::<V, 1, 2, WIDTH>(row, offset),
            };
        }
        done
    }

    /// `ROWS` rows × `VECTORS` vectors of the panel's columns, starting at `offset`. Returns `ROWS`.
    #[inline(always)]
    fn tile<V: Register, const ROWS: usize, const VECTORS: usize, const WIDTH: usize>(
        &mut self,
        row: usize,
        offset: usize,
    ) -> usize {
        let inputs = self.inputs;
        let length = VECTORS * V::LANES;
        if offset >= self.columns {
            return ROWS;
        }
        let begin = begin::<V, ROWS, VECTORS>(&self.bias[offset..]);
        let x = &self.x[row * inputs..];
        let sums = add_products(begin, x, [inputs, 1], &self.weights[offset..], WIDTH, inputs);
        // All sums leave their registers at once: a longer loop over them would not be unrolled, and the
        // compiler would keep them in memory above.
        let mut tile = [[0.0; PANEL]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        let count = length.min(self.columns - offset);
        for (i, line) in tile.iter_mut().enumerate() {
            self.activation.apply(&mut line[..length]);
            let from = (row + i) * self.stride + offset;
            self.out[from..from + count].copy_from_slice(&line[..count]);
        }
        ROWS
    }
}
