//! Convolutions of halves with sums in f32.
//!
//! burn's direct convolution sums in the type of its numbers, in which a sum of bf16 stops growing after some 256 terms.
//! Its convolution on matrix units sums in f32, and is taken where a device has such units and enough memory beside them:
//! for 160 output channels, which VAR's decoder has, it asks for more than any GPU has. Everything else is a product of the
//! pixels around every pixel by the weight.

use burn::backend::{TensorMetadata, ops::ConvOptions};
use burn::tensor::Shape;
use burn_cubecl::kernel::conv::{ConvStrategy, conv_forward};
use cubecl::{calculate_cube_count_elemwise, ir::ElemType, prelude::*};

use super::cube::{CubeTensor, contiguous, element, empty, memory, within_reach};
use super::product;

/// The units of a cube.
const UNITS: usize = 256;
/// The most numbers that are gathered for one product, if an image needs no more.
const GATHERED: usize = 1 << 27;

/// x `[batch, channels, height, width]`, weight `[out, channels, size, size]`, bias `[out]`.
pub fn run(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
    let around = weight.shape()[2] / 2;
    let options = ConvOptions::new([1, 1], [around, around], [1, 1], 1);
    let on_unit =
        conv_forward::<2>(x.clone(), weight.clone(), Some(bias.clone()), options, ConvStrategy::ImplicitGemm);
    on_unit.unwrap_or_else(|_| as_product(within_reach(x), weight, contiguous(bias)))
}

fn as_product(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
    let ([batch, channels, height, width], [outputs, _, size, _]) = (x.shape().dims(), weight.shape().dims());
    let (pixels, terms) = (height * width, size * size * channels);
    // `[terms, out]`; the channels of a tap stand side by side.
    let mut factor = contiguous(channels_last(weight));
    *factor.meta.shape_mut() = Shape::new([terms, outputs]);
    *factor.meta.strides_mut() = [1, terms].into();

    // Channels next to each other, as the norm after it reads them.
    let mut out = empty(&x, Shape::new([batch, outputs, height, width]), x.dtype);
    *out.meta.strides_mut() = [pixels * outputs, 1, width * outputs, outputs].into();
    let images = (GATHERED / (pixels * terms)).clamp(1, batch);
    for first in (0..batch).step_by(images) {
        let count = images.min(batch - first) * pixels;
        let gathered = gather(&x, first, [count, terms, size]);
        let sums = product::run(gathered, factor.clone());
        let (client, numbers, dim) = (x.client.clone(), count * outputs, CubeDim::new_1d(UNITS as u32));
        add_bias::launch(
            &client,
            calculate_cube_count_elemwise(&client, numbers, dim),
            dim,
            sums.into_buffer_arg(),
            bias.clone().into_buffer_arg(),
            memory(out.clone()),
            numbers,
            outputs,
            first * pixels * outputs,
            element(out.dtype),
        );
    }
    out
}

/// `[.., channels, height, width]` as `[.., height, width, channels]`, without a copy.
fn channels_last(mut x: CubeTensor) -> CubeTensor {
    let (shape, strides) = (x.meta.shape().clone(), x.meta.strides().to_vec());
    *x.meta.shape_mut() = Shape::new([shape[0], shape[2], shape[3], shape[1]]);
    *x.meta.strides_mut() = [strides[0], strides[2], strides[3], strides[1]].into();
    x
}

/// For `count` pixels from image `first` on what each is summed of, `[count, terms]`.
fn gather(x: &CubeTensor, first: usize, [count, terms, size]: [usize; 3]) -> CubeTensor {
    let [_, channels, height, width] = x.shape().dims();
    let gathered = empty(x, Shape::new([count, terms]), x.dtype);
    let strides = x.meta.strides();
    let [of_image, of_channel, of_row, of_column] = [strides[0], strides[1], strides[2], strides[3]];
    let (client, numbers, dim) = (x.client.clone(), count * terms, CubeDim::new_1d(UNITS as u32));
    taps::launch(
        &client,
        calculate_cube_count_elemwise(&client, numbers, dim),
        dim,
        memory(x.clone()),
        gathered.clone().into_buffer_arg(),
        numbers,
        terms,
        channels,
        height,
        width,
        of_image,
        of_channel,
        of_row,
        of_column,
        first,
        size,
        element(x.dtype),
    );
    gathered
}

#[cube(launch)]
fn taps<T: Float>(
    x: &[T],
    gathered: &mut [T],
    count: usize,
    terms: usize,
    channels: usize,
    height: usize,
    width: usize,
    of_image: usize,
    of_channel: usize,
    of_row: usize,
    of_column: usize,
    first: usize,
    #[comptime] size: usize,
    #[define(T)] _type: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let term = ABSOLUTE_POS % terms;
    let (channel, tap) = (term % channels, term / channels);
    let pixel = ABSOLUTE_POS / terms;
    let image = first + pixel / (height * width);
    // Moved by the distance to the edge of the kernel, so that nothing is below 0.
    let around = comptime!(size / 2);
    let row = pixel / width % height + tap / size;
    let column = pixel % width + tap % size;
    let mut value = T::cast_from(0.0f32);
    if row >= around && row < height + around && column >= around && column < width + around {
        value = x[image * of_image
            + channel * of_channel
            + (row - around) * of_row
            + (column - around) * of_column];
    }
    gathered[ABSOLUTE_POS] = value;
}

#[cube(launch)]
fn add_bias<T: Float>(
    sums: &[f32],
    bias: &[T],
    out: &mut [T],
    count: usize,
    outputs: usize,
    first: usize,
    #[define(T)] _type: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let sum = sums[ABSOLUTE_POS] + f32::cast_from(bias[ABSOLUTE_POS % outputs]);
    out[first + ABSOLUTE_POS] = T::cast_from(sum);
}
