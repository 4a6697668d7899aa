//! Guidance rules over scales, and strengths that vary with the scale.
//!
//! A [`Guidance`] is a pure function of a [`Step`] and the steps before it. The [`History`] owns those steps,
//! the results of rules on them, and the operators of priors.

mod apg;
mod autoguidance;
mod cfg;
mod cfg_inside;
mod cfg_zero_star;
mod conditional;
pub mod conformance;
mod contrast;
mod extent;
mod frequency_cfg;
mod gated;
mod history;
mod magnitude_cfg;
mod memo;
mod nested;
mod perturbed_attention;
mod rescale;
mod skip_layers;
mod ssg;
mod step;
mod strength;
mod sum;
mod tcfg;
mod vpg;

pub use apg::Apg;
pub use autoguidance::Autoguidance;
pub use cfg::Cfg;
pub use cfg_inside::CfgInside;
pub use cfg_zero_star::CfgZeroStar;
pub use conditional::Conditional;
pub use contrast::Contrast;
pub use extent::Extent;
pub use frequency_cfg::{Bands, FrequencyCfg};
pub use gated::{Gate, Gated};
pub use history::History;
pub use magnitude_cfg::MagnitudeCfg;
pub use perturbed_attention::PerturbedAttention;
pub use rescale::Rescale;
pub use skip_layers::SkipLayers;
pub use ssg::{PriorHistory, Ssg};
pub use step::Step;
pub use strength::Strength;
pub use sum::Sum;
pub use tcfg::Tcfg;
pub use vpg::Vpg;

use std::any::Any;

use nextscale_config::settings::Kind;
use nextscale_core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};

use conformance::RuleClaims;

/// A guidance rule: a pure function of a step and the steps before it. It holds settings but no state.
pub trait Guidance: Any + std::fmt::Debug + Send + Sync {
    /// The guided logits of a step.
    ///
    /// Nested rules, including itself, are evaluated with [`Step::evaluate`], which computes each once per
    /// step.
    ///
    /// # Errors
    /// If a pass that it needs was not run, or a prior is not defined between the grids.
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap>;

    /// The passes whose logits it reads at scale `k`, itself and through nested rules.
    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes;

    /// How many earlier steps it reads, itself and through nested rules.
    fn lookback(&self) -> usize;

    /// Checks its settings for the scales and the alphabet (for example, a list of strengths needs one per
    /// scale). A rule that nests others checks them too.
    ///
    /// # Errors
    /// A setting error naming the field.
    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        let _ = (schedule, alphabet);
        Ok(())
    }

    /// For traces, what the prior of the outermost rule that has one predicts for the step; `None` if none has.
    ///
    /// [`Step::prior_of`] computes it once per step, so [`guide`](Self::guide) can read it there too.
    ///
    /// # Errors
    /// As [`guide`](Self::guide).
    fn prior_of(&self, step: &Step<'_>) -> Result<Option<LogitMap>> {
        let _ = step;
        Ok(None)
    }

    /// What it promises beyond what every rule must, for the [conformance kit](conformance): which rule it is
    /// without its strength, whether it is linear.
    fn claims(&self) -> RuleClaims {
        RuleClaims::none()
    }
}

impl Kind for dyn Guidance {
    const NAME: &'static str = "guidance rule";
    const SCHEMA: &'static str = "Rule";
}
