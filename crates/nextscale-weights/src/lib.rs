//! Checkpoints by their own key names: `.pth` and `.safetensors`, read without executing a pickle.
//!
//! Opening a [`WeightFile`] reads only its header; tensors are then read one by one into f32 on a device. A
//! model lists every name and shape as [`ExpectedTensors`] and checks them before it reads a value, so
//! nothing loads partially:
//!
//! ```no_run
//! # use nextscale_weights::{ExpectedTensors, WeightFile};
//! # fn main() -> Result<(), nextscale_weights::Error> {
//! # let device = burn::tensor::Device::flex();
//! let file = WeightFile::open("vae.safetensors")?;
//! ExpectedTensors::new("a VQVAE").tensor("quant_conv.bias", [32]).check(&file)?;
//! let bias = file.tensor::<1>("quant_conv.bias", &device)?;
//! # Ok(())
//! # }
//! ```

mod convert;
mod dtype;
mod error;
mod expected;
mod file;
pub mod fingerprint;
mod header;
mod pickle;
mod pth;
mod safe;
mod save;
mod shards;

pub use dtype::{StoredType, TensorInfo};
pub use error::{Error, LoadError, Problem, Result};
pub use expected::ExpectedTensors;
pub use file::WeightFile;
pub use header::{Header, HeaderTensor, serialize};
pub use save::{Precision, save_safetensors};
