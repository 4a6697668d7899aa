//! Tensors back on the host.

use burn::tensor::{Int, Tensor};
use nextscale_pipeline::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Device(format!("the device could not give a tensor back: {error}"))
}

/// The values of a tensor in row-major order.
pub(crate) fn floats<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    tensor.clone().try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}

/// The values of an integer tensor in row-major order.
pub(crate) fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}
