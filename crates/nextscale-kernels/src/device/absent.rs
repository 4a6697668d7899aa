//! No kernels: the functions of a build without devices.

use burn::{
    backend::DispatchTensor,
    tensor::{DType, Tensor},
};

use super::{Keep, Random, Rounded};

/// Always the tensor; see the feature `device`.
pub fn softmax<const D: usize>(x: DispatchTensor, _to: DType) -> Result<Tensor<D>, DispatchTensor> {
    Err(x)
}

/// Always the factors; see the feature `device`.
pub fn product<const D: usize>(factors: [DispatchTensor; 2]) -> Result<Tensor<D>, [DispatchTensor; 2]> {
    Err(factors)
}

/// Always the inputs; see the feature `device`.
pub fn convolution(inputs: [DispatchTensor; 3]) -> Result<Tensor<4>, [DispatchTensor; 3]> {
    Err(inputs)
}

/// Always the inputs; see the feature `device`.
pub fn group_norm(
    inputs: [DispatchTensor; 3],
    _groups: usize,
    _eps: f64,
    _silu: bool,
    _to: DType,
) -> Result<Tensor<4>, [DispatchTensor; 3]> {
    Err(inputs)
}

/// Always `None`; see the feature `device`.
pub fn first(_x: Tensor<4>, _count: usize) -> Option<Tensor<4>> {
    None
}

/// Always what it is given; see the feature `device`.
#[allow(clippy::type_complexity)]
pub fn append(
    buffers: [Tensor<4>; 2],
    new: [Tensor<4>; 2],
    _at: usize,
) -> Result<[Tensor<4>; 2], ([Tensor<4>; 2], [Tensor<4>; 2])> {
    Err((buffers, new))
}

/// Always `None`; see the feature `device`.
pub fn faults(_x: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn filter(_x: &Tensor<2>, _keep: Keep) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn inverse_cdf(_x: &Tensor<2>, _uniforms: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

/// Always the inputs; see the feature `device`.
pub fn norm(
    inputs: [DispatchTensor; 3],
    _eps: f64,
    _centred: bool,
    _to: DType,
) -> Result<Tensor<3>, [DispatchTensor; 3]> {
    Err(inputs)
}

/// Always the inputs; see the feature `device`.
pub fn heads(inputs: [DispatchTensor; 3], _unit: bool) -> Result<[Tensor<4>; 3], [DispatchTensor; 3]> {
    Err(inputs)
}

/// Never; see the feature `device`.
pub fn has_kernels<const D: usize>(_x: &Tensor<D>) -> bool {
    false
}

/// Always `None`; see the feature `device`.
pub fn random(_images: &Tensor<2>, _random: Random) -> Option<Tensor<3>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn first_largest(_x: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn race(_x: &Tensor<2>, _noise: &Tensor<2>) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn mix(_x: &Tensor<2>, _noise: &Tensor<2>, _sharpness: f64, _temperature: f64) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn bytes(_images: &Tensor<4>, _half: f32) -> Option<Rounded> {
    None
}

/// Always 0; see the feature `device`.
pub fn uses(_kernel: &str) -> u64 {
    0
}

/// Always `None`; see the feature `device`.
pub fn nearest(_x: &Tensor<2>, _codes: &Tensor<2>) -> Option<Tensor<2>> {
    None
}
