//! Products on vectors, with the same bits for vectors of every length.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use std::cell::Cell;

use faer::{MatMut, MatRef, reborrow::*};

use crate::{
    raw::{Level, Vector, VectorKernel, add_product_of},
    tiles::{NARROW, PANEL},
};

/// Inner numbers that are summed before the sum joins the result: a panel of as many stays in a core's own cache,
/// and shorter chains lose fewer digits.
const DEPTH: usize = 512;
/// Columns handled together, and rows of them.
const TOGETHER: usize = 8 * PANEL;
const ROWS: usize = 48;
/// Rows and columns of parts are multiples of these.
pub const GRANULARITY: [usize; 2] = [12, PANEL];
/// The widest part of a shared product, in columns.
pub const WIDE: usize = 2 * TOGETHER;

thread_local! {
    /// Room for panels that do not lie in rows, reused between products.
    static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// `out = a·b`, or `out += a·b`, on this thread. An element is the sum over blocks of [`DEPTH`] inner numbers, in
/// order, each summed in order from 0.
pub fn multiply(
    level: Level,
    mut out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
) {
    if out.col_stride() != 1 && out.row_stride() == 1 {
        return multiply(level, out.transpose_mut(), b.transpose(), a.transpose(), accumulate);
    }
    if a.ncols() == 0 && !accumulate {
        out.fill(0.0);
    }
    let (rows, inner, columns) = (a.nrows(), a.ncols(), b.ncols());
    let mut room = ROOM.take();
    for left in (0..columns).step_by(TOGETHER) {
        let together = TOGETHER.min(columns - left);
        for from in (0..inner).step_by(DEPTH) {
            let depth = DEPTH.min(inner - from);
            let b = b.submatrix(from, left, depth, together);
            let size = depth * PANEL;
            let panels = together.div_ceil(PANEL);
            if room.len() < panels * size {
                room.resize(panels * size, 0.0);
            }
            for (i, room) in room.chunks_exact_mut(size).take(panels).enumerate() {
                let panel = b.subcols(i * PANEL, PANEL.min(together - i * PANEL));
                if !is_read_in_place(panel) {
                    pack(panel, room);
                }
            }
            for top in (0..rows).step_by(ROWS) {
                let height = ROWS.min(rows - top);
                let a = a.submatrix(top, from, height, depth);
                for (i, room) in room.chunks_exact(size).take(panels).enumerate() {
                    let width = PANEL.min(together - i * PANEL);
                    let panel = b.subcols(i * PANEL, width);
                    let panel = match is_read_in_place(panel) {
                        true => panel,
                        false => packed(room, depth, width),
                    };
                    let out = out.rb_mut().submatrix_mut(top, left + i * PANEL, height, width);
                    level.run_vectors(Strip { a, panel, out, add: accumulate || from > 0 });
                }
            }
        }
    }
    ROOM.set(room);
}

/// Whether the rows of a panel are whole and lie in one piece each.
fn is_read_in_place(panel: MatRef<'_, f32>) -> bool {
    panel.ncols() == PANEL && panel.col_stride() == 1
}

/// The columns of a packed panel that has this many.
fn padded(width: usize) -> usize {
    if width > NARROW { PANEL } else { NARROW }
}

/// Copies a panel's rows to a place of [`PANEL`] numbers for each row, padded with zeros.
fn pack(panel: MatRef<'_, f32>, room: &mut [f32]) {
    let width = padded(panel.ncols());
    let lines = room.chunks_exact_mut(width).take(panel.nrows());
    if panel.col_stride() == 1 {
        for (line, row) in lines.zip(panel.row_iter()) {
            let (numbers, rest) = line.split_at_mut(row.ncols());
            if let Some(row) = row.try_as_row_major() {
                numbers.copy_from_slice(row.as_slice());
            }
            rest.fill(0.0);
        }
        return;
    }
    lines.for_each(|line| line[panel.ncols()..].fill(0.0));
    for (i, column) in panel.col_iter().enumerate() {
        for (line, &value) in room.chunks_exact_mut(width).zip(column.iter()) {
            line[i] = value;
        }
    }
}

fn packed(room: &[f32], depth: usize, width: usize) -> MatRef<'_, f32> {
    let width = padded(width);
    MatRef::from_row_major_slice(&room[..depth * width], depth, width)
}

/// `out = a·panel`, or `out += a·panel`; the panel may have more columns than `out`.
struct Strip<'a> {
    a: MatRef<'a, f32>,
    panel: MatRef<'a, f32>,
    out: MatMut<'a, f32>,
    add: bool,
}

impl VectorKernel for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let columns = self.out.ncols();
        if V::MANY && columns > V::LANES {
            return self.strip::<V, 2>(0);
        } else if V::MANY {
            return self.strip::<V, 1>(0);
        }
        for offset in (0..columns).step_by(2 * V::LANES) {
            self.strip::<V, 2>(offset);
        }
    }
}

