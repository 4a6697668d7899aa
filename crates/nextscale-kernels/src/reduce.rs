//! Sums and maxima over a row, in an order that depends only on the row's length.

use crate::fma::fma;

/// Independent partial results, enough to keep the vector units busy while earlier sums are under way.
const LANES: usize = 32;
/// Numbers summed in f32 before the partial result joins an f64 total, so that long rows lose no digits.
const BLOCK: usize = 4096;

/// Σ term(i) over `0..a.len()`, where `term` sees `a[i]` and `b[i]`.
#[inline(always)]
fn sum_pairs(a: &[f32], b: &[f32], term: impl Fn(f32, f32, f32) -> f32 + Copy) -> f32 {
    let mut total = 0.0f64;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let mut lanes = [0.0f32; LANES];
        let (mut pieces_a, mut pieces_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        for (a, b) in (&mut pieces_a).zip(&mut pieces_b) {
            for i in 0..LANES {
                lanes[i] = term(a[i], b[i], lanes[i]);
            }
        }
        for (i, (&a, &b)) in pieces_a.remainder().iter().zip(pieces_b.remainder()).enumerate() {
            lanes[i] = term(a, b, lanes[i]);
        }
        total += fold(lanes, |x, y| x + y) as f64;
    }
    total as f32
}

/// Halves the lanes until one is left.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ a.
#[inline(always)]
pub fn sum(a: &[f32]) -> f32 {
    sum_pairs(a, a, |a, _, total| total + a)
}

/// Σ a·b.
#[inline(always)]
pub fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    sum_pairs(a, b, fma::<FMA>)
}

/// Σ (a - centre)·b.
#[inline(always)]
pub fn dot_centred<const FMA: bool>(a: &[f32], centre: f32, b: &[f32]) -> f32 {
    sum_pairs(a, b, |a, b, total| fma::<FMA>(a - centre, b, total))
}

/// Mean and `1/√(variance + eps)` of a row, in two passes: the one-pass formula cancels where the mean is
/// large.
#[inline(always)]
pub fn moments<const FMA: bool>(row: &[f32], eps: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row) / count;
    let variance = sum_pairs(row, row, |a, _, total| fma::<FMA>(a - mean, a - mean, total)) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// The largest number of a row, -inf if it is empty. NaN is ignored.
#[inline(always)]
pub fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut pieces = row.chunks_exact(LANES);
    for piece in &mut pieces {
        for i in 0..LANES {
            lanes[i] = if piece[i] > lanes[i] { piece[i] } else { lanes[i] };
        }
    }
    for (lane, &a) in lanes.iter_mut().zip(pieces.remainder()) {
        *lane = if a > *lane { a } else { *lane };
    }
    fold(lanes, |x, y| if y > x { y } else { x })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of every awkward length around the lanes and the block.
    fn rows() -> Vec<Vec<f32>> {
        [0, 1, 5, 31, 32, 33, 97, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 40]
            .iter()
            .map(|&n| (0..n).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 0.8).collect())
            .collect()
    }

    #[test]
    fn sums_equal_those_in_double_precision() {
        // The result is an f32, so half a unit in its last place is the best possible error.
        let close = |got: f32, terms: Vec<f64>| {
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            assert!((got as f64 - terms.iter().sum::<f64>()).abs() <= 3e-7 * size, "{got}");
        };
        for row in rows() {
            close(sum(&row), row.iter().map(|&v| v as f64).collect());
            close(dot::<true>(&row, &row), row.iter().map(|&v| (v as f64).powi(2)).collect());
            let centred = row.iter().map(|&v| (v as f64 - 0.5) * v as f64).collect();
            close(dot_centred::<false>(&row, 0.5, &row), centred);
        }
    }

    #[test]
    fn maximum_of_every_length() {
        for row in rows() {
            assert_eq!(max(&row), row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn moments_survive_a_large_mean() {
        let row: Vec<f32> = (0..10_000).map(|i| 4096.0 + (i % 2) as f32).collect();
        let (mean, scale) = moments::<true>(&row, 0.0);
        assert!((mean - 4096.5).abs() < 1e-3);
        assert!((scale - 2.0).abs() < 1e-4, "{scale}");
    }
}
