//! How much the images of a set differ from each other.
//!
//! Distances such as FD and KID hide collapse: a set of a few perfect images can be near the reference. These
//! two look at the set alone.

use faer::{Accum, Mat, linalg::matmul::matmul};

use crate::distances::Points;
use crate::frechet::parts;
use crate::{Error, Result};

/// The mean Euclidean distance over all pairs of feature vectors `[n, dims]`, row-major; 0 if all are equal.
///
/// # Errors
/// [`Error::TooFew`] for fewer than two vectors; [`Error::Shape`] if the values do not form whole vectors.
pub fn mean_pairwise_distance(rows: &[f32], dims: usize) -> Result<f64> {
    let count = checked("pairwise distances", rows, dims, 2)?;
    let points = Points::new(rows, dims);
    let sums = points.fold(
        &points,
        || 0.0,
        |sum: &mut f64, point, first, squared| {
            let others = squared.iter().enumerate().filter(|(i, _)| first + i != point);
            *sum += others.map(|(_, squared)| squared.sqrt()).sum::<f64>();
        },
    );
    Ok(sums.iter().sum::<f64>() / (count * (count - 1)) as f64)
}

/// The Vendi score (Friedman and Dieng, arXiv 2210.02410) of feature vectors `[n, dims]`, row-major, under
/// the cosine kernel: the exponential of the entropy of the eigenvalues of K/n. From 1, all vectors point the
/// same way, to n, all are orthogonal: the effective number of different ones.
///
/// # Errors
/// [`Error::TooFew`] for none; [`Error::Shape`] if the values do not form whole vectors;
/// [`Error::Covariance`] if a vector is zero or the eigendecomposition does not converge.
pub fn vendi_score(rows: &[f32], dims: usize) -> Result<f64> {
    let count = checked("the Vendi score", rows, dims, 1)?;
    let length = |row: &[f32]| row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    let lengths: Vec<f64> = rows.chunks_exact(dims).map(length).collect();
    if lengths.iter().any(|&length| !(length > 0.0 && length.is_finite())) {
        return Err(Error::Covariance("features without a direction have no cosine with others".into()));
    }
    let scale = (count as f64).sqrt();
    let unit = Mat::from_fn(count, dims, |i, d| f64::from(rows[i * dims + d]) / (lengths[i] * scale));
    // X·Xᵀ and Xᵀ·X have the same eigenvalues except for zeros, which add nothing to the entropy.
    let (left, right) =
        if count <= dims { (unit.as_ref(), unit.transpose()) } else { (unit.transpose(), unit.as_ref()) };
    let mut kernel = Mat::zeros(left.nrows(), left.nrows());
    matmul(kernel.as_mut(), Accum::Replace, left, right, 1.0, parts());
    let values = kernel
        .self_adjoint_eigenvalues(faer::Side::Lower)
        .map_err(|_| Error::Covariance("the kernel's eigendecomposition does not converge".into()))?;
    let entropy: f64 = values.iter().filter(|&&value| value > 0.0).map(|&value| -value * value.ln()).sum();
    Ok(entropy.exp())
}

/// How many vectors there are.
fn checked(what: &str, rows: &[f32], dims: usize, needed: usize) -> Result<usize> {
    let count = rows.len() / dims.max(1);
    if dims == 0 || count * dims != rows.len() {
        return Err(Error::Shape { what: "features".into(), found: rows.len(), expected: count * dims });
    }
    if count < needed {
        return Err(Error::TooFew { what: what.into(), needed: needed as u64, found: count as u64 });
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a}, not {b}");
    }

    /// `x[i][d] = sin(1 + i·dims + d)`, as in the numpy script.
    fn waves(count: usize, dims: usize) -> Vec<f32> {
        (0..count * dims).map(|i| ((1 + i) as f64).sin() as f32).collect()
    }

    #[test]
    fn distances_are_the_mean_over_pairs() {
        // 3, 4 and 5 apart.
        near(mean_pairwise_distance(&[0.0, 0.0, 3.0, 0.0, 0.0, 4.0], 2).unwrap(), 4.0);
        near(mean_pairwise_distance(&[1.5; 12], 3).unwrap(), 0.0);
        let rows = waves(150, 3);
        let mut sum = 0.0;
        for a in rows.chunks(3) {
            for b in rows.chunks(3) {
                sum +=
                    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
            }
        }
        near(mean_pairwise_distance(&rows, 3).unwrap(), sum / (150.0 * 149.0));
        assert!(matches!(mean_pairwise_distance(&[1.0, 2.0], 2), Err(Error::TooFew { .. })));
        assert!(matches!(mean_pairwise_distance(&[1.0; 5], 2), Err(Error::Shape { .. })));
    }

    #[test]
    fn the_vendi_score_counts_what_is_different() {
        near(vendi_score(&[2.0; 12], 3).unwrap(), 1.0);
        let orthogonal: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { 3.0 } else { 0.0 }).collect();
        near(vendi_score(&orthogonal, 4).unwrap(), 4.0);
        // Two directions, one of them three times: eigenvalues 3/4 and 1/4.
        let pairs = [1.0, 0.0, 2.0, 0.0, 0.5, 0.0, 0.0, 1.0];
        let entropy = -(0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        near(vendi_score(&pairs, 2).unwrap(), entropy.exp());
        assert!(vendi_score(&[0.0, 0.0], 2).is_err() && vendi_score(&[], 2).is_err());
    }

    #[test]
    fn the_vendi_score_is_numpys_with_more_vectors_than_features_and_with_fewer() {
        // scores of numpy.linalg.eigvalsh of the cosine kernel over n.
        near(vendi_score(&waves(7, 5), 5).unwrap(), 1.989508152688);
        near(vendi_score(&waves(4, 9), 9).unwrap(), 1.621466834966);
    }
}