impl Strip<'_> {
    /// `VECTORS` vectors of the panel's columns, starting at `offset`.
    #[inline(always)]
    fn strip<V: Vector, const VECTORS: usize>(&mut self, offset: usize) {
        let (rows, mut row) = (self.out.nrows(), 0);
        while row < rows {
            row += match rows - row {
                12.. if V::MANY => self.tile::<V, 12, VECTORS>(row, offset),
                6 | 9.. => self.tile::<V, 6, VECTORS>(row, offset),
                4 | 7 | 8 => self.tile::<V, 4, VECTORS>(row, offset),
                3 | 5 => self.tile::<V, 3, VECTORS>(row, offset),
                2 => self.tile::<V, 2, VECTORS>(row, offset),
                _ => self.tile::<V, 1, VECTORS>(row, offset),
            };
        }
    }

    /// The same of `ROWS` rows. Returns `ROWS`.
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        offset: usize,
    ) -> usize {
        let width = VECTORS * V::LANES;
        let a = self.a.subrows(row, ROWS);
        let sums = [[V::splat(0.0); VECTORS]; ROWS];
        let sums = add_product_of(sums, a, self.panel.subcols(offset, width));
        // All sums leave their registers at once: a longer loop over them would not be unrolled, and the compiler
        // would keep them in memory above.
        let mut tile = [[0.0; PANEL]; ROWS];
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        let count = width.min(self.out.ncols() - offset);
        let out = self.out.rb_mut().submatrix_mut(row, offset, ROWS, count);
        for (out, sums) in out.row_iter_mut().zip(&tile) {
            match (out.try_as_row_major_mut(), self.add) {
                (Some(out), true) => {
                    out.as_slice_mut().iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                }
                (Some(out), false) => out.as_slice_mut().copy_from_slice(&sums[..count]),
                (None, _) => unreachable!("the rows or the columns of a product lie in one piece each"),
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use proptest::prelude::*;

    fn product(level: Level, a: MatRef<'_, f32>, b: MatRef<'_, f32>, begin: Option<&[f32]>) -> Vec<f32> {
        let (rows, columns) = (a.nrows(), b.ncols());
        let mut out = begin.map_or_else(|| vec![f32::NAN; rows * columns], <[f32]>::to_vec);
        let into = MatMut::from_row_major_slice_mut(&mut out, rows, columns);
        multiply(level, into, a, b, begin.is_some());
        out
    }

    /// The definition: blocks of inner numbers, each summed in order with fused products.
    fn defined(a: MatRef<'_, f32>, b: MatRef<'_, f32>, begin: Option<&[f32]>) -> Vec<f32> {
        let (rows, inner, columns) = (a.nrows(), a.ncols(), b.ncols());
        let mut out = Vec::new();
        for at in 0..rows * columns {
            let (i, j) = (at / columns, at % columns);
            let blocks = (0..inner).step_by(DEPTH).map(|from| {
                let block = from..inner.min(from + DEPTH);
                block.fold(0.0_f32, |sum, k| a[(i, k)].mul_add(b[(k, j)], sum))
            });
            let all = begin.map(|begin| begin[at]).into_iter().chain(blocks);
            out.push(all.reduce(|a, b| a + b).unwrap_or(0.0));
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

        #[test]
        fn every_fused_level_has_the_bits_of_the_definition(
            rows in 1usize..60,
            inner in prop_oneof![0usize..40, 500usize..530, 1000usize..1100],
            columns in prop_oneof![1usize..70, 250usize..300],
            [a_turned, b_turned, accumulate]: [bool; 3],
            seed: u32,
        ) {
            let (a, b) = (numbers(seed, rows * inner), numbers(!seed, inner * columns));
            let a = match a_turned {
                true => MatRef::from_column_major_slice(&a, rows, inner),
                false => MatRef::from_row_major_slice(&a, rows, inner),
            };
            let b = match b_turned {
                true => MatRef::from_column_major_slice(&b, inner, columns),
                false => MatRef::from_row_major_slice(&b, inner, columns),
            };
            let begin = numbers(seed ^ 9, rows * columns);
            let begin = accumulate.then_some(&*begin);
            let expected = defined(a, b, begin);
            for level in Level::available().into_iter().skip(1) {
                prop_assert!(product(level, a, b, begin) == expected, "{level:?}");
                // In columns.
                let mut out: Vec<f32> = (0..rows * columns)
                    .map(|i| begin.map_or(0.0, |begin| begin[i % rows * columns + i / rows]))
                    .collect();
                let into = MatMut::from_column_major_slice_mut(&mut out, rows, columns);
                multiply(level, into, a, b, accumulate);
                let same = (0..rows * columns).all(|i| out[i] == expected[i % rows * columns + i / rows]);
                prop_assert!(same, "{level:?} in columns");
            }
        }
    }
}
