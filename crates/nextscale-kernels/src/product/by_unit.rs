//! Products on the processor's matrix unit, of matrices as they lie.

use faer::{MatMut, MatRef, reborrow::*};

use crate::{
    precision::Precision,
    raw::matrix_unit::{Line, MatrixUnit, SIDE, Tile, depth, lines},
};

/// Rows that are worked on together: [`depth`] packed numbers of each stay in a core's own cache.
const ROWS: usize = 512;
/// Rows and columns that parts of a product have a multiple of.
pub const GRANULARITY: [usize; 2] = [SIDE, SIDE];

/// Whether packing pays. The number of rows has no say: a row is the same beside any others.
pub fn pays(inner: usize, columns: usize) -> bool {
    inner >= SIDE && columns >= SIDE
}

/// `out = a·b`, or `out += a·b`, on this thread. An element is the sum over blocks of [`depth`] inner numbers, one after
/// another, whatever stands beside it.
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
    let together = depth(precision).min(a.ncols());
    let lines = |inner: usize| lines(precision, inner);
    let (inner, tiles) = (a.ncols(), a.nrows().min(ROWS).div_ceil(SIDE));
    let mut rows = vec![Line::ZERO; tiles * lines(together)];
    let mut columns = vec![Line::ZERO; lines(together)];
    let mut tile = Tile::ZERO;
    unit.with(|ready| {
        for top in (0..a.nrows()).step_by(ROWS) {
            let height = ROWS.min(a.nrows() - top);
            for from in (0..inner).step_by(together) {
                let depth = together.min(inner - from);
                let (rows, columns) =
                    (&mut rows[..height.div_ceil(SIDE) * lines(depth)], &mut columns[..lines(depth)]);
                for (i, rows) in rows.chunks_exact_mut(lines(depth)).enumerate() {
                    let sixteen = SIDE.min(height - i * SIDE);
                    unit.pack_rows(precision, a.submatrix(top + i * SIDE, from, sixteen, depth), rows);
                }
                for left in (0..b.ncols()).step_by(SIDE) {
                    let width = SIDE.min(b.ncols() - left);
                    unit.pack_columns(precision, b.submatrix(from, left, depth, width), 0, columns);
                    for (i, rows) in rows.chunks_exact(lines(depth)).enumerate() {
                        let sixteen = SIDE.min(height - i * SIDE);
                        ready.product(precision, rows, columns, &mut tile);
                        let out = out.rb_mut().submatrix_mut(top + i * SIDE, left, sixteen, width);
                        unit.put(&tile, out, accumulate || from > 0);
                    }
                }
            }
        }
    });
}
