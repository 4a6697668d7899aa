//! 3×3 convolution by minimal filtering, F(4×4, 3×3): a quarter of the multiplications.
//!
//! A tile of 4×4 outputs reads 6×6 inputs d. With the matrices of Winograd's algorithm for one axis (Lavin
//! and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016), `y = Aᵀ[Σ over channels of (G g
//! Gᵀ) ⊙ (Bᵀ d B)]A`: at each of 36 frequencies the sum over channels is a product of matrices, `[tiles,
//! channels] × [channels, outputs]`.
//!
//! The interpolation points are 0, ±3/4, ±3/2 and ∞ instead of the usual 0, ±1, ±2, ∞: the matrices' entries
//! are closer in size, which halves the rounding error (1.6 times that of a plain sum over 160 channels
//! instead of 3.2).

use faer::{MatMut, MatRef};

use super::{Extent, share};
use crate::{
    fma::fma,
    product::multiply_alone,
    raw::{Kernel, Level, build},
};

/// Outputs of a tile along an axis.
const TILE: usize = 4;
/// Inputs of a tile along an axis.
const REACH: usize = 6;
const FREQUENCIES: usize = REACH * REACH;
/// The points, and the transforms' coefficients that follow from their squares and cubes.
const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// Tiles per group, so that their transforms stay in a core's own cache.
const TOGETHER: usize = 64;
/// Padding between the frequencies of a transform, so that they do not compete for the same cache set.
const APART: usize = 16;
/// Channels whose kernels are transformed together.
const LANES: usize = 16;

/// Whether this is the fastest route: with few tiles or channels the transforms cost more than they save.
/// Does not depend on the batch, so that an image's result is the same in any batch.
pub fn pays([_, channels, outputs, height, width]: Extent) -> bool {
    height.div_ceil(TILE) * width.div_ceil(TILE) >= 64 && channels.min(outputs) >= 64
}

/// `[batch, out, height, width]` from x `[batch, channels, height, width]` and weights `[out, channels, 3,
/// 3]`.
pub fn correlate(level: Level, x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) -> Vec<f32> {
    let [batch, channels, outputs, height, width] = extent;
    let plane = height * width;
    let size = FREQUENCIES * channels;
    let kernels = build(outputs * size, size, |o, out| {
        level.run(TransformKernels { weight: &weight[o * channels * 9..][..channels * 9], out });
    });
    let share = share(batch, outputs);
    build(batch * outputs * plane, share * plane, |i, out| {
        let (image, first) = (i * share / outputs, i * share % outputs);
        let x = &x[image * channels * plane..][..channels * plane];
        let kernels = &kernels[first * size..][..share * size];
        Work { level, x, kernels, bias: &bias[first..][..share], height, width, channels, out }.run();
    })
}

/// Some output channels of an image.
struct Work<'a> {
    level: Level,
    x: &'a [f32],
    /// `[outputs, frequencies, channels]`.
    kernels: &'a [f32],
    bias: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl Work<'_> {
    fn run(self) {
        let Work { level, x, kernels, bias, height, width, channels, out } = self;
        let (down, across) = (height.div_ceil(TILE), width.div_ceil(TILE));
        let lines = (TOGETHER / across).clamp(1, down);
        let outputs = bias.len();
        let step = |count: usize| count * lines * across + APART;
        let mut inputs = vec![0.0; FREQUENCIES * step(channels)];
        let mut products = vec![0.0; FREQUENCIES * step(outputs)];
        for top in (0..down).step_by(lines) {
            let lines = lines.min(down - top);
            let tiles = lines * across;
            let shape = Shape { height, width, across, top, lines };
            level.run(TransformInputs { x, shape, channels, step: step(channels), out: &mut inputs });
            for frequency in 0..FREQUENCIES {
                let inputs = &inputs[frequency * step(channels)..][..channels * tiles];
                let products = &mut products[frequency * step(outputs)..][..outputs * tiles];
                multiply_alone(
                    MatMut::from_column_major_slice_mut(products, tiles, outputs),
                    MatRef::from_column_major_slice(inputs, tiles, channels),
                    MatRef::from_column_major_slice_with_stride(
                        &kernels[frequency * channels..][..(outputs - 1) * FREQUENCIES * channels + channels],
                        channels,
                        outputs,
                        FREQUENCIES * channels,
                    ),
                    false,
                );
            }
            level.run(TransformOutputs { products: &products, shape, step: step(outputs), bias, out });
        }
    }
}

