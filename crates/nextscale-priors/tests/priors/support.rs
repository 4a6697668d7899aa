use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;
use nextscale_priors::Prior;
use proptest::prelude::*;
use rustdct::DctPlanner;

/// A coarse grid and a fine one, square or not, including a side of 1 and equal grids.
pub fn grids() -> impl Strategy<Value = (Grid, Grid)> {
    (1..=7_usize, 1..=7_usize, 0..=6_usize, 0..=6_usize)
        .prop_map(|(h, w, down, right)| (Grid::new(h, w), Grid::new(h + down, w + right)))
}

/// Numbers in [-2, 2) that depend only on the seed.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 22) as f32 - 2.0
        })
        .collect()
}

/// `prior` applied to `x` `[batch, h·w, channels]` on the CPU device.
pub fn apply(prior: &dyn Prior, from: Grid, to: Grid, x: &[f32], channels: usize) -> Vec<f32> {
    let device = Device::flex();
    let batch = x.len() / (from.positions() * channels);
    let x = Tensor::from_data(TensorData::new(x.to_vec(), [batch, from.positions(), channels]), &device);
    let y = prior.operator(from, to).unwrap().to_device(&device).apply(&x).unwrap();
    assert_eq!(y.dims(), [batch, to.positions(), channels]);
    y.into_data().try_to_vec().unwrap()
}

/// The map of one image and channel.
pub fn plane(values: &[f32], grid: Grid, channels: usize, image: usize, channel: usize) -> Vec<f64> {
    let image = &values[image * grid.positions() * channels..][..grid.positions() * channels];
    image.iter().skip(channel).step_by(channels).map(|&value| f64::from(value)).collect()
}

/// The orthonormal 2-D DCT-II by rustdct, rows then columns.
pub fn dct2(map: &[f64], grid: Grid) -> Vec<f64> {
    let mut planner = DctPlanner::new();
    let (along_rows, along_columns) = (planner.plan_dct2(grid.width), planner.plan_dct2(grid.height));
    let mut out = map.to_vec();
    for row in out.chunks_mut(grid.width) {
        along_rows.process_dct2(row);
    }
    for column in 0..grid.width {
        let mut line: Vec<f64> = out.iter().skip(column).step_by(grid.width).copied().collect();
        along_columns.process_dct2(&mut line);
        line.iter().enumerate().for_each(|(row, &value)| out[row * grid.width + column] = value);
    }
    let norm = |k: usize, n: usize| (if k == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
    for (at, value) in out.iter_mut().enumerate() {
        *value *= norm(at / grid.width, grid.height) * norm(at % grid.width, grid.width);
    }
    out
}

pub fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "at {at}: {found} instead of {expected}");
    }
}
