//! The convolutional autoencoder inside the tokenizers: residual blocks of norms, SiLU and 3×3 convolutions
//! at sizes that halve and double, with attention in some places.
//!
//! The modules' fields are named as in upstream's state dicts, so that a parameter's path through the structs
//! is its key in a file, or nearly.

mod attention;
mod conv;
mod decoder;
mod encoder;
pub(crate) mod fresh;
mod infer;
mod layout;
mod norm;
pub(crate) mod parameters;
mod resample;
mod resnet;

pub use attention::AttnBlock;
pub use conv::Conv;
pub(crate) use conv::empty;
pub use decoder::{Decoder, DecoderLevel};
pub use encoder::{Encoder, EncoderLevel, Mid};
pub(crate) use infer::Tensors;
pub use layout::{Layout, NormGroups};
pub use norm::Norm;
pub use resample::{Downsample, Upsample};
pub use resnet::ResnetBlock;
