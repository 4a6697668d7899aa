//! A kit that checks your own prior against what every prior promises, and against what it
//! [claims](crate::Prior::claims).
//!
//! ```
//! use nextscale_priors::{Dse, conformance::check_prior};
//!
//! let report = check_prior(&Dse::default()).run().into_result()?;
//! assert!(report.to_string().contains("passed  images do not mix"));
//! # Ok::<(), nextscale_priors::conformance::NotConformant>(())
//! ```

mod claims;
mod prior;
mod report;

pub use claims::PriorClaims;
use nextscale_core::random::splitmix64;

pub use prior::{PriorKit, check_prior};
pub use report::{Check, NotConformant, Outcome, Report};

/// Numbers in [-2, 2) that depend only on the seed (SplitMix64).
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    (0..count as u64).map(|i| (splitmix64(seed, i + 1) >> 40) as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// Whether two lists of numbers are identical bit for bit; a NaN equals itself, and -0 is not 0.
///
/// # Errors
/// The first place where they differ, after `what`.
pub fn same_bits(found: &[f32], expected: &[f32], what: &str) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers instead of {}", found.len(), expected.len()));
    }
    match found.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits()) {
        Some(at) => Err(format!("{what}: number {at} is {} instead of {}", found[at], expected[at])),
        None => Ok(()),
    }
}

/// Whether two lists of numbers agree within `tolerance`, relative to the largest of the second or to 1 if
/// that is more.
///
/// # Errors
/// The first place where they differ, after `what`.
pub fn near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{what}: {} numbers instead of {}", found.len(), expected.len()));
    }
    let allowed = tolerance * expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
    // A difference that is NaN is not small.
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= allowed;
    match found.iter().zip(expected).position(|pair| !near(pair)) {
        Some(at) => {
            Err(format!("{what}: number {at} is {} instead of {} ± {allowed}", found[at], expected[at]))
        }
        None => Ok(()),
    }
}
