use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{ScaleSchedule, is_cpu};

/// The scale of every position (upstream's `lvl_1L`).
pub(crate) fn levels(schedule: &ScaleSchedule) -> Vec<i64> {
    let grids = schedule.grids().iter().enumerate();
    grids.flat_map(|(k, grid)| std::iter::repeat_n(k as i64, grid.positions())).collect()
}

/// The block-causal mask, L × L row-major: 0 where a position (row) may see another (column), which is in its
/// own scale or an earlier one, and -inf elsewhere.
pub(crate) fn additive(schedule: &ScaleSchedule) -> Vec<f32> {
    let levels = levels(schedule);
    let mut mask = Vec::with_capacity(levels.len() * levels.len());
    for row in &levels {
        mask.extend(levels.iter().map(|column| if row >= column { 0.0 } else { f32::NEG_INFINITY }));
    }
    mask
}

/// [`additive`] as a tensor `[L, L]`. Other devices than the CPU compute it: it is used anew in every step of a
/// training, which would otherwise copy it there.
pub(crate) fn on(schedule: &ScaleSchedule, device: &Device) -> Tensor<2> {
    let length = schedule.positions();
    if is_cpu(device) {
        return Tensor::from_data(TensorData::new(additive(schedule), [length, length]), device);
    }
    let places = Tensor::<1, Int>::arange(0..length as i64, device);
    let begun = |k: usize| places.clone().greater_equal_elem(schedule.offset(k) as i64).int();
    let levels = (1..schedule.len()).map(begun).fold(places.zeros_like(), |sum, begun| sum + begun);
    let rows = levels.clone().reshape([length, 1]).expand([length, length]);
    let columns = levels.reshape([1, length]).expand([length, length]);
    Tensor::zeros([length, length], device).mask_fill(rows.lower(columns), f32::NEG_INFINITY)
}
