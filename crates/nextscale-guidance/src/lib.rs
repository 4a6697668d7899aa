//! Guidance rules over scales, and strengths that vary with the scale.

mod history;

pub use history::{History, Step};

use nextscale_core::{LogitMap, Passes, Result, ScaleSchedule};

/// A guidance rule: a pure function of a step and the steps before it. It holds settings, never state.
pub trait Guidance: std::fmt::Debug + Send + Sync {
    /// The guided logits of a step.
    ///
    /// # Errors
    /// If a pass that it needs was not run, or a prior is not defined between the grids.
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap>;

    /// The passes whose logits it reads at scale `k`, by itself and through the rules it nests.
    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes;

    /// How many earlier steps it reads, by itself and through the rules it nests.
    fn lookback(&self) -> usize;

    /// Whether its settings fit a schedule (a list of strengths has one a scale, say).
    ///
    /// # Errors
    /// A setting error that names the field.
    fn check(&self, schedule: &ScaleSchedule) -> Result<()> {
        let _ = schedule;
        Ok(())
    }
}
