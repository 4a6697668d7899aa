//! Reading tensors back into host memory.

use std::ops::Deref;

use burn::tensor::Tensor;
use nextscale_core::Result;
use nextscale_kernels::Values;

pub use crate::transfer::{floats, integers};

/// The values of a tensor in row-major order, for reading.
pub enum Floats {
    /// In place, on the CPU.
    InPlace(Values),
    /// A copy of them.
    Copied(Vec<f32>),
}

impl Floats {
    /// The values of a tensor, without a copy if they are in host memory.
    ///
    /// # Errors
    /// If the device cannot return them.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Result<Self> {
        match nextscale_kernels::read(&tensor) {
            Some(values) => Ok(Self::InPlace(values)),
            None => floats(tensor).map(Self::Copied),
        }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::InPlace(values) => values,
            Self::Copied(values) => values,
        }
    }
}
