//! The Fréchet distance between Gaussians: FID on Inception features, FD-Lite0 on those of Lite0.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par, Side};

use crate::{Error, Moments, Result};

/// A Gaussian with its covariance decomposed: C = R·Rᵀ, where R has as many columns as C has rank.
///
/// Creating one costs an eigendecomposition; a reference is decomposed once for many comparisons.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Vec<f64>,
    trace: f64,
    root: Mat<f64>,
}

/// The number of parts into which products and decompositions are split, whatever the number of threads: it
/// determines the order of their sums and so the last digit.
const PARTS: usize = 8;

/// The same number of parts, whether passed explicitly or left to faer.
pub(crate) fn parts() -> Par {
    let parts = Par::rayon(PARTS);
    faer::set_global_parallelism(parts);
    parts
}

impl Gaussian {
    /// Decomposes the covariance by a symmetric eigendecomposition, C = V·Λ·Vᵀ, R = V·Λ^½.
    ///
    /// Eigenvalues that rounding cannot distinguish from zero (below dims·ε times the largest) are dropped
    /// with their vectors. A covariance of fewer images than features has many of them, and the square root
    /// would turn each error of 1e-16 into one of 1e-8.
    ///
    /// # Errors
    /// [`Error::Covariance`] if it has a negative eigenvalue beyond rounding, or the decomposition does not
    /// converge.
    pub fn new(moments: &Moments) -> Result<Self> {
        let dims = moments.dims();
        parts();
        let eigen = moments
            .matrix()
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| Error::Covariance("the covariance's eigendecomposition does not converge".into()))?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        // Stored covariances may have been rounded to f32.
        if let Some(negative) = values.iter().find(|&&value| value < -1e-5 * largest) {
            return Err(Error::Covariance(format!(
                "the covariance has the eigenvalue {negative:e} beside {largest:e}: it is not a covariance"
            )));
        }
        let threshold = dims as f64 * f64::EPSILON * largest;
        let kept: Vec<usize> = (0..dims).filter(|&i| values[i] > threshold).collect();
        let vectors = eigen.U();
        let root = Mat::from_fn(dims, kept.len(), |row, column| {
            vectors[(row, kept[column])] * values[kept[column]].sqrt()
        });
        let trace = (0..dims).map(|i| moments.covariance()[i * dims + i]).sum();
        Ok(Self { mean: moments.mean().into(), trace, root })
    }

    /// From vectors `[n, dims]` themselves. With fewer vectors than dimensions, their products with each
    /// other, `[n, n]`, give the decomposition in the time of a small matrix: C = Xᵀ·X/(n − 1) and X·Xᵀ/(n −
    /// 1) = U·Λ·Uᵀ give R = Xᵀ·U/√(n − 1), where X is centred.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two vectors; [`Error::Shape`] if the values do not form whole
    /// vectors; [`Error::Covariance`] as in [`new`](Self::new).
    pub fn of_rows(rows: &[f32], dims: usize) -> Result<Self> {
        let count = rows.len() / dims.max(1);
        if dims == 0 || count * dims != rows.len() {
            return Err(Error::Shape { what: "features".into(), found: rows.len(), expected: count * dims });
        }
        if count < 2 {
            return Err(Error::TooFew { what: "a covariance".into(), needed: 2, found: count as u64 });
        }
        let mut mean = vec![0.0; dims];
        for row in rows.chunks_exact(dims) {
            mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / count as f64);
        }
        let scale = ((count - 1) as f64).sqrt();
        let centred = Mat::from_fn(dims, count, |d, row| (f64::from(rows[row * dims + d]) - mean[d]) / scale);
        let mut products = Mat::zeros(count, count);
        let (left, right) = (centred.transpose(), centred.as_ref());
        matmul(products.as_mut(), Accum::Replace, left, right, 1.0, parts());
        let eigen = products
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| Error::Covariance("the features' products cannot be decomposed".into()))?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(*value));
        // Centring makes one of them zero, but only up to rounding.
        let kept: Vec<usize> =
            (0..count).filter(|&i| values[i] > dims as f64 * f64::EPSILON * largest).collect();
        let vectors = eigen.U();
        let basis = Mat::from_fn(count, kept.len(), |row, column| vectors[(row, kept[column])]);
        let mut root = Mat::zeros(dims, kept.len());
        matmul(root.as_mut(), Accum::Replace, centred.as_ref(), basis.as_ref(), 1.0, parts());
        let trace = (0..count).map(|i| products[(i, i)]).sum();
        Ok(Self { mean, trace, root })
    }

    /// The covariance's numerical rank.
    pub fn rank(&self) -> usize {
        self.root.ncols()
    }

    /// The number of features.
    pub fn dims(&self) -> usize {
        self.mean.len()
    }
}

