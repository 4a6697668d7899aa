//! Sums of features, which can be merged.

use rayon::prelude::*;

use crate::gram::{Block, widen};
use crate::{Error, Moments, Result};

/// Rows multiplied at a time.
const ROWS: usize = 512;
/// Columns of the product per task.
const COLUMNS: usize = 128;

/// n, Σx and Σxxᵀ over feature vectors x, in f64: everything that a Fréchet distance needs of a set.
///
/// Features are streamed, and memory stays at `dims²` numbers. Sums of shards [`merge`](Self::merge) into the
/// sums of the whole. Rows are added in blocks counted from the first row, so the result is the same, bit for
/// bit, however the rows were batched and on any number of threads.
#[derive(Debug, Clone)]
pub struct FeatureSums {
    dims: usize,
    count: u64,
    sum: Vec<f64>,
    /// `[dims, dims]`, column-major: the part below the diagonal, and some of the part above, which is never
    /// read.
    products: Vec<f64>,
    /// Rows that do not fill a block yet.
    pending: Vec<f64>,
}

impl FeatureSums {
    /// Empty sums for vectors of `dims` features.
    pub fn new(dims: usize) -> Self {
        Self { dims, count: 0, sum: vec![0.0; dims], products: vec![0.0; dims * dims], pending: Vec::new() }
    }

    /// Sums from Σx `[dims]` and the lower triangle of Σxxᵀ row by row, `[dims·(dims + 1)/2]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the two do not belong together.
    pub fn from_parts(count: u64, sum: Vec<f64>, triangle: &[f64]) -> Result<Self> {
        let dims = sum.len();
        let expected = dims * (dims + 1) / 2;
        if triangle.len() != expected {
            return Err(Error::Shape { what: "Σxxᵀ".into(), found: triangle.len(), expected });
        }
        let mut products = vec![0.0; dims * dims];
        let mut rest = triangle;
        for row in 0..dims {
            let (line, after) = rest.split_at(row + 1);
            rest = after;
            line.iter().enumerate().for_each(|(column, &value)| products[column * dims + row] = value);
        }
        Ok(Self { dims, count, sum, products, pending: Vec::new() })
    }

