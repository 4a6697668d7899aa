//! The VAR transformer ("Visual Autoregressive Modeling: Scalable Image Generation via Next-Scale
//! Prediction", NeurIPS 2024), in upstream's arithmetic and under upstream's key names.

mod backbone;
mod block;
mod conditioning;
mod config;
mod embedding;
#[cfg(test)]
pub(crate) mod fixtures;
mod grow;
#[cfg(test)]
mod independence;
mod infer;
mod init;
mod load;
mod model;
mod save;
mod session;
mod teacher;

pub use block::Block;
pub use config::{SCALES_256, SCALES_512, VarConfig};
pub use embedding::Embedding;
pub use model::Var;

pub use crate::transformer::{
    AdaLn, Attention, AttentionKind, FeedForward, Head, Initialisation, Linear, Modulator, Named, Panels,
    Rounded, Weight,
};
