//! nextscale: guidance of next-scale ("VAR") image generators.
//!
//! This crate is the public face of the workspace: it re-exports the crates under the names of what they hold. Start with
//! [`guidance::Guidance`] to write a rule, [`priors::Prior`] to write a prior, and [`pipeline`] to run them.

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
pub use nextscale_pipeline as pipeline;
#[doc(inline)]
pub use nextscale_priors as priors;
#[doc(inline)]
pub use nextscale_tokenizers as tokenizers;
#[doc(inline)]
pub use nextscale_train as train;
#[doc(inline)]
pub use nextscale_weights as weights;
