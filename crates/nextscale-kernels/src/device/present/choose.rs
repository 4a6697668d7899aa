//! A class of every row: the first of the largest, or the winner of a race; a row by a cube.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, contiguous},
    key::{key, number},
    weight::{top, weight},
};

/// x `[rows, classes]`; the first class of largest value, `[rows, 1]`, as floats.
pub fn first_largest(x: CubeTensor) -> CubeTensor {
    let x = contiguous(x);
    run(x.clone(), x, false)
}

/// x and noise `[rows, classes]`; the first class that is largest in weight as a part of its noise, `[rows, 1]`,
/// as floats.
pub fn race(x: CubeTensor, noise: CubeTensor) -> CubeTensor {
    run(contiguous(x), contiguous(noise), true)
}

fn run(x: CubeTensor, noise: CubeTensor, race: bool) -> CubeTensor {
    let [rows, classes] = x.shape().dims();
    let launch = Rows::of(&x, rows, classes);
    let memory = x.client.empty(rows * size_of::<f32>());
    let (client, device, dtype) = (x.client.clone(), x.device.clone(), x.dtype);
    let chosen = CubeTensor::new_contiguous(client, device, [rows, 1].into(), memory, dtype);
    choose::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        noise.into_buffer_arg(),
        chosen.clone().into_buffer_arg(),
        rows,
        classes,
        race,
        launch.units,
    );
    chosen
}

/// The key of what decides about a class.
#[cube]
fn worth(bits: u32, noise: f32, top: f32, #[comptime] race: bool) -> u32 {
    let mut worth = key(bits);
    if comptime!(race) {
        worth = key(u32::reinterpret(weight(worth, top) / noise));
    }
    worth
}

#[cube(launch)]
fn choose(
    logits: &[u32],
    noise: &[f32],
    chosen: &mut [f32],
    rows: usize,
    classes: usize,
    #[comptime] race: bool,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * classes;
    let mut room = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut largest = 0.0f32;
    if comptime!(race) {
        largest = number(top(logits, first, classes, &mut room, units));
    }
    let mut most = 0u32;
    // From 1, and counted from the last, so that the first is the largest.
    let mut place = 0u32;
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let at = first + class;
        let worth = worth(logits[at], noise[at], largest, race);
        if worth > most {
            most = worth;
            place = (classes - class) as u32;
        }
    }
    let best = cube::largest(most, &mut room, units);
    place = cube::largest(select(most == best, place, 0u32), &mut room, units);
    if UNIT_POS == 0u32 {
        // No number is as small as NaN of a negative sign, of which there may be nothing else.
        chosen[CUBE_POS] = f32::cast_from(classes as u32 - max(place, 1u32));
    }
}
