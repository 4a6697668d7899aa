//! 3×3 convolutions of numbers rounded to bfloat16, on the processor's matrix unit.
//!
//! A product's inner numbers are channels, its columns sixteen neighbouring pixels. Rows of the image are packed once, as pairs
//! of channels with a pixel of zeros on either side; for each of the nine taps the unit reads the same pairs from another place.

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::Extent;
use crate::{
    precision::Precision,
    raw::{
        Kernel, Level,
        matrix_unit::{Line, MatrixUnit, Places, SIDE, STEP, Tile, lines},
    },
};

/// Packed rows of an image that a task works on fill about as many bytes, so that they stay in a core's own cache.
const CACHE: usize = 1 << 20;
const ROUNDED: Precision = Precision::Rounded;
const TAPS: usize = 9;

/// Whether the unit pays for these sizes, whatever the batch.
pub fn pays([_, channels, outputs, ..]: Extent) -> bool {
    channels >= STEP && outputs >= SIDE
}

/// `[batch, out, height, width]` from x `[batch, channels, height, width]` and weights `[out, channels, 3, 3]`.
pub fn correlate(unit: MatrixUnit, x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) -> Vec<f32> {
    let [_, channels, outputs, height, width] = extent;
    let plane = height * width;
    let weights = pack_weights(unit, weight, [outputs, channels]);
    let layout = Layout::new(channels, width);
    let fitting = (CACHE / layout.row_bytes()).saturating_sub(2).max(1);
    let band = fitting.min(height.div_ceil(2 * rayon::current_num_threads()));
    let mut out = vec![0.0; x.len() / channels * outputs];
    out.par_chunks_mut(outputs * plane).zip(x.par_chunks(channels * plane)).for_each(|(out, x)| {
        let out = MatMut::from_row_major_slice_mut(out, outputs, plane);
        out.par_col_chunks_mut(band * width).enumerate().for_each(|(i, out)| {
            let rows = layout.pack(x, height, i * band, out.ncols() / width + 2);
            layout.multiply(unit, &weights, &rows, bias, out);
        });
    });
    out
}

/// For every 16 outputs the taps, and for each tap the steps over channels.
fn pack_weights(unit: MatrixUnit, weight: &[f32], [outputs, channels]: [usize; 2]) -> Vec<Line> {
    let steps = lines(ROUNDED, channels);
    let mut packed = vec![Line::ZERO; outputs.div_ceil(SIDE) * TAPS * steps];
    let tiles = weight.par_chunks(SIDE * channels * TAPS);
    packed.par_chunks_exact_mut(TAPS * steps).zip(tiles).for_each(|(packed, weight)| {
        let rows = weight.len() / (channels * TAPS);
        let mut of_tap = vec![0.0; rows * channels];
        for (tap, packed) in packed.chunks_exact_mut(steps).enumerate() {
            for (to, from) in of_tap.iter_mut().zip(weight.chunks_exact(TAPS)) {
                *to = from[tap];
            }
            unit.pack_rows(ROUNDED, MatRef::from_row_major_slice(&of_tap, rows, channels), packed);
        }
    });
    packed
}

/// How packed rows lie: `[rows, pairs of channels, pitch]`, a row's pixels between two of zeros.
#[derive(Clone, Copy)]
struct Layout {
    channels: usize,
    width: usize,
    pairs: usize,
    pitch: usize,
}

impl Layout {
    fn new(channels: usize, width: usize) -> Self {
        let pairs = channels.next_multiple_of(STEP) / 2;
        Layout { channels, width, pairs, pitch: width.next_multiple_of(SIDE) + 2 }
    }

    fn row_bytes(self) -> usize {
        self.pairs * self.pitch * size_of::<u32>()
    }

    /// `count` rows of image x from the one above `top` on; those outside of the image are zeros.
    fn pack(self, x: &[f32], height: usize, top: usize, count: usize) -> Vec<u32> {
        let Layout { channels, width, pairs, pitch } = self;
        let mut packed = vec![0; count * pairs * pitch];
        for (row, packed) in packed.chunks_exact_mut(pairs * pitch).enumerate() {
            let y = (top + row).wrapping_sub(1);
            if y < height {
                let of = |channel: usize| &x[(channel * height + y) * width..][..width];
                for (pair, out) in packed.chunks_exact_mut(pitch).enumerate().take(channels.div_ceil(2)) {
                    let high = if 2 * pair + 1 < channels { of(2 * pair + 1) } else { &[] };
                    Level::detected().run(Pairs { low: of(2 * pair), high, out: &mut out[1..=width] });
                }
            }
        }
        packed
    }

