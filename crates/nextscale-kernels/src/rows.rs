//! How rows are divided among tasks.

/// Numbers per task: 64 KiB, which stay in a core's own cache.
pub const PART: usize = 16 * 1024;

/// How many whole rows of `length` numbers make a task.
pub fn rows_per_task(length: usize) -> usize {
    (PART / length.max(1)).max(1)
}

/// Adds up `values [groups, length]` over the groups, in order.
pub fn sum_over_first(values: &[f32], length: usize) -> Vec<f32> {
    let mut totals = vec![0.0f64; length];
    for group in values.chunks_exact(length.max(1)) {
        for (total, &value) in totals.iter_mut().zip(group) {
            *total += value as f64;
        }
    }
    totals.into_iter().map(|total| total as f32).collect()
}
