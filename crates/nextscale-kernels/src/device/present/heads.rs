//! Queries, keys and values of every head from their projections, a position by a cube.

use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use cubecl::{ir::ElemType, prelude::*};

use super::cube::{CubeTensor, Rows, contiguous, element, empty};
use crate::heads::LEAST_SQUARE;

/// The units that share a head.
const TEAM: usize = 16;

/// The shape of each result, from x's and the scale's.
pub fn shape(x: &Shape, scale: &Shape) -> Shape {
    let ([batch, positions, all], [heads]) = (x.dims(), scale.dims());
    Shape::new([batch, positions, heads, all / 3 / heads])
}

/// x `[batch, positions, 3·heads·width]` of any type, which the results have, too; bias `[3·heads·width]` and
/// scale `[heads]`, f32.
pub fn run([x, bias, scale]: [CubeTensor; 3], unit: bool) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [batch, positions, heads, width] = shape(&x.shape(), &scale.shape()).dims();
    let rows = batch * positions;
    let launch = Rows::of(&x, rows, 3 * heads * width);
    let (x, bias, scale) = (contiguous(x), contiguous(bias), contiguous(scale));
    let part = || empty(&x, Shape::new([batch, heads, positions, width]), x.dtype);
    let (queries, keys, values) = (part(), part(), part());
    split::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.clone().into_buffer_arg(),
        bias.into_buffer_arg(),
        scale.into_buffer_arg(),
        queries.clone().into_buffer_arg(),
        keys.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        rows,
        positions,
        heads,
        width,
        unit,
        launch.units,
        element(x.dtype),
    );
    let seen = |mut part: CubeTensor| {
        part.meta.swap(1, 2);
        part
    };
    (seen(queries), seen(keys), seen(values))
}

#[cube(launch)]
fn split<T: Float>(
    x: &[T],
    bias: &[f32],
    scale: &[f32],
    queries: &mut [T],
    keys: &mut [T],
    values: &mut [T],
    rows: usize,
    positions: usize,
    heads: usize,
    width: usize,
    #[comptime] unit: bool,
    #[comptime] units: usize,
    #[define(T)] _type: ElemType,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let mut squares = Shared::<[f32]>::new_slice(units);
    let teams = comptime!(units / TEAM);
    let team = UNIT_POS as usize / TEAM;
    let member = UNIT_POS as usize % TEAM;
    let from = CUBE_POS * 3 * heads * width;
    let image = CUBE_POS / positions;
    let position = CUBE_POS % positions;
    // Heads of the queries, then of the keys, then of the values.
    for round in 0..(3 * heads).div_ceil(teams) {
        let head = round * teams + team;
        let first = head * width;
        let to = ((image * heads + head % heads) * positions + position) * width;
        let mut factor = 1.0f32;
        if comptime!(unit) {
            let mut own = 0.0f32;
            if head < 2 * heads {
                for channel in range_stepped(member, width, TEAM) {
                    let value = f32::cast_from(x[from + first + channel]) + bias[first + channel];
                    own += value * value;
                }
            }
            squares[UNIT_POS as usize] = own;
            sync_cube();
            if head < 2 * heads {
                let mut square = 0.0f32;
                for i in 0..TEAM {
                    square += squares[team * TEAM + i];
                }
                // Not the larger of the two: it could turn NaN into a number.
                if square < LEAST_SQUARE {
                    square = LEAST_SQUARE;
                }
                factor = 1.0f32 / square.sqrt();
            }
            sync_cube();
        }
        if head < heads {
            let factor = factor * scale[head];
            for channel in range_stepped(member, width, TEAM) {
                let value = f32::cast_from(x[from + first + channel]) + bias[first + channel];
                queries[to + channel] = T::cast_from(value * factor);
            }
        } else if head < 2 * heads {
            for channel in range_stepped(member, width, TEAM) {
                let value = f32::cast_from(x[from + first + channel]) + bias[first + channel];
                keys[to + channel] = T::cast_from(value * factor);
            }
        } else if head < 3 * heads {
            for channel in range_stepped(member, width, TEAM) {
                let value = f32::cast_from(x[from + first + channel]) + bias[first + channel];
                values[to + channel] = T::cast_from(value);
            }
        }
    }
}
