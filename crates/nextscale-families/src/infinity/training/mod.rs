//! What of Infinity is trained.

pub mod tokenizer;

use crate::Architecture;

/// The trainings, the tokenizer's first.
pub(super) fn architectures() -> Vec<Architecture> {
    vec![tokenizer::architecture()]
}
