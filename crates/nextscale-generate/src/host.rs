//! Reading tensors back into host memory.

use std::ops::Deref;

use burn::tensor::{Int, Tensor};
use nextscale_core::{Error, Result};
use nextscale_kernels::Values;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the device could not give a tensor back: {error}"))
}

/// The values of a tensor in row-major order, as f32.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}

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

/// The values of an integer tensor in row-major order.
pub fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}
