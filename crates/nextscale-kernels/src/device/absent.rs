//! No kernels: the functions of a build without devices.

use burn::{backend::DispatchTensor, tensor::Tensor};

use super::Keep;

/// Always `None`; see the feature `device`.
pub fn filter(_x: &Tensor<2>, _keep: Keep) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn inverse_cdf(_x: &Tensor<2>, _uniforms: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

pub fn norm(
    inputs: [DispatchTensor; 3],
    _eps: f64,
    _centred: bool,
) -> Result<Tensor<3>, [DispatchTensor; 3]> {
    Err(inputs)
}

pub fn heads(inputs: [DispatchTensor; 2], _unit: bool) -> Result<[Tensor<4>; 3], [DispatchTensor; 2]> {
    Err(inputs)
}
