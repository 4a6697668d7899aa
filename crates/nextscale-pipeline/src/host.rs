//! Reading tensors back into host memory.

use burn::tensor::{Int, Tensor};
use nextscale_core::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the device could not give a tensor back: {error}"))
}

/// The values of a tensor in row-major order, as f32.
pub(crate) fn floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}

/// The values of an integer tensor in row-major order.
pub(crate) fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}
