use nextscale_core::ScaleSchedule;

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
