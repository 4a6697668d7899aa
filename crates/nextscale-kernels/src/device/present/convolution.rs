//! Convolutions of halves with sums in f32.
//!
//! burn's direct convolution sums in the type of its numbers, in which a sum of bf16 stops growing after some 256 terms.
//! Its convolution on matrix units sums in f32, and is taken where a device has such units; elsewhere the kernel here.

use burn::backend::{TensorMetadata, ops::ConvOptions};
use burn::tensor::Shape;
use burn_cubecl::kernel::conv::{ConvStrategy, conv_forward};
use cubecl::{calculate_cube_count_elemwise, ir::ElemType, prelude::*};

use super::cube::{CubeTensor, contiguous, element, memory, room_for, within_reach};

/// The units of a cube.
const UNITS: usize = 256;

/// x `[batch, channels, height, width]`, weight `[out, channels, size, size]`, bias `[out]`.
pub fn run(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
    let around = weight.shape()[2] / 2;
    let options = ConvOptions::new([1, 1], [around, around], [1, 1], 1);
    let on_unit = conv_forward::<2>(
        x.clone(),
        weight.clone(),
        Some(bias.clone()),
        options,
        ConvStrategy::ImplicitGemm,
    );
    on_unit.unwrap_or_else(|_| directly(x, weight, bias))
}

fn directly(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
    let (x, weight, bias) = (within_reach(x), within_reach(weight), contiguous(bias));
    let ([batch, channels, height, width], [outputs, _, size, _]) = (x.shape().dims(), weight.shape().dims());
    let shape = Shape::new([batch, outputs, height, width]);
    let count = shape.num_elements();
    // Channels next to each other, as the norm after it reads them.
    let mut out = x.clone();
    out.handle = room_for(&x, count, x.dtype);
    *out.meta.shape_mut() = shape;
    *out.meta.strides_mut() = [height * width * outputs, 1, width * outputs, outputs].into();
    let strides = |x: &CubeTensor| <[usize; 4]>::try_from(x.meta.strides().to_vec()).expect("rank 4");
    let ([of_image, of_channel, of_row, of_column], [of_output, of_input, of_y, of_x]) =
        (strides(&x), strides(&weight));
    let (client, dim, element) = (x.client.clone(), CubeDim::new_1d(UNITS as u32), element(x.dtype));
    sums::launch(
        &client,
        calculate_cube_count_elemwise(&client, count, dim),
        dim,
        memory(x),
        memory(weight),
        bias.into_buffer_arg(),
        memory(out.clone()),
        count,
        channels,
        height,
        width,
        outputs,
        of_image,
        of_channel,
        of_row,
        of_column,
        of_output,
        of_input,
        of_y,
        of_x,
        size,
        element,
    );
    out
}

#[cube(launch)]
fn sums<T: Float>(
    x: &[T],
    weight: &[T],
    bias: &[T],
    out: &mut [T],
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
    outputs: usize,
    of_image: usize,
    of_channel: usize,
    of_row: usize,
    of_column: usize,
    of_output: usize,
    of_input: usize,
    of_y: usize,
    of_x: usize,
    #[comptime] size: usize,
    #[define(T)] _type: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let output = ABSOLUTE_POS % outputs;
    let column = ABSOLUTE_POS / outputs % width;
    let row = ABSOLUTE_POS / (outputs * width) % height;
    let image = ABSOLUTE_POS / (outputs * width * height);
    let around = comptime!(size / 2);
    let mut sum = f32::cast_from(bias[output]);
    for y in 0..size {
        let from_row = row + y;
        if from_row >= around && from_row < height + around {
            for i in 0..size {
                let from_column = column + i;
                if from_column >= around && from_column < width + around {
                    let from = image * of_image
                        + (from_row - around) * of_row
                        + (from_column - around) * of_column;
                    let by = output * of_output + y * of_y + i * of_x;
                    for channel in 0..channels {
                        let value = f32::cast_from(x[from + channel * of_channel]);
                        sum += value * f32::cast_from(weight[by + channel * of_input]);
                    }
                }
            }
        }
    }
    out[ABSOLUTE_POS] = T::cast_from(sum);
}
