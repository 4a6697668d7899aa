//! Infinity's tokenizer ("Infinity: Scaling Bitwise AutoRegressive Modeling for High-Resolution Image
//! Synthesis", CVPR 2025, section 3.1): a convolutional autoencoder whose latents are quantised residually
//! over a schedule of grids, each to the signs of its channels (binary spherical quantisation), in upstream's
//! arithmetic and under upstream's key names.
//!
//! A latent of d channels has d bits; its code is the corner ±1/√d of the unit sphere. There is no codebook,
//! and no convolution after the codes. With patches, a token stands for 2 × 2 latents and has 4d bits: the
//! transformer's grids are half as fine as the latents'.

mod code;
mod config;
mod infer;
mod init;
mod keys;
mod load;
mod multi_scale;
mod patch;
mod quantizer;
mod scales;
mod teaching;
mod tokenizer;
mod vae;

pub use config::BsqVaeConfig;
pub use multi_scale::MultiScaleBsq;
pub use quantizer::Quantized;
pub use scales::Scales;
pub use teaching::Teaching;
pub use vae::BsqVae;
