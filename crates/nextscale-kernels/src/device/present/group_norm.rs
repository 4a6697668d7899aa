//! Group norm of feature maps, and its SiLU, a group of an image by a cube; large groups by several.
//!
//! Convolutions on these devices read and write channels next to each other in memory. The norm reads either
//! order and writes that one, so that nothing is copied between the two.

use burn::{
    backend::TensorMetadata,
    tensor::{DType, Shape},
};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    cube::{self, CubeTensor, Rows, contiguous, element, memory, room_for, within_reach},
    group_norm_parts::{self, Layout},
    groups::{activated, at},
};

/// x `[batch, channels, height, width]` of any type, weight and bias `[channels]`, f32. Sums are f32, and the
/// result is rounded to the type `to`.
pub fn run([x, weight, bias]: [CubeTensor; 3], groups: usize, eps: f32, silu: bool, to: DType) -> CubeTensor {
    let shape @ [batch, channels, height, width] = x.shape().dims();
    let (x, [of_channel, of_pixel]) = evenly_spaced(within_reach(x));
    let of_image = x.meta.strides()[0];
    let (weight, bias) = (contiguous(weight), contiguous(bias));
    let launch = Rows::of(&x, batch * groups, channels / groups * height * width);

    let of_row = width * channels;
    let mut normal = x.clone();
    normal.handle = room_for(&x, Shape::new(shape).num_elements(), to);
    normal.dtype = to;
    *normal.meta.strides_mut() = [height * of_row, 1, of_row, channels].into();
    let types = [element(x.dtype), element(to)];
    let (members, pixels) = (channels / groups, height * width);
    if group_norm_parts::are_large(members * pixels) {
        let layout = Layout { groups, members, pixels, of_image, of_channel, of_pixel };
        group_norm_parts::run([x, weight, bias], normal.clone(), &layout, eps, silu);
        return normal;
    }
    norm_groups::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        memory(x),
        weight.into_buffer_arg(),
        bias.into_buffer_arg(),
        memory(normal.clone()),
        batch * groups,
        groups,
        members,
        pixels,
        of_image,
        of_channel,
        of_pixel,
        eps,
        silu,
        launch.units,
        types,
    );
    normal
}

/// The map with the distances between channels and between pixels in memory; a copy if pixels are not evenly
/// spaced.
fn evenly_spaced(x: CubeTensor) -> (CubeTensor, [usize; 2]) {
    let distances = |x: &CubeTensor| {
        let (shape, strides) = (x.meta.shape(), x.meta.strides());
        let even = shape[2] == 1 || strides[2] == shape[3] * strides[3];
        even.then(|| [strides[1], strides[3]])
    };
    match distances(&x) {
        Some(distances) => (x, distances),
        None => {
            let x = contiguous(x);
            let [_, _, height, width] = x.shape().dims();
            (x, [height * width, 1])
        }
    }
}

type One = Const<1>;

#[cube(launch)]
fn norm_groups<I: Float, O: Float>(
    x: &[I],
    weight: &[f32],
    bias: &[f32],
    normal: &mut [O],
    rows: usize,
    groups: usize,
    members: usize,
    pixels: usize,
    of_image: usize,
    of_channel: usize,
    of_pixel: usize,
    eps: f32,
    #[comptime] silu: bool,
    #[comptime] units: usize,
    #[define(I, O)] _types: [ElemType; 2],
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let image = CUBE_POS / groups;
    let channel = CUBE_POS % groups * members;
    let first = image * of_image + channel * of_channel;
    let count = members * pixels;
    let mut room = cube::room::<One>(units);

    let mut own = 0.0f32;
    for i in range_stepped(UNIT_POS as usize, count, units) {
        own += f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]);
    }
    let mean = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize) / f32::cast_from(count);
    own = 0.0f32;
    for i in range_stepped(UNIT_POS as usize, count, units) {
        let centred = f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]) - mean;
        own += centred * centred;
    }
    let square = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize) / f32::cast_from(count);
    let size = (square + eps).sqrt();
    let to = image * groups * members * pixels + channel;
    for i in range_stepped(UNIT_POS as usize, count, units) {
        let member = channel + i % members;
        let value = f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]);
        let unscaled = (value - mean) / size;
        let value = activated(unscaled * weight[member] + bias[member], silu);
        normal[at(to, i, members, 1usize, groups * members)] = O::cast_from(value);
    }
}
