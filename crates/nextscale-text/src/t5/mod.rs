//! The T5 encoder (Raffel and others, "Exploring the limits of transfer learning with a unified text-to-text
//! transformer", 2020) in the form of T5 v1.1 and Flan-T5, under the published key names.
//!
//! Blocks are pre-norm, norms divide by the root mean square, and nothing has a bias. Attention scores are
//! not scaled; a bias by relative position, shared by all blocks, is added to them.

mod attention;
mod block;
mod bucket;
mod config;
mod feed_forward;
#[cfg(test)]
mod fixtures;
mod infer;
mod init;
mod keys;
mod load;
mod model;
mod norm;
mod positions;

pub use bucket::bucket;
pub use config::T5Config;
pub(crate) use infer::Described;
pub use keys::Named;
pub(crate) use load::check;
pub use model::T5;
