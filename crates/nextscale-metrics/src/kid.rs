//! The kernel distance: KID on Inception features, KID-Lite0 on those of Lite0.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::gram::{Block, widen};
use crate::numpy_random::RandomState;
use crate::{Error, Result};

/// Rows of a kernel matrix held at a time.
const ROWS: usize = 128;

/// How a kernel distance is estimated. The defaults are torch-fidelity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KidOptions {
    /// Random subsets whose estimates are averaged.
    pub subsets: usize,
    /// Images per set in a subset; limited by the smaller set.
    pub subset_size: usize,
    /// Of the subsets.
    pub seed: u32,
}

impl Default for KidOptions {
    fn default() -> Self {
        Self { subsets: 100, subset_size: 1000, seed: 2020 }
    }
}

/// A kernel distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kid {
    /// The squared maximum mean discrepancy, averaged over the subsets.
    pub value: f64,
    /// The standard deviation over the subsets, as torch-fidelity reports it. It is not the value's error: it
    /// does not shrink with more subsets, and is zero if a subset is the whole set.
    pub deviation: f64,
    /// The value's standard error: how much it would vary with other images from the same two distributions
    /// and with other subsets.
    pub error: f64,
    /// Images per set in a subset.
    pub subset_size: usize,
}

/// The unbiased squared maximum mean discrepancy under the kernel k(x, y) = (x·y/dims + 1)³, averaged over
/// subsets of `samples` `[n, dims]` and `reference` `[m, dims]`.
///
/// Source: Bińkowski et al., "Demystifying MMD GANs" (2018), section 4 and appendix A. Subsets and sums
/// follow torch-fidelity, with numpy's generator, so that the same features and seed give the same numbers.
///
/// The standard error needs no bootstrap. The estimate is a U-statistic whose variance is, to first order,
/// 4·ζ(x)/n + 4·ζ(y)/m, where ζ is the variance over one set's images of their mean kernel with their own set
/// minus that with the other (Serfling, "Approximation theorems of mathematical statistics", 1980, section
/// 5.5). The subsets give ζ, and their own spread adds deviation²/subsets.
///
/// # Errors
/// [`Error::Shape`] if either set does not consist of whole vectors, [`Error::TooFew`] if one has fewer than
/// two, [`Error::Setting`] for no subsets or empty ones.
pub fn kid(samples: &[f32], reference: &[f32], dims: usize, options: &KidOptions) -> Result<Kid> {
    let (n, m) = (rows(samples, dims)?, rows(reference, dims)?);
    let size = options.subset_size.min(n as usize).min(m as usize);
    if options.subsets == 0 {
        return Err(Error::Setting { name: "subsets", problem: "must be at least 1".into() });
    }
    if size < 2 {
        let found = u64::from(n.min(m)).min(options.subset_size as u64);
        return Err(Error::TooFew { what: "a kernel distance".into(), needed: 2, found });
    }
    let mut random = RandomState::new(options.seed);
    let chosen: Vec<_> =
        (0..options.subsets).map(|_| (random.choice(n, size), random.choice(m, size))).collect();
    let gather = |from: &[f32], rows: &[u32]| {
        let mut values = Vec::with_capacity(size * dims);
        rows.iter().for_each(|&row| widen(&from[row as usize * dims..][..dims], &mut values));
        values
    };
    let subsets: Vec<Subset> = chosen
        .par_iter()
        .map(|(of_samples, of_reference)| {
            let (x, y) = (gather(samples, of_samples), gather(reference, of_reference));
            Subset::of(&x, &y, dims)
        })
        .collect();
    let count = subsets.len() as f64;
    let mean = |of: fn(&Subset) -> f64| subsets.iter().map(of).sum::<f64>() / count;
    let value = mean(|subset| subset.value);
    let variance = subsets.iter().map(|subset| (subset.value - value).powi(2)).sum::<f64>() / count;
    let sampling =
        4.0 * mean(|subset| subset.zeta_x) / f64::from(n) + 4.0 * mean(|subset| subset.zeta_y) / f64::from(m);
    let error = (sampling + variance / count).sqrt();
    Ok(Kid { value, deviation: variance.sqrt(), error, subset_size: size })
}

fn rows(values: &[f32], dims: usize) -> Result<u32> {
    let rows = values.len() / dims.max(1);
    match u32::try_from(rows) {
        Ok(count) if dims > 0 && rows * dims == values.len() => Ok(count),
        _ => Err(Error::Shape { what: "features".into(), found: values.len(), expected: rows * dims }),
    }
}

/// The results of one subset.
struct Subset {
    value: f64,
    zeta_x: f64,
    zeta_y: f64,
}

