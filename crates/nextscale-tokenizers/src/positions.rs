//! Feature maps and the positions of their grids.

use burn::tensor::Tensor;
use nextscale_core::{Error, Grid, Result, ScaleSchedule};

/// `[batch, channels, h, w]` as `[batch, h·w, channels]`.
pub(crate) fn positions(map: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = map.dims();
    map.reshape([batch, channels, height * width]).swap_dims(1, 2)
}

/// `[batch, h·w, channels]` as `[batch, channels, h, w]`.
pub(crate) fn map(positions: Tensor<3>, grid: Grid) -> Tensor<4> {
    let [batch, _, channels] = positions.dims();
    positions.swap_dims(1, 2).reshape([batch, channels, grid.height, grid.width])
}

/// The grid of scale `k`, which must exist.
pub(crate) fn grid(schedule: &ScaleSchedule, k: usize) -> Result<Grid> {
    schedule
        .grids()
        .get(k)
        .copied()
        .ok_or_else(|| Error::Unsupported(format!("scale {k} of a schedule of {} scales", schedule.len())))
}