/// Some lines of tiles of a plane.
#[derive(Clone, Copy)]
struct Shape {
    height: usize,
    width: usize,
    /// Tiles of a line.
    across: usize,
    /// The first line.
    top: usize,
    lines: usize,
}

/// `Bᵀ d` for one axis.
#[inline(always)]
fn inputs<const FMA: bool>(d: [f32; REACH]) -> [f32; REACH] {
    let (even, odd) = (fma::<FMA>(-B2, d[2], d[4]), A * fma::<FMA>(-B2, d[1], d[3]));
    let (far_even, far_odd) = (fma::<FMA>(-A2, d[2], d[4]), B * fma::<FMA>(-A2, d[1], d[3]));
    [
        fma::<FMA>(A2 * B2, d[0], fma::<FMA>(-A2 - B2, d[2], d[4])),
        even + odd,
        even - odd,
        far_even + far_odd,
        far_even - far_odd,
        fma::<FMA>(A2 * B2, d[1], fma::<FMA>(-A2 - B2, d[3], d[5])),
    ]
}

/// `G g` for one axis.
#[inline(always)]
fn kernels<const FMA: bool>(g: [f32; 3]) -> [f32; REACH] {
    const NEAR: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
    const FAR: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
    let (near, far) = (fma::<FMA>(A2, g[2], g[0]), fma::<FMA>(B2, g[2], g[0]));
    [
        g[0] * (1.0 / (A2 * B2)),
        fma::<FMA>(A, g[1], near) * NEAR,
        fma::<FMA>(-A, g[1], near) * NEAR,
        fma::<FMA>(B, g[1], far) * FAR,
        fma::<FMA>(-B, g[1], far) * FAR,
        g[2],
    ]
}

/// `Aᵀ m` for one axis.
#[inline(always)]
fn outputs<const FMA: bool>(m: [f32; REACH]) -> [f32; TILE] {
    let (near, near_odd) = (m[1] + m[2], m[1] - m[2]);
    let (far, far_odd) = (m[3] + m[4], m[3] - m[4]);
    [
        m[0] + near + far,
        fma::<FMA>(A, near_odd, B * far_odd),
        fma::<FMA>(A2, near, B2 * far),
        fma::<FMA>(A2 * A, near_odd, fma::<FMA>(B2 * B, far_odd, m[5])),
    ]
}

/// `G g Gᵀ` for all kernels of one output channel, to `[frequencies, channels]`.
struct TransformKernels<'a> {
    weight: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for TransformKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.out.len() / FREQUENCIES;
        for first in (0..channels).step_by(LANES) {
            let count = LANES.min(channels - first);
            let mut g = [[0.0; LANES]; 9];
            for lane in 0..count {
                for (tap, g) in g.iter_mut().enumerate() {
                    g[lane] = self.weight[(first + lane) * 9 + tap];
                }
            }
            let mut half = [[0.0; LANES]; 3 * REACH];
            for column in 0..3 {
                for lane in 0..LANES {
                    let line = kernels::<FMA>([g[column][lane], g[3 + column][lane], g[6 + column][lane]]);
                    for (i, value) in line.into_iter().enumerate() {
                        half[i * 3 + column][lane] = value;
                    }
                }
            }
            let mut whole = [[0.0; LANES]; FREQUENCIES];
            for i in 0..REACH {
                for lane in 0..LANES {
                    let line =
                        kernels::<FMA>([half[i * 3][lane], half[i * 3 + 1][lane], half[i * 3 + 2][lane]]);
                    for (j, value) in line.into_iter().enumerate() {
                        whole[i * REACH + j][lane] = value;
                    }
                }
            }
            for (whole, out) in whole.iter().zip(self.out.chunks_exact_mut(channels)) {
                out[first..][..count].copy_from_slice(&whole[..count]);
            }
        }
    }
}

