//! The code nearest to each vector, a vector by a cube: in f32, where a product may round its factors, and without
//! the distances of all codes in memory.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, contiguous},
    key::key,
};

/// x `[rows, channels]`, codes `[count, channels]`; the first code of least distance, `[rows, 1]`, as floats.
pub fn run(x: CubeTensor, codes: CubeTensor) -> CubeTensor {
    let [rows, channels] = x.shape().dims();
    let [count, _] = codes.shape().dims();
    let launch = Rows::of(&x, rows, count);
    let (x, codes) = (contiguous(x), contiguous(codes));
    let memory = x.client.empty(rows * size_of::<f32>());
    let (client, device, dtype) = (x.client.clone(), x.device.clone(), x.dtype);
    let found = CubeTensor::new_contiguous(client, device, [rows, 1].into(), memory, dtype);
    find::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        codes.into_buffer_arg(),
        found.clone().into_buffer_arg(),
        rows,
        count,
        channels,
        launch.units,
    );
    found
}

#[cube(launch)]
fn find(
    x: &[f32],
    codes: &[f32],
    found: &mut [f32],
    rows: usize,
    count: usize,
    channels: usize,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * channels;
    let mut room = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut square = 0.0f32;
    for channel in 0..channels {
        square += x[first + channel] * x[first + channel];
    }
    // The nearest has the largest, and of equals the first, counted from the last.
    let mut most = 0u32;
    let mut place = 0u32;
    for code in range_stepped(UNIT_POS as usize, count, units) {
        let mut of_code = 0.0f32;
        let mut product = 0.0f32;
        for channel in 0..channels {
            let value = codes[code * channels + channel];
            of_code += value * value;
            product += value * x[first + channel];
        }
        // |x|² + |e|² - 2 x·e, as upstream sums it.
        let near = key(u32::reinterpret(square + of_code - 2.0f32 * product)) ^ 0xffff_ffffu32;
        if near > most {
            most = near;
            place = (count - code) as u32;
        }
    }
    let best = cube::largest(most, &mut room, units);
    place = cube::largest(select(most == best, place, 0u32), &mut room, units);
    if UNIT_POS == 0u32 {
        found[CUBE_POS] = f32::cast_from(count as u32 - max(place, 1u32));
    }
}
