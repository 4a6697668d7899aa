//! Convolutions: 3×3 with stride 1 and padding 1 in this module, 1×1 in [`pointwise`].
//!
//! The backward pass of burn's CPU backend computes the weight gradient as a convolution with kernels as
//! large as the image. Here all three passes are sums of shifted planes, which are read in place. With many
//! channels, large maps go through [`winograd`], which multiplies less, and small ones through [`columns`].

mod columns;
mod planes;
pub mod pointwise;
#[cfg(target_arch = "x86_64")]
mod rounded;
mod stack;
mod tiles;
mod winograd;

use burn::backend::{TensorMetadata, flex::FlexTensor};

#[cfg(target_arch = "x86_64")]
use crate::raw::matrix_unit::MatrixUnit;
use crate::{
    extension::{Operation, dims, tensor, values},
    precision::Precision,
    raw::{Kernel, Level, Vector, VectorKernel, build},
    reduce,
    rows::{rows_per_task, sum_over_first},
};
use planes::Layout;
use stack::Stack;
use tiles::{BLOCK, Correlate, WeightGradient};

/// Pixels per band of a large image, chosen so that a band's planes stay in a core's own cache.
const BAND: usize = 2048;
/// Convolution with inputs x `[batch, channels, height, width]`, weight `[out, channels, 3, 3]` and bias
/// `[out]`. Products use this precision, forward and backward, if there are enough channels.
#[derive(Clone, Copy, Debug)]
pub struct Conv3x3(pub Precision);

/// `[batch, channels, out, height, width]`.
pub type Extent = [usize; 5];

/// Weights `[out, channels, 3, 3]` in the order [`Correlate`] reads them.
fn pack(weight: &[f32], outputs: usize, channels: usize) -> Vec<f32> {
    let mut packed = vec![0.0; outputs.next_multiple_of(BLOCK) * channels * 9];
    for (i, packed) in packed.iter_mut().enumerate() {
        let (o, tap) = (i / (channels * 9 * BLOCK) * BLOCK + i % BLOCK, i / BLOCK % 9);
        if o < outputs {
            *packed = weight[(o * channels + i / (9 * BLOCK) % channels) * 9 + tap];
        }
    }
    packed
}

/// `[batch, out, height, width]` from x `[batch, channels, height, width]` and weights `[out, channels, 3,
/// 3]`.
fn correlate(level: Level, x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) -> Vec<f32> {
    let [batch, channels, outputs, height, width] = extent;
    let weights = pack(weight, outputs, channels);
    let plane = height * width;
    let share = share(batch, outputs);
    let band = (BAND / width).clamp(1, height);
    let lanes = level.run_vectors(LanesOf);
    build(batch * outputs * plane, share * plane, |task, out| {
        let (image, first) = (task / (outputs / share), task % (outputs / share) * share);
        let x = &x[image * channels * plane..][..channels * plane];
        let from = first / BLOCK * BLOCK * channels * 9;
        let until = (first + share).next_multiple_of(BLOCK) * channels * 9;
        for top in (0..height).step_by(band) {
            let height = band.min(height - top);
            let layout = Layout::new(height, width, lanes);
            let mut padded = vec![0.0; channels * layout.size];
            for (x, padded) in x.chunks_exact(plane).zip(padded.chunks_exact_mut(layout.size)) {
                layout.pad(x, top, padded);
            }
            level.run_vectors(Correlate {
                x: &padded,
                weights: &weights[from..until],
                bias: &bias[first..first + share],
                height,
                width,
                channels,
                out,
                plane,
                skip: top * width,
            });
        }
    })
}

/// The gradient of the weights, `[out, channels, 3, 3]`, by the fastest route.
pub fn weight_gradient(
    precision: Precision,
    level: Level,
    x: &[f32],
    grad: &[f32],
    extent: Extent,
) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = rounded::unit(precision).filter(|_| rounded::weight_gradient_pays(extent)) {
        return rounded::weight_gradient(unit, x, grad, extent);
    }
    let _ = precision;
    plain_weight_gradient(level, x, grad, extent)
}

