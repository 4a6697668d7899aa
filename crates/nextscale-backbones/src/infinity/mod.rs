//! The Infinity transformer ("Infinity: Scaling Bitwise AutoRegressive Modeling for High-Resolution Image Synthesis", CVPR
//! 2025), in upstream's arithmetic and under upstream's key names.
//!
//! What of upstream is easily missed: the positions of every scale are counted on the template's largest grid, whatever the
//! size of the image; the level embedding is added once, before the first block; and the rows that stand for no text are as many
//! as the prompt's.

mod backbone;
mod block;
mod config;
mod embedding;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod independence;
mod infer;
mod init;
mod load;
mod model;
mod rope;
mod save;
mod session;
mod teacher;
pub mod templates;
mod text;

pub use block::Block;
pub use config::InfinityConfig;
pub use embedding::Embedding;
pub use model::Infinity;
pub use text::{CrossAttention, KeysValues, Pool, Text};

pub use crate::transformer::Initialisation;
