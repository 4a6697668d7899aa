//! Writes keys and values after those of earlier scales, in the memory where these lie.

use burn::backend::TensorMetadata;
use cubecl::{calculate_cube_count_elemwise, ir::ElemType, prelude::*};

use super::cube::{CubeTensor, contiguous, element, memory, within_reach};

/// The units of a cube.
const UNITS: usize = 256;

/// Two buffers `[rows, heads, room, width]`, and what is written to them from position `at` on, `[rows, heads,
/// positions, width]`, all of one type.
pub fn run(buffers: [CubeTensor; 2], new: [CubeTensor; 2], at: usize) -> (CubeTensor, CubeTensor) {
    // Whoever else reads a buffer keeps its numbers.
    let [keys, values] = buffers.map(|buffer| {
        let buffer = contiguous(buffer);
        if buffer.can_mut() { buffer } else { contiguous(buffer.copy()) }
    });
    let [new_keys, new_values] = alike(new.map(within_reach));
    let ([_, heads, room, width], [rows, _, positions, _]) = (keys.shape().dims(), new_keys.shape().dims());
    let strides = new_keys.meta.strides();
    let [of_row, of_head, of_position, of_channel] = [strides[0], strides[1], strides[2], strides[3]];
    let count = rows * heads * positions * width;
    let client = keys.client.clone();
    let dim = CubeDim::new_1d(UNITS as u32);
    write::launch(
        &client,
        calculate_cube_count_elemwise(&client, count, dim),
        dim,
        memory(new_keys),
        memory(new_values),
        keys.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        count,
        heads,
        positions,
        width,
        of_row,
        of_head,
        of_position,
        of_channel,
        room,
        at,
        element(keys.dtype),
    );
    (keys, values)
}

/// Two tensors whose numbers lie in memory in the same way.
fn alike([a, b]: [CubeTensor; 2]) -> [CubeTensor; 2] {
    if a.meta.strides() == b.meta.strides() { [a, b] } else { [contiguous(a), contiguous(b)] }
}

#[cube(launch)]
fn write<T: Float>(
    new_keys: &[T],
    new_values: &[T],
    keys: &mut [T],
    values: &mut [T],
    count: usize,
    heads: usize,
    positions: usize,
    width: usize,
    of_row: usize,
    of_head: usize,
    of_position: usize,
    of_channel: usize,
    room: usize,
    at: usize,
    #[define(T)] _type: ElemType,
) {
    if ABSOLUTE_POS >= count {
        terminate!();
    }
    let channel = ABSOLUTE_POS % width;
    let position = ABSOLUTE_POS / width % positions;
    let head = ABSOLUTE_POS / (width * positions);
    let from = head / heads * of_row + head % heads * of_head + position * of_position + channel * of_channel;
    let to = (head * room + at + position) * width + channel;
    keys[to] = new_keys[from];
    values[to] = new_values[from];
}
