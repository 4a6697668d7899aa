//! Qwen2 (Yang and others, "Qwen2 technical report", 2024) as an encoder of texts: its hidden states after the
//! last norm, under the published key names. The layer that predicts tokens is not read.
//!
//! Blocks are pre-norm with root-mean-square norms; queries, keys and values have biases, and groups of
//! queries share keys and values.

mod config;
mod infer;
mod layer;
mod model;

pub use config::Qwen2Config;
pub(crate) use infer::{Described, rooted};
pub use model::Qwen2;
pub(crate) use model::Read;
