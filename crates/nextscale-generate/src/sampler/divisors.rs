//! Temperatures as a strength over scales.

use nextscale_core::{Error, Result, ScaleSchedule};
use nextscale_guidance::Strength;

/// The divisor at scale `k`; 1 where it is off.
pub(super) fn at(temperature: &Strength, k: usize, schedule: &ScaleSchedule) -> f64 {
    if temperature.is_on(k) { temperature.at(k, schedule) } else { 1.0 }
}

/// Checks that the divisor is above 0 at every scale.
///
/// # Errors
/// [`Error::Setting`] for `field`.
pub(super) fn check(field: &str, temperature: &Strength, schedule: &ScaleSchedule) -> Result<()> {
    temperature.check(field, schedule)?;
    for k in 0..schedule.len() {
        let temperature = at(temperature, k, schedule);
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::setting(
                field,
                format!("{temperature} at scale {k}; it must be above 0 (Argmax is the limit of 0)"),
            ));
        }
    }
    Ok(())
}
