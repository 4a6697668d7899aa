//! Products of f32 matrices on the host, shared out to all threads.
//!
//! The multiplication itself is faer's. What is added here is that an element of a product depends on its own row and
//! column only, to the last bit: faer sums over `inner` in one order for every size, but for the smallest products, which
//! take routes of their own and are kept from them by rows of zeros.

use faer::{Accum, Mat, MatMut, MatRef, Par, linalg::matmul::matmul, reborrow::*};

/// faer multiplies up to this many multiplications by another route.
const SMALL: usize = 16 * 16 * 16;
/// A part for a thread has at least as many multiplications, so that it is worth waking one.
const SHARE: usize = 1 << 18;
/// Parts have a multiple of as many columns: what the widest kernel makes at once.
const COLUMNS: usize = 96;
/// Blocks of a shared product are no wider: with an inner size of 1024 the block of b stays in a core's own cache, which
/// makes products of 72 to 512 rows up to a third faster.
const WIDE: usize = 3 * COLUMNS;

/// Rows that a product of `inner` and `columns` must have so that its rows are what they are in any larger one.
pub fn least_rows(inner: usize, columns: usize) -> usize {
    (SMALL / (inner * columns).max(1) + 1).max(2)
}

/// `out = a·b`, or `out += a·b`, on all threads.
pub fn multiply(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
    let parts = rayon::current_num_threads().next_power_of_two();
    in_parts(out, a, b, accumulate, parts);
}

/// As [`multiply`], on this thread alone.
pub fn multiply_alone(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
    in_parts(out, a, b, accumulate, 0);
}

fn in_parts(
    mut out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
    parts: usize,
) {
    let (rows, least) = (a.nrows(), least_rows(a.ncols(), b.ncols()));
    if rows >= least {
        return share(out, a, b, accumulate, parts);
    }
    let mut padded = Mat::<f32>::zeros(least, a.ncols());
    padded.as_mut().subrows_mut(0, rows).copy_from(a);
    let mut product = vec![0.0; least * b.ncols()];
    let mut product = MatMut::from_row_major_slice_mut(&mut product, least, b.ncols());
    product.rb_mut().subrows_mut(0, rows).copy_from(out.rb());
    share(product.rb_mut(), padded.as_ref(), b, accumulate, 0);
    out.copy_from(product.rb().subrows(0, rows));
}

/// Halves the product until its blocks are no wider than [`WIDE`], and there are `parts` of them or they are too small to
/// share.
fn share(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool, parts: usize) {
    let (rows, inner, columns) = (a.nrows(), a.ncols(), b.ncols());
    let (half_rows, half_columns) = ((rows / 2).next_multiple_of(4), (columns / 2).next_multiple_of(COLUMNS));
    let by_columns = half_columns < columns && (columns > rows || columns > WIDE);
    let smaller = if by_columns {
        (columns - half_columns).min(half_columns) * rows
    } else {
        rows.saturating_sub(half_rows).min(half_rows) * columns
    } * inner;
    if parts == 1 && columns <= WIDE || parts == 0 || smaller < SHARE {
        let begin = if accumulate { Accum::Add } else { Accum::Replace };
        return matmul(out, begin, a, b, 1.0, Par::Seq);
    }
    let parts = parts.div_ceil(2);
    if by_columns {
        let ((left, right), (b_left, b_right)) =
            (out.split_at_col_mut(half_columns), b.split_at_col(half_columns));
        rayon::join(
            || share(left, a, b_left, accumulate, parts),
            || share(right, a, b_right, accumulate, parts),
        );
    } else {
        let ((top, bottom), (a_top, a_bottom)) = (out.split_at_row_mut(half_rows), a.split_at_row(half_rows));
        rayon::join(
            || share(top, a_top, b, accumulate, parts),
            || share(bottom, a_bottom, b, accumulate, parts),
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::numbers;

    fn product(a: &[f32], b: &[f32], [rows, inner, columns]: [usize; 3]) -> Vec<f32> {
        let mut out = vec![0.0; rows * columns];
        multiply(
            MatMut::from_row_major_slice_mut(&mut out, rows, columns),
            MatRef::from_row_major_slice(a, rows, inner),
            MatRef::from_row_major_slice(b, inner, columns),
            false,
        );
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn products_are_those_of_f64(rows in 1usize..40, inner in 2usize..700, columns in 2usize..300, seed: u32) {
            let (a, b) = (numbers(seed, rows * inner), numbers(!seed, inner * columns));
            let got = product(&a, &b, [rows, inner, columns]);
            for (i, got) in got.into_iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let terms = (0..inner).map(|k| f64::from(a[row * inner + k]) * f64::from(b[k * columns + column]));
                let exact: f64 = terms.sum();
                prop_assert!((f64::from(got) - exact).abs() < 2e-6 * (inner as f64).sqrt().max(4.0), "{got} {exact}");
            }
        }

        #[test]
        fn a_row_does_not_depend_on_those_beside_it(
            inner in prop_oneof![2usize..40, 40usize..1100],
            columns in prop_oneof![2usize..30, 30usize..800],
            rows in 1usize..130,
            seed: u32,
        ) {
            let (a, b) = (numbers(seed, 130 * inner), numbers(!seed, inner * columns));
            let all = product(&a, &b, [130, inner, columns]);
            let few = product(&a[..rows * inner], &b, [rows, inner, columns]);
            prop_assert!(few == all[..rows * columns]);
        }

        #[test]
        fn a_product_may_be_added_to_what_is_there(rows in 1usize..9, inner in 2usize..40, columns in 2usize..40, seed: u32) {
            let (a, b) = (numbers(seed, rows * inner), numbers(!seed, inner * columns));
            let product = product(&a, &b, [rows, inner, columns]);
            let mut sum = vec![1.0; rows * columns];
            multiply(
                MatMut::from_row_major_slice_mut(&mut sum, rows, columns),
                MatRef::from_row_major_slice(&a, rows, inner),
                MatRef::from_row_major_slice(&b, inner, columns),
                true,
            );
            for (sum, product) in sum.iter().zip(&product) {
                prop_assert!((sum - product - 1.0).abs() < 4e-6, "{sum} {product}");
            }
        }
    }
}
