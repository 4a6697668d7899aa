//! Softmax over the last dimension, a row by a cube.

use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, memory, rows_apart},
    key::{NOTHING, key, number},
    weight::top,
};

/// Of x of any shape.
pub fn run(x: CubeTensor) -> CubeTensor {
    let (x, apart) = rows_apart(x);
    let shape = x.meta.shape();
    let length = shape[shape.len() - 1];
    let rows = shape.num_elements() / length;
    let launch = Rows::of(&x, rows, length);
    // Rows of a result are as far apart as those of x.
    let handle = x.client.empty(rows * apart * size_of::<f32>());
    let mut weights = x.clone();
    weights.handle = handle;
    softmax_rows::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        memory(x),
        memory(weights.clone()),
        rows,
        length,
        apart,
        launch.units,
    );
    weights
}

type One = Const<1>;

#[cube(launch)]
fn softmax_rows(
    x: &[u32],
    weights: &mut [f32],
    rows: usize,
    length: usize,
    apart: usize,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * apart;
    let mut most = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut sums = cube::room::<One>(units);
    let top = number(top(x, first, length, &mut most, units));
    let mut own = 0.0f32;
    for i in range_stepped(UNIT_POS as usize, length, units) {
        let key = key(x[first + i]);
        let mut weight = 0.0f32;
        // Only -inf has none: NaN stays, and so do the weights of its row.
        if key != NOTHING {
            weight = (number(key) - top).exp();
        }
        weights[first + i] = weight;
        own += weight;
    }
    let total = cube::sum::<One>(Vector::new(own), &mut sums, units).extract(0usize);
    for i in range_stepped(UNIT_POS as usize, length, units) {
        weights[first + i] /= total;
    }
}
