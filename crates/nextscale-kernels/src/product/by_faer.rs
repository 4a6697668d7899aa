//! Products by faer.

use faer::{Accum, Mat, MatMut, MatRef, Par, linalg::matmul::matmul, reborrow::*};

/// Up to this many multiplications, faer uses separate routes.
const SMALL: usize = 16 * 16 * 16;
/// What the widest kernel computes at once.
const COLUMNS: usize = 96;
/// Rows and columns of parts are multiples of this.
pub const GRANULARITY: [usize; 2] = [4, COLUMNS];
/// The widest part of a shared product: with an inner size of 1024, the block of b stays in a core's own
/// cache, which makes products of 72 to 512 rows up to a third faster.
pub const WIDE: usize = 3 * COLUMNS;

/// The fewest rows for which a product of `inner` and `columns` computes a row as in any larger product.
fn least_rows(inner: usize, columns: usize) -> usize {
    (SMALL / (inner * columns).max(1) + 1).max(2)
}

/// `out = a·b`, or `out += a·b`, on this thread. faer sums in one order for all but the smallest sizes; those
/// are padded with rows of zeros.
pub fn multiply(mut out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
    let begin = if accumulate { Accum::Add } else { Accum::Replace };
    let (rows, least) = (a.nrows(), least_rows(a.ncols(), b.ncols()));
    if rows >= least {
        return matmul(out, begin, a, b, 1.0, Par::Seq);
    }
    let mut padded = Mat::<f32>::zeros(least, a.ncols());
    padded.as_mut().subrows_mut(0, rows).copy_from(a);
    let mut product = vec![0.0; least * b.ncols()];
    let mut product = MatMut::from_row_major_slice_mut(&mut product, least, b.ncols());
    product.rb_mut().subrows_mut(0, rows).copy_from(out.rb());
    matmul(product.rb_mut(), begin, padded.as_ref(), b, 1.0, Par::Seq);
    out.copy_from(product.rb().subrows(0, rows));
}
