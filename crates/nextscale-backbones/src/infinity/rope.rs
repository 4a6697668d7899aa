//! Rotary position embeddings of rows and columns (upstream's `rope2d_normalized_by_hw = 2`): a token's
//! position is that on a grid shared by all scales.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;

/// The positions of a scale's `count` rows (or columns) among the `reference` ones: row r is at
/// r·reference/count, rounded with ties to even, in upstream's f32.
fn places(count: usize, reference: usize) -> impl Iterator<Item = f32> + Clone {
    let ratio = (reference as f64 / count as f64) as f32;
    (0..count).map(move |i| (i as f32 * ratio).round_ties_even())
}

/// Cosine and sine of every pair of a head's channels at every position of a grid, `[positions, width]`: the
/// first half of the pairs rotates with the row, the second with the column.
fn turns(grid: Grid, reference: Grid, width: usize) -> Vec<f32> {
    let half = width / 2;
    let frequencies: Vec<f32> =
        (0..half / 2).map(|j| 10_000_f64.powf(-((2 * j) as f64) / half as f64) as f32).collect();
    let mut turns = Vec::with_capacity(grid.positions() * width);
    for row in places(grid.height, reference.height) {
        for column in places(grid.width, reference.width) {
            for place in [row, column] {
                for frequency in &frequencies {
                    let (sine, cosine) = f64::from(place * frequency).sin_cos();
                    turns.extend([cosine as f32, sine as f32]);
                }
            }
        }
    }
    turns
}

/// The rotations of several grids, concatenated, for `nextscale_kernels::rotate`: `[positions, width]`.
pub(super) fn table(grids: &[Grid], reference: Grid, width: usize, device: &Device) -> Tensor<2> {
    let turns: Vec<f32> = grids.iter().flat_map(|&grid| turns(grid, reference, width)).collect();
    let positions = turns.len() / width.max(1);
    Tensor::from_data(TensorData::new(turns, [positions, width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infinity::{
        fixtures::{json, opened},
        templates,
    };

    #[test]
    fn places_are_upstreams_for_every_template() {
        let upstream = json("scale_schedules.json");
        for (aspect, sizes) in upstream.as_object().unwrap() {
            let schedule = templates::schedule(aspect, "1M").unwrap();
            let reference = schedule.last();
            for (k, grid) in schedule.grids().iter().enumerate() {
                let ours =
                    |count, reference| places(count, reference).map(|at| at as u64).collect::<Vec<_>>();
                let theirs =
                    |name: &str| -> Vec<u64> { serde_json::from_value(sizes[name][k].clone()).unwrap() };
                assert_eq!(ours(grid.height, reference.height), theirs("rope_rows"), "{aspect} {k}");
                assert_eq!(ours(grid.width, reference.width), theirs("rope_cols"), "{aspect} {k}");
            }
        }
    }

    #[test]
    fn angles_are_upstreams() {
        let file = opened("rope_headdim16_0.06M.safetensors");
        for aspect in ["1.0", "1.333", "0.75"] {
            let schedule = templates::schedule(aspect, "0.06M").unwrap();
            let reference = templates::reference_grid(&schedule);
            let ours = table(schedule.grids(), reference, 16, &Device::flex()).into_data();
            let ours: Vec<f32> = ours.iter::<f32>().collect();
            for (part, name) in ["cos", "sin"].into_iter().enumerate() {
                let (theirs, shape) = file.values(&format!("{name}.{aspect}")).unwrap();
                assert_eq!(shape, [schedule.positions(), 8]);
                for (ours, theirs) in ours.iter().skip(part).step_by(2).zip(theirs) {
                    assert!((ours - theirs).abs() < 1e-5, "{name} {aspect}: {ours} for {theirs}");
                }
            }
        }
    }
}