fn plain_weight_gradient(level: Level, x: &[f32], grad: &[f32], extent: Extent) -> Vec<f32> {
    let [_, channels, outputs, height, width] = extent;
    let plane = height * width;
    let stack = Stack::new(extent, 16);
    let (length, size, share) = (stack.length, stack.padded(), stack.share());
    let count = outputs * channels * 9;
    let partial = build(stack.pieces.div_ceil(share) * count, count, |part, out| {
        let last = stack.pieces.min((part + 1) * share);
        for first in (part * share..last).step_by(stack.together) {
            let mut xs = vec![0.0; channels * size];
            let mut grads = vec![0.0; outputs * length];
            for piece in first..last.min(first + stack.together) {
                let (image, top, layout) = stack.piece(piece);
                let at = (piece - first) * stack.place;
                for (c, xs) in xs.chunks_exact_mut(size).enumerate() {
                    let from = &x[(image * channels + c) * plane..][..plane];
                    layout.pad(from, top, &mut xs[at..]);
                }
                for (o, grads) in grads.chunks_exact_mut(length).enumerate() {
                    let from = &grad[(image * outputs + o) * plane + top * width..];
                    layout.spread(&from[..layout.height * width], &mut grads[at..]);
                }
            }
            level.run_vectors(WeightGradient {
                x: &xs,
                grads: &grads,
                pitch: stack.pitch,
                length,
                size,
                out,
            });
        }
    });
    sum_over_first(&partial, count)
}

/// How many numbers a vector of this level holds.
struct LanesOf;

impl VectorKernel for LanesOf {
    type Output = usize;

    #[inline(always)]
    fn run<V: Vector>(self) -> usize {
        V::LANES
    }
}

/// By the fastest route for these sizes.
pub fn forward(
    precision: Precision,
    level: Level,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    extent: Extent,
) -> Vec<f32> {
    let [_, channels, outputs, ..] = extent;
    rounded_forward(precision, x, (weight, [outputs, channels], false), bias, extent)
        .unwrap_or_else(|| whole_forward(level, x, weight, bias, extent))
}

/// On the matrix unit, if products are rounded and it pays. Weights `[out, channels, 3, 3]` are those of the
/// convolution or, flipped, those of its input's gradient; their sizes are passed with them.
fn rounded_forward(
    precision: Precision,
    x: &[f32],
    (values, sizes, turned): (&[f32], [usize; 2], bool),
    bias: &[f32],
    extent: Extent,
) -> Option<Vec<f32>> {
    // Winograd's saving of three quarters of the multiplications outweighs vectors of bfloat16 numbers.
    #[cfg(target_arch = "x86_64")]
    let fastest = |unit: &MatrixUnit| rounded::pays(extent) && (unit.has_tiles() || !winograd::pays(extent));
    #[cfg(target_arch = "x86_64")]
    if let Some(unit) = rounded::unit(precision).filter(fastest) {
        let [.., height, width] = extent;
        let weights = rounded::Weights { values, sizes, turned };
        return Some(rounded::correlate(unit, x, weights, bias, [height, width]));
    }
    let _ = (precision, x, values, sizes, turned, bias, extent);
    None
}

fn whole_forward(level: Level, x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) -> Vec<f32> {
    if winograd::pays(extent) {
        winograd::correlate(level, x, weight, bias, extent)
    } else if columns::pays(extent) {
        columns::correlate(x, weight, bias, extent)
    } else {
        correlate(level, x, weight, bias, extent)
    }
}

/// The gradient of x: the output's gradient convolved with the flipped kernels, inputs and outputs exchanged.
pub fn input_gradient(
    precision: Precision,
    level: Level,
    weight: &[f32],
    grad: &[f32],
    extent: Extent,
) -> Vec<f32> {
    let [batch, channels, outputs, height, width] = extent;
    let (bias, extent) = (vec![0.0; channels], [batch, outputs, channels, height, width]);
    rounded_forward(precision, grad, (weight, [outputs, channels], true), &bias, extent).unwrap_or_else(
        || {
            let kernel = |i: usize| (i / 9 % outputs * channels + i / 9 / outputs) * 9 + 8 - i % 9;
            let turned: Vec<f32> = (0..weight.len()).map(|i| weight[kernel(i)]).collect();
            whole_forward(level, grad, &turned, &bias, extent)
        },
    )
}

