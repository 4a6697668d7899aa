//! The two inner loops of a 3×3 convolution, on padded planes.

// Loops over the registers of a tile use an index so that they are unrolled.
#![allow(clippy::needless_range_loop)]

use super::planes::Layout;
use crate::raw::{Vector, VectorKernel, add_products};

/// Output channels per tile of [`Correlate`]; its weights are packed in groups of this size.
pub const BLOCK: usize = 8;

/// Output planes from padded input planes: `out[o] = bias[o] + Σ over channels c and taps t of weight[o, c,
/// t]·x[c] shifted`.
///
/// `weights` holds `[blocks of output channels, c, t, BLOCK]`; `out` is `[output channels, height·width of
/// the layout]`, a part of planes of `plane` numbers that begins `skip` numbers into each.
pub struct Correlate<'a> {
    pub x: &'a [f32],
    pub weights: &'a [f32],
    pub bias: &'a [f32],
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub out: &'a mut [f32],
    pub plane: usize,
    pub skip: usize,
}

impl VectorKernel for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let layout = Layout::new(self.height, self.width, V::LANES);
        let planes = self.bias.len();
        let block_size = self.channels * 9 * BLOCK;
        for (block, weights) in self.weights.chunks_exact(block_size).enumerate() {
            let first = block * BLOCK;
            let count = BLOCK.min(planes - first);
            let mut at = 0;
            while at < layout.positions {
                at += if V::MANY {
                    match (layout.positions - at) / V::LANES {
                        1 => self.tile::<V, BLOCK, 1>(&layout, weights, at, first, count),
                        2 => self.tile::<V, BLOCK, 2>(&layout, weights, at, first, count),
                        _ => self.tile::<V, BLOCK, 3>(&layout, weights, at, first, count),
                    }
                } else {
                    self.tile::<V, BLOCK, 1>(&layout, weights, at, first, count)
                };
            }
        }
    }
}

impl Correlate<'_> {
    /// `ROWS` output channels × `WIDE` vectors of positions, starting at `at`. Returns the number of
    /// positions.
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const WIDE: usize>(
        &mut self,
        layout: &Layout,
        weights: &[f32],
        at: usize,
        first: usize,
        count: usize,
    ) -> usize {
        let length = WIDE * V::LANES;
        let mut sums = [[V::splat(0.0); WIDE]; ROWS];
        let planes = self.x.chunks_exact(layout.size);
        for (x, weights) in planes.zip(weights.chunks_exact(9 * ROWS)) {
            // The three taps of a row are neighbours.
            for (taps, weights) in weights.chunks_exact(3 * ROWS).enumerate() {
                sums = add_products(sums, weights, [1, ROWS], &x[at + taps * layout.pitch..], 1, 3);
            }
        }
        // All sums leave their registers at once: a longer loop over them would not be unrolled, and the
        // compiler would keep them in memory above.
        let mut tile = [[0.0; 64]; ROWS];
        for i in 0..ROWS {
            for j in 0..WIDE {
                sums[i][j].store(&mut tile[i][j * V::LANES..]);
            }
        }
        for (channel, line) in (first..first + count).zip(&mut tile) {
            for value in &mut line[..length] {
                *value += self.bias[channel];
            }
            let out = &mut self.out[channel * self.plane + self.skip..];
            layout.gather(&line[..length], at, out);
        }
        length
    }
}

/// Weight gradients from padded planes of input and planes of output gradients, in which the same pixel of
/// all the images lies at the same place: `d[o, c, t] += Σ over places of grad[o]·x[c] shifted by t`, for
/// taps t = 3·k + l at `k·pitch + l`.
///
/// `grads` holds `[output channels, length]`, 0 where no pixel is; `x` holds `[channels, size]`, where `size`
/// is at least `length + 2·pitch + 2`. `length` is a multiple of 16.
pub struct WeightGradient<'a> {
    pub x: &'a [f32],
    pub grads: &'a [f32],
    pub pitch: usize,
    pub length: usize,
    pub size: usize,
    pub out: &'a mut [f32],
}

/// What lengths of planes are multiples of.
const SIXTEEN: usize = 16;

impl VectorKernel for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let outputs = self.grads.len() / self.length;
        let mut first = 0;
        while first < outputs {
            // The gradients of a few output channels stay in the nearest cache while all input channels
            // stream past.
            first += match outputs - first {
                8.. if V::MANY => self.outputs::<V, 8>(first),
                3.. if V::MANY => self.outputs::<V, 3>(first),
                2.. if !V::MANY => self.outputs::<V, 2>(first),
                _ => self.outputs::<V, 1>(first),
            };
        }
    }
}

impl WeightGradient<'_> {
    /// All taps and input channels of `ROWS` output channels, starting at `first`. Returns the number of
    /// output channels.
    #[inline(always)]
    fn outputs<V: Vector, const ROWS: usize>(&mut self, first: usize) -> usize {
        for channel in 0..self.x.len() / self.size {
            for line in 0..3 {
                self.tile::<V, ROWS>(channel, line, first);
            }
        }
        ROWS
    }

    /// The three taps of a kernel row for one input channel and `ROWS` output channels, starting at `first`.
    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize>(&mut self, channel: usize, line: usize, first: usize) {
        let length = self.length;
        let x = &self.x[channel * self.size..][..self.size];
        let mut shifted: [&[f32]; 3] = [&[]; 3];
        for t in 0..3 {
            shifted[t] = &x[line * self.pitch + t..][..length];
        }
        let mut grads: [&[f32]; ROWS] = [&[]; ROWS];
        for i in 0..ROWS {
            grads[i] = &self.grads[(first + i) * length..][..length];
        }
        // Sixteen sums of a tap, in one vector or in two: the same sums for vectors of every length.
        let mut sums = [[[V::splat(0.0); 3]; ROWS]; 2];
        // One bound for all the slices, so that one check serves all the loads.
        let mut at = 0;
        while at + SIXTEEN <= length {
            for part in 0..SIXTEEN / V::LANES {
                let at = at + part * V::LANES;
                let mut inputs = [V::splat(0.0); 3];
                for t in 0..3 {
                    inputs[t] = V::load(shifted[t], at);
                }
                for i in 0..ROWS {
                    let grad = V::load(grads[i], at);
                    for t in 0..3 {
                        sums[part][i][t] = sums[part][i][t].add_product(grad, inputs[t]);
                    }
                }
            }
            at += SIXTEEN;
        }
        let channels = self.x.len() / self.size;
        for i in 0..ROWS {
            for t in 0..3 {
                let [low, high] = [sums[0][i][t], sums[1][i][t]];
                // The first step of the tree that adds up sixteen numbers.
                let sum = if V::LANES == SIXTEEN { low } else { low.plus(high) };
                self.out[((first + i) * channels + channel) * 9 + line * 3 + t] += sum.sum();
            }
        }
    }
}
