//! VAR's tokenizer ("Visual Autoregressive Modeling: Scalable Image Generation via Next-Scale Prediction", NeurIPS
//! 2024, section 3): a convolutional autoencoder whose latents are quantised residually over a schedule of grids, in
//! upstream's arithmetic and under upstream's key names.
//!
//! [`Vqvae`] holds the parameters and [`MultiScaleVq`] binds them to a schedule. The fields of the modules are named as
//! upstream's state dict names them, so that the path of a parameter through the structs is its key in a file.

mod attention;
mod config;
mod conv;
mod decoder;
mod encoder;
mod infer;
mod init;
mod keys;
mod load;
mod multi_scale;
mod norm;
mod phi;
mod quantizer;
mod resample;
mod resize;
mod resnet;
mod scales;
mod tokenizer;
mod train;
mod vqvae;

pub use attention::AttnBlock;
pub use config::{PhiKind, VqvaeConfig};
pub use conv::Conv;
pub use decoder::{Decoder, DecoderLevel};
pub use encoder::{Encoder, EncoderLevel, Mid};
pub use multi_scale::MultiScaleVq;
pub use norm::Norm;
pub use phi::{PhiBank, phi_index};
pub use quantizer::{Codebook, Quantizer};
pub use resample::{Downsample, Upsample};
pub use resize::Resize;
pub use resnet::ResnetBlock;
pub use scales::Scales;
pub use train::QuantizeOutput;
pub use vqvae::Vqvae;
