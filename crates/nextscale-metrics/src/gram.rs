//! Products of blocks of feature rows in f64.
//!
//! Every product runs on one thread; callers run several in parallel. So the order of sums, and with it the
//! last bit of every result, does not depend on the number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Rows of features in f64, `[rows, dims]`, row-major.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    values: &'a [f64],
    dims: usize,
}

impl<'a> Block<'a> {
    /// `values` must consist of whole rows of `dims` values.
    pub fn new(values: &'a [f64], dims: usize) -> Self {
        Self { values, dims }
    }

    fn rows(&self) -> usize {
        self.values.len() / self.dims.max(1)
    }

    fn matrix(&self) -> MatRef<'a, f64> {
        MatRef::from_row_major_slice(self.values, self.rows(), self.dims)
    }

    /// `out[i][j] = Σ_d self[i][d]·other[j][d]`, `[self rows, other rows]`, row-major.
    pub fn inner(&self, other: Block<'_>, out: &mut [f64]) {
        // Column-major over the other's rows is row-major over ours.
        let out = MatMut::from_column_major_slice_mut(out, other.rows(), self.rows());
        matmul(out, Accum::Replace, other.matrix(), self.matrix().transpose(), 1.0, Par::Seq);
    }

    /// Adds `Σ_rows weights[row][i]·self[row][j]` to `out`, `[weights of a row, dims]`, row-major.
    pub fn add_weighted(&self, weights: &[f64], out: &mut [f64]) {
        let count = weights.len() / self.rows().max(1);
        let out = MatMut::from_column_major_slice_mut(out, self.dims, count);
        let weights = MatRef::from_row_major_slice(weights, self.rows(), count);
        matmul(out, Accum::Add, self.matrix().transpose(), weights, 1.0, Par::Seq);
    }

    /// Adds `Σ_rows x[i]·x[j]` for `i ≥ columns.start`, `j` in `columns`, to `out`: the columns `columns` of
    /// a `[dims, dims]` matrix, column-major.
    pub fn add_outer(&self, columns: std::ops::Range<usize>, out: &mut [f64]) {
        let (start, width) = (columns.start, columns.len());
        let out = MatMut::from_column_major_slice_mut(out, self.dims, width);
        let below = out.subrows_mut(start, self.dims - start);
        let x = self.matrix();
        let left = x.transpose().subrows(start, self.dims - start);
        matmul(below, Accum::Add, left, x.subcols(start, width), 1.0, Par::Seq);
    }
}

/// The squared length of every row.
pub(crate) fn squared_lengths(rows: &[f32], dims: usize) -> Vec<f64> {
    rows.chunks_exact(dims.max(1)).map(|row| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum()).collect()
}

/// Appends rows in f64.
pub(crate) fn widen(rows: &[f32], into: &mut Vec<f64>) {
    into.extend(rows.iter().map(|&value| f64::from(value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_and_outer_products_equal_the_sums_that_define_them() {
        let (a, b, dims) = ([1.0, 2.0, 3.0, -1.0, 0.5, 4.0], [2.0, 0.0, 1.0], 3);
        let mut inner = [0.0; 2];
        Block::new(&a, dims).inner(Block::new(&b, dims), &mut inner);
        assert_eq!(inner, [5.0, 2.0]);
        let mut two = [0.0; 2];
        Block::new(&b, dims).inner(Block::new(&a, dims), &mut two);
        assert_eq!(two, [5.0, 2.0]);
        let mut weighted = [1.0; 6];
        Block::new(&a, dims).add_weighted(&[1.0, 2.0, 0.0, 10.0], &mut weighted);
        assert_eq!(weighted, [2.0, 3.0, 4.0, 1.0 + 2.0 - 10.0, 1.0 + 4.0 + 5.0, 1.0 + 6.0 + 40.0]);
        let mut outer = [1.0; 6];
        Block::new(&a, dims).add_outer(1..3, &mut outer);
        // Column 1 then column 2; row 0 is above the block and left alone.
        assert_eq!(outer, [1.0, 1.0 + 4.25, 1.0 + 8.0, 1.0, 1.0 + 8.0, 1.0 + 25.0]);
    }
}
