//! 1-D resampling from `from` samples to `to`, as in PyTorch's `interpolate` with `align_corners = false` and
//! no antialiasing. Grids and images are resampled row by row and column by column.
//!
//! [`nearest`], [`bilinear`], [`bicubic`] and [`area`] are matrices, row-major `[to, from]`, in f64. Every
//! row sums to 1. A matrix with a zero side is empty. Where results must equal a reference's bit for bit, use
//! [`half_pixel_f32`] for coordinates and weigh [`neighbours`] on the spot.

/// Nearest neighbour: sample `i` is `floor(i · from / to)`, in integers. PyTorch multiplies by the ratio
/// rounded to float32, which gives the sample before for some `i` of four pairs among all enlargements to at
/// most 64 samples: 14 to 46, 26 to 44, 28 to 46 and 30 to 58.
pub fn nearest(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| row[i * from / to] = 1.0)
}

/// Linear interpolation between half-pixel centres, constant beyond the outermost ones.
pub fn bilinear(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| {
        let Neighbours { first, second, weight } = neighbours(centre(i, from, to).max(0.0), from);
        row[first] += 1.0 - weight;
        row[second] += weight;
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

/// Adaptive average pooling (PyTorch's `area`): the mean over `floor(i · from / to) .. ceil((i + 1) · from /
/// to)`.
pub fn area(from: usize, to: usize) -> Vec<f64> {
    build(from, to, |i, row| {
        let window = i * from / to..((i + 1) * from).div_ceil(to);
        let weight = 1.0 / window.len() as f64;
        row[window].fill(weight);
    })
}

/// The two samples between which linear interpolation weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbours {
    /// The sample at or before the coordinate.
    pub first: usize,
    /// The next sample, or the same one at the end.
    pub second: usize,
    /// The weight of `after`; `before` has the rest.
    pub weight: f64,
}

/// The samples on either side of a coordinate of at least 0. Beyond the last of `samples` ≥ 1, that sample is
/// both. An f32 coordinate gives a weight that is an f32.
pub fn neighbours(at: f64, samples: usize) -> Neighbours {
    let first = (at as usize).min(samples - 1);
    Neighbours { first, second: (first + 1).min(samples - 1), weight: at - first as f64 }
}

/// Where the centre of output `i` lies among the inputs, clamped to 0, in f32 as PyTorch and TensorFlow
/// compute it for images: the ratio first. It differs from the matrices' f64 in the last bits, which can move
/// a value across a threshold.
pub fn half_pixel_f32(i: usize, from: usize, to: usize) -> f32 {
    ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0)
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
    fn nearest_is_pytorchs_but_for_the_pairs_that_its_documentation_lists() {
        let in_floats = |from: usize, to: usize| -> Vec<usize> {
            let ratio = from as f32 / to as f32;
            (0..to).map(|i| ((i as f32 * ratio).floor() as usize).min(from - 1)).collect()
        };
        let whole = |from: usize, to: usize| -> Vec<usize> {
            nearest(from, to).chunks(from).map(|row| row.iter().position(|&v| v == 1.0).unwrap()).collect()
        };
        let pairs = (1..=64).flat_map(|from| (from..=64).map(move |to| (from, to)));
        let differ: Vec<_> = pairs.filter(|&(from, to)| in_floats(from, to) != whole(from, to)).collect();
        assert_eq!(differ, [(14, 46), (26, 44), (28, 46), (30, 58)]);
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
    fn neighbours_end_at_the_last_sample() {
        let beside = |at| {
            let Neighbours { first, second, weight } = neighbours(at, 3);
            (first, second, weight)
        };
        assert_eq!([0.0, 0.25, 1.5].map(beside), [(0, 1, 0.0), (0, 1, 0.25), (1, 2, 0.5)]);
        assert_eq!((beside(2.0), beside(2.25).1), ((2, 2, 0.0), 2));
    }

    #[test]
    fn a_coordinate_of_f32_keeps_its_bits() {
        for (from, to) in [(16, 13), (13, 16), (32, 299), (3, 7), (1, 9)] {
            for i in 0..to {
                let at = half_pixel_f32(i, from, to);
                let Neighbours { first, weight, .. } = neighbours(at.into(), from);
                assert_eq!(f64::from(weight as f32), weight);
                assert_eq!(weight as f32, at - first as f32);
                assert!((f64::from(at) - centre(i, from, to).max(0.0)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn zero_sides_give_empty_matrices() {
        for resample in [nearest, bilinear, bicubic, area] {
            assert!(resample(0, 4).is_empty() && resample(4, 0).is_empty());
        }
    }
}