    /// The number of features.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The number of vectors added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether no rows wait for a block to fill: resuming from [`to_parts`](Self::to_parts) then changes no
    /// bit.
    pub(crate) fn is_flushed(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds feature vectors, `[rows, dims]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not whole vectors, [`Error::NotFinite`] if one contains NaN or an
    /// infinity; nothing is added then.
    pub fn push(&mut self, rows: &[f32]) -> Result<()> {
        if self.dims == 0 || !rows.len().is_multiple_of(self.dims) {
            let expected = rows.len() / self.dims.max(1) * self.dims;
            return Err(Error::Shape { what: "features".into(), found: rows.len(), expected });
        }
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what: "features".into(),
                row: self.count + (at / self.dims) as u64,
                column: at % self.dims,
                value: rows[at],
            });
        }
        for rows in rows.chunks(ROWS * self.dims) {
            let room = ROWS * self.dims - self.pending.len();
            let (now, later) = rows.split_at(room.min(rows.len()));
            widen(now, &mut self.pending);
            if self.pending.len() == ROWS * self.dims {
                self.flush();
            }
            widen(later, &mut self.pending);
        }
        self.count += (rows.len() / self.dims) as u64;
        Ok(())
    }

    fn flush(&mut self) {
        let dims = self.dims;
        for row in self.pending.chunks_exact(dims) {
            self.sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let block = Block::new(&self.pending, dims);
        if !self.pending.is_empty() {
            self.products.par_chunks_mut(COLUMNS * dims).enumerate().for_each(|(panel, out)| {
                let start = panel * COLUMNS;
                block.add_outer(start..start + out.len() / dims, out);
            });
        }
        self.pending.clear();
    }

    /// Adds the sums of another shard.
    ///
    /// # Errors
    /// [`Error::Shape`] if the vectors are of another length.
    pub fn merge(&mut self, mut other: Self) -> Result<()> {
        if self.dims != other.dims {
            let (found, expected) = (other.dims, self.dims);
            return Err(Error::Shape { what: "a shard's features".into(), found, expected });
        }
        self.flush();
        other.flush();
        self.count += other.count;
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
        self.products.iter_mut().zip(&other.products).for_each(|(sum, value)| *sum += value);
        Ok(())
    }

    /// Σx, and the lower triangle of Σxxᵀ row by row: the input of [`from_parts`](Self::from_parts).
    pub fn to_parts(&self) -> (Vec<f64>, Vec<f64>) {
        let mut whole = self.clone();
        whole.flush();
        let at = |row: usize, column: usize| whole.products[column * whole.dims + row];
        let triangle = (0..whole.dims).flat_map(|row| (0..=row).map(move |column| at(row, column))).collect();
        (whole.sum, triangle)
    }

    /// The mean, and the covariance with denominator n - 1, as in numpy's `cov`.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two vectors.
    pub fn moments(&self) -> Result<Moments> {
        if self.count < 2 {
            return Err(Error::TooFew { what: "a covariance".into(), needed: 2, found: self.count });
        }
        let mut whole = self.clone();
        whole.flush();
        let (n, dims) = (whole.count as f64, whole.dims);
        let mean: Vec<f64> = whole.sum.iter().map(|sum| sum / n).collect();
        let mut covariance = whole.products;
        for column in 0..dims {
            for row in column..dims {
                let value = (covariance[column * dims + row] - n * mean[row] * mean[column]) / (n - 1.0);
                covariance[column * dims + row] = value;
                covariance[row * dims + column] = value;
            }
        }
        Moments::new(Some(self.count), mean, covariance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    #[test]
    fn moments_are_those_of_the_definition() {
        let (n, dims) = (700, 130);
        let rows = features(n, dims, 1, 5);
        let mut sums = FeatureSums::new(dims);
        sums.push(&rows).unwrap();
        let moments = sums.moments().unwrap();
        let mean = |j: usize| (0..n).map(|i| f64::from(rows[i * dims + j])).sum::<f64>() / n as f64;
        for (i, j) in [(0, 0), (129, 3), (3, 129), (127, 128), (60, 60)] {
            let (a, b) = (mean(i), mean(j));
            let products =
                (0..n).map(|r| (f64::from(rows[r * dims + i]) - a) * (f64::from(rows[r * dims + j]) - b));
            let covariance = products.sum::<f64>() / (n - 1) as f64;
            assert!((moments.mean()[i] - a).abs() < 1e-12);
            let found = moments.covariance()[i * dims + j];
            assert!(
                (found - covariance).abs() < 1e-12 * covariance.abs().max(1.0),
                "{i} {j}: {found} {covariance}"
            );
        }
    }

    #[test]
    fn the_sums_do_not_depend_on_batches_or_threads() {
        let dims = 70;
        let rows = features(1300, dims, 2, 0);
        let sums = |batch: usize, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut sums = FeatureSums::new(dims);
                rows.chunks(batch * dims).for_each(|rows| sums.push(rows).unwrap());
                sums.to_parts()
            })
        };
        let first = sums(1300, 1);
        for (batch, threads) in [(1, 2), (7, 1), (511, 3), (512, 2), (1025, 2)] {
            assert!(sums(batch, threads) == first, "batches of {batch} on {threads} threads");
        }
    }

    #[test]
    fn shards_add_up_to_the_whole() {
        let dims = 20;
        // Small integers: every sum is exact in f64, so order does not matter.
        let rows: Vec<f32> = features(900, dims, 3, 0).iter().map(|value| (value * 8.0).floor()).collect();
        let of = |rows: &[f32]| {
            let mut sums = FeatureSums::new(dims);
            sums.push(rows).unwrap();
            sums
        };
        let mut merged = of(&rows[..dims * 333]);
        merged.merge(of(&rows[dims * 333..dims * 334])).unwrap();
        merged.merge(of(&rows[dims * 334..])).unwrap();
        assert_eq!(merged.count(), 900);
        assert!(merged.to_parts() == of(&rows).to_parts());
        assert!(merged.merge(FeatureSums::new(3)).is_err());
        let (sum, triangle) = merged.to_parts();
        assert!(FeatureSums::from_parts(900, sum, &triangle).unwrap().to_parts() == merged.to_parts());
    }

    #[test]
    fn torn_rows_and_values_that_are_no_numbers_are_named_and_not_added() {
        let mut sums = FeatureSums::new(4);
        sums.push(&[1.0; 8]).unwrap();
        assert!(sums.push(&[1.0; 7]).is_err());
        let mut rows = [1.0; 12];
        rows[6] = f32::NAN;
        let error = sums.push(&rows).unwrap_err().to_string();
        assert!(error.contains("image 3") && error.contains("feature 2 is NaN"), "{error}");
        assert_eq!(sums.count(), 2);
        let one = FeatureSums::from_parts(1, vec![1.0], &[1.0]).unwrap();
        assert!(matches!(one.moments(), Err(Error::TooFew { needed: 2, found: 1, .. })));
    }
}
