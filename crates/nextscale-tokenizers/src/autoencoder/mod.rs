//! The convolutional autoencoder that tokenizers are built around: residual blocks of norms, SiLU and 3×3 convolutions at sizes that
//! halve and double, with attention here and there.
//!
//! The fields of the modules are named as upstream's state dicts name them, so that the path of a parameter through the
//! structs is its key in a file, or nearly.

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
