//! The trainings of Infinity: of its tokenizer, and of its transformer together with a small text encoder.

pub mod backbone;
mod config;
mod correction;
mod learner;
mod prompts;
pub mod tokenizer;

use crate::Architecture;

/// The trainings, the tokenizer's first.
pub(super) fn architectures() -> Vec<Architecture> {
    vec![tokenizer::architecture(), backbone::architecture()]
}
