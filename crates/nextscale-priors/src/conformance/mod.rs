//! A kit that checks a prior of one's own against what every prior promises, and what it [claims](crate::Prior::claims) itself.
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

/// Numbers in [-2, 2) that depend on the seed alone (SplitMix64).
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    (0..count as u64).map(|i| (splitmix64(seed, i + 1) >> 40) as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// Whether two lists of numbers are the same to the bit; a NaN is itself, and -0 is not 0.
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

/// Whether two lists of numbers agree to `tolerance`, as a share of the largest of the second, 1 at least.
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
