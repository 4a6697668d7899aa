//! VAR's tokenizer ("Visual Autoregressive Modeling: Scalable Image Generation via Next-Scale Prediction",
//! NeurIPS 2024, section 3): a convolutional autoencoder whose latents are quantised residually over a
//! schedule of grids, in upstream's arithmetic and under upstream's key names.
//!
//! [`Vqvae`] holds the parameters and [`MultiScaleVq`] binds them to a schedule. The modules' fields are
//! named as in upstream's state dict, so that a parameter's path through the structs is its key in a file.

mod config;
mod infer;
mod init;
mod keys;
mod load;
mod multi_scale;
mod phi;
mod quantizer;
mod scales;
mod tokenizer;
mod train;
mod vqvae;

pub use config::{PhiKind, VqvaeConfig};
pub use multi_scale::MultiScaleVq;
pub use phi::{PhiBank, phi_index};
pub use quantizer::{Codebook, Quantizer};
pub use scales::Scales;
pub use train::QuantizeOutput;
pub use vqvae::Vqvae;
