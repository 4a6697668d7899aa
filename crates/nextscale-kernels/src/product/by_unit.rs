//! Products on the processor's matrix unit, of matrices in any layout.

use std::cell::Cell;

use faer::{MatMut, MatRef, reborrow::*};

use crate::{
    precision::Precision,
    raw::matrix_unit::{Line, MatrixUnit, SIDE, Tile, depth, lines},
};

/// Lines of packed columns handled together: 1 MiB, which stays in a core's own cache.
const TOGETHER: usize = (1 << 20) / size_of::<Line>();
/// How many rows ahead memory is prefetched while packing. Rows are too far apart for the processor to guess.
const AHEAD: isize = 8;
/// Rows and columns of parts are multiples of this.
pub const GRANULARITY: [usize; 2] = [SIDE, SIDE];

thread_local! {
    /// Room for packed operands, reused between products: clearing it each time costs a tenth of a product.
    static PACKED: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Whether packing pays. Does not depend on the number of rows, so that a row's result does not either.
pub fn pays(inner: usize, columns: usize) -> bool {
    inner >= SIDE && columns >= SIDE
}

/// `out = a·b`, or `out += a·b`, on this thread. An element is the sum over blocks of [`depth`] inner
/// numbers, in order, whatever the other elements.
///
/// Columns are packed first, and sixteen rows at a time are multiplied by all of them, so the product is
/// written row by row. Written column by column, every cache line would be fetched on its own, which took
/// longer than the products.
pub fn multiply(
    unit: MatrixUnit,
    precision: Precision,
    mut out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
) {
    if out.col_stride() != 1 {
        return multiply(unit, precision, out.transpose_mut(), b.transpose(), a.transpose(), accumulate);
    }
    let inner = a.ncols();
    let together = depth(precision).min(inner);
    let most = lines(precision, together);
    let tiles = (TOGETHER / most.max(1)).clamp(1, b.ncols().div_ceil(SIDE).max(1));
    let ahead = usize::try_from(AHEAD * b.row_stride()).unwrap_or(0);
    let mut packed = PACKED.take();
    if packed.len() < (1 + tiles) * most {
        packed.resize((1 + tiles) * most, Line::ZERO);
    }
    let (rows, columns) = packed.split_at_mut(most);
    let mut tile = Tile::ZERO;
    unit.with(|ready| {
        for left in (0..b.ncols()).step_by(tiles * SIDE) {
            let width = (tiles * SIDE).min(b.ncols() - left);
            for from in (0..inner).step_by(together) {
                let depth = together.min(inner - from);
                let lines = lines(precision, depth);
                let (rows, columns) = (&mut rows[..lines], &mut columns[..width.div_ceil(SIDE) * lines]);
                for (j, columns) in columns.chunks_exact_mut(lines).enumerate() {
                    let sixteen = SIDE.min(width - j * SIDE);
                    let b = b.submatrix(from, left + j * SIDE, depth, sixteen);
                    unit.pack_columns(precision, b, ahead, columns);
                }
                for top in (0..a.nrows()).step_by(SIDE) {
                    let height = SIDE.min(a.nrows() - top);
                    unit.pack_rows(precision, a.submatrix(top, from, height, depth), rows);
                    for (j, columns) in columns.chunks_exact(lines).enumerate() {
                        let sixteen = SIDE.min(width - j * SIDE);
                        ready.product(precision, rows, columns, &mut tile);
                        let out = out.rb_mut().submatrix_mut(top, left + j * SIDE, height, sixteen);
                        unit.put(&tile, out, accumulate || from > 0);
                    }
                }
            }
        }
    });
    PACKED.set(packed);
}
