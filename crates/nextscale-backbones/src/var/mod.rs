//! The VAR transformer ("Visual Autoregressive Modeling: Scalable Image Generation via Next-Scale Prediction",
//! NeurIPS 2024), in upstream's arithmetic and under upstream's key names.

mod adaln;
mod attention;
mod backbone;
mod block;
mod conditioning;
mod config;
mod embedding;
mod feed_forward;
#[cfg(test)]
mod fixtures;
mod grow;
mod head;
#[cfg(test)]
mod independence;
mod infer;
mod init;
mod keys;
mod laid_out;
mod linear;
mod load;
mod mask;
mod model;
mod ops;
mod save;
mod session;
mod teacher;
mod to_train;

pub use adaln::Modulator;
pub use attention::Attention;
pub use block::Block;
pub use config::{AdaLn, AttentionKind, SCALES_256, SCALES_512, VarConfig};
pub use embedding::Embedding;
pub use feed_forward::FeedForward;
pub use head::Head;
pub use init::Initialisation;
pub use keys::Named;
pub use linear::{Linear, Panels, Rounded, Weight};
pub use model::Var;