/// `Bᵀ d B` for the tiles of all planes, to `[frequencies, channels, tiles]` with `step` numbers per
/// frequency.
struct TransformInputs<'a> {
    x: &'a [f32],
    shape: Shape,
    channels: usize,
    step: usize,
    out: &'a mut [f32],
}

impl Kernel for TransformInputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Shape { height, width, across, top, lines } = self.shape;
        // A row's columns by their place in a tile, `[TILE, across + 1]`: column 4·t + p - 1 at [p, t].
        let pitch = across + 1;
        let row = TILE * pitch;
        let mut rows = vec![0.0; REACH * row];
        let mut spread = vec![0.0; row];
        let tiles = lines * across;
        for (c, x) in self.x.chunks_exact(height * width).take(self.channels).enumerate() {
            for line in 0..lines {
                for (i, parted) in rows.chunks_exact_mut(row).enumerate() {
                    let at = ((top + line) * TILE + i).wrapping_sub(1);
                    if at < height {
                        spread[1..=width].copy_from_slice(&x[at * width..][..width]);
                        part(&spread, parted, pitch);
                    } else {
                        parted.fill(0.0);
                    }
                }
                vertical::<FMA>(&mut rows, row);
                for (i, row) in rows.chunks_exact(row).enumerate() {
                    let at = i * REACH * self.step + c * tiles + line * across;
                    horizontal::<FMA>(row, pitch, &mut self.out[at..], self.step);
                }
            }
        }
    }
}

/// A row by the columns' places in a tile.
#[inline(always)]
fn part(row: &[f32], parted: &mut [f32], pitch: usize) {
    let (first, rest) = parted.split_at_mut(pitch);
    let (second, rest) = rest.split_at_mut(pitch);
    let (third, fourth) = rest.split_at_mut(pitch);
    for t in 0..pitch {
        let four = &row[t * TILE..][..TILE];
        first[t] = four[0];
        second[t] = four[1];
        third[t] = four[2];
        fourth[t] = four[3];
    }
}

/// `Bᵀ` over the six rows, in place.
#[inline(always)]
fn vertical<const FMA: bool>(rows: &mut [f32], row: usize) {
    let mut parts = rows.chunks_exact_mut(row);
    let mut next = || parts.next().unwrap_or_default();
    let [a, b, c, d, e, f] = [next(), next(), next(), next(), next(), next()];
    let (b, c, d, e, f) =
        (&mut b[..a.len()], &mut c[..a.len()], &mut d[..a.len()], &mut e[..a.len()], &mut f[..a.len()]);
    for t in 0..a.len() {
        [a[t], b[t], c[t], d[t], e[t], f[t]] = inputs::<FMA>([a[t], b[t], c[t], d[t], e[t], f[t]]);
    }
}

/// `B` along a row of parted columns, to six frequencies that lie `step` numbers apart.
#[inline(always)]
fn horizontal<const FMA: bool>(row: &[f32], pitch: usize, out: &mut [f32], step: usize) {
    let across = pitch - 1;
    let column = |place: usize, later: usize| &row[place * pitch + later..][..across];
    let (d0, d1, d2, d3) = (column(0, 0), column(1, 0), column(2, 0), column(3, 0));
    let (d4, d5) = (column(0, 1), column(1, 1));
    let mut parts = out.chunks_mut(step).map(|part| &mut part[..across]);
    let mut next = || parts.next().unwrap_or_default();
    let [a, b, c, d, e, f] = [next(), next(), next(), next(), next(), next()];
    for t in 0..across {
        [a[t], b[t], c[t], d[t], e[t], f[t]] = inputs::<FMA>([d0[t], d1[t], d2[t], d3[t], d4[t], d5[t]]);
    }
}

