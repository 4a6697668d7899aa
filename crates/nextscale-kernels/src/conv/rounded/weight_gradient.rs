//! The gradient of a 3×3 convolution's weights on the processor's matrix unit.
//!
//! A product runs over pixels. Planes of x are padded so that a tap is a shift: the rounded numbers are
//! stored once, and for each of the nine taps the unit reads the same rows from a different offset. Gradients
//! are packed as columns.

use faer::MatRef;

use super::{ROUNDED, TAPS};
use crate::{
    conv::{Extent, stack::Stack},
    math::narrowed,
    raw::{
        Kernel, Level, build,
        matrix_unit::{Line, MatrixUnit, SIDE, STEP, Shifted, Tile, lines},
    },
    rows::sum_over_first,
};

/// Taps in a row of the kernel: one tile of sums each, in one pass over the pixels.
const LINE: usize = 3;

/// Whether the unit pays for these sizes. Does not depend on the batch.
pub fn pays([_, channels, outputs, ..]: Extent) -> bool {
    channels >= SIDE && outputs >= SIDE
}

/// `[out, channels, 3, 3]` from x `[batch, channels, height, width]` and the gradient `[batch, out, height,
/// width]`.
pub fn weight_gradient(unit: MatrixUnit, x: &[f32], grad: &[f32], extent: Extent) -> Vec<f32> {
    let [_, channels, outputs, ..] = extent;
    let stack = Stack::new(extent, STEP);
    let share = stack.share();
    let count = outputs * channels * TAPS;
    let blocks = channels.div_ceil(SIDE) * outputs.div_ceil(SIDE);
    let partial = build(stack.pieces.div_ceil(share) * count, count, |part, out| {
        let mut sums = vec![Tile::ZERO; blocks * TAPS];
        let mut room = Room::new(&stack);
        let last = stack.pieces.min((part + 1) * share);
        for first in (part * share..last).step_by(stack.together) {
            room.fill(&stack, unit, x, grad, first..last.min(first + stack.together));
            room.add(&stack, unit, &mut sums);
        }
        write(&sums, channels, out);
    });
    sum_over_first(&partial, count)
}

/// The length of a padded plane: an odd number of cache lines, so that channels do not compete for the same
/// cache set.
fn size(stack: &Stack) -> usize {
    (stack.padded().div_ceil(STEP) | 1) * STEP
}

/// Sums of tiles `[blocks of outputs, blocks of channels, taps]` to `[out, channels, 3, 3]`.
fn write(sums: &[Tile], channels: usize, out: &mut [f32]) {
    let blocks = channels.div_ceil(SIDE);
    for (o, out) in out.chunks_exact_mut(channels * TAPS).enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            let (c, tap) = (i / TAPS, i % TAPS);
            let tile = &sums[(o / SIDE * blocks + c / SIDE) * TAPS + tap];
            *out = tile.0[c % SIDE][o % SIDE];
        }
    }
}

/// A stack's numbers, prepared for the unit.
struct Room {
    /// Rounded numbers of x `[channels to 16, size]`.
    x: Vec<u16>,
    /// Gradients at their positions `[16, length]`, zero elsewhere.
    positions: Vec<f32>,
    /// Packed gradients, in groups of 16 outputs.
    grads: Vec<Line>,
}

impl Room {
    fn new(stack: &Stack) -> Self {
        let [_, channels, outputs, ..] = stack.extent;
        Room {
            x: vec![0; channels.next_multiple_of(SIDE) * size(stack)],
            positions: vec![0.0; SIDE * stack.length],
            grads: vec![Line::ZERO; outputs.div_ceil(SIDE) * lines(ROUNDED, stack.length)],
        }
    }

