//! No operations: the functions of a build without LibTorch.

use burn::{backend::DispatchTensor, tensor::Tensor};

use crate::device::Keep;

type Taken<const N: usize, const D: usize> = Result<Tensor<D>, [DispatchTensor; N]>;

pub fn silu<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    Err(inputs)
}

pub fn gelu_tanh<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    Err(inputs)
}

pub fn unit<const D: usize>(inputs: [DispatchTensor; 1]) -> Taken<1, D> {
    Err(inputs)
}

pub fn layer_norm(inputs: [DispatchTensor; 1], _eps: f64) -> Taken<1, 3> {
    Err(inputs)
}

pub fn norm(inputs: [DispatchTensor; 3], _eps: f64) -> Taken<3, 3> {
    Err(inputs)
}

pub fn gated_residual(inputs: [DispatchTensor; 3]) -> Taken<3, 3> {
    Err(inputs)
}

pub fn group_norm(inputs: [DispatchTensor; 3], _groups: usize, _eps: f64, _silu: bool) -> Taken<3, 4> {
    Err(inputs)
}

#[allow(clippy::type_complexity)]
pub fn attention(
    inputs: [DispatchTensor; 3],
    mask: Option<Tensor<3>>,
) -> Result<Tensor<4>, ([DispatchTensor; 3], Option<Tensor<3>>)> {
    Err((inputs, mask))
}

/// Always `None`; see the feature `tch`.
pub fn filter(_x: &Tensor<2>, _keep: Keep) -> Option<Tensor<2>> {
    None
}