    /// A band of the result, `[outputs, rows · width]`.
    fn multiply(
        self,
        unit: MatrixUnit,
        weights: &[Line],
        rows: &[u32],
        bias: &[f32],
        mut out: MatMut<'_, f32>,
    ) {
        let Layout { channels, width, pairs, pitch } = self;
        let steps = channels.div_ceil(STEP);
        // From the place of a tile's first pixel, row above and pixel before, to what a step reads.
        let offsets = (0..TAPS)
            .flat_map(|tap| (0..steps).map(move |step| (tap / 3 * pairs + step * SIDE) * pitch + tap % 3));
        let places = Places::new(offsets.collect(), pitch);
        let mut tile = Tile::ZERO;
        unit.with(|ready| {
            let tiles = weights.chunks_exact(TAPS * lines(ROUNDED, channels)).zip(bias.chunks(SIDE));
            for (i, (weights, bias)) in tiles.enumerate() {
                for row in 0..out.ncols() / width {
                    for left in (0..width).step_by(SIDE) {
                        ready.product_of_places(
                            weights,
                            &rows[row * pairs * pitch + left..],
                            &places,
                            &mut tile,
                        );
                        for (values, &bias) in tile.0.iter_mut().zip(bias) {
                            values.iter_mut().for_each(|value| *value += bias);
                        }
                        let count = SIDE.min(width - left);
                        let out = out.as_mut().submatrix_mut(i * SIDE, row * width + left, bias.len(), count);
                        unit.put(&tile, out, false);
                    }
                }
            }
        });
    }
}

/// Two channels' numbers rounded to the nearest bfloat16 (the even one of two as near), side by side.
struct Pairs<'a> {
    low: &'a [f32],
    /// As many, or none: zeros.
    high: &'a [f32],
    out: &'a mut [u32],
}

#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { 0x7fc0 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
}

impl Kernel for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &low) in self.out.iter_mut().zip(self.low) {
            *out = rounded(low);
        }
        for (out, &high) in self.out.iter_mut().zip(self.high) {
            *out |= rounded(high) << 16;
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn it_is_the_plain_sum_of_rounded_numbers_alone_and_in_a_batch(
            channels in 1usize..70,
            outputs in 1usize..40,
            height in 1usize..20,
            width in 1usize..40,
            seed: u32,
        ) {
            let Some(unit) = MatrixUnit::detected() else { return Ok(()) };
            let round = |x: Vec<f32>| -> Vec<f32> { x.into_iter().map(|x| f32::from_bits(rounded(x) << 16)).collect() };
            let plain = numbers(seed, 2 * channels * height * width);
            let weight = numbers(!seed, outputs * channels * 9);
            let bias = numbers(seed ^ 7, outputs);
            let extent = [2, channels, outputs, height, width];
            let all = correlate(unit, &plain, &weight, &bias, extent);
            assert_plain_sum(&all, &round(plain.clone()), &round(weight.clone()), &bias, extent);
            let images = plain.chunks_exact(channels * height * width);
            let alone: Vec<f32> =
                images.flat_map(|x| correlate(unit, x, &weight, &bias, [1, channels, outputs, height, width])).collect();
            prop_assert!(all == alone);
        }
    }

    #[test]
    fn what_is_not_finite_shows() {
        let Some(unit) = MatrixUnit::detected() else { return };
        for broken in [f32::NAN, f32::INFINITY] {
            let mut x = numbers(1, 32 * 64);
            x[70] = broken;
            let out = correlate(unit, &x, &numbers(2, 16 * 32 * 9), &[0.0; 16], [1, 32, 16, 8, 8]);
            assert!(out.chunks_exact(64).all(|plane| !plane[6].is_finite() && plane[32].is_finite()));
        }
    }
}
