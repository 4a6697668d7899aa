//! 3×3 convolutions of numbers rounded to bfloat16, on the processor's matrix unit.
//!
//! A product runs over channels, and its columns are sixteen neighbouring pixels. Rows of the image are
//! packed once, as pairs of channels with a zero pixel on either side. For each of the nine taps, the unit
//! reads the same pairs from a different offset.

mod weight_gradient;

use faer::{MatMut, MatRef};
use rayon::prelude::*;

use super::Extent;
pub use weight_gradient::{pays as weight_gradient_pays, weight_gradient};

use crate::{
    math::narrowed,
    precision::Precision,
    raw::{
        Kernel, Level, build,
        matrix_unit::{Line, MatrixUnit, Places, SIDE, STEP, Tile, lines},
    },
};

/// The packed image rows of one task take about this many bytes, so that they stay in a core's own cache.
const CACHE: usize = 1 << 20;
const ROUNDED: Precision = Precision::Rounded;
const TAPS: usize = 9;

/// The unit, if products use this precision.
pub fn unit(precision: Precision) -> Option<MatrixUnit> {
    MatrixUnit::detected(precision).filter(|_| precision == ROUNDED)
}

/// Whether the unit pays for these sizes. Does not depend on the batch.
pub fn pays([_, channels, outputs, ..]: Extent) -> bool {
    channels >= STEP && outputs >= SIDE
}

/// `[batch, out, height, width]` from x `[batch, channels, height, width]` and weights.
pub fn correlate(
    unit: MatrixUnit,
    x: &[f32],
    weights: Weights<'_>,
    bias: &[f32],
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let ([outputs, channels], plane) = (weights.dims(), height * width);
    let weights = weights.pack(unit);
    let layout = Layout::new(channels, width);
    let fitting = (CACHE / layout.row_bytes()).saturating_sub(2).max(1);
    let band = fitting.min(height.div_ceil(2 * rayon::current_num_threads()));
    build(x.len() / channels * outputs, outputs * plane, |image, out| {
        let x = &x[image * channels * plane..][..channels * plane];
        let out = MatMut::from_row_major_slice_mut(out, outputs, plane);
        out.par_col_chunks_mut(band * width).enumerate().for_each(|(i, out)| {
            let rows = layout.pack(x, height, i * band, out.ncols() / width + 2);
            layout.multiply(unit, &weights, &rows, bias, out);
        });
    })
}

/// The weights of a convolution or of its gradient, `[out, channels, 3, 3]` of the convolution.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    pub values: &'a [f32],
    /// `[out, channels]`.
    pub sizes: [usize; 2],
    /// Those of the gradient of the convolution's input: flipped, inputs and outputs exchanged.
    pub turned: bool,
}

impl Weights<'_> {
    /// The sizes of the result and of its operands.
    fn dims(self) -> [usize; 2] {
        let [outputs, channels] = self.sizes;
        if self.turned { [channels, outputs] } else { [outputs, channels] }
    }

    /// For every 16 outputs, the taps; for each tap, the steps over channels.
    fn pack(self, unit: MatrixUnit) -> Vec<Line> {
        let [outputs, channels] = self.dims();
        let of_input = self.sizes[1] * TAPS;
        let steps = lines(ROUNDED, channels);
        let mut packed = vec![Line::ZERO; outputs.div_ceil(SIDE) * TAPS * steps];
        packed.par_chunks_exact_mut(TAPS * steps).enumerate().for_each(|(tile, packed)| {
            let rows = SIDE.min(outputs - tile * SIDE);
            let mut of_tap = vec![0.0; rows * channels];
            for (tap, packed) in packed.chunks_exact_mut(steps).enumerate() {
                for (row, to) in of_tap.chunks_exact_mut(channels).enumerate() {
                    let output = tile * SIDE + row;
                    let (from, step) = match self.turned {
                        false => (output * of_input + tap, TAPS),
                        true => (output * TAPS + TAPS - 1 - tap, of_input),
                    };
                    for (to, from) in to.iter_mut().zip(self.values[from..].iter().step_by(step)) {
                        *to = *from;
                    }
                }
                unit.pack_rows(ROUNDED, MatRef::from_row_major_slice(&of_tap, rows, channels), packed);
            }
        });
        packed
    }
}