    /// Loads some pieces. Positions between pixels are and stay zero; those of missing pieces become zero.
    fn fill(
        &mut self,
        stack: &Stack,
        unit: MatrixUnit,
        x: &[f32],
        grad: &[f32],
        pieces: std::ops::Range<usize>,
    ) {
        let [_, channels, outputs, height, width] = stack.extent;
        let plane = height * width;
        let level = Level::detected();
        // Pieces move if bands have other heights or there are fewer of them.
        let same = stack.bands == 1 && pieces.len() == stack.together;
        if !same {
            self.x.fill(0);
            self.positions.fill(0.0);
        }
        for (at, piece) in pieces.clone().enumerate() {
            let (image, top, layout) = stack.piece(piece);
            for (c, x16) in self.x.chunks_exact_mut(size(stack)).enumerate().take(channels) {
                let x = &x[(image * channels + c) * plane..][..plane];
                let x16 = &mut x16[at * stack.place..];
                for row in 0..layout.height + 2 {
                    if let Some(from) = (top + row).checked_sub(1).filter(|&from| from < height) {
                        let (x, out) =
                            (&x[from * width..][..width], &mut x16[row * stack.pitch + 1..][..width]);
                        level.run(Narrow { x, out });
                    }
                }
            }
        }
        let of_block = lines(ROUNDED, stack.length);
        for (block, packed) in self.grads.chunks_exact_mut(of_block).enumerate() {
            let count = SIDE.min(outputs - block * SIDE);
            for (o, to) in self.positions.chunks_exact_mut(stack.length).enumerate() {
                if o >= count {
                    to.fill(0.0);
                    continue;
                }
                for (at, piece) in pieces.clone().enumerate() {
                    let (image, top, layout) = stack.piece(piece);
                    let grad = &grad[(image * outputs + block * SIDE + o) * plane + top * width..];
                    layout.spread(&grad[..layout.height * width], &mut to[at * stack.place..]);
                }
            }
            let columns = MatRef::from_row_major_slice(&self.positions, SIDE, stack.length).transpose();
            unit.pack_columns(ROUNDED, columns, 0, packed);
        }
    }

    /// Adds every product of 16 channels and 16 outputs at all taps.
    fn add(&self, stack: &Stack, unit: MatrixUnit, sums: &mut [Tile]) {
        let of_block = lines(ROUNDED, stack.length);
        let size = size(stack);
        let channels = self.x.len() / (SIDE * size);
        unit.with(|ready| {
            for (grads, sums) in self.grads.chunks_exact(of_block).zip(sums.chunks_exact_mut(channels * TAPS))
            {
                for (x, sums) in self.x.chunks_exact(SIDE * size).zip(sums.chunks_exact_mut(TAPS)) {
                    for (line, sums) in sums.as_chunks_mut::<LINE>().0.iter_mut().enumerate() {
                        let from = &x[line * stack.pitch..];
                        ready.add_products_of_shifts(Shifted { numbers: from, stride: size }, grads, sums);
                    }
                }
            }
        });
    }
}

/// Numbers rounded to the nearest bfloat16.
struct Narrow<'a> {
    x: &'a [f32],
    out: &'a mut [u16],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = narrowed(x) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{route::skip_test, testing::numbers};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn it_is_the_plain_sum_of_rounded_numbers(
            batch in 1usize..20,
            channels in 1usize..40,
            outputs in 1usize..40,
            height in prop_oneof![1usize..9, 30usize..50],
            width in prop_oneof![1usize..9, 30usize..50],
            seed: u32,
        ) {
            let Some(unit) = MatrixUnit::detected(ROUNDED) else {
                skip_test("bf16");
                return Ok(());
            };
            let batch = if height * width > 300 { 1 + batch % 3 } else { batch };
            let extent = [batch, channels, outputs, height, width];
            let plane = height * width;
            let (x, grad) = (numbers(seed, batch * channels * plane), numbers(!seed, batch * outputs * plane));
            let got = weight_gradient(unit, &x, &grad, extent);
            prop_assert_eq!(got.len(), outputs * channels * TAPS);
            let round = |x: f32| f64::from(f32::from_bits(narrowed(x) << 16));
            let tolerance = 2e-6 * ((batch * plane) as f64).sqrt().max(3.0);
            // Some of the weights, including the last.
            for i in (0..got.len()).rev().step_by(1 + got.len() / 50) {
                let (o, c, tap) = (i / TAPS / channels, i / TAPS % channels, i % TAPS);
                let mut sum = 0.0;
                for (image, row, column) in (0..batch * plane).map(|p| (p / plane, p / width % height, p % width)) {
                    let (from, at) = ((row + tap / 3).wrapping_sub(1), (column + tap % 3).wrapping_sub(1));
                    if from < height && at < width {
                        let x = x[((image * channels + c) * height + from) * width + at];
                        sum += round(x) * round(grad[((image * outputs + o) * height + row) * width + column]);
                    }
                }
                prop_assert!((f64::from(got[i]) - sum).abs() < tolerance, "{} for {sum} at {i} of {extent:?}", got[i]);
            }
        }
    }
}
