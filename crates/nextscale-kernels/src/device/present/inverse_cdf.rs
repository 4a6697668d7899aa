//! A draw from every row of logits by a uniform number, a row by a cube.

use burn::backend::TensorMetadata;
use cubecl::prelude::*;

use super::{
    cube::{self, CubeTensor, Rows, contiguous, empty},
    key::{key, number},
    weight::{top, weight},
};

/// x `[rows, classes]`, uniforms `[rows, 1]`.
pub fn run(x: CubeTensor, uniforms: CubeTensor) -> CubeTensor {
    let [rows, classes] = x.shape().dims();
    let launch = Rows::of(&x, rows, classes);
    let (x, uniforms) = (contiguous(x), contiguous(uniforms));
    let drawn = empty(&uniforms, uniforms.shape(), uniforms.dtype);
    draw::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        uniforms.into_buffer_arg(),
        drawn.clone().into_buffer_arg(),
        rows,
        classes,
        launch.units,
    );
    drawn
}

type One = Const<1>;

#[cube(launch)]
fn draw(
    logits: &[u32],
    uniforms: &[f32],
    drawn: &mut [f32],
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * classes;
    let mut sums = cube::room::<One>(units);
    let mut most = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let top = number(top(logits, first, classes, &mut most, units));

    // A unit takes neighbouring classes.
    let share = classes.div_ceil(units);
    let begin = UNIT_POS as usize * share;
    let end = min(begin + share, classes);
    let mut own = 0.0f32;
    for class in begin..end {
        own += weight(key(logits[first + class]), top);
    }
    let total = cube::sum::<One>(Vector::new(own), &mut sums, units).extract(0usize);
    let mut sum = cube::before::<One>(Vector::new(own), &mut sums, units).extract(0usize);
    let target = uniforms[CUBE_POS] * total;

    // The first class above the target, counted from the end, and the last possible one; from 1.
    let mut passed = 0u32;
    let mut last = 0u32;
    for class in begin..end {
        let weight = weight(key(logits[first + class]), top);
        if weight > 0.0f32 {
            sum += weight;
            last = class as u32 + 1u32;
            if passed == 0u32 && sum > target {
                passed = (classes - class) as u32;
            }
        }
    }
    passed = cube::largest(passed, &mut most, units);
    last = cube::largest(last, &mut most, units);
    if UNIT_POS == 0u32 {
        // Only rounding leads past all classes.
        let mut class = max(last, 1u32) - 1u32;
        if passed > 0u32 {
            class = classes as u32 - passed;
        }
        drawn[CUBE_POS] = f32::cast_from(class);
    }
}
