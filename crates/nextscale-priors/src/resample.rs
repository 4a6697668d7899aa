//! The matrices of 1-D resampling from `from` samples to `to`, row-major `[to, from]`, in f64.
//!
//! All follow PyTorch's `interpolate` with `align_corners = false` and no antialiasing; on grids they act on rows and
//! columns separately. Every row sums to 1. A matrix with a zero side is empty.

/// Nearest neighbour: sample `i` is `floor(i · from / to)`, in whole numbers.
pub fn nearest(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| row[i * from / to] = 1.0)
}

/// Linear interpolation between half-pixel centres, constant beyond the outermost ones.
pub fn bilinear(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| {
        let centre = centre(i, from, to).max(0.0);
        let left = (centre as usize).min(from - 1);
        let weight = centre - left as f64;
        row[left] += 1.0 - weight;
        row[(left + 1).min(from - 1)] += weight;
    })
}

/// Cubic convolution with A = -0.75 (PyTorch's constant; others take -0.5), edges repeated.
pub fn bicubic(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| {
        let centre = centre(i, from, to);
        let left = centre.floor();
        for tap in -1..=2 {
            let index = (left as isize + tap).clamp(0, from as isize - 1) as usize;
            row[index] += cubic(centre - left - tap as f64);
        }
    })
}

/// Adaptive average pooling (PyTorch's `area`): the mean over `floor(i · from / to) .. ceil((i + 1) · from / to)`.
pub fn area(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| {
        let window = i * from / to..((i + 1) * from).div_ceil(to);
        let weight = 1.0 / window.len() as f64;
        row[window].fill(weight);
    })
}

fn build(from: usize, to: usize, mut fill: impl FnMut(usize, &mut [f64])) -> Vec<f64> {
    let mut matrix = vec![0.0; to * from];
    if from > 0 {
        matrix.chunks_exact_mut(from).enumerate().for_each(|(i, row)| fill(i, row));
    }
    matrix
}

/// Where the centre of fine sample `i` lies among the coarse samples.
fn centre(i: usize, from: usize, to: usize) -> f64 {
    (i as f64 + 0.5) * from as f64 / to as f64 - 0.5
}

/// Keys' convolution kernel.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let x = distance.abs();
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_matrix_sums_to_one() {
        for resample in [nearest, bilinear, bicubic, area] {
            for (from, to) in [(1, 1), (1, 4), (3, 3), (3, 7), (7, 3), (10, 13), (16, 5)] {
                for row in resample(from, to).chunks(from) {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{from} to {to}: {row:?}");
                }
            }
        }
    }

    #[test]
    fn the_same_size_is_the_identity() {
        for resample in [nearest, bilinear, bicubic, area] {
            for n in 1..6 {
                for (i, value) in resample(n, n).into_iter().enumerate() {
                    assert_eq!(value, if i % (n + 1) == 0 { 1.0 } else { 0.0 });
                }
            }
        }
    }

    #[test]
    fn bilinear_from_two_to_four_has_quarter_weights() {
        assert_eq!(bilinear(2, 4), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
    }

    #[test]
    fn area_windows_overlap_when_the_ratio_is_not_whole() {
        assert_eq!(area(3, 2), [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
    }

    #[test]
    fn zero_sides_give_empty_matrices() {
        for resample in [nearest, bilinear, bicubic, area] {
            assert!(resample(0, 4).is_empty() && resample(4, 0).is_empty());
        }
    }
}
