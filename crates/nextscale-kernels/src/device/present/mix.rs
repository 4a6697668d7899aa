//! The weights of a soft mix of classes, a row by a cube.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, contiguous, empty},
    key::{NEGATIVE_INFINITY, NOTHING, key, number},
};

/// x and noise `[rows, classes]`; softmax((x·sharpness - ln noise)/temperature).
pub fn run(x: CubeTensor, noise: CubeTensor, sharpness: f32, temperature: f32) -> CubeTensor {
    let [rows, classes] = x.shape().dims();
    let launch = Rows::of(&x, rows, classes);
    let (x, noise) = (contiguous(x), contiguous(noise));
    let weights = empty(&x, x.shape(), x.dtype);
    mix::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        noise.into_buffer_arg(),
        weights.clone().into_buffer_arg(),
        rows,
        classes,
        sharpness,
        temperature,
        launch.units,
    );
    weights
}

type One = Const<1>;

#[cube(launch)]
fn mix(
    logits: &[u32],
    noise: &[f32],
    weights: &mut [u32],
    rows: usize,
    classes: usize,
    sharpness: f32,
    temperature: f32,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * classes;
    let mut most = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut sums = cube::room::<One>(units);
    let mut own = 0u32;
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let at = first + class;
        let logit = key(logits[at]);
        let score = (number(logit) * sharpness - noise[at].ln()) / temperature;
        let bits = select(logit == NOTHING, NEGATIVE_INFINITY, u32::reinterpret(score));
        weights[at] = bits;
        own = max(own, key(bits));
    }
    let top = number(cube::largest(own, &mut most, units));
    let mut sum = 0.0f32;
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let at = first + class;
        let score = key(weights[at]);
        let mut weight = 0.0f32;
        // Only -inf has none: NaN stays, and so do the weights of its row.
        if score != NOTHING {
            weight = (number(score) - top).exp();
        }
        weights[at] = u32::reinterpret(weight);
        sum += weight;
    }
    let total = cube::sum::<One>(Vector::new(sum), &mut sums, units).extract(0usize);
    for class in range_stepped(UNIT_POS as usize, classes, units) {
        let at = first + class;
        weights[at] = u32::reinterpret(f32::reinterpret(weights[at]) / total);
    }
}
