//! Group norm of groups so large that a cube for each would leave most of a device idle: cubes take parts of a
//! group, first for the means and the squares around them, then for what is normalised with these.

use burn::{backend::TensorMetadata, tensor::DType};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    cube::{self, CubeTensor, Rows, element, empty, memory},
    groups::{activated, at},
};

/// The numbers of a part.
const PART: usize = 8192;
/// The numbers of the smallest group that is taken in parts. A result does not depend on how many images there
/// are.
const LARGE: usize = 4 * PART;

/// Whether groups of so many numbers are taken in parts.
pub fn are_large(count: usize) -> bool {
    count >= LARGE
}

/// Where the numbers of x `[batch, channels, height, width]` and those of the result are.
pub struct Layout {
    pub groups: usize,
    pub members: usize,
    pub pixels: usize,
    pub of_image: usize,
    pub of_channel: usize,
    pub of_pixel: usize,
}

/// Writes the norm of x to `normal`, both of any type; weight and bias `[channels]`, f32. Sums are f32.
pub fn run([x, weight, bias]: [CubeTensor; 3], normal: CubeTensor, layout: &Layout, eps: f32, silu: bool) {
    let &Layout { groups, members, pixels, of_image, of_channel, of_pixel } = layout;
    let [batch, ..] = x.shape().dims::<4>();
    let parts = (members * pixels).div_ceil(PART);
    let launch = Rows::of(&x, batch * groups * parts, PART);
    // Of every part its mean and the sum of squares around it.
    let found = empty(&x, [batch * groups * parts, 2].into(), DType::F32);
    let (of_x, of_normal) = (element(x.dtype), element(normal.dtype));
    measure::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        memory(x.clone()),
        found.clone().into_buffer_arg(),
        batch * groups * parts,
        parts,
        groups,
        members,
        pixels,
        of_image,
        of_channel,
        of_pixel,
        PART,
        launch.units,
        of_x,
    );
    normalise::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        memory(x),
        weight.into_buffer_arg(),
        bias.into_buffer_arg(),
        found.into_buffer_arg(),
        memory(normal),
        batch * groups * parts,
        parts,
        groups,
        members,
        pixels,
        of_image,
        of_channel,
        of_pixel,
        PART,
        eps,
        silu,
        launch.units,
        [of_x, of_normal],
    );
}

type One = Const<1>;

#[cube(launch)]
fn measure<I: Float>(
    x: &[I],
    found: &mut [f32],
    rows: usize,
    parts: usize,
    groups: usize,
    members: usize,
    pixels: usize,
    of_image: usize,
    of_channel: usize,
    of_pixel: usize,
    part: usize,
    #[comptime] units: usize,
    #[define(I)] _type: ElemType,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let group = CUBE_POS / parts;
    let first = group / groups * of_image + group % groups * members * of_channel;
    let begin = CUBE_POS % parts * part;
    let end = min(begin + part, members * pixels);
    let count = f32::cast_from(end - begin);
    let mut room = cube::room::<One>(units);

    let mut own = 0.0f32;
    for i in range_stepped(begin + UNIT_POS as usize, end, units) {
        own += f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]);
    }
    let mean = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize) / count;
    own = 0.0f32;
    for i in range_stepped(begin + UNIT_POS as usize, end, units) {
        let centred = f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]) - mean;
        own += centred * centred;
    }
    let squares = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize);
    if UNIT_POS == 0u32 {
        found[2usize * CUBE_POS] = mean;
        found[2usize * CUBE_POS + 1usize] = squares;
    }
}

#[cube(launch)]
fn normalise<I: Float, O: Float>(
    x: &[I],
    weight: &[f32],
    bias: &[f32],
    found: &[f32],
    normal: &mut [O],
    rows: usize,
    parts: usize,
    groups: usize,
    members: usize,
    pixels: usize,
    of_image: usize,
    of_channel: usize,
    of_pixel: usize,
    part: usize,
    eps: f32,
    #[comptime] silu: bool,
    #[comptime] units: usize,
    #[define(I, O)] _types: [ElemType; 2],
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let group = CUBE_POS / parts;
    let image = group / groups;
    let channel = group % groups * members;
    let first = image * of_image + channel * of_channel;
    let all = members * pixels;
    let begin = CUBE_POS % parts * part;
    let end = min(begin + part, all);

    // Every unit puts the parts together, in their order. All but the last are of one size.
    let whole = f32::cast_from(part);
    let last = f32::cast_from(all - (parts - 1usize) * part);
    let at_part = 2usize * group * parts;
    let mut mean = 0.0f32;
    for i in 0..parts {
        let count = select(i + 1usize == parts, last, whole);
        mean += found[at_part + 2usize * i] * (count / f32::cast_from(all));
    }
    let mut squares = 0.0f32;
    for i in 0..parts {
        let count = select(i + 1usize == parts, last, whole);
        let apart = found[at_part + 2usize * i] - mean;
        squares += found[at_part + 2usize * i + 1usize] + count * apart * apart;
    }
    let size = (squares / f32::cast_from(all) + eps).sqrt();

    let to = image * groups * all + channel;
    for i in range_stepped(begin + UNIT_POS as usize, end, units) {
        let member = channel + i % members;
        let unscaled = (f32::cast_from(x[at(first, i, members, of_channel, of_pixel)]) - mean) / size;
        let value = activated(unscaled * weight[member] + bias[member], silu);
        normal[at(to, i, members, 1usize, groups * members)] = O::cast_from(value);
    }
}
