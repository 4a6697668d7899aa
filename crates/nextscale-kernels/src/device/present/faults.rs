//! Rows of logits from which nothing can be drawn, a row by a cube.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, contiguous},
    key::{NOTHING, key},
};

/// The key of inf. Only keys of NaN are larger.
const INFINITY: u32 = 0xff80_0000;

/// x `[rows, classes]`; 1 or 0 for every row, `[rows, 1]`.
pub fn run(x: CubeTensor) -> CubeTensor {
    let [rows, classes] = x.shape().dims();
    let launch = Rows::of(&x, rows, classes);
    let x = contiguous(x);
    let memory = x.client.empty(rows * size_of::<f32>());
    let (client, device, dtype) = (x.client.clone(), x.device.clone(), x.dtype);
    let found = CubeTensor::new_contiguous(client, device, [rows, 1].into(), memory, dtype);
    look::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        found.clone().into_buffer_arg(),
        rows,
        classes,
        launch.units,
    );
    found
}

#[cube(launch)]
fn look(logits: &[u32], found: &mut [f32], rows: usize, classes: usize, #[comptime] units: usize) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * classes;
    let mut room = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut most = 0u32;
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let key = key(logits[first + class]);
        // NaN of either sign counts as the largest.
        most = max(most, select(key < NOTHING, 0xffff_ffffu32, key));
    }
    most = cube::largest(most, &mut room, units);
    if UNIT_POS == 0u32 {
        found[CUBE_POS] = select(most >= INFINITY || most == NOTHING, 1.0f32, 0.0f32);
    }
}