/// The layout of packed rows: `[rows, pairs of channels, pitch]`, each row's pixels between two zeros.
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

    /// `count` rows of image x, starting one above `top`; rows outside the image are zeros.
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
        // From a tile's first pixel (one row up, one pixel left) to what a step reads.
        let offsets = (0..TAPS)
            .flat_map(|tap| (0..steps).map(move |step| (tap / 3 * pairs + step * SIDE) * pitch + tap % 3));
        let places = Places::new(offsets.collect(), pitch);
        let of_tile = TAPS * lines(ROUNDED, channels);
        // Tiles of pixels by row and first column, two at a time; an odd last one stays single.
        let pixels: Vec<[usize; 2]> = (0..out.ncols() / width)
            .flat_map(|row| (0..width).step_by(SIDE).map(move |left| [row, left]))
            .collect();
        let mut tiles = [const { Tile::ZERO }; 4];
        unit.with(|ready| {
            for (i, (weights, bias)) in weights.chunks(2 * of_tile).zip(bias.chunks(2 * SIDE)).enumerate() {
                let (upper, lower) = weights.split_at(of_tile);
                let lower = if lower.is_empty() { upper } else { lower };
                for pixels in pixels.chunks(2) {
                    let columns = [pixels[0], pixels[pixels.len() - 1]]
                        .map(|[row, left]| &rows[row * pairs * pitch + left..]);
                    ready.products_of_places([upper, lower], columns, &places, &mut tiles);
                    for (half, bias) in bias.chunks(SIDE).enumerate() {
                        for (tile, &[row, left]) in tiles[2 * half..].iter().zip(pixels) {
                            let (top, count) = ((2 * i + half) * SIDE, SIDE.min(width - left));
                            let out = out.as_mut().submatrix_mut(top, row * width + left, bias.len(), count);
                            unit.put_biased(tile, bias, out);
                        }
                    }
                }
            }
        });
    }
}

/// The numbers of two channels, rounded to the nearest bfloat16 (ties to even), side by side.
struct Pairs<'a> {
    low: &'a [f32],
    /// The row, or zeros in its place.
    high: &'a [f32],
    out: &'a mut [u32],
}

impl Kernel for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &low) in self.out.iter_mut().zip(self.low) {
            *out = narrowed(low);
        }
        for (out, &high) in self.out.iter_mut().zip(self.high) {
            *out |= narrowed(high) << 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv::tests::assert_plain_sum;
    use crate::{route::skip_test, testing::numbers};

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
            let Some(unit) = MatrixUnit::detected(ROUNDED) else {
                skip_test("bf16");
                return Ok(());
            };
            let round = |x: Vec<f32>| -> Vec<f32> { x.into_iter().map(|x| f32::from_bits(narrowed(x) << 16)).collect() };
            let plain = numbers(seed, 2 * channels * height * width);
            let weight = numbers(!seed, outputs * channels * 9);
            let bias = numbers(seed ^ 7, outputs);
            let extent = [2, channels, outputs, height, width];
            let weights = Weights { values: &weight, sizes: [outputs, channels], turned: false };
            let all = correlate(unit, &plain, weights, &bias, [height, width]);
            assert_plain_sum(&all, &round(plain.clone()), &round(weight.clone()), &bias, extent);
            let images = plain.chunks_exact(channels * height * width);
            let alone: Vec<f32> =
                images.flat_map(|x| correlate(unit, x, weights, &bias, [height, width])).collect();
            prop_assert!(all == alone);
            // The same convolution, as the gradient of another.
            let other: Vec<f32> = (0..weight.len())
                .map(|i| weight[(i / 9 % outputs * channels + i / 9 / outputs) * 9 + 8 - i % 9])
                .collect();
            let turned = Weights { values: &other, sizes: [channels, outputs], turned: true };
            prop_assert!(all == correlate(unit, &plain, turned, &bias, [height, width]));
        }
    }

    #[test]
    fn what_is_not_finite_shows() {
        let Some(unit) = MatrixUnit::detected(ROUNDED) else { return skip_test("bf16") };
        for broken in [f32::NAN, f32::INFINITY] {
            let mut x = numbers(1, 32 * 64);
            x[70] = broken;
            let values = numbers(2, 16 * 32 * 9);
            let weights = Weights { values: &values, sizes: [16, 32], turned: false };
            let out = correlate(unit, &x, weights, &[0.0; 16], [8, 8]);
            assert!(out.chunks_exact(64).all(|plane| !plane[6].is_finite() && plane[32].is_finite()));
        }
    }
}
