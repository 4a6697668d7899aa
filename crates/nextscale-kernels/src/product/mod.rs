//! Products of f32 matrices on the host, shared among all threads.
//!
//! They run on the processor's matrix unit if it has one, otherwise by faer, or on vectors where results must be the
//! same on every processor. On each, an element depends only on its own row and column, bit for bit: it is summed over
//! `inner` in one order for every size.

mod by_faer;
#[cfg(target_arch = "x86_64")]
mod by_unit;
mod by_vectors;

use faer::{MatMut, MatRef};

#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;
use crate::{precision::Precision, raw::Level, route::is_fixed};

/// The fewest multiplications per part that make it worth waking a thread.
const SHARE: usize = 1 << 18;

/// Whether this processor multiplies numbers rounded to bfloat16, on a matrix unit or with vectors.
pub fn rounds() -> bool {
    #[cfg(target_arch = "x86_64")]
    return MatrixUnit::detected(Precision::Rounded).is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// `out = a·b`, or `out += a·b`, on all threads.
pub fn multiply(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
    multiply_in(Precision::Whole, out, a, b, accumulate);
}

/// As [`multiply`], in a given precision.
///
/// # Panics
/// If the processor does not have it ([`rounds`]).
pub fn multiply_in(
    precision: Precision,
    out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
) {
    let parts = rayon::current_num_threads().next_power_of_two();
    Route::of(precision, a.ncols(), b.ncols()).share(out, a, b, accumulate, parts);
}

/// As [`multiply`], only on this thread.
pub fn multiply_alone(out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
    multiply_alone_in(Precision::Whole, out, a, b, accumulate);
}

/// As [`multiply_in`], only on this thread.
///
/// # Panics
/// As [`multiply_in`].
pub fn multiply_alone_in(
    precision: Precision,
    out: MatMut<'_, f32>,
    a: MatRef<'_, f32>,
    b: MatRef<'_, f32>,
    accumulate: bool,
) {
    Route::of(precision, a.ncols(), b.ncols()).multiply(out, a, b, accumulate);
}

/// What computes a product on a thread.
#[derive(Clone, Copy)]
enum Route {
    Faer,
    Vectors(Level),
    #[cfg(target_arch = "x86_64")]
    Unit(MatrixUnit, Precision),
}

impl Route {
    /// The fastest for these sizes. Does not depend on the number of rows, so that a row's result does not
    /// either.
    fn of(precision: Precision, inner: usize, columns: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(unit) = MatrixUnit::detected(precision)
            .filter(|_| precision == Precision::Rounded || by_unit::pays(inner, columns))
        {
            return Self::Unit(unit, precision);
        }
        let _ = (inner, columns);
        assert_eq!(
            precision,
            Precision::Whole,
            "this processor has no unit for products of bfloat16 numbers"
        );
        if is_fixed() { Self::Vectors(Level::detected()) } else { Self::Faer }
    }

    fn multiply(self, out: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>, accumulate: bool) {
        match self {
            Self::Faer => by_faer::multiply(out, a, b, accumulate),
            Self::Vectors(level) => by_vectors::multiply(level, out, a, b, accumulate),
            #[cfg(target_arch = "x86_64")]
            Self::Unit(unit, precision) => by_unit::multiply(unit, precision, out, a, b, accumulate),
        }
    }

    /// Rows and columns of parts are multiples of these.
    fn granularity(self) -> [usize; 2] {
        match self {
            Self::Faer => by_faer::GRANULARITY,
            Self::Vectors(_) => by_vectors::GRANULARITY,
            #[cfg(target_arch = "x86_64")]
            Self::Unit(..) => by_unit::GRANULARITY,
        }
    }

    /// The widest part of a shared product, in columns.
    fn widest(self) -> usize {
        match self {
            Self::Faer => by_faer::WIDE,
            Self::Vectors(_) => by_vectors::WIDE,
            #[cfg(target_arch = "x86_64")]
            Self::Unit(..) => usize::MAX,
        }
    }

    /// Halves the product until no part is wider than the [`widest`](Self::widest), and there are `parts` of
    /// them or they are too small to share.
    fn share(
        self,
        out: MatMut<'_, f32>,
        a: MatRef<'_, f32>,
        b: MatRef<'_, f32>,
        accumulate: bool,
        parts: usize,
    ) {
        let (rows, inner, columns) = (a.nrows(), a.ncols(), b.ncols());
        let [half_rows, half_columns] = {
            let [of_rows, of_columns] = self.granularity();
            [(rows / 2).next_multiple_of(of_rows), (columns / 2).next_multiple_of(of_columns)]
        };
        let by_columns = half_columns < columns && (columns > rows || columns > self.widest());
        let smaller = if by_columns {
            (columns - half_columns).min(half_columns) * rows
        } else {
            rows.saturating_sub(half_rows).min(half_rows) * columns
        } * inner;
        if parts == 1 && columns <= self.widest() || smaller < SHARE {
            return self.multiply(out, a, b, accumulate);
        }
        let parts = parts.div_ceil(2);
        if by_columns {
            let ((left, right), (b_left, b_right)) =
                (out.split_at_col_mut(half_columns), b.split_at_col(half_columns));
            rayon::join(
                || self.share(left, a, b_left, accumulate, parts),
                || self.share(right, a, b_right, accumulate, parts),
            );
        } else {
            let ((top, bottom), (a_top, a_bottom)) =
                (out.split_at_row_mut(half_rows), a.split_at_row(half_rows));
            rayon::join(
                || self.share(top, a_top, b, accumulate, parts),
                || self.share(bottom, a_bottom, b, accumulate, parts),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use proptest::prelude::*;

    use super::*;
    use crate::{route::skip_test, testing::numbers};

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
        fn matrices_may_lie_in_rows_or_in_columns(
            rows in 1usize..60, inner in 1usize..80, columns in 1usize..60, turned in 0u8..8, seed: u32,
        ) {
            let (a, b) = (numbers(seed, rows * inner), numbers(!seed, inner * columns));
            let expected = product(&a, &b, [rows, inner, columns]);
            // The same numbers, in columns.
            let turn = |x: &[f32], [rows, columns]: [usize; 2]| -> Vec<f32> {
                (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
            };
            let (a_turned, b_turned) = (turn(&a, [rows, inner]), turn(&b, [inner, columns]));
            let a = match turned & 1 {
                0 => MatRef::from_row_major_slice(&a, rows, inner),
                _ => MatRef::from_column_major_slice(&a_turned, rows, inner),
            };
            let b = match turned & 2 {
                0 => MatRef::from_row_major_slice(&b, inner, columns),
                _ => MatRef::from_column_major_slice(&b_turned, inner, columns),
            };
            let mut out = Mat::<f32>::zeros(rows, columns);
            let mut flat = vec![0.0; rows * columns];
            match turned & 4 {
                0 => out.copy_from({
                    multiply(MatMut::from_row_major_slice_mut(&mut flat, rows, columns), a, b, false);
                    MatRef::from_row_major_slice(&flat, rows, columns)
                }),
                _ => multiply(out.as_mut(), a, b, false),
            }
            for (i, expected) in expected.into_iter().enumerate() {
                let got = out[(i / columns, i % columns)];
                prop_assert!((got - expected).abs() < 4e-6, "{got} {expected}");
            }
        }

        #[test]
        fn rounded_products_are_those_of_rounded_numbers(
            rows in 1usize..40, inner in prop_oneof![1usize..70, 760usize..800], columns in 1usize..70, seed: u32,
        ) {
            if !rounds() {
                skip_test("bf16");
                return Ok(());
            }
            let (a, b) = (numbers(seed, rows * inner), numbers(!seed, inner * columns));
            let mut out = vec![0.0; rows * columns];
            multiply_in(
                Precision::Rounded,
                MatMut::from_row_major_slice_mut(&mut out, rows, columns),
                MatRef::from_row_major_slice(&a, rows, inner),
                MatRef::from_row_major_slice(&b, inner, columns),
                false,
            );
            let round = |x: f32| f64::from(f32::from_bits((x.to_bits() + 0x7fff + (x.to_bits() >> 16 & 1)) & 0xffff_0000));
            for (i, got) in out.into_iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let exact: f64 = (0..inner).map(|k| round(a[row * inner + k]) * round(b[k * columns + column])).sum();
                prop_assert!((f64::from(got) - exact).abs() < 2e-6 * (inner as f64).sqrt().max(4.0), "{got} {exact}");
            }
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
