//! Products on the processor's matrix unit, of matrices as they lie.

use faer::{MatMut, MatRef, reborrow::*};

use crate::raw::matrix_unit::{Line, MatrixUnit, Precision, SIDE, STEP, Tile};

/// Inner numbers that are worked on together: 16 packed columns of them stay in a core's first cache.
const DEPTH: usize = 256;
/// Rows that are worked on together: [`DEPTH`] packed numbers of each stay in a core's own cache.
const ROWS: usize = 512;
/// Rows and columns that parts of a product have a multiple of.
pub const GRANULARITY: [usize; 2] = [SIDE, SIDE];
const WHOLE: Precision = Precision::Whole;

/// Whether packing pays. The number of rows has no say: a row is the same beside any others.
pub fn pays(inner: usize, columns: usize) -> bool {
    inner >= SIDE && columns >= SIDE
}

/// `out = a·b`, or `out += a·b`, on this thread. An element is the sum over blocks of [`DEPTH`] inner numbers, one after
/// another, whatever stands beside it.
pub fn multiply(
    unit: MatrixUnit,
    out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
) {
    if out.col_stride() != 1 {
        return multiply(unit, out.transpose_mut(), b.transpose(), a.transpose(), accumulate);
    }
    let lines = |inner: usize| inner.div_ceil(STEP) * WHOLE.lines();
    let (inner, tiles) = (a.ncols(), a.nrows().min(ROWS).div_ceil(SIDE));
    let mut rows = vec![Line::ZERO; tiles * lines(inner.min(DEPTH))];
    let mut columns = vec![Line::ZERO; lines(inner.min(DEPTH))];
    let mut tile = Tile::ZERO;
    let mut out = out;
    unit.with(|ready| {
        for top in (0..a.nrows()).step_by(ROWS) {
            let height = ROWS.min(a.nrows() - top);
            for from in (0..inner).step_by(DEPTH) {
                let depth = DEPTH.min(inner - from);
                let (rows, columns) =
                    (&mut rows[..height.div_ceil(SIDE) * lines(depth)], &mut columns[..lines(depth)]);
                for (i, rows) in rows.chunks_exact_mut(lines(depth)).enumerate() {
                    let sixteen = SIDE.min(height - i * SIDE);
                    unit.pack_rows(WHOLE, a.submatrix(top + i * SIDE, from, sixteen, depth), rows);
                }
                for left in (0..b.ncols()).step_by(SIDE) {
                    let width = SIDE.min(b.ncols() - left);
                    unit.pack_columns(WHOLE, b.submatrix(from, left, depth, width), 0, columns);
                    for (i, rows) in rows.chunks_exact(lines(depth)).enumerate() {
                        let sixteen = SIDE.min(height - i * SIDE);
                        ready.product(WHOLE, rows, columns, &mut tile);
                        let out = out.rb_mut().submatrix_mut(top + i * SIDE, left, sixteen, width);
                        unit.put(&tile, out, accumulate || from > 0);
                    }
                }
            }
        }
    });
}