/// |μ₁ − μ₂|² + tr(C₁ + C₂ − 2·(C₁^½·C₂·C₁^½)^½), the squared 2-Wasserstein distance between two Gaussians.
///
/// Source: Dowson & Landau, "The Fréchet distance between multivariate normal distributions" (1982); for
/// images, Heusel et al., "GANs trained by a two time-scale update rule" (2017), equation 6. The last term's
/// trace is the sum of the singular values of R₁ᵀ·R₂, because R₁ᵀ·R₂·R₂ᵀ·R₁ is C₁^½·C₂·C₁^½ in another basis:
/// no matrix square root is taken, and rank-deficient covariances lose no precision.
///
/// # Errors
/// [`Error::Shape`] if their dimensions differ; [`Error::Covariance`] if the decomposition does not converge.
pub fn frechet(a: &Gaussian, b: &Gaussian) -> Result<f64> {
    if a.dims() != b.dims() {
        return Err(Error::Shape { what: "a mean".into(), found: b.dims(), expected: a.dims() });
    }
    let shift: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b) * (a - b)).sum();
    let mut cross = Mat::zeros(a.rank(), b.rank());
    matmul(cross.as_mut(), Accum::Replace, a.root.transpose(), b.root.as_ref(), 1.0, parts());
    let shared: f64 = if a.rank() == 0 || b.rank() == 0 {
        0.0
    } else {
        cross
            .singular_values()
            .map_err(|_| Error::Covariance("the covariances' product cannot be decomposed".into()))?
            .iter()
            .sum()
    };
    let distance = shift + a.trace + b.trace - 2.0 * shared;
    if !distance.is_finite() {
        return Err(Error::Covariance(format!(
            "the Fréchet distance is {distance}: the features are too large for it; check the network's weights"
        )));
    }
    // Within the rounding of the traces: equal sets have distance 0, and no distance is negative.
    let rounding = a.dims() as f64 * f64::EPSILON * (a.trace + b.trace);
    Ok(if distance <= rounding { 0.0 } else { distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_does_not_change_a_digit() {
        let dims = 96;
        let (a, b) = (features(300, dims, 1, 0), features(300, dims, 2, 300));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let whole = frechet(&gaussian(&a, dims), &gaussian(&b, dims)).unwrap();
                let few = |rows: &[f32]| Gaussian::of_rows(&rows[..40 * dims], dims).unwrap();
                (whole, frechet(&few(&a), &few(&b)).unwrap())
            })
        };
        let one = on(1);
        assert!([2, 3, 7].into_iter().all(|threads| on(threads) == one), "{one:?} {:?}", on(3));
    }

    #[test]
    fn features_beyond_all_numbers_give_no_distance() {
        let far = |value: f64| Moments::new(None, vec![value], vec![1.0]).unwrap();
        let of = |value: f64| Gaussian::new(&far(value)).unwrap();
        let error = frechet(&of(1e200), &of(-1e200)).unwrap_err().to_string();
        assert!(error.contains("is inf"), "{error}");
    }
    use crate::FeatureSums;
    use crate::testing::features;

    fn gaussian(rows: &[f32], dims: usize) -> Gaussian {
        let mut sums = FeatureSums::new(dims);
        sums.push(rows).unwrap();
        Gaussian::new(&sums.moments().unwrap()).unwrap()
    }

    #[test]
    fn vectors_and_their_moments_give_the_same() {
        for (count, dims) in [(30, 48), (48, 48), (90, 48), (2, 5)] {
            let (rows, other) = (features(count, dims, 3, 0), gaussian(&features(70, dims, 4, 200), dims));
            let (direct, moments) = (Gaussian::of_rows(&rows, dims).unwrap(), gaussian(&rows, dims));
            assert_eq!(direct.rank(), moments.rank());
            close(frechet(&direct, &other).unwrap(), frechet(&moments, &other).unwrap(), 1e-9);
            close(frechet(&other, &direct).unwrap(), frechet(&other, &moments).unwrap(), 1e-9);
        }
        assert!(matches!(Gaussian::of_rows(&[1.0; 5], 5), Err(Error::TooFew { .. })));
        assert!(matches!(Gaussian::of_rows(&[1.0; 7], 5), Err(Error::Shape { .. })));
    }

    fn close(found: f64, expected: f64, relative: f64) {
        assert!((found - expected).abs() <= relative * expected.abs(), "{found} is not {expected}");
    }

    /// pytorch-fid 0.3.0 (scipy 1.17.1) gives 5.215136125886147, torch-fidelity 0.4.0 5.215136125886204 on
    /// these features in f64.
    #[test]
    fn equals_pytorch_fid_and_torch_fidelity() {
        let (a, b) = (gaussian(&features(300, 48, 1, 0), 48), gaussian(&features(400, 48, 2, 400), 48));
        close(frechet(&a, &b).unwrap(), 5.215136125886147, 1e-11);
        close(frechet(&b, &a).unwrap(), 5.215136125886204, 1e-11);
    }

    /// 30 and 40 vectors of 64 features. The singular values of the centred features' product (numpy) give
    /// 39.04350008504993; pytorch-fid, which here takes the root of a singular matrix, gives
    /// 39.04349864696036.
    #[test]
    fn rank_deficient_covariances_lose_nothing() {
        let (a, b) = (gaussian(&features(30, 64, 6, 0), 64), gaussian(&features(40, 64, 7, 400), 64));
        assert_eq!((a.rank(), b.rank()), (29, 39));
        close(frechet(&a, &b).unwrap(), 39.04350008504993, 1e-11);
        close(frechet(&a, &b).unwrap(), 39.04349864696036, 1e-6);
    }

    #[test]
    fn a_set_is_at_no_distance_from_itself_whatever_its_rank() {
        for n in [20, 200] {
            let a = gaussian(&features(n, 32, 4, 0), 32);
            assert!(frechet(&a, &a).unwrap().abs() < 1e-10 * a.trace);
        }
    }

    #[test]
    fn diagonal_gaussians_have_the_distance_that_can_be_written_down() {
        let diagonal = |mean: [f64; 3], deviations: [f64; 3]| {
            let mut covariance = vec![0.0; 9];
            (0..3).for_each(|i| covariance[4 * i] = deviations[i] * deviations[i]);
            Gaussian::new(&Moments::new(None, mean.into(), covariance).unwrap()).unwrap()
        };
        let (a, b) = (diagonal([0.0, 1.0, 2.0], [1.0, 2.0, 0.0]), diagonal([1.0, 1.0, 4.0], [3.0, 2.5, 1.0]));
        close(frechet(&a, &b).unwrap(), 1.0 + 4.0 + 4.0 + 0.25 + 1.0, 1e-14);
        let constant = diagonal([0.0; 3], [0.0; 3]);
        close(frechet(&a, &constant).unwrap(), 5.0 + 5.0, 1e-14);
    }

    #[test]
    fn what_is_no_covariance_is_told() {
        let moments = Moments::new(None, vec![0.0; 2], vec![1.0, 2.0, 2.0, 1.0]).unwrap();
        assert!(Gaussian::new(&moments).unwrap_err().to_string().contains("eigenvalue -1"));
    }
}
