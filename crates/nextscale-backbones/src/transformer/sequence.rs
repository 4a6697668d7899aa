use nextscale_core::{Error, Result, ScaleSchedule};

/// The number of scales covered by teacher-forced features `[batch, L − positions of scale 0, channels]`.
///
/// # Errors
/// [`Error::Shape`] if they do not form whole scales, or have another batch or number of channels.
pub(crate) fn scales_of(
    schedule: &ScaleSchedule,
    features: [usize; 3],
    batch: usize,
    channels: usize,
) -> Result<usize> {
    let first = schedule.grid(0).positions();
    let scales = (1..=schedule.len()).find(|&n| {
        schedule.grids()[..n].iter().map(|grid| grid.positions()).sum::<usize>() == first + features[1]
    });
    match scales {
        Some(scales) if features[0] == batch && features[2] == channels => Ok(scales),
        _ => Err(Error::shape(
            "teacher-forced features",
            format!("[{batch}, {}, {channels}] for the scales {schedule}", schedule.positions() - first),
            &features,
        )),
    }
}
