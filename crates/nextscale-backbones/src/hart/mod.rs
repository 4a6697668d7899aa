//! The HART transformer ("HART: Efficient Visual Generation with Hybrid Autoregressive Transformer", ICLR
//! 2025), in upstream's arithmetic and under upstream's key names: codes scale by scale, and at the last a
//! continuous residual from a diffusion head.
//!
//! Details of upstream that are easily missed: the text's rows take the place of scale 0, and padding among
//! them is attended to; one norm is used before attention and before the MLP; scores are scaled by a quarter
//! of the usual; and the rotary form of image positions is not a rotation.

mod backbone;
mod block;
mod config;
mod context;
mod described;
mod embedding;
mod feed_forward;
#[cfg(test)]
mod fixtures;
mod head;
#[cfg(test)]
mod independence;
mod infer;
mod init;
mod load;
mod model;
mod modulator;
mod norm;
pub mod residual;
mod rope;
mod save;
mod session;
mod teacher;

pub use block::Block;
pub use config::{HartConfig, Levels, Modulated, Pooling, ResidualConfig};
pub use described::{Described, PatchNums, Steps};
pub use model::Hart;

pub use crate::transformer::{AttentionKind, Initialisation};
