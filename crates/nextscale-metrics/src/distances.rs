//! Squared Euclidean distances between two sets, block by block.

use std::ops::Range;

use rayon::prelude::*;

use crate::gram::{Block, squared_lengths, widen};

/// Rows of the first set per task.
const ROWS: usize = 128;
/// Rows of the second set held in f64 at a time.
const COLUMNS: usize = 512;
/// Relative to the squared lengths, smaller squared distances are rounding errors.
const NOTHING: f64 = 1e-13;

/// Feature vectors with their lengths.
#[derive(Debug, Clone)]
pub(crate) struct Points<'a> {
    rows: &'a [f32],
    dims: usize,
    lengths: Vec<f64>,
}

impl<'a> Points<'a> {
    /// `rows` is `[points, dims]`.
    pub fn new(rows: &'a [f32], dims: usize) -> Self {
        Self { rows, dims, lengths: squared_lengths(rows, dims) }
    }

    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    fn block(&self, points: Range<usize>, into: &mut Vec<f64>) {
        into.clear();
        widen(&self.rows[points.start * self.dims..points.end * self.dims], into);
    }

    /// Folds over the squared distances from each of these points to all of `others`: `step(state, point,
    /// first, distances)` receives those to `first`, `first + 1`, …. Computed in f64 as |a|² + |b|² − 2·a·b;
    /// values within rounding of zero become zero, so that equal points have distance 0.
    ///
    /// Uses the memory of a few blocks, whatever the sets' sizes. The result does not depend on the number of
    /// threads.
    pub fn fold<S: Send>(
        &self,
        others: &Points<'_>,
        start: impl Fn() -> S + Sync,
        step: impl Fn(&mut S, usize, usize, &[f64]) + Sync,
    ) -> Vec<S> {
        let blocks: Vec<Vec<S>> = (0..self.len().div_ceil(ROWS))
            .into_par_iter()
            .map_init(
                || (Vec::new(), Vec::new(), vec![0.0; ROWS * COLUMNS]),
                |(a, b, distances), block| {
                    let points = block * ROWS..self.len().min((block + 1) * ROWS);
                    self.block(points.clone(), a);
                    let mut states: Vec<S> = points.clone().map(|_| start()).collect();
                    for first in (0..others.len()).step_by(COLUMNS) {
                        let columns = first..others.len().min(first + COLUMNS);
                        others.block(columns.clone(), b);
                        let distances = &mut distances[..points.len() * columns.len()];
                        Block::new(a, self.dims).inner(Block::new(b, self.dims), distances);
                        let lines = distances.chunks_exact_mut(columns.len());
                        for ((point, state), line) in points.clone().zip(&mut states).zip(lines) {
                            let own = self.lengths[point];
                            for (distance, length) in line.iter_mut().zip(&others.lengths[columns.clone()]) {
                                let lengths = own + length;
                                let squared = lengths - 2.0 * *distance;
                                *distance = if squared <= NOTHING * lengths { 0.0 } else { squared };
                            }
                            step(state, point, first, line);
                        }
                    }
                    states
                },
            )
            .collect();
        blocks.into_iter().flatten().collect()
    }

    /// The squared distance from every point to its k-th nearest other point, one list for each `k` of at
    /// least 1; infinite if there are fewer points.
    pub fn radii<const N: usize>(&self, ks: [usize; N]) -> [Vec<f64>; N] {
        let most = ks.into_iter().max().unwrap_or(0);
        let nearest = self.fold(self, Nearest::new(most), |nearest, point, first, distances| {
            for (i, &distance) in distances.iter().enumerate() {
                if first + i != point {
                    nearest.see(distance);
                }
            }
        });
        ks.map(|k| nearest.iter().map(|nearest| nearest.nth(k)).collect())
    }
}

/// The k smallest numbers seen, ascending.
struct Nearest {
    k: usize,
    smallest: Vec<f64>,
}

impl Nearest {
    fn new(k: usize) -> impl Fn() -> Self {
        move || Self { k, smallest: Vec::with_capacity(k + 1) }
    }

    fn see(&mut self, distance: f64) {
        if distance >= self.nth(self.k) {
            return;
        }
        let at = self.smallest.partition_point(|&other| other <= distance);
        self.smallest.insert(at, distance);
        self.smallest.truncate(self.k);
    }

    fn nth(&self, k: usize) -> f64 {
        k.checked_sub(1).and_then(|at| self.smallest.get(at)).copied().unwrap_or(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;
    use proptest::prelude::*;

    fn direct(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    }

    fn all(a: &Points<'_>, b: &Points<'_>) -> Vec<Vec<f64>> {
        a.fold(b, Vec::new, |all, _, first, distances| {
            assert_eq!(all.len(), first);
            all.extend_from_slice(distances);
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn distances_and_radii_are_those_of_the_definition(
            n in 1usize..300, m in 1usize..1100, dims in 1usize..20, k in 1usize..6, seed in 0u64..1000,
        ) {
            let (a, b) = (features(n, dims, seed, 0), features(m, dims, seed + 1, 100));
            let (pa, pb) = (Points::new(&a, dims), Points::new(&b, dims));
            let found = all(&pa, &pb);
            for i in [0, n / 2, n - 1] {
                prop_assert_eq!(found[i].len(), m);
                for j in 0..m {
                    let expected = direct(&a[i * dims..][..dims], &b[j * dims..][..dims]);
                    prop_assert!((found[i][j] - expected).abs() < 1e-9);
                }
            }
            let [radii, first] = pa.radii([k, 1]);
            let mut own: Vec<f64> = (1..n).map(|j| direct(&a[..dims], &a[j * dims..][..dims])).collect();
            own.sort_by(f64::total_cmp);
            match own.get(k - 1) {
                Some(expected) => prop_assert!((radii[0] - expected).abs() < 1e-9),
                None => prop_assert_eq!(radii[0], f64::INFINITY),
            }
            prop_assert!(first[0] <= radii[0]);
        }
    }

    #[test]
    fn equal_points_are_at_no_distance_and_threads_change_nothing() {
        let dims = 300;
        let a = features(150, dims, 1, 0);
        let twice = [a.clone(), a].concat();
        let points = Points::new(&twice, dims);
        let on = |threads: usize| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| all(&points, &points))
        };
        let found = on(1);
        assert!((0..150).all(|i| found[i][i] == 0.0 && found[i][i + 150] == 0.0));
        let [first, second] = points.radii([1, 2]);
        assert!(first.iter().all(|&radius| radius == 0.0));
        assert!(second.iter().all(|&radius| radius > 0.0));
        assert!(found == on(3));
    }
}
