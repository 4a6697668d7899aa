//! Products on the processor's vectors.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use super::{Then, WIDTH, panels};
use crate::{
    elementwise::gelu_of,
    raw::{Level, Rectangle, Vector, VectorKernel, add_products, build_rectangles},
    tiles::begin,
};

/// Rows handled together: a multiple of the tallest tile, whose inputs stay in a core's own cache.
const ROWS: usize = 504;

/// `then(x · weight + bias)` for x `[rows, inner]`, panels `[panels, inner, WIDTH]` and bias `[outputs]`, to
/// `[rows, outputs]`.
pub fn apply(level: Level, x: &[f32], inner: usize, weight: &[f32], bias: &[f32], then: Then) -> Vec<f32> {
    let (rows, outputs) = (x.len() / inner, bias.len());
    let mut padded = bias.to_vec();
    padded.resize(panels(outputs) * WIDTH, 0.0);
    let part = parts([rows, outputs], rayon::current_num_threads());
    build_rectangles([rows, outputs], part, |[row, column], out| {
        level.run_vectors(Panels {
            x: &x[row * inner..][..out.rows() * inner],
            inner,
            weight: &weight[column * inner..],
            bias: &padded[column..],
            then,
            out,
        });
    })
}

/// The largest part of a result of these rows and columns. There are two for every thread, so that a delayed
/// thread leaves work to the others: parts of the larger operand, which is then read once.
fn parts([rows, outputs]: [usize; 2], threads: usize) -> [usize; 2] {
    if threads == 1 {
        return [ROWS, outputs];
    }
    if rows >= outputs {
        return [rows.div_ceil(2 * threads).next_multiple_of(12).min(ROWS), outputs];
    }
    [ROWS, panels(outputs).div_ceil(2 * threads) * WIDTH]
}

/// A part of the result, from all rows of x and the panels that begin at its first column.
struct Panels<'a> {
    x: &'a [f32],
    inner: usize,
    weight: &'a [f32],
    bias: &'a [f32],
    then: Then,
    out: Rectangle<'a>,
}

impl VectorKernel for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let each = self.weight.chunks_exact(self.inner * WIDTH).zip(self.bias.chunks_exact(WIDTH));
        let all = self.out.columns();
        for (i, (weight, bias)) in each.take(panels(all)).enumerate() {
            let columns = WIDTH.min(all - i * WIDTH);
            if !V::MANY {
                for offset in (0..columns).step_by(2 * V::LANES) {
                    self.strip::<V, 2>(weight, bias, offset, columns);
                }
            } else if columns > V::LANES {
                self.strip::<V, 2>(weight, bias, 0, columns);
            } else {
                self.strip::<V, 1>(weight, bias, 0, columns);
            }
        }
    }
}

impl Panels<'_> {
    /// `VECTORS` vectors of a panel that has `columns` columns, starting at `offset`.
    #[inline(always)]
    fn strip<V: Vector, const VECTORS: usize>(
        &mut self,
        weight: &[f32],
        bias: &[f32],
        offset: usize,
        columns: usize,
    ) {
        let (rows, mut row) = (self.out.rows(), 0);
        while row < rows {
            row += match rows - row {
                12.. if V::MANY => self.tile::<V, 12, VECTORS>(row, weight, bias, offset, columns),
                6 | 9.. => self.tile::<V, 6, VECTORS>(row, weight, bias, offset, columns),
                4 | 7 | 8 => self.tile::<V, 4, VECTORS>(row, weight, bias, offset, columns),
                3 | 5 => self.tile::<V, 3, VECTORS>(row, weight, bias, offset, columns),
                2 => self.tile::<V, 2, VECTORS>(row, weight, bias, offset, columns),
                _ => self.tile::<V, 1, VECTORS>(row, weight, bias, offset, columns),
            };
        }
    }

    /// The same of `ROWS` rows. Returns `ROWS`.
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        weight: &[f32],
        bias: &[f32],
        offset: usize,
        columns: usize,
    ) -> usize {
        let begin = begin::<V, ROWS, VECTORS>(&bias[offset..]);
        let x = &self.x[row * self.inner..];
        let sums = add_products(begin, x, [self.inner, 1], &weight[offset..], WIDTH, self.inner);
        // All sums leave their registers at once: a longer loop over them would not be unrolled, and the
        // compiler would keep them in memory all the time.
        let mut tile = [[0.0; WIDTH]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        let width = VECTORS * V::LANES;
        for line in &mut tile {
            if self.then == Then::Gelu {
                for j in 0..VECTORS {
                    gelu_of(V::load(line, j * V::LANES)).store(&mut line[j * V::LANES..]);
                }
            }
            match columns - offset >= width {
                true if width == WIDTH => self.out.push::<WIDTH>(line, WIDTH),
                true => self.out.push::<16>(line.first_chunk().expect("a line is longer"), width),
                false => self.out.push(line, columns - offset),
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_result_without_short_tiles_between() {
        for threads in [1, 2, 5] {
            for shape @ [rows, outputs] in [[1, 32], [512, 4096], [8192, 192], [700, 700], [13, 5]] {
                let [of_rows, of_columns] = parts(shape, threads);
                assert!(of_rows >= rows || of_rows.is_multiple_of(12), "{shape:?}: {of_rows}");
                assert!(of_columns >= outputs || of_columns.is_multiple_of(WIDTH), "{shape:?}: {of_columns}");
            }
        }
    }
}