/// How many output channels one task computes: with few images, output channels are shared among tasks in
/// whole blocks. The result does not depend on it.
fn share(batch: usize, outputs: usize) -> usize {
    let least = rayon::current_num_threads().div_ceil(batch.max(1));
    let mut shares = least..=outputs / (2 * BLOCK);
    outputs / shares.find(|shares| outputs.is_multiple_of(shares * BLOCK)).unwrap_or(1)
}

/// The sum of every plane.
struct PlaneSums<'a> {
    grad: &'a [f32],
    plane: usize,
    out: &'a mut [f32],
}

impl Kernel for PlaneSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, plane) in self.out.iter_mut().zip(self.grad.chunks_exact(self.plane)) {
            *out = reduce::sum(plane);
        }
    }
}

fn bias_gradient(level: Level, grad: &[f32], outputs: usize, plane: usize) -> Vec<f32> {
    let part = rows_per_task(plane);
    let sums = build(grad.len() / plane, part, |i, out| {
        level.run(PlaneSums { grad: &grad[i * part * plane..], plane, out });
    });
    sum_over_first(&sums, outputs)
}

fn extent(x: &FlexTensor, weight: &FlexTensor) -> Extent {
    let [batch, channels, height, width] = dims(x);
    let [outputs, ..] = dims::<4>(weight);
    [batch, channels, outputs, height, width]
}

impl Operation<3> for Conv3x3 {
    fn forward(&self, [x, weight, bias]: &[FlexTensor; 3]) -> FlexTensor {
        let extent = extent(x, weight);
        let [batch, _, outputs, height, width] = extent;
        let out = forward(self.0, Level::detected(), values(x), values(weight), values(bias), extent);
        tensor(out, [batch, outputs, height, width])
    }

    fn saved(&self, [x, weight, _]: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![x, weight]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        [x_needed, weight_needed, bias_needed]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight] = saved else { unreachable!("two tensors were saved") };
        let extent = extent(x, weight);
        let [_, _, outputs, height, width] = extent;
        let (level, grad) = (Level::detected(), values(grad));
        [
            x_needed.then(|| tensor(input_gradient(self.0, level, values(weight), grad, extent), x.shape())),
            weight_needed
                .then(|| tensor(weight_gradient(self.0, level, values(x), grad, extent), weight.shape())),
            bias_needed.then(|| tensor(bias_gradient(level, grad, outputs, height * width), [outputs])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;

    /// Compares a convolution with the plain sum in f64.
    pub fn assert_plain_sum(got: &[f32], x: &[f32], weight: &[f32], bias: &[f32], extent: Extent) {
        let [batch, channels, outputs, height, width] = extent;
        assert_eq!(got.len(), batch * outputs * height * width);
        let tolerance = 2e-6 * (9.0 * channels as f64).sqrt().max(3.0);
        for (i, &got) in got.iter().enumerate() {
            let (row, column) = (i / width % height, i % width);
            let (image, o) = (i / (height * width) / outputs, i / (height * width) % outputs);
            let mut sum = f64::from(bias[o]);
            for (c, tap) in (0..channels).flat_map(|c| (0..9).map(move |tap| (c, tap))) {
                let (i, j) = ((row + tap / 3).wrapping_sub(1), (column + tap % 3).wrapping_sub(1));
                if i < height && j < width {
                    let x = x[((image * channels + c) * height + i) * width + j];
                    sum += f64::from(x) * f64::from(weight[(o * channels + c) * 9 + tap]);
                }
            }
            assert!((f64::from(got) - sum).abs() < tolerance, "{got} for {sum} at {i} of {extent:?}");
        }
    }
}
