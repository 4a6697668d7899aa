//! The Infinity transformer ("Infinity: Scaling Bitwise AutoRegressive Modeling for High-Resolution Image
//! Synthesis", CVPR 2025), in upstream's arithmetic and under upstream's key names.
//!
//! Details of upstream that are easily missed: the positions of every scale are counted on the template's
//! largest grid, whatever the image size; the level embedding is added once, before the first block; and an
//! image without text gets as many learned rows as its prompt has.

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
