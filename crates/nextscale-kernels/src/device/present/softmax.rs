//! Softmax over the last dimension, a row by a cube.

use burn::tensor::DType;
use cubecl::{ir::ElemType, prelude::*};

use super::{
    cube::{self, CubeTensor, Rows, element, memory, room_for, rows_apart},
    key::{NOTHING, key, number},
    weight::top,
};

/// Of x of any shape, f32. The result is rounded to the type `to`.
pub fn run(x: CubeTensor, to: DType) -> CubeTensor {
    let (x, apart) = rows_apart(x);
    let shape = x.meta.shape();
    let length = shape[shape.len() - 1];
    let rows = shape.num_elements() / length;
    let launch = Rows::of(&x, rows, length);
    // Rows of a result are as far apart as those of x.
    let mut weights = x.clone();
    weights.handle = room_for(&x, rows * apart, to);
    weights.dtype = to;
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
        element(to),
    );
    weights
}

type One = Const<1>;

#[cube(launch)]
fn softmax_rows<T: Float>(
    x: &[u32],
    weights: &mut [T],
    rows: usize,
    length: usize,
    apart: usize,
    #[comptime] units: usize,
    #[define(T)] _to: ElemType,
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
        own += weight_of(x[first + i], top);
    }
    let total = cube::sum::<One>(Vector::new(own), &mut sums, units).extract(0usize);
    for i in range_stepped(UNIT_POS as usize, length, units) {
        // Not kept from the first time, when the total was unknown: it is rounded once.
        weights[first + i] = T::cast_from(weight_of(x[first + i], top) / total);
    }
}

/// The weight of a logit of these bits. Only -inf has none: NaN stays, and so do the weights of its row.
#[cube]
fn weight_of(bits: u32, top: f32) -> f32 {
    let key = key(bits);
    let mut weight = 0.0f32;
    if key != NOTHING {
        weight = (number(key) - top).exp();
    }
    weight
}