/// `Aᵀ m A` plus the bias, from `[frequencies, outputs, tiles]` with `step` numbers per frequency to the
/// planes' rows.
struct TransformOutputs<'a> {
    products: &'a [f32],
    shape: Shape,
    step: usize,
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for TransformOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Shape { height, width, across, top, lines } = self.shape;
        let row = TILE * across;
        let mut rows = vec![0.0; REACH * row];
        let mut joined = vec![0.0; row];
        for (o, out) in self.out.chunks_exact_mut(height * width).enumerate() {
            for line in 0..lines {
                for (i, row) in rows.chunks_exact_mut(row).enumerate() {
                    let at = i * REACH * self.step + (o * lines + line) * across;
                    inverse_horizontal::<FMA>(&self.products[at..], self.step, across, row);
                }
                let first = (top + line) * TILE;
                inverse_vertical::<FMA>(&mut rows, row);
                for (row, at) in rows.chunks_exact(row).zip(first..height.min(first + TILE)) {
                    join(row, &mut joined, self.bias[o]);
                    out[at * width..][..width].copy_from_slice(&joined[..width]);
                }
            }
        }
    }
}

/// `A` along a line of tiles, from six frequencies `step` numbers apart to `[TILE, across]`.
#[inline(always)]
fn inverse_horizontal<const FMA: bool>(products: &[f32], step: usize, across: usize, row: &mut [f32]) {
    let m = |frequency: usize| &products[frequency * step..][..across];
    let (m0, m1, m2, m3, m4, m5) = (m(0), m(1), m(2), m(3), m(4), m(5));
    let mut parts = row.chunks_exact_mut(across);
    let mut next = || parts.next().unwrap_or_default();
    let [a, b, c, d] = [next(), next(), next(), next()];
    for t in 0..across {
        [a[t], b[t], c[t], d[t]] = outputs::<FMA>([m0[t], m1[t], m2[t], m3[t], m4[t], m5[t]]);
    }
}

/// `Aᵀ` over six rows, into the first four.
#[inline(always)]
fn inverse_vertical<const FMA: bool>(rows: &mut [f32], row: usize) {
    let mut parts = rows.chunks_exact_mut(row);
    let mut next = || parts.next().unwrap_or_default();
    let [a, b, c, d, e, f] = [next(), next(), next(), next(), next(), next()];
    let (b, c, d, e, f) =
        (&mut b[..a.len()], &mut c[..a.len()], &mut d[..a.len()], &e[..a.len()], &f[..a.len()]);
    for t in 0..a.len() {
        [a[t], b[t], c[t], d[t]] = outputs::<FMA>([a[t], b[t], c[t], d[t], e[t], f[t]]);
    }
}

/// The columns of a row back in order, added to a bias.
#[inline(always)]
fn join(row: &[f32], joined: &mut [f32], bias: f32) {
    let across = row.len() / TILE;
    let column = |place: usize| &row[place * across..][..across];
    let (a, b, c, d) = (column(0), column(1), column(2), column(3));
    for (t, four) in joined.chunks_exact_mut(TILE).enumerate() {
        four.copy_from_slice(&[a[t] + bias, b[t] + bias, c[t] + bias, d[t] + bias]);
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
        fn every_size_is_the_plain_sum(
            batch in 1usize..4,
            channels in 1usize..20,
            outputs in 1usize..20,
            height in 1usize..14,
            width in 1usize..14,
            seed: u32,
        ) {
            let extent = [batch, channels, outputs, height, width];
            let x = numbers(seed, batch * channels * height * width);
            let (weight, bias) = (numbers(!seed, outputs * channels * 9), numbers(seed ^ 7, outputs));
            for level in Level::available() {
                let got = correlate(level, &x, &weight, &bias, extent);
                assert_plain_sum(&got, &x, &weight, &bias, extent);
            }
        }

        #[test]
        fn an_image_is_the_same_alone_and_in_a_batch(seed: u32, height in 5usize..20, width in 5usize..40) {
            let [channels, outputs] = [17, 24];
            let image = channels * height * width;
            let x = numbers(seed, 5 * image);
            let (weight, bias) = (numbers(!seed, outputs * channels * 9), numbers(seed ^ 7, outputs));
            let of = |x: &[f32], batch: usize| {
                let extent = [batch, channels, outputs, height, width];
                correlate(Level::detected(), x, &weight, &bias, extent)
            };
            let all = of(&x, 5);
            let alone: Vec<f32> = x.chunks_exact(image).flat_map(|x| of(x, 1)).collect();
            prop_assert!(all == alone);
        }
    }
}
