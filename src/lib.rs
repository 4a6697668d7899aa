//! nextscale: guidance of next-scale ("VAR") image generators.
//!
//! This crate is the public face of the workspace: it re-exports the crates under the names of what they hold. Start with
//! [`guidance::Guidance`] to write a rule, [`priors::Prior`] to write a prior, [`pipeline`] to run them, and [`cli::main`]
//! to have every command with them.

pub mod cli;

/// The tensor library, so that a crate with a rule or a prior uses the same version.
#[doc(no_inline)]
pub use burn;
#[doc(inline)]
pub use nextscale_ablation as ablation;
#[doc(inline)]
pub use nextscale_backbones as backbones;
#[doc(inline)]
pub use nextscale_config as config;
#[doc(inline)]
pub use nextscale_core as core;
#[doc(inline)]
pub use nextscale_guidance as guidance;
#[doc(inline)]
pub use nextscale_kernels as kernels;
#[doc(inline)]
pub use nextscale_metrics as metrics;
#[doc(inline)]
pub use nextscale_parity as parity;
#[doc(inline)]
pub use nextscale_pipeline as pipeline;
#[doc(inline)]
pub use nextscale_priors as priors;
#[doc(inline)]
pub use nextscale_tokenizers as tokenizers;
#[doc(inline)]
pub use nextscale_train as train;
#[doc(inline)]
pub use nextscale_weights as weights;

/// Kits that check a rule or a prior of one's own against what all of them promise.
///
/// ```
/// use nextscale::conformance::{check_prior, check_rule};
/// use nextscale::guidance::{Apg, Conditional};
/// use nextscale::priors::Dse;
///
/// check_prior(&Dse::default()).run().into_result()?;
/// check_rule(&Apg::new(3.0)?).off(&Apg::new(0.0)?, &Conditional).run().into_result()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod conformance {
    #[doc(inline)]
    pub use nextscale_guidance::conformance::{RuleKit, check_rule};
    #[doc(inline)]
    pub use nextscale_priors::conformance::{Check, NotConformant, Outcome, PriorKit, Report, check_prior};
}

// The book's code is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/src/tutorial.md")]
struct TutorialOfARule;

#[cfg(doctest)]
#[doc = include_str!("../docs/src/tutorial-prior.md")]
struct TutorialOfAPrior;
