//! 3×3 convolution as one matrix product per image: every pixel's neighbourhood becomes a column.
//!
//! For small maps with many channels, where columns are few and reading the weights dominates.

use faer::{MatMut, MatRef};

use super::{Extent, share};
use crate::{product::multiply_alone, raw::build};

/// Whether this is the fastest route. Does not depend on the batch, so that an image's result is the same in
/// any batch.
pub fn pays([_, channels, outputs, height, width]: Extent) -> bool {
    height * width < 1024 && channels * outputs >= 128 * 128
}

/// `[batch, out, height, width]` from x `[batch, channels, height, width]` and weights `[out, channels, 3,
/// 3]`.
pub fn correlate(x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) -> Vec<f32> {
    let [batch, channels, outputs, height, width] = extent;
    let plane = height * width;
    let inner = channels * 9;
    let share = share(batch, outputs);
    build(batch * outputs * plane, share * plane, |i, out| {
        let (image, first) = (i * share / outputs, i * share % outputs);
        let x = &x[image * channels * plane..][..channels * plane];
        let mut columns = vec![0.0; inner * plane];
        for (x, columns) in x.chunks_exact(plane).zip(columns.chunks_exact_mut(9 * plane)) {
            lay_out(x, width, columns);
        }
        out.chunks_exact_mut(plane).zip(&bias[first..]).for_each(|(row, &bias)| row.fill(bias));
        multiply_alone(
            MatMut::from_row_major_slice_mut(out, share, plane),
            MatRef::from_row_major_slice(&weight[first * inner..][..share * inner], share, inner),
            MatRef::from_row_major_slice(&columns, inner, plane),
            true,
        );
    })
}

/// Nine copies of a plane, shifted as the taps read it, with zeros beyond its edge. `out` must hold zeros.
fn lay_out(x: &[f32], width: usize, out: &mut [f32]) {
    let height = x.len() / width;
    for (tap, out) in out.chunks_exact_mut(x.len()).enumerate() {
        let (down, right) = (tap / 3, tap % 3);
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let from = (row + down).wrapping_sub(1);
            if from < height {
                let x = &x[from * width..][..width];
                match right {
                    0 => out[1..].copy_from_slice(&x[..width - 1]),
                    1 => out.copy_from_slice(x),
                    _ => out[..width - 1].copy_from_slice(&x[1..]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv::tests::assert_plain_sum;
    use crate::testing::numbers;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

        #[test]
        fn every_size_is_the_plain_sum_alone_and_in_a_batch(
            channels in 1usize..20,
            outputs in 1usize..70,
            height in 1usize..9,
            width in 1usize..9,
            seed: u32,
        ) {
            let x = numbers(seed, 3 * channels * height * width);
            let (weight, bias) = (numbers(!seed, outputs * channels * 9), numbers(seed ^ 7, outputs));
            let all = correlate(&x, &weight, &bias, [3, channels, outputs, height, width]);
            assert_plain_sum(&all, &x, &weight, &bias, [3, channels, outputs, height, width]);
            let images = x.chunks_exact(channels * height * width);
            let alone: Vec<f32> =
                images.flat_map(|x| correlate(x, &weight, &bias, [1, channels, outputs, height, width])).collect();
            prop_assert!(all == alone);
        }
    }

    #[test]
    fn a_plane_is_shifted_nine_times() {
        let mut out = vec![0.0; 54];
        lay_out(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut out);
        assert_eq!(out[..6], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(out[24..30], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(out[48..], [5.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