impl Subset {
    /// From the same number of rows of either set, `[size, dims]`.
    fn of(x: &[f64], y: &[f64], dims: usize) -> Self {
        let size = x.len() / dims;
        let n = size as f64;
        let (mut xx, mut yy) = (vec![0.0; size], vec![0.0; size]);
        let (mut xy, mut yx) = (vec![0.0; size], vec![0.0; size]);
        for (own, sums) in [(x, &mut xx), (y, &mut yy)] {
            for_kernel(own, own, dims, true, |i, j, k| {
                if j < i {
                    sums[i] += k;
                    sums[j] += k;
                }
            });
        }
        for_kernel(x, y, dims, false, |i, j, k| {
            xy[i] += k;
            yx[j] += k;
        });
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        let value = (sum(&xx) + sum(&yy)) / (n * (n - 1.0)) - 2.0 * sum(&xy) / (n * n);
        let zeta = |own: &[f64], other: &[f64]| {
            let terms: Vec<f64> =
                own.iter().zip(other).map(|(own, other)| own / (n - 1.0) - other / n).collect();
            let mean = sum(&terms) / n;
            terms.iter().map(|term| (term - mean).powi(2)).sum::<f64>() / (n - 1.0)
        };
        Self { value, zeta_x: zeta(&xx, &xy), zeta_y: zeta(&yy, &yx) }
    }
}

/// Calls `see(i, j, k(a_i, b_j))` for every pair, row by row; with `triangle`, at least for every pair of j ≤
/// i.
fn for_kernel(a: &[f64], b: &[f64], dims: usize, triangle: bool, mut see: impl FnMut(usize, usize, f64)) {
    let mut products = vec![0.0; ROWS * b.len() / dims];
    for (block, rows) in a.chunks(ROWS * dims).enumerate() {
        let below = block * ROWS * dims + rows.len();
        let b = if triangle { &b[..below] } else { b };
        let columns = b.len() / dims;
        let products = &mut products[..rows.len() / dims * columns];
        Block::new(rows, dims).inner(Block::new(b, dims), products);
        for (row, products) in products.chunks_exact(columns).enumerate() {
            for (column, product) in products.iter().enumerate() {
                let base = product / dims as f64 + 1.0;
                see(block * ROWS + row, column, base * base * base);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    /// torch-fidelity 0.4.0 (`kid_features_to_metric`) on the same features in f64.
    #[test]
    fn equals_torch_fidelity() {
        let (a, b) = (features(300, 48, 1, 0), features(400, 48, 2, 400));
        let found = kid(&a, &b, 48, &KidOptions { subsets: 20, subset_size: 100, seed: 2020 }).unwrap();
        close(found.value, 23.1533083965438);
        close(found.deviation, 4.771574115772293);
        let found = kid(&a, &b, 48, &KidOptions { subsets: 7, subset_size: 1000, seed: 7 }).unwrap();
        assert_eq!(found.subset_size, 300);
        close(found.value, 21.098016711502346);
        close(found.deviation, 1.275407550412919);
    }

    #[test]
    fn the_standard_error_is_the_spread_over_fresh_images() {
        let options = KidOptions { subsets: 10, subset_size: 100, seed: 1 };
        let found: Vec<Kid> = (0..120)
            .map(|i| {
                let (a, b) = (features(200, 6, 100 + 2 * i, 0), features(150, 6, 101 + 2 * i, 600));
                kid(&a, &b, 6, &options).unwrap()
            })
            .collect();
        let n = found.len() as f64;
        let mean = found.iter().map(|kid| kid.value).sum::<f64>() / n;
        let spread = (found.iter().map(|kid| (kid.value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let stated = (found.iter().map(|kid| kid.error * kid.error).sum::<f64>() / n).sqrt();
        // 120 draws estimate the spread with a standard deviation of 6.5 %.
        assert!((stated / spread - 1.0).abs() < 0.2, "stated {stated}, seen {spread}");
    }

    #[test]
    fn images_of_one_distribution_are_at_no_distance() {
        let found = kid(&features(500, 8, 8, 0), &features(500, 8, 9, 0), 8, &KidOptions::default()).unwrap();
        assert!(found.value.abs() < 3.0 * found.error, "{found:?}");
        assert!(
            kid(&features(500, 8, 8, 0), &features(500, 8, 9, 400), 8, &KidOptions::default()).unwrap().value
                > 0.1
        );
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let rows = features(10, 4, 1, 0);
        let options = KidOptions::default();
        assert!(matches!(kid(&rows[..4], &rows, 4, &options), Err(Error::TooFew { .. })));
        assert!(matches!(kid(&rows[..5], &rows, 4, &options), Err(Error::Shape { .. })));
        let none = KidOptions { subsets: 0, ..options };
        assert!(matches!(kid(&rows, &rows, 4, &none), Err(Error::Setting { .. })));
    }
}
