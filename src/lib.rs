//! nextscale: guidance of next-scale ("VAR") image generators.
//!
//! This crate is the public face of the workspace: it re-exports the crates by topic. Start with
//! [`guidance::Guidance`] to write a rule, [`priors::Prior`] to write a prior, [`pipeline`] to run them, and
//! [`cli::main`] for every command with them.

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
pub use nextscale_families as families;
#[doc(inline)]
pub use nextscale_files as files;
#[doc(inline)]
pub use nextscale_generate as generate;
#[doc(inline)]
pub use nextscale_guidance as guidance;
#[cfg(feature = "hub")]
#[doc(inline)]
pub use nextscale_hub as hub;
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
pub use nextscale_shards as shards;
#[doc(inline)]
pub use nextscale_text as text;
#[doc(inline)]
pub use nextscale_tokenizers as tokenizers;
#[doc(inline)]
pub use nextscale_train as train;
#[doc(inline)]
pub use nextscale_weights as weights;

/// The settings of a rule, a prior or a sampler, stated once in its struct: `#[derive(Settings)]`.
///
/// ```
/// use std::sync::Arc;
/// use nextscale::guidance::{Guidance, Strength};
/// use nextscale::settings::Settings;
///
/// /// What `nextscale list` prints about it.
/// #[derive(Debug, Clone, Settings)]
/// #[setting(example = "Sharpen(amount: 0.5)")]
/// struct Sharpen {
///     /// The rule whose logits are sharpened.
///     #[setting(default = "Conditional")]
///     base: Arc<dyn Guidance>,
///     /// a, a strength, off at 0.
///     amount: Strength,
/// }
///
/// let description = Sharpen::description();
/// assert_eq!((description.name, description.settings.len()), ("Sharpen", 2));
/// assert_eq!(description.settings[1].about, "a, a strength, off at 0.");
/// ```
pub mod settings {
    #[doc(inline)]
    pub use nextscale_config::settings::*;
    #[doc(inline)]
    pub use nextscale_macros::FacadeSettings as Settings;
}

/// Kits that check your own rules and priors against what all of them promise.
///
/// ```
/// use nextscale::conformance::{check_all, check_prior, check_rule};
/// use nextscale::guidance::Apg;
/// use nextscale::pipeline::Registry;
/// use nextscale::priors::Dse;
///
/// // One of each:
/// check_prior(&Dse::default()).run().into_result()?;
/// check_rule(&Apg::new(3.0)?).run().into_result()?;
/// // Everything that a program has:
/// check_all(&Registry::new().with_rule::<Apg>().with_prior::<Dse>())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod conformance {
    #[doc(inline)]
    pub use nextscale_guidance::conformance::{RuleClaims, RuleKit, check_rule};
    #[doc(inline)]
    pub use nextscale_pipeline::registry::check_all;
    #[doc(inline)]
    pub use nextscale_priors::conformance::{
        Check, NotConformant, Outcome, PriorClaims, PriorKit, Report, check_prior,
    };
}

// The code in the README and the book is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/src/tutorial.md")]
struct TutorialOfARule;

#[cfg(doctest)]
#[doc = include_str!("../docs/src/tutorial-prior.md")]
struct TutorialOfAPrior;
